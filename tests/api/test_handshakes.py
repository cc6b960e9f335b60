# SPDX-License-Identifier: Apache-2.0
"""Refused before a word was said; this file is about the alert on the wire and the record in the audit log."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest

from gateway.auditlog.receipts import fields_of
from gateway.errors import Reason
from tests.api.asking import last_event_id, newest_event, read_refused
from tests.running import READ_SECONDS, USA, Running, running

SPECIMENS = {
    Reason.CERTIFICATE_REQUIRED: (None, "certificate required"),
    Reason.CERTIFICATE_EXPIRED: ("expired", "certificate expired"),
    Reason.CERTIFICATE_NOT_YET_VALID: ("not-yet-valid", "bad certificate"),
    Reason.CERTIFICATE_REVOKED: ("revoked", "certificate revoked"),
    Reason.CERTIFICATE_UNTRUSTED: ("foreign", "unknown ca"),
}


@pytest.mark.parametrize("reason", SPECIMENS)
def test_a_refused_handshake_is_an_alert_and_an_audit_event(gateway: Running, reason: Reason) -> None:
    """There is no problem document without a connection; the alert is what the agency's library reports."""
    specimen, alert = SPECIMENS[reason]
    if gateway.behind_proxy:
        # The proxy lets the handshake through, so that the gateway can say what is wrong.
        read_refused(gateway, specimen, "/v1/submissions", reason)
        return
    before = last_event_id(gateway)

    with pytest.raises(ssl.SSLError) as caught:
        gateway.get(specimen, "/healthz")

    assert alert in str(caught.value).replace("_", " ").lower()
    event = newest_event(gateway, "handshake.refused", before)
    assert fields_of(event.fields)["reason"] == reason
    assert event.partner_id == "-"
    # From where someone called may be a person's address: it lies under the erasable key.
    assert "address" not in fields_of(event.fields)
    assert event.personal is not None
    assert "127.0.0.1" in event.personal


def test_health_is_told_to_those_who_may_connect(gateway: Running) -> None:
    """Alive and ready are two things."""
    status, _, body = gateway.get(USA, "/readyz")

    assert (status, json.loads(body)["reasons"]) == (200, [])
    assert gateway.get(USA, "/healthz")[0] == 200


def version_of(gateway: Running) -> str | None:
    """Return what a program that knows TLS 1.2 only agrees on with the gateway."""
    context = ssl.create_default_context(cafile=str(gateway.files.server_ca))
    context.load_cert_chain(gateway.party(USA).tls_cert, gateway.party(USA).tls_key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("localhost", gateway.files.port), timeout=READ_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        return tls.version()


def test_an_older_platform_gets_tls_1_2_by_the_setting_only(gateway: Running, tmp_path: Path) -> None:
    """The default is 1.3, at every edge."""
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        version_of(gateway)

    with running(tmp_path / "sandbox", environment={"GATEWAY_TLS12": "true"}) as older:
        assert version_of(older) == "TLSv1.2"
