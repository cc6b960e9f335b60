# SPDX-License-Identifier: Apache-2.0
"""From stranger to partner over a connection; this file is about invitation, answer, activation and their refusals."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from gateway.client.failures import Refused
from gateway.contracting.load import load_contracts, packaged_root
from gateway.errors import Reason
from gateway.onboarding import pki
from gateway.onboarding.sandbox_files import CertificateFiles
from gateway.wire.digests import sha256
from gateway.wire.joining import Joining, sign_joining
from gateway.wire.keys import FileSigner
from tests.api.asking import Answered, Asked, check_problem, check_signature, line, parse_answer
from tests.governing import approver, said, widened
from tests.running import MEX, USA, Running

CONTRACTS = {
    f"{one.ref.product}/{one.ref.version}": one.ref.digest for one in load_contracts(packaged_root()).contracts
}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["--language", "en", *map(str, words)])


def invited(gateway: Running, partner: str) -> str:
    settings = ("--config", gateway.files.settings)
    done = run("partners", "invite", partner, "--name", "Body", "--role", "provider", *settings)
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip().rpartition(" ")[2]


def made(gateway: Running, partner: str, folder: Path, *, authority: str = "") -> Path:
    """Make an agency's keys by the command, and its certificate as its authority would; return its client.toml."""
    done = run("init", folder, "--partner", partner, "--url", gateway.files.public_origin)
    assert done.exit_code == 0, done.stderr
    ca = gateway.files.folder / "authorities" / (authority or partner[:3])
    key = load_pem_private_key((ca / "ca.key").read_bytes(), None)
    own = load_pem_private_key((folder / "tls.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate((ca / "ca.pem").read_bytes())
    asked = x509.load_pem_x509_csr((folder / "tls.csr").read_bytes())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer.subject, asked.subject, asked.public_key(), x509.random_serial_number(), now, now + pki.timedelta(days=9)
    )
    for one in asked.extensions:
        builder = builder.add_extension(one.value, one.critical)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    pki.write_certificate(folder / "tls.pem", builder.sign(key, pki.FINGERPRINT))
    for name in ("server-ca.pem", "answer-keys.json", "log.policy"):
        (folder / name).write_bytes((gateway.files.folder / name).read_bytes())
    return folder / "client.toml"


def stranger(gateway: Running) -> str:
    """Return the name of a certificate of the United States that nobody has seen: strangers may ask little."""
    ca, name = gateway.files.folder / "authorities" / "USA", f"stranger-{secrets.token_hex(4)}"
    key = load_pem_private_key((ca / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer = pki.Issued(x509.load_pem_x509_certificate((ca / "ca.pem").read_bytes()), key)
    issued = pki.issue_client(issuer, "USA.CIS", "USA", pki.Validity.days(datetime.now(UTC), 9))
    folder = gateway.files.folder / "specimens"
    files = CertificateFiles(
        pki.write_certificate(folder / f"{name}.pem", issued.certificate),
        pki.write_key(folder / f"{name}.key", issued.key),
    )
    cast("dict[str, CertificateFiles]", gateway.files.specimens)[name] = files
    return name


def answered(
    gateway: Running, name: str, partner: str, token: str, *, bend: Callable[[dict[str, Any]], object] = lambda _: None
) -> Answered:
    """Answer an invitation with somebody's certificate and a key made just now."""
    leaf = x509.load_pem_x509_certificate(gateway.credentials(name).tls_cert.read_bytes())
    words: dict[str, Any] = {
        "partner": partner,
        "gateway": gateway.files.public_origin,
        "invitation": sha256(token.encode()).hex(),
        "certificate": leaf.fingerprint(pki.FINGERPRINT).hex(),
        "contracts": dict(CONTRACTS),
    }
    bend(words)
    envelope = sign_joining(Joining(**words), FileSigner.of(ed25519.Ed25519PrivateKey.generate()))
    return posted(gateway, name, partner, json.dumps({"token": token, "envelope": envelope}).encode())


def posted(gateway: Running, name: str, partner: str, body: bytes) -> Answered:
    asked = Asked(name, f"/v1/invitations/{partner}", (("content-type", "application/json"),), body)
    status, headers, answer = parse_answer(gateway.exchange(name, asked.wire()))
    check_signature(gateway, asked, status, headers, answer)
    return Answered(status, headers, json.loads(answer))


def refused(gateway: Running, answer: Answered, reason: Reason) -> Mapping[str, Any]:
    check_problem(gateway, answer.status, answer.headers, answer.document, reason)
    return answer.document


def pin_of(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(pki.FINGERPRINT).hex()


def test_an_invited_agency_joins_and_works_once_it_is_activated(gateway: Running, tmp_path: Path) -> None:
    """Keys, certificate, answer, activation, first record; before activation it is nobody."""
    token = invited(gateway, "MEX.COMAR")
    config = made(gateway, "MEX.COMAR", tmp_path / "agency")
    records = tmp_path / "events.ndjson"
    records.write_bytes(line(MEX, provider="MEX.COMAR") + b"\n")
    submit = ("submit", records, "--contract", "border-event/1.0.0", "--config", config)

    key, leaf = FileSigner.load(config.parent / "signing.key").keyid, pin_of(config.parent / "tls.pem")
    words = {"id": "MEX.COMAR", "name": "Body", "roles": "provider", "keyid": key, "certificate": leaf}
    with pytest.raises(Refused, match="no answered invitation"):
        said(gateway, approver("MEX"), "activate", **words)
    joined = run("join", "--config", config, "--invitation", token)
    before = run(*submit)
    again = run("join", "--config", config, "--invitation", token)
    with pytest.raises(Refused, match="answered with the key"):
        said(gateway, approver("MEX"), "activate", **{**words, "keyid": "another"})
    widened(gateway, "MEX", "activate", **words)
    after = run(*submit)
    with pytest.raises(Refused, match="enrolled already"):
        said(gateway, approver("MEX"), "activate", **words)

    assert joined.exit_code == 0, joined.stderr
    assert (before.exit_code, "unknown-partner" in before.stderr) == (1, True), before.stderr
    assert (again.exit_code, "invitation-invalid" in again.stderr) == (1, True)
    assert after.exit_code == 0, after.stderr
    assert key in joined.stdout
    assert leaf in joined.stdout


def test_a_token_that_is_unknown_and_one_of_another_body_are_refused_alike(gateway: Running) -> None:
    """Who guesses learns neither tokens nor which bodies are invited."""
    token = invited(gateway, "USA.CIS")
    answers = [
        answered(gateway, stranger(gateway), "USA.CIS", "guessed"),
        answered(gateway, stranger(gateway), "USA.NEVER", "guessed"),
        answered(gateway, stranger(gateway), "USA.NEVER", token),
    ]

    texts = {refused(gateway, one, Reason.INVITATION_INVALID)["detail"] for one in answers}
    assert len(texts) == 1


def test_a_second_invitation_ends_the_first(gateway: Running) -> None:
    first, _ = invited(gateway, "USA.CIS"), invited(gateway, "USA.CIS")

    refused(gateway, answered(gateway, stranger(gateway), "USA.CIS", first), Reason.INVITATION_INVALID)


@pytest.mark.parametrize(
    "bend",
    [
        lambda said: said.update(partner="USA.DOS"),
        lambda said: said.update(gateway="https://other.example"),
        lambda said: said.update(invitation="0" * 64),
        lambda said: said.update(certificate="0" * 64),
        lambda said: said.update(contracts={}),
        lambda said: said["contracts"].update({"flow/1.0.0": "0" * 64}),
        lambda said: said["contracts"].update({"flow/9.0.0": "0" * 64}),
    ],
)
def test_a_statement_about_anything_else_is_refused(gateway: Running, bend: Callable[[dict[str, Any]], object]) -> None:
    token = invited(gateway, "USA.CIS")

    refused(gateway, answered(gateway, stranger(gateway), "USA.CIS", token, bend=bend), Reason.INVITATION_INVALID)


@pytest.mark.parametrize(("name", "partner"), [("", "MEX.INM"), (USA, "USA.CIS")])
def test_another_countrys_certificate_and_one_that_is_pinned_join_nobody(
    gateway: Running, name: str, partner: str
) -> None:
    token = invited(gateway, partner)

    refused(gateway, answered(gateway, name or stranger(gateway), partner, token), Reason.INVITATION_INVALID)


def test_a_statement_signed_by_another_key_is_refused(gateway: Running) -> None:
    token = invited(gateway, "USA.CIS")
    body = json.dumps({"token": token, "envelope": {"payloadType": "x", "payload": "e30=", "signatures": []}})

    refused(gateway, posted(gateway, stranger(gateway), "USA.CIS", body.encode()), Reason.INVITATION_INVALID)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token":"x"}', b'{"token":"x","envelope":{},"more":1}'])
def test_a_body_of_another_form_is_malformed(gateway: Running, body: bytes) -> None:
    refused(gateway, posted(gateway, MEX, "USA.CIS", body), Reason.REQUEST_MALFORMED)


def test_a_partner_is_not_invited_and_no_invitation_lasts_for_ever(gateway: Running) -> None:
    words = ("--name", "B", "--role", "reader", "--config", gateway.files.settings)

    known = run("partners", "invite", MEX, *words)
    long = run("partners", "invite", "MEX.INM", "--days", 31, *words)

    assert (known.exit_code, "enrolled already" in known.stderr) == (1, True)
    assert (long.exit_code, "1 to 30 days" in long.stderr) == (1, True)
