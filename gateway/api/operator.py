# SPDX-License-Identifier: Apache-2.0
"""What the operator does to a running gateway; this file is about the operator's acts and the socket they come by.

Whoever can open the socket is the operator: it is 0600 in a folder that others cannot enter. The same acts run
without it, by the command itself, when no gateway holds the database or when it is a PostgreSQL. Each leaves its
audit event, and takes effect with the next request.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import socket
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.api.server import GatewayServer, open_socket
from gateway.auditlog.create import create_log
from gateway.auditlog.restored import RestoreRefused, confirm_restore
from gateway.clock import Clock, format_instant, parse_instant
from gateway.corrections.deliver import WebhookUnfit, checked_url
from gateway.errors import Fault, Refusal
from gateway.identifiers import PARTNER_ID, country_of
from gateway.identity.identify import ACTIVE
from gateway.intake.retention import delete_expired
from gateway.onboarding import enrol, invitation, life, stops
from gateway.storage import log, registry
from gateway.storage.engine import Storage, Tx
from gateway.storage.life import Invitation
from gateway.storage.migrate import revision_of
from gateway.storage.registry import PartnerEntry
from gateway.trip import SigningKey, TableShape
from gateway.wire.keys import KeyUnsupported, SigningPublic, public_of_der
from gateway.wire.policy_file import LogPolicy

BODY_BYTES_MAX = 1 << 20
NAME_CHARS_MAX = 200
ROLES = frozenset({"provider", "reader"})

Words: TypeAlias = Mapping[str, str]
Done: TypeAlias = dict[str, Any]


class ActRefused(Fault):
    """An act of the operator that cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class OperatorDesk:
    """What acts need; `wake` tells the log that there is an event."""

    storage: Storage
    shapes: tuple[TableShape, ...]
    clock: Clock
    parties: frozenset[str]
    log_policy: LogPolicy
    wake: Callable[[], None]


def perform(desk: OperatorDesk, act: str, words: Words) -> Done:
    """Do one act and return what is to be told of it.

    Raises:
        ActRefused: when the words do not hold, or the act cannot be done to what is there.
        StorageUnavailable: when the database is away.
    """
    if act not in ACTS:
        raise ActRefused(f"there is no act {act}")
    try:
        return ACTS[act](desk, words)
    except (enrol.PartnerEnded, life.LifeRefused, RestoreRefused, log.LogExists) as error:
        raise ActRefused(str(error)) from error
    except LookupError as error:
        raise ActRefused(f"there is no {words.get('id', error)}") from error
    finally:
        desk.wake()


def standing_of(storage: Storage) -> Done:
    """Return what the database says of the gateway: how far the log is, how many partners, which versions.

    Raises:
        StorageUnavailable, LogMissing: when it cannot say.
    """
    standing, partners, schema = storage.read(lambda tx: (log.standing(tx), registry.partners(tx), revision_of(tx)))
    return {
        "tree_size": standing.tree_size,
        "signed_at": format_instant(standing.signed_at) if standing.signed_at else None,
        "pending": standing.pending,
        "restored": standing.restored,
        "partners": dict(sorted(Counter(partner.status for partner in partners).items())),
        "program": version("gateway"),
        "schema": schema,
    }


class OperatorServer(GatewayServer):
    """The server of the socket, beside the one that owns the process and its signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the other."""
        yield


def open_operator_socket(path: Path) -> socket.socket:
    """Return the listening socket, which its owner alone can open.

    Raises:
        ListenerUnsafe: when others could enter its folder.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    listening = open_socket(path)
    path.chmod(0o600)
    return listening


def operator_application(desk: OperatorDesk, status: Callable[[], Done]) -> Starlette:
    """Return what listens on the operator's socket: `GET /status`, `POST /reload` and `POST /acts/{act}`."""

    async def show(_request: Request) -> Response:
        return JSONResponse(await anyio.to_thread.run_sync(status))

    async def reload(_request: Request) -> Response:
        # The one way in which a running gateway is told; without a listener for it the signal would end the process.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            return JSONResponse({"refused": "this gateway takes no SIGHUP"}, 409)
        os.kill(os.getpid(), signal.SIGHUP)
        return JSONResponse({"reloading": True})

    async def act(request: Request) -> Response:
        words = await request.json()
        if not isinstance(words, dict):
            return JSONResponse({"refused": "not an object"}, 400)
        work = partial(perform, desk, request.path_params["act"], {str(k): str(v) for k, v in words.items()})
        try:
            return JSONResponse(await anyio.to_thread.run_sync(work))
        except ActRefused as error:
            return JSONResponse({"refused": str(error)}, 409)
        except Refusal as error:
            return JSONResponse({"refused": error.detail("en")}, 503)

    return Starlette(
        routes=[
            Route("/status", show),
            Route("/reload", reload, methods=["POST"]),
            Route("/acts/{act}", act, methods=["POST"]),
        ]
    )


