# SPDX-License-Identifier: Apache-2.0
"""A partner's first step; this file is about `gateway init`: keys, a certificate request and a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from gateway.client.config import ClientConfig, load_config
from gateway.wire.keys import ECDSA_P256, ED25519, FileSigner, signing_public

PARTNER = "MEX.SEGOB.UPMRIP"


def init(folder: Path, *more: str, language: str = "en", partner: str = PARTNER) -> Result:
    return CliRunner().invoke(app, ["--language", language, "init", str(folder), "--partner", partner, *more])


def test_keys_are_made_that_only_the_owner_can_read(tmp_path: Path) -> None:
    done = init(tmp_path / "a" / "b")

    assert done.exit_code == 0, done.stderr
    modes = {path.name: oct(path.stat().st_mode)[-3:] for path in (tmp_path / "a" / "b").iterdir()}
    assert (modes["tls.key"], modes["signing.key"]) == ("600", "600")
    assert modes.keys() == {"tls.key", "tls.csr", "signing.key", "signing.pub.pem", "client.toml"}


def test_the_request_asks_for_what_the_gateway_expects(tmp_path: Path) -> None:
    init(tmp_path)

    request = x509.load_pem_x509_csr((tmp_path / "tls.csr").read_bytes())
    key = load_pem_private_key((tmp_path / "tls.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert [(name.oid, name.value) for name in request.subject] == [
        (NameOID.ORGANIZATION_NAME, "MEX"),
        (NameOID.COMMON_NAME, PARTNER),
    ]
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:gateway:{PARTNER}"]
    uses = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(("option", "algorithm"), [((), ED25519), (("--p256",), ECDSA_P256)])
def test_the_signing_key_is_another_one_and_named_by_its_thumbprint(
    tmp_path: Path, option: tuple[str, ...], algorithm: str
) -> None:
    done = init(tmp_path, *option)

    signer = FileSigner.load(tmp_path / "signing.key")
    public = load_pem_public_key((tmp_path / "signing.pub.pem").read_bytes())
    assert signer.algorithm == algorithm
    assert signer.keyid in done.stdout
    assert signing_public(public).keyid == signer.keyid  # type: ignore[arg-type]
    assert signer.public_der != FileSigner.load(tmp_path / "tls.key").public_der


@pytest.mark.parametrize("name", ["tls.key", "signing.key", "tls.csr", "client.toml"])
def test_nothing_is_overwritten_and_nothing_half_made(tmp_path: Path, name: str) -> None:
    """A key that is gone can never be used again, and neither can what was certified for it."""
    (tmp_path / name).write_text("mine")

    done = init(tmp_path)

    assert done.exit_code == 2
    assert name in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_the_configuration_is_whole_once_the_files_of_others_are_there(tmp_path: Path) -> None:
    init(tmp_path, "--url", "https://localhost:8443")
    for name in ("tls.pem", "server-ca.pem", "answer-keys.json", "log.policy"):
        (tmp_path / name).touch()

    config = load_config(tmp_path / "client.toml")

    assert (config.partner, config.gateway_url) == (PARTNER, "https://localhost:8443")
    assert isinstance(config, ClientConfig)
    assert config.signing_key == tmp_path / "signing.key"


def test_the_next_steps_are_said_in_the_reader_s_language(tmp_path: Path) -> None:
    assert "la autoridad de su país" in init(tmp_path, language="es").stdout


def test_what_is_no_partner_id_is_wrong_use(tmp_path: Path) -> None:
    done = init(tmp_path, partner="Migración")

    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []
