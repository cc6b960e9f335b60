# SPDX-License-Identifier: Apache-2.0
"""Handshakes over a real port; this file is about who gets in, and what those refused are told."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.api.connection import Bounds
from gateway.errors import Reason
from tests.programs import program
from tests.unit.api.authority import DAY, Authority, Credentials
from tests.unit.api.doorstep import READ_SECONDS, Doorstep, serve

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Say what the server put into the scope."""
    if scope["type"] != "http":
        return
    der = scope["state"]["peer_der"]
    body = json.dumps({"peer": der.hex() if der else None}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorstep]:
    with serve(echo, tmp_path_factory.mktemp("tls")) as running:
        yield running


def test_the_client_certificate_reaches_the_application(door: Doorstep) -> None:
    """Everything about identity starts from these bytes."""
    agency = door.authority.issue("agency")

    answer = door.exchange(agency, GET)

    der = x509.load_pem_x509_certificate(agency.certificate.read_bytes()).public_bytes(serialization.Encoding.DER)
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1]) == {"peer": der.hex()}


def bad_certificates(authority: Authority, stranger: Authority) -> dict[Reason, tuple[Credentials | None, str]]:
    return {
        Reason.CERTIFICATE_REQUIRED: (None, "certificate required"),
        Reason.CERTIFICATE_EXPIRED: (authority.issue("old", begins=-9 * DAY, ends=-DAY), "certificate expired"),
        Reason.CERTIFICATE_NOT_YET_VALID: (authority.issue("young", begins=DAY), "bad certificate"),
        Reason.CERTIFICATE_REVOKED: (authority.issue("revoked", revoked=True), "certificate revoked"),
        Reason.CERTIFICATE_UNTRUSTED: (stranger.issue("stranger"), "unknown ca"),
    }


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.startswith("certificate-")])
def test_a_refused_handshake_gives_a_real_alert_and_a_record(tmp_path: Path, door: Doorstep, reason: Reason) -> None:
    """The event loop would drop the alert; without it an agency cannot tell an expired certificate from a dead line."""
    credentials, alert = bad_certificates(door.authority, Authority(tmp_path, "other"))[reason]
    door.keeper.refresh()

    with pytest.raises(ssl.SSLError) as caught:
        door.exchange(credentials, GET * 50)

    assert alert in str(caught.value).replace("_", " ").lower()
    told, address = door.refused.get(timeout=READ_SECONDS)
    assert told == reason
    assert address.startswith("127.0.0.1:")


def test_a_server_certificate_is_no_client_certificate(door: Doorstep) -> None:
    """The extended key usage must allow client authentication."""
    with pytest.raises(ssl.SSLError):
        door.exchange(door.authority.issue("misused", server=True), GET)

    assert door.refused.get(timeout=READ_SECONDS)[0] is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.conformance
def test_openssl_sees_the_alert(door: Doorstep) -> None:
    """The same judged by a program that we did not write."""
    openssl = program("openssl")
    old = door.authority.issue("older", begins=-9 * DAY, ends=-DAY)

    command = [openssl, "s_client", "-quiet", "-connect", f"localhost:{door.port}"]
    command += ["-cert", str(old.certificate), "-key", str(old.key)]
    said = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=READ_SECONDS)

    assert b"alert certificate expired" in said.stderr
    assert door.refused.get(timeout=READ_SECONDS)[0] is Reason.CERTIFICATE_EXPIRED


def test_tls_1_2_is_refused_unless_the_setting_names_it(door: Doorstep, tmp_path: Path) -> None:
    """Older national platforms get it by name, everybody else does not."""
    agency = door.authority.issue("agency12")
    old = door.client(agency)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        pytest.raises(ssl.SSLError, match="protocol version"),
        socket.create_connection(("localhost", door.port), timeout=READ_SECONDS) as raw,
    ):
        old.wrap_socket(raw, server_hostname="localhost")

    with serve(echo, tmp_path, tls12=True) as wide:
        context = wide.client(wide.authority.issue("older"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("localhost", wide.port), timeout=READ_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            cipher = tls.cipher()

    assert cipher is not None
    assert cipher[0].startswith("ECDHE")
    with pytest.raises(queue.Empty):
        door.refused.get_nowait()


def reached(
    door: Doorstep, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLSession | None, bool | None]:
    """Return the session under which one request was answered, and whether it was resumed."""
    with (
        socket.create_connection(("localhost", door.port), timeout=READ_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as tls,
    ):
        tls.sendall(GET)
        while tls.recv(4096):
            pass
        return tls.session, tls.session_reused


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorstep]:
    with serve(echo, tmp_path_factory.mktemp("tls12"), tls12=True) as running:
        yield running


def client12(door: Doorstep, name: str, cipher: str = "ALL") -> ssl.SSLContext:
    context = door.client(door.authority.issue(name))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    return context


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_tls_1_2_has_forward_secrecy_and_authenticated_encryption(wide: Doorstep, cipher: str) -> None:
    """What the setting opens."""
    reached(wide, client12(wide, "modern", cipher))


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256"])
def test_tls_1_2_has_nothing_else(wide: Doorstep, cipher: str) -> None:
    """What it does not open: CBC, and keys that the server's own key would give away later."""
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        reached(wide, client12(wide, "dated", cipher))


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("option", "cipher", "agreed"),
    [
        ("-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("-tls1_2", "ECDHE-ECDSA-AES128-SHA256", False),
        ("-tls1_2", "AES256-GCM-SHA384", False),
        ("-tls1_1", "ALL:@SECLEVEL=0", False),
    ],
)
def test_openssl_agrees_on_tls_1_2_as_the_setting_says(wide: Doorstep, option: str, cipher: str, agreed: bool) -> None:
    """The same judged by a program that we did not write."""
    agency = wide.authority.issue("national")
    command = [program("openssl"), "s_client", option, "-cipher", cipher, "-connect", f"localhost:{wide.port}"]
    command += ["-cert", str(agency.certificate), "-key", str(agency.key), "-CAfile", str(wide.authority.anchor)]

    said = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=READ_SECONDS)

    assert (said.returncode == 0) is agreed, said.stderr
    if agreed:
        assert b"Verify return code: 0 (ok)" in said.stdout
        assert b"Secure Renegotiation IS supported" in said.stdout
        assert b"Compression: NONE" in said.stdout


def test_a_session_of_tls_1_2_ends_with_the_list_that_it_began_under(wide: Doorstep) -> None:
    """A session id lets a client back in without its key; it must not outlive the next revocation."""
    context = client12(wide, "resumer")
    session, _ = reached(wide, context)
    assert session is not None
    assert not session.has_ticket
    assert reached(wide, context, session)[1]

    wide.authority.issue("somebody", revoked=True)
    wide.keeper.refresh()

    assert not reached(wide, context, session)[1]


def serial_seen(door: Doorstep, credentials: Credentials) -> str:
    with door.connection(credentials) as tls:
        certificate = tls.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def test_a_new_server_certificate_is_shown_and_open_connections_go_on(tmp_path: Path) -> None:
    """A change of certificate costs nobody a connection; half of a change, or a broken one, changes nothing."""
    with serve(echo, tmp_path, bounds=Bounds()) as door:
        agency, first = door.authority.issue("agency"), serial_seen(door, door.authority.issue("other"))
        with door.connection(agency) as held:
            for change in (lambda: door.authority.issue("server", server=True), lambda: half(door), lambda: None):
                answered(held)
                change()
                door.keeper.refresh()
            second = serial_seen(door, agency)
            answered(held)

        assert first != second
        (tmp_path / "server.pem").write_bytes(b"no certificate")
        door.keeper.refresh(asked=True)
        assert serial_seen(door, agency) == second


def answered(tls: ssl.SSLSocket) -> None:
    tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        piece = tls.recv(4096)
        assert piece
        answer += piece


def half(door: Doorstep) -> None:
    """Replace the key without its certificate, as a script that died in between would."""
    (door.authority.folder / "server.key").write_bytes(door.authority.issue("half", server=True).key.read_bytes())


def test_no_session_ticket_is_given(door: Doorstep) -> None:
    """A ticket would let a revoked client back in."""
    with door.connection(door.authority.issue("frequent")) as tls:
        tls.sendall(GET)
        while tls.recv(4096):
            pass

        assert tls.version() == "TLSv1.3"
        assert tls.session is None or not tls.session.has_ticket


def test_a_revocation_takes_effect_without_a_restart_and_a_broken_list_keeps_the_old_one(door: Doorstep) -> None:
    """Files are read again when they change; a broken one must not open or close the door."""
    agency = door.authority.issue("soon-revoked")
    assert door.exchange(agency, GET).startswith(b"HTTP/1.1 200")

    serial = x509.load_pem_x509_certificate(agency.certificate.read_bytes()).serial_number
    door.authority._revoked.append(serial)
    door.authority.write_list()
    door.keeper.refresh()
    with pytest.raises(ssl.SSLError, match="revoked"):
        door.exchange(agency, GET)
    door.authority.list.write_bytes(b"not a list")
    door.keeper.refresh()
    with pytest.raises(ssl.SSLError, match="revoked"):
        door.exchange(agency, GET)

    door.authority.write_list()
    door.keeper.refresh()
    assert door.exchange(door.authority.issue("other"), GET).startswith(b"HTTP/1.1 200")
    while not door.refused.empty():
        assert door.refused.get()[0] is Reason.CERTIFICATE_REVOKED


def test_noise_on_the_port_is_no_audit_event(door: Doorstep) -> None:
    """A scanner that speaks plain HTTP names no certificate; the record would only be a lever to flood the log."""
    with socket.create_connection(("localhost", door.port), timeout=READ_SECONDS) as raw:
        raw.sendall(GET)
        while raw.recv(4096):
            pass

    with pytest.raises(queue.Empty):
        door.refused.get(timeout=timedelta(milliseconds=200).total_seconds())
