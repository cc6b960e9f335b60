# SPDX-License-Identifier: Apache-2.0
"""Half a request; this file is about connections that end in the middle, which leave nothing behind."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import struct
from dataclasses import replace

import httpx2
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.auditlog.receipts import fields_of
from gateway.errors import Reason
from gateway.wire.keys import FileSigner
from tests.api.asking import (
    Asked,
    check_problem,
    check_signature,
    kept_count,
    last_event_id,
    line,
    newest_event,
    refused,
    send,
    signed,
)
from tests.running import READ_SECONDS, USA, Running, parse_answer


def send_half(tls: ssl.SSLSocket, asked: Asked) -> None:
    """Send a request but for its end, once its body is wanted: who leaves a proxy at once never reached the gateway."""
    head, _, body = replace(asked, extra=(("Expect", "100-continue"),)).wire().partition(b"\r\n\r\n")
    tls.sendall(head + b"\r\n\r\n")
    assert tls.recv(4096).startswith(b"HTTP/1.1 100 ")
    tls.sendall(body[:-1000])


def test_a_half_sent_body_is_refused_and_nothing_of_it_is_kept(gateway: Running) -> None:
    """The sender never learns more than that nothing was kept, and the log says why."""
    asked = signed(gateway, [line() for _ in range(200)])
    before, seen = kept_count(gateway), last_event_id(gateway)

    with gateway.connection(USA) as tls:
        send_half(tls, asked)

    event = newest_event(gateway, "submission.refused", seen)
    assert fields_of(event.fields)["reason"] == Reason.BODY_INCOMPLETE
    assert kept_count(gateway) == before


def test_a_connection_that_is_reset_leaves_nothing(gateway: Running) -> None:
    """A cut cable is not a polite end."""
    asked = signed(gateway, [line() for _ in range(200)])
    before, seen = kept_count(gateway), last_event_id(gateway)

    with gateway.connection(USA) as tls:
        send_half(tls, asked)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    newest_event(gateway, "submission.refused", seen)
    assert kept_count(gateway) == before


def test_a_chunked_body_that_lies_is_refused(gateway: Running) -> None:
    """A broken chunk is the end of the body, and half a body is none."""
    asked = signed(gateway, [line()])
    head = asked.wire()[: -len(asked.body)].replace(b"Content-Length: %d\r\n" % len(asked.body), b"")
    head = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    before = kept_count(gateway)

    status, headers, body = parse_answer(gateway.exchange(USA, head + b"4\r\nmore than four\r\n"))

    if gateway.behind_proxy:
        # What is no HTTP ends at the proxy; of a body cut short the gateway keeps nothing either.
        assert status == 400
    else:
        check_signature(gateway, asked, status, headers, body)
        check_problem(gateway, status, headers, json.loads(body), Reason.BODY_INCOMPLETE)
    assert kept_count(gateway) == before


def test_after_a_half_sent_body_the_same_submission_is_accepted(gateway: Running) -> None:
    """A new attempt with the same key is what a client does next."""
    asked = signed(gateway, [line() for _ in range(200)])
    seen = last_event_id(gateway)
    with gateway.connection(USA) as tls:
        send_half(tls, asked)
    newest_event(gateway, "submission.refused", seen)

    key = dict(asked.headers)["idempotency-key"]
    answer = send(gateway, signed(gateway, body=asked.body, key=key))

    assert (answer.status, answer.document["records"]["accepted"]) == (201, 200)


def test_nothing_is_uploaded_before_the_signature_is_proven(gateway: Running) -> None:
    """The refusal comes while the body is still at home."""
    asked = replace(signed(gateway, [line()], tag="other"), declared=50_000_000, body=b"")

    refused(gateway, asked, Reason.SIGNATURE_MISSING)


def test_who_uploads_much_in_vain_still_learns_why(gateway: Running) -> None:
    """A client that sends all before it reads is cut off, and finds the refusal waiting."""
    content = secrets.token_bytes(30_000_000)
    forger = replace(FileSigner.of(ed25519.Ed25519PrivateKey.generate()), keyid=gateway.party(USA).keyid)
    asked = signed(gateway, body=content, signer=forger)
    context = ssl.create_default_context(cafile=str(gateway.files.server_ca))
    context.load_cert_chain(gateway.party(USA).tls_cert, gateway.party(USA).tls_key)

    with httpx2.Client(verify=context, trust_env=False, timeout=READ_SECONDS) as client:
        answer = client.post(gateway.files.public_origin + asked.path, content=content, headers=list(asked.headers))

    assert (answer.status_code, answer.json()["reason"]) == (401, Reason.SIGNATURE_INVALID)
