# SPDX-License-Identifier: Apache-2.0
"""The document works; this file is about running docs/INTEGRATE.md as it stands, with curl and openssl only."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.wire.digests import b64, sha256
from gateway.wire.merkle import leaf_hash, root_of
from gateway.wire.policy_file import parse_policy
from gateway.wire.receipt import verify_receipt
from tests.programs import program

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "INTEGRATE.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the blocks may call: coreutils that print, cut and count, and the two programs that the document names.
PROGRAMS = ("openssl", "curl", "cat", "cut", "date", "grep", "head", "sed", "tail", "tee", "tr", "wc")
SECONDS_MAX = 60


def partner(server: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in server["partners"] if one["id"] == name)
    return found


def environment(server: dict[str, Any], programs: Path) -> dict[str, str]:
    igm, upmrip = partner(server, "GTM.IGM"), partner(server, "MEX.SEGOB.UPMRIP")
    for name in PROGRAMS:
        (programs / name).symlink_to(program(name))
    return {
        "PATH": str(programs),
        "HOME": os.environ.get("HOME", "/"),
        "ORIGIN": server["public_origin"],
        "SERVER_CA": server["server_ca"],
        "ANSWER_KEYS": server["answer_keys"],
        "TLS_CERT": igm["tls_cert"],
        "TLS_KEY": igm["tls_key"],
        "SIGNING_KEY": igm["signing_key"],
        "EC_TLS_CERT": upmrip["tls_cert"],
        "EC_TLS_KEY": upmrip["tls_key"],
        "EC_SIGNING_KEY": upmrip["signing_key"],
    }


@pytest.mark.conformance
def test_the_example_runs_with_curl_and_openssl_only(server: dict[str, Any], tmp_path: Path) -> None:
    """Every block, in order, in one shell, with nothing on its path but the programs that are named."""
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    shell = program("bash")

    ran = subprocess.run(
        [shell, "-eu", "-o", "pipefail", "-c", "\n".join(BLOCK.findall(DOCUMENT))],
        cwd=work,
        env=environment(server, programs),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Signature Verified Successfully" in ran.stdout
    assert f"keyid: {partner(server, 'GTM.IGM')['keyid']}\n" in ran.stdout
    assert (work / "status.txt").read_text() in {"status 201\n", "status 202\n"}, (work / "answer.json").read_text()
    assert (work / "ec-status.txt").read_text() == "status 200\n", (work / "ec-answer.json").read_text()
    answer = json.loads((work / "answer.json").read_text())
    # On a sandbox that has been used the two records may stand there already.
    assert answer["records"]["received"] == 2
    assert answer["records"]["accepted"] + answer["records"]["duplicate"] == 2
    if (work / "status.txt").read_text() == "status 201\n":
        policy = parse_policy(Path(server["log"]["policy_file"]).read_text())
        assert verify_receipt(answer["receipt"], policy=policy).fields


def test_the_values_printed_in_the_document_are_those_of_its_body() -> None:
    found = re.search(r"cat > body\.ndjson <<'LINES'\n(.*?\n)LINES\n", DOCUMENT, re.DOTALL)
    assert found is not None
    body = found[1].encode()

    assert DOCUMENT.count(f"sha-256=:{b64(sha256(body))}:") == 2
    assert DOCUMENT.count(f"count=2, root=:{b64(root_of(map(leaf_hash, body.splitlines())))}:") == 2
