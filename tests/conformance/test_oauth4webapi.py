# SPDX-License-Identifier: Apache-2.0
"""A client that we did not write; this file is about npm oauth4webapi getting and using a bound token, unchanged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.wire.digests import b64url
from tests.programs import npm_packages, program
from tests.running import MEX, USA, Running, running

PACKAGE = "oauth4webapi@3.8.8"
SCRIPT = Path(__file__).with_name("oauth4webapi.mjs")
SECONDS_MAX = 120


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package as it is published."""
    folder = npm_packages(tmp_path_factory.mktemp("npm"), PACKAGE)
    shutil.copy(SCRIPT, folder / SCRIPT.name)
    return folder


def told_by(folder: Path, gateway: Running, name: str) -> dict[str, Any]:
    party = gateway.party(name)
    words = {
        "issuer": gateway.files.public_origin,
        "client": name,
        "cert": str(party.tls_cert),
        "key": str(party.tls_key),
        "ca": str(gateway.files.server_ca),
        "signing_key": str(party.signing_key),
        "keyid": party.keyid,
    }
    done = subprocess.run(
        [program("node"), SCRIPT.name],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "WORDS": json.dumps(words)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.conformance
def test_oauth4webapi_gets_and_uses_a_bound_token(installed: Path, tmp_path: Path) -> None:
    """Discovery, both ways to authenticate, the token as a JWT, its use, and the errors that the library knows."""
    with running(tmp_path / "sandbox") as gateway:
        for name in (USA, MEX):
            told = told_by(installed, gateway, name)

            for method in ("tls_client_auth", "private_key_jwt"):
                seen = told[method]
                assert (seen["type"], seen["scope"], seen["status"]) == ("bearer", "read-own", 200)
                assert 300 <= seen["expires_in"] <= 600
                assert seen["claims"]["sub"] == name
                certificate = x509.load_pem_x509_certificate(gateway.party(name).tls_cert.read_bytes())
                assert seen["claims"]["cnf"] == {"x5t#S256": b64url(certificate.fingerprint(SHA256()))}
            assert told["insufficient"]["name"] == "WWWAuthenticateChallengeError"
            assert told["insufficient"]["challenges"]["error"] == "insufficient_scope"
            assert told["invalid"]["challenges"]["error"] == "invalid_token"
            assert (told["scope"]["name"], told["scope"]["error"]) == ("ResponseBodyError", "invalid_scope")