def _body(desk: OperatorDesk, words: Words) -> tuple[str, str, frozenset[str]]:
    """Return the id, name and roles of a body that is to become a partner."""
    partner_id, roles = words["id"], frozenset(words.get("roles", "").split(",")) - {""}
    if not PARTNER_ID.fullmatch(partner_id) or country_of(partner_id) not in desk.parties:
        raise ActRefused(f"{partner_id}: an id reads like USA.DHS.CBP and begins with one of {sorted(desk.parties)}")
    if not roles or not roles <= ROLES:
        raise ActRefused(f"roles are some of {', '.join(sorted(ROLES))}")
    name = words.get("name", "").strip()
    if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
        raise ActRefused(f"a name has 1 to {NAME_CHARS_MAX} printable characters")
    return partner_id, name, roles


def _enrol(desk: OperatorDesk, words: Words) -> Done:
    """Enter a partner with its first certificate and signing key, all or nothing."""
    partner_id, name, roles = _body(desk, words)
    certificate, key, url = _certificate(words), _signing_key(words), _url(words)
    now = desk.clock.now()
    entry = PartnerEntry(partner_id, country_of(partner_id), name, ACTIVE, roles, now)

    def work(tx: Tx) -> None:
        if any(known.id == partner_id for known in registry.partners(tx)):
            raise ActRefused(f"{partner_id} is enrolled already")
        enrol.enrol_partner(tx, entry, at=now)
        _pin_in(tx, entry, certificate, desk)
        enrol.add_key(tx, entry, SigningKey(key.keyid, key.algorithm, key.der, now, None), at=now)
        if url:
            _webhook_in(tx, entry, url, desk)

    desk.storage.write(work)
    return {"id": partner_id, "keyid": key.keyid, "certificate": certificate.fingerprint(SHA256()).hex()}


def _invite(desk: OperatorDesk, words: Words) -> Done:
    """Make an invitation; its token is told here and never again."""
    partner_id, name, roles = _body(desk, words)
    days = int(words["days"]) if words.get("days", "").isdecimal() else 0
    if not 1 <= days <= invitation.DAYS_MAX:
        raise ActRefused(f"an invitation holds for 1 to {invitation.DAYS_MAX} days")
    now, token = desk.clock.now(), secrets.token_urlsafe(32)
    entry = Invitation(partner_id, hashlib.sha256(token.encode()).digest(), name, roles, now + timedelta(days=days))
    desk.storage.write(lambda tx: invitation.invite(tx, entry, at=now))
    return {"id": partner_id, "expires": format_instant(entry.expires_at), "token": token}


def _activate(desk: OperatorDesk, words: Words) -> Done:
    keyid, certificate = desk.storage.write(lambda tx: invitation.activate(tx, words["id"], at=desk.clock.now()))
    return {"id": words["id"], "keyid": keyid, "certificate": certificate}


def _pin(desk: OperatorDesk, words: Words) -> Done:
    certificate = _certificate(words)
    desk.storage.write(lambda tx: _pin_in(tx, registry.get_partner(tx, words["id"]), certificate, desk))
    return {"id": words["id"], "certificate": certificate.fingerprint(SHA256()).hex()}


def _pin_in(tx: Tx, entry: PartnerEntry, certificate: x509.Certificate, desk: OperatorDesk) -> None:
    now = desk.clock.now()
    if certificate.not_valid_after_utc <= now:
        raise ActRefused("the certificate is past its end")
    if registry.find_pin(tx, certificate.fingerprint(SHA256())) is not None:
        raise ActRefused("the certificate is pinned already")
    enrol.pin_certificate(tx, entry, certificate, at=now)


def _unpin(desk: OperatorDesk, words: Words) -> Done:
    try:
        sha256 = bytes.fromhex(words.get("sha256", ""))
    except ValueError as error:
        raise ActRefused("the SHA-256 of a certificate is 64 hexadecimal digits") from error
    desk.storage.write(lambda tx: life.withdraw_pin(tx, words["id"], sha256, at=desk.clock.now()))
    return {"id": words["id"], "certificate": sha256.hex()}


