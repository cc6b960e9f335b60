# SPDX-License-Identifier: Apache-2.0
"""Notices on their way; this file is about webhooks: https alone, signed (RFC 9421), in order, again until taken.

A subscriber is claimed for a while, sent its notices one by one, and each that it takes is noted with its audit event.
Killed in between, the claim runs out and the notice is sent once more under the same id.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import secrets
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

import structlog

from gateway.auditlog.event_kinds_exchange import NoticeDelivered
from gateway.auditlog.events import OPERATOR, record_event
from gateway.clock import Clock
from gateway.corrections.notice import MEDIA_TYPE
from gateway.identifiers import country_of, new_id
from gateway.storage import notices
from gateway.storage.engine import Storage, Tx
from gateway.storage.notices import Notice, Subscriber
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.http_signature import sign_request
from gateway.wire.keys import Signer

TAG: Final = "gateway-notification"
COVERED: Final = ("@method", "@target-uri", "content-digest", "content-type")
SECONDS_MAX: Final = 5.0
AT_ONCE_MAX: Final = 8
BATCH_MAX: Final = 50
# Of one notice; each that is taken renews it.
CLAIM: Final = timedelta(seconds=3 * SECONDS_MAX)
FIRST_PAUSE_SECONDS: Final = 2
PAUSE_SECONDS_MAX: Final = 3600
URL_CHARS_MAX: Final = 500

log = structlog.get_logger()


class WebhookUnfit(ValueError):
    """A URL that no notice may go to; the text says why."""


class _NotTaken(Exception):
    """The other side did not take a notice; the text says why, without anything that it sent."""


@dataclass(frozen=True, slots=True)
class DeliveryDesk:
    """The parts of the job; `private` lets a sandbox send to its own machine."""

    clock: Clock
    storage: Storage
    signer: Signer
    trust: ssl.SSLContext
    private: bool


def checked_url(url: str) -> SplitResult:
    """Return the parts of a URL that notices may go to; where its name leads is looked at for every notice.

    Raises:
        WebhookUnfit: when it is not https, or has a user, a fragment or anything that is no printable ASCII.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError as error:
        raise WebhookUnfit("no URL") from error
    if not fits or len(url) > URL_CHARS_MAX or not (url.isascii() and url.isprintable()) or " " in url:
        raise WebhookUnfit("a webhook is an https URL in printable ASCII")
    if "@" in parts.netloc or "#" in url:
        raise WebhookUnfit("a webhook has neither a user nor a fragment")
    return parts


def deliver_due(desk: DeliveryDesk) -> int:
    """Send what is due to all who have a webhook, some at once, each in its order; return how many notices went."""
    waiting = desk.storage.read(lambda tx: notices.due(tx, desk.clock.now()))
    if not waiting:
        return 0
    with ThreadPoolExecutor(max_workers=AT_ONCE_MAX) as senders:
        return sum(senders.map(partial(_deliver_to, desk), waiting))


def _deliver_to(desk: DeliveryDesk, one: Subscriber) -> int:
    if not desk.storage.write(lambda tx: notices.claim(tx, one, desk.clock.now() + CLAIM)):
        return 0
    number = start = one.delivered_number
    for notice in desk.storage.read(lambda tx: notices.notices_after(tx, one.partner_id, start, limit=BATCH_MAX)):
        try:
            _send(desk, one.url, notice)
        except _NotTaken as error:
            attempts = one.attempts + 1 if number == start else 1
            pause = min(PAUSE_SECONDS_MAX, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 16))
            log.warning("notice not taken", partner=one.partner_id, attempts=attempts, cause=str(error))
            again = desk.clock.now() + timedelta(seconds=pause)
            _note(desk, one, number, attempts=attempts, next_at=again)
            return number - start
        # Taken there; a crash before this commit sends it once more, under the same id.
        desk.storage.write(partial(_taken, one=one, notice=notice, desk=desk))
        number = notice.number
    _note(desk, one, number, attempts=0, next_at=desk.clock.now())
    return number - start


def _note(desk: DeliveryDesk, one: Subscriber, number: int, *, attempts: int, next_at: datetime) -> None:
    desk.storage.write(
        lambda tx: notices.note_outcome(tx, one, delivered_number=number, attempts=attempts, next_at=next_at)
    )


def _taken(tx: Tx, *, one: Subscriber, notice: Notice, desk: DeliveryDesk) -> None:
    at = desk.clock.now()
    notices.note_outcome(tx, one, delivered_number=notice.number, attempts=0, next_at=at + CLAIM)
    record_event(
        tx,
        NoticeDelivered(correction_id=notice.contest_id, number=notice.number),
        at=at,
        partner_id=one.partner_id,
        audience=frozenset({country_of(one.partner_id), json.loads(notice.body)["data"]["owner"]}),
        actor=OPERATOR,
        request_id=new_id(at),
    )


def _send(desk: DeliveryDesk, url: str, notice: Notice) -> None:
    """Post one notice.

    Raises:
        _NotTaken: for anything but a 2xx: a redirect, which is not followed, an address that is not public, a fault.
    """
    body = notice.body.encode()
    headers = {"content-type": MEDIA_TYPE, "content-digest": format_content_digest(sha256(body))}
    headers |= sign_request(
        desk.signer,
        method="POST",
        target_uri=url,
        headers=headers,
        covered=COVERED,
        created=int(desk.clock.now().timestamp()),
        nonce=secrets.token_urlsafe(24),
        tag=TAG,
    )
    try:
        parts = checked_url(url)
        port = parts.port or 443
        connection = _Pinned(parts.hostname or "", port, desk, address=_address(parts.hostname or "", port, desk))
        # The time-out of a socket begins anew with each byte; this one does not.
        watch = threading.Timer(SECONDS_MAX, connection.abort)
        watch.start()
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
        finally:
            watch.cancel()
            connection.close()
    except (OSError, http.client.HTTPException, WebhookUnfit, UnicodeError) as error:
        raise _NotTaken(type(error).__name__) from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise _NotTaken(f"status {status}")


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was looked at: between the look and the connection the name cannot move."""

    def __init__(self, host: str, port: int, desk: DeliveryDesk, *, address: str) -> None:
        super().__init__(host, port, timeout=SECONDS_MAX, context=desk.trust)
        self._address, self._trust = address, desk.trust

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), timeout=SECONDS_MAX)
        self.sock = plain
        self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)

    def abort(self) -> None:
        """End it from another thread, whatever it waits for."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _address(host: str, port: int, desk: DeliveryDesk) -> str:
    """Return an address of a host; one that is not public makes the whole host unfit, whatever else it has."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not desk.private and not all(map(_is_public, found)):
        raise WebhookUnfit("an address that is not public")
    return found[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return all(one.is_global and not one.is_multicast for one in (address, mapped) if one is not None)
