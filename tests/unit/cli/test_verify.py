# SPDX-License-Identifier: Apache-2.0
"""Verifying without a network; this file is about `gateway verify` and how commands end."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from gateway.cli.program import app
from gateway.cli.speaker import Speaker
from gateway.client import (
    AnswerNotTrusted,
    CannotReach,
    ClientFailure,
    GatewayClient,
    HandshakeRefused,
    InputUnusable,
    ReceiptPending,
    Refused,
)
from gateway.client import channel as channel_module
from tests.unit.client.fake_gateway import FakeGateway, StoppedClock

LINES = [b'{"count":%d,"id":"a%d"}' % (n, n) for n in range(5)]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a receipt, the log policy that belongs to it, and the lines that were sent."""
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    fake = FakeGateway(tmp_path)
    with GatewayClient(fake.config(), clock=StoppedClock(), transport=httpx2.MockTransport(fake)) as client:
        outcome = client.submit_lines("flow", "1.0.0", LINES)
    (tmp_path / "receipt.json").write_text(json.dumps(outcome.receipt))
    (tmp_path / "sent.ndjson").write_bytes(b"".join(line + b"\n" for line in LINES))
    return tmp_path


def write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def verify(runner: CliRunner, folder: Path, *more: str, language: str = "en") -> tuple[int, str, str]:
    arguments = ["--language", language, "verify", str(folder / "receipt.json"), "--policy", str(folder / "log.policy")]
    result = runner.invoke(app, [*arguments, *more])
    return result.exit_code, result.stdout, result.stderr


def test_a_good_receipt_is_verified_and_shown(runner: CliRunner, folder: Path) -> None:
    code, out, _ = verify(runner, folder, "--data", str(folder / "sent.ndjson"))

    assert code == 0
    assert "verified: event" in out
    assert "submission.accepted" in out
    assert "5 records, the same root" in out


def test_people_are_told_in_spanish(runner: CliRunner, folder: Path) -> None:
    _, out, _ = verify(runner, folder, language="es")

    assert "verificado: evento" in out


def test_the_language_is_the_locale_s_without_an_option(
    runner: CliRunner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "es_GT.UTF-8")

    result = runner.invoke(app, ["verify", str(folder / "gone.json"), "--policy", str(folder / "log.policy")])

    assert "no se puede usar la entrada" in result.stderr


@pytest.mark.parametrize("change", [(b'"count":3', b'"count":4'), (b"\n", b"\r\n"), (b'{"count":0,"id":"a0"}\n', b"")])
def test_another_file_than_was_sent_is_a_finding(runner: CliRunner, folder: Path, change: tuple[bytes, bytes]) -> None:
    sent = folder / "sent.ndjson"
    sent.write_bytes(sent.read_bytes().replace(*change))

    code, _, err = verify(runner, folder, "--data", str(sent))

    assert code == 1
    assert "NOT proven" in err


def test_a_receipt_of_another_log_is_a_finding(runner: CliRunner, folder: Path, tmp_path: Path) -> None:
    """The policy decides which log is believed, never the receipt itself."""
    other = tmp_path / "other"
    other.mkdir()
    FakeGateway(other).config()
    (folder / "log.policy").write_text((other / "log.policy").read_text())

    code, _, err = verify(runner, folder)

    assert code == 1
    assert "NOT proven" in err


@pytest.mark.parametrize("text", ["", "[]", "5", '{"event": 1}'])
def test_what_is_no_receipt_does_not_verify(runner: CliRunner, folder: Path, text: str) -> None:
    (folder / "receipt.json").write_text(text)

    code, _, _ = verify(runner, folder)

    assert code in {1, 2}


def test_a_missing_file_is_wrong_use(runner: CliRunner, folder: Path) -> None:
    (folder / "receipt.json").unlink()

    code, _, err = verify(runner, folder)

    assert code == 2
    assert "receipt.json" in err


def test_an_unknown_language_is_wrong_use(runner: CliRunner, folder: Path) -> None:
    code, _, err = verify(runner, folder, language="fr")

    assert code == 2
    assert "fr" in err


def test_a_wrong_configuration_is_wrong_use(runner: CliRunner, tmp_path: Path) -> None:
    config = tmp_path / "client.toml"
    config.write_text('gateway_url = "https://localhost:9"\nserver_ca = "ca.pem"\n')

    result = runner.invoke(app, ["own", "flow", "--config", str(config)])

    assert result.exit_code == 2
    assert "'tls_cert' is missing" in result.stderr


def test_a_gateway_that_is_not_there_ends_with_three(runner: CliRunner, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody can answer on this port
        taken.bind(("127.0.0.1", 0))
        config = tmp_path / "client.toml"
        write_certificate(tmp_path)
        config.write_text(
            f'gateway_url = "https://127.0.0.1:{taken.getsockname()[1]}"\nseconds_total_max = 1\n'
            'server_ca = "tls.pem"\ntls_cert = "tls.pem"\ntls_key = "tls.key"\n'
        )
        result = runner.invoke(app, ["own", "flow", "--config", str(config)])

    assert result.exit_code == 3
    assert "cannot reach" in result.stderr


@pytest.mark.parametrize(
    ("failure", "code", "says"),
    [
        (ReceiptPending("e1"), 3, "gateway receipt e1"),
        (HandshakeRefused("TLS: unknown ca"), 3, "se rechazó la conexión TLS"),
        (CannotReach("refused"), 3, "no se puede acceder"),
        (InputUnusable("no such file", "no existe el archivo"), 2, "no existe el archivo"),
        (AnswerNotTrusted("digest"), 1, "NO aceptado"),
        (Refused(502, {}, signed=False), 1, "http-502"),
    ],
)
def test_a_failure_is_said_in_spanish_and_has_its_exit_code(
    failure: ClientFailure, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pending receipt is no unreachable gateway: the submission is stored, and the sentence says how to go on."""
    assert Speaker("es").explain(failure) == code

    assert says in capsys.readouterr().err


def test_help_names_every_command(runner: CliRunner) -> None:
    out = runner.invoke(app, ["--help"]).stdout

    commands = (
        "submit validate pull own verify receipt audit contracts fsck privacy db serve sandbox demo".split()  # noqa: SIM905
    )
    assert [command for command in commands if command not in out] == []