def _add_key(desk: OperatorDesk, words: Words) -> Done:
    public, now = _signing_key(words), desk.clock.now()
    begin, end = _instant(words, "not_before") or now, _instant(words, "not_after")
    key = SigningKey(public.keyid, public.algorithm, public.der, begin, end)
    desk.storage.write(lambda tx: life.add_key(tx, words["id"], key, at=now))
    return {"id": words["id"], "keyid": key.keyid, "not_before": format_instant(begin)}


def _end_key(desk: OperatorDesk, words: Words) -> Done:
    now = desk.clock.now()
    until = _instant(words, "until") or now
    desk.storage.write(lambda tx: life.end_key(tx, words["id"], words.get("keyid", ""), until=until, at=now))
    return {"id": words["id"], "keyid": words["keyid"], "not_after": format_instant(max(until, now))}


def _instant(words: Words, name: str) -> datetime | None:
    try:
        return parse_instant(words[name]) if words.get(name) else None
    except ValueError as error:
        raise ActRefused(f"{name} reads like 2026-11-24T12:00:00.000000Z") from error


def _webhook(desk: OperatorDesk, words: Words) -> Done:
    url = _url(words)
    desk.storage.write(lambda tx: _webhook_in(tx, registry.get_partner(tx, words["id"]), url, desk))
    return {"id": words["id"], "webhook": url or "-"}


def _webhook_in(tx: Tx, entry: PartnerEntry, url: str, desk: OperatorDesk) -> None:
    enrol.register_webhook(tx, entry, url, at=desk.clock.now())


def _url(words: Words) -> str:
    url = words.get("webhook", "")
    try:
        return checked_url(url).geturl() if url else ""
    except WebhookUnfit as error:
        raise ActRefused(str(error)) from error


def _status(change: Callable[..., None], desk: OperatorDesk, words: Words) -> Done:
    desk.storage.write(lambda tx: change(tx, words["id"], at=desk.clock.now()))
    return {"id": words["id"]}


def _stop(change: Callable[..., None], desk: OperatorDesk, words: Words) -> Done:
    kind, subject, now = words.get("kind", ""), words.get("subject", ""), desk.clock.now()
    desk.storage.write(lambda tx: change(tx, kind, subject, parties=desk.parties, at=now))
    return {kind: subject}


def _delete_expired(desk: OperatorDesk, _words: Words) -> Done:
    return {"deleted": delete_expired(desk.storage, desk.shapes, clock=desk.clock)}


def _create_log(desk: OperatorDesk, _words: Words) -> Done:
    origin = desk.log_policy.logs[0].verifier.name
    desk.storage.write(lambda tx: create_log(tx, origin, desk.clock.now(), audience=desk.parties))
    return {"origin": origin}


def _confirm_restore(desk: OperatorDesk, words: Words) -> Done:
    newest = b64decode(words["newest"]) if words.get("newest") else None
    verifiers = [key.verifier for key in desk.log_policy.logs]
    event_id = desk.storage.write(
        lambda tx: confirm_restore(tx, newest, verifiers, audience=desk.parties, at=desk.clock.now())
    )
    return {"event": event_id}


def _certificate(words: Words) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(words.get("certificate", "").encode())
    except ValueError as error:
        raise ActRefused("the certificate is not PEM") from error


def _signing_key(words: Words) -> SigningPublic:
    """Read a public key; a private one is refused, because it should never have left its owner."""
    try:
        public = load_pem_public_key(words.get("signing_key", "").encode())
        return public_of_der(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except (ValueError, UnsupportedAlgorithm, KeyUnsupported) as error:
        raise ActRefused("the signing key is not a public key in PEM of a kind that signs here") from error


ACTS: Mapping[str, Callable[[OperatorDesk, Words], Done]] = {
    "enrol": _enrol,
    "invite": _invite,
    "activate": _activate,
    "pin": _pin,
    "unpin": _unpin,
    "add-key": _add_key,
    "end-key": _end_key,
    "webhook": _webhook,
    "suspend": partial(_status, enrol.suspend_partner),
    "resume": partial(_status, enrol.resume_partner),
    "revoke": partial(_status, enrol.revoke_partner),
    "stop": partial(_stop, stops.stop),
    "lift": partial(_stop, stops.lift),
    "delete-expired": _delete_expired,
    "create-log": _create_log,
    "confirm-restore": _confirm_restore,
}
