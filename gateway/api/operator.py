# SPDX-License-Identifier: Apache-2.0
"""What the operator does to a running gateway; this file is about the operator's acts and the socket they come by.

Whoever can open the socket is the operator: it is 0600 in a folder that others cannot enter. The same acts run
without it, by the command itself, when no gateway holds the database or when it is a PostgreSQL. Each leaves its
audit event, and takes effect with the next request.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import socket
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.api.server import GatewayServer, open_socket
from gateway.auditlog.create import create_log
from gateway.auditlog.restored import RestoreRefused, confirm_restore
from gateway.clock import Clock, format_instant
from gateway.corrections.deliver import WebhookUnfit, checked_url
from gateway.errors import Fault, Refusal
from gateway.intake.retention import delete_expired
from gateway.onboarding import enrol, invitation
from gateway.onboarding import words as reading
from gateway.onboarding.acts import ACTS as ACTS_OF_OFFICERS
from gateway.onboarding.acts import Doing, check_words
from gateway.onboarding.enrol import THE_OPERATOR, PartyEnded
from gateway.onboarding.founding import found
from gateway.onboarding.life import LifeRefused
from gateway.onboarding.words import PARTNER_ROLES, Words
from gateway.storage import log, registry
from gateway.storage.engine import Storage, Tx
from gateway.storage.life import Invitation
from gateway.storage.migrate import revision_of
from gateway.trip import TableShape
from gateway.wire.digests import sha256
from gateway.wire.policy_file import LogPolicy

BODY_BYTES_MAX = 1 << 20

Done: TypeAlias = dict[str, Any]


class ActRefused(Fault):
    """An act of the operator that cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class OperatorDesk:
    """What acts need; `wake` tells the log that there is an event, `origin` and `root` are as in `ChangesDesk`."""

    storage: Storage
    shapes: tuple[TableShape, ...]
    clock: Clock
    parties: frozenset[str]
    log_policy: LogPolicy
    wake: Callable[[], None]
    origin: str
    root: Path


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
    except (PartyEnded, LifeRefused, RestoreRefused, log.LogExists) as error:
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


def _invite(desk: OperatorDesk, words: Words) -> Done:
    """Make an invitation; its token is told here and never again."""
    partner_id, (roles, name) = reading.party_id(words, desk.parties), reading.roles_and_name(words, PARTNER_ROLES)
    days = int(words["days"]) if words.get("days", "").isdecimal() else 0
    if not 1 <= days <= invitation.DAYS_MAX:
        raise ActRefused(f"an invitation holds for 1 to {invitation.DAYS_MAX} days")
    now, token = desk.clock.now(), secrets.token_urlsafe(32)
    entry = Invitation(partner_id, hashlib.sha256(token.encode()).digest(), name, roles, now + timedelta(days=days))
    desk.storage.write(lambda tx: invitation.invite(tx, entry, at=now))
    return {"id": partner_id, "expires": format_instant(entry.expires_at), "token": token}


def _webhook(desk: OperatorDesk, words: Words) -> Done:
    url, now = words.get("webhook", ""), desk.clock.now()
    try:
        url = checked_url(url).geturl() if url else ""
    except WebhookUnfit as error:
        raise ActRefused(str(error)) from error
    desk.storage.write(lambda tx: enrol.register_webhook(tx, registry.get_partner(tx, words["id"]), url, at=now))
    return {"id": words["id"], "webhook": url or "-"}


def _narrow(name: str, desk: OperatorDesk, words: Words) -> Done:
    """Do an act that only takes away; what widens is for officers to sign (docs/GOVERNANCE.md)."""
    act = ACTS_OF_OFFICERS[name]
    given = {word: value for word, value in words.items() if value}
    check_words(act, given)

    def work(tx: Tx) -> Done:
        if "id" in given:
            registry.get_partner(tx, given["id"])  # Officers are their governments' own.
        doing = Doing(tx, given, desk.clock.now(), THE_OPERATOR, desk.parties, desk.root)
        return {**act.do(doing)}

    return desk.storage.write(work)


def _delete_expired(desk: OperatorDesk, _words: Words) -> Done:
    return {"deleted": delete_expired(desk.storage, desk.shapes, clock=desk.clock)}


def _found(desk: OperatorDesk, words: Words) -> Done:
    """Enter the first officers and rules, as their approvers signed them."""
    try:
        envelope = json.loads(words.get("envelope", ""))
    except ValueError as error:
        raise ActRefused("the founding is not JSON") from error
    at = desk.clock.now()
    change = desk.storage.write(
        lambda tx: found(tx, envelope, desk.root, gateway=desk.origin, parties=desk.parties, at=at)
    )
    return {"change": change.id, "digest": sha256(change.payload).hex()}


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


# Of the acts of officers, those that only take away; whom a partner's notices reach, and the machine's own.
OPERATORS = ("suspend", "revoke", "unpin", "end-key", "stop")
ACTS: Mapping[str, Callable[[OperatorDesk, Words], Done]] = {
    "invite": _invite,
    "webhook": _webhook,
    **{name: partial(_narrow, name) for name in OPERATORS},
    "delete-expired": _delete_expired,
    "create-log": _create_log,
    "confirm-restore": _confirm_restore,
    "found": _found,
}
