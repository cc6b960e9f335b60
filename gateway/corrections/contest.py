# SPDX-License-Identifier: Apache-2.0
"""A published number is said to be wrong; this file is about opening a contest, ending it, and telling whoever read.

The numbers stay as they are, marked, until their provider amends or retracts them. One transaction holds the marks,
the notices to all readers and the audit event: after a crash there are all of them, or none and no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gateway.auditlog.event_kinds_exchange import CorrectionOpened, CorrectionWithdrawn
from gateway.auditlog.events import record_event
from gateway.clock import format_instant
from gateway.corrections.desk import RECORDS_MAX, CorrectionsDesk, Said
from gateway.corrections.notice import OPENED, WITHDRAWN, cloud_event
from gateway.corrections.recall import readers_of
from gateway.errors import IdempotencyConflict, NotFound, RequestMalformed
from gateway.identifiers import country_of, new_id
from gateway.policy.requests import contest_country, contest_own
from gateway.signing.head import SIGNATURE_AGE_SECONDS_MAX
from gateway.storage import contests, notices, submissions
from gateway.storage.contests import LiveNumber, StoredContest
from gateway.storage.corrections import places_of
from gateway.storage.engine import Tx
from gateway.storage.submissions import SpentNonce
from gateway.trip import Officer, Partner, Permit, VerifiedEnvelope
from gateway.wire.digests import b64, sha256


@dataclass(frozen=True, slots=True)
class ContestRequest:
    """Who says it, with what proof: a provider signs (`envelope`), an officer comes with a certificate."""

    caller: Partner | Officer
    said: Said
    key: str
    digest: bytes
    path: str
    source: str
    request_id: str
    envelope: VerifiedEnvelope | None = None


@dataclass(frozen=True, slots=True)
class Contested:
    """A contest as it stands, and the event that says so."""

    one: StoredContest
    event_id: str
    replay: bool


def contest(desk: CorrectionsDesk, asked: ContestRequest) -> Contested:
    """Open a contest or withdraw one.

    Raises:
        Refusal: denied-by-policy; not-found for numbers that are not live, or another's; replayed and the like.
    """
    provider, permit = _permitted(desk, asked)
    if earlier := desk.storage.read(lambda tx: _earlier(tx, provider, asked)):
        return earlier
    work = _withdraw if asked.said.withdraws else _open
    found = () if asked.said.withdraws else desk.storage.read(lambda tx: _numbers(tx, desk, provider, asked.said))
    return desk.storage.write(partial(work, desk=desk, asked=asked, provider=provider, permit=permit, found=found))


def shown(one: StoredContest) -> dict[str, Any]:
    """Return a contest as its provider and its country's officers see it."""
    return {
        "correction_id": one.id,
        "provider": one.partner_id,
        "status": "withdrawn" if one.withdrawn_at else "open",
        "subject": one.subject,
        "cause": one.cause,
        "records": one.record_count,
        "periods": [one.first_period, one.last_period],
        "published_since": format_instant(one.since),
        "opened_at": format_instant(one.opened_at),
        **({"withdrawn_at": format_instant(one.withdrawn_at)} if one.withdrawn_at else {}),
        "audit_event": one.event_id,
        "recall_url": f"/v1/corrections/{one.id}/recall",
    }


def _permitted(desk: CorrectionsDesk, asked: ContestRequest) -> tuple[str, Permit]:
    """Return whose numbers are meant and the permit to contest them."""
    caller, named = asked.caller, asked.said.provider
    if isinstance(caller, Partner):
        if named not in {"", caller.id}:
            raise NotFound
        return caller.id, desk.policy.decide(contest_own(caller, product=desk.shape.product))
    if not named:
        raise RequestMalformed(what="an officer names the provider")
    permit = desk.policy.decide(contest_country(caller, owner=caller.country))
    if country_of(named) != caller.country:
        raise NotFound
    return named, permit


def _earlier(tx: Tx, provider: str, asked: ContestRequest) -> Contested | None:
    """Return what the same words became before; a withdrawal repeats by itself."""
    one = contests.find_contest(tx, provider, asked.key)
    if one is None:
        return None
    if one.digest != asked.digest:
        raise IdempotencyConflict
    return Contested(one, one.event_id, replay=True)


def _numbers(tx: Tx, desk: CorrectionsDesk, provider: str, said: Said) -> Sequence[LiveNumber]:
    """Return the live numbers that are meant.

    Raises:
        NotFound: when there is none: another's, an amended one, or none at all, which look the same.
    """
    found = contests.live_numbers(
        tx,
        desk.shape,
        provider,
        record_id=said.record_id,
        submission_id=said.submission_id,
        cell_key=_cell_key(desk, provider, said) if said.cell else b"",
        limit=RECORDS_MAX + 1,
    )
    if not found:
        raise NotFound
    if len(found) > RECORDS_MAX:
        raise RequestMalformed(what=f"more than {RECORDS_MAX} records; contest cells or records")
    return found


def _cell_key(desk: CorrectionsDesk, provider: str, said: Said) -> bytes:
    shape = desk.shape
    cell = {"provider": provider, **said.cell}
    if set(cell) != set(shape.natural_key) or cell["provider"] != provider:
        raise RequestMalformed(what=f"a cell has {', '.join(shape.natural_key)}")
    key = places_of(shape).cell_key_of(tuple(cell.get(name) for name in shape.column_names))
    assert key is not None, "a product without cells is not published"
    return key


def _open(
    tx: Tx, *, desk: CorrectionsDesk, asked: ContestRequest, provider: str, permit: Permit, found: Sequence[LiveNumber]
) -> Contested:
    """Keep a contest: (1) new or a repeat, (2) nonce, (3) who read, (4) event, (5) contest and marks, (6) notices."""
    if earlier := _earlier(tx, provider, asked):  # (1)
        return earlier
    _spend_nonce(tx, asked)  # (2)
    at = desk.clock.now()
    since, periods = min(one.accepted_at for one in found), sorted(one.period for one in found)
    readers = readers_of(tx, provider, since)  # (3)
    one = StoredContest(
        partner_id=provider,
        id=new_id(at),
        idempotency_key=asked.key,
        digest=asked.digest,
        subject=asked.said.subject,
        cause=str(asked.said.cause),
        first_period=periods[0],
        last_period=periods[-1],
        since=since,
        opened_at=at,
        record_count=len(found),
        event_id="",
    )
    event = CorrectionOpened(
        path=asked.path,
        source=asked.source,
        correction_id=one.id,
        provider=provider,
        subject=one.subject,
        cause=one.cause,
        record_count=one.record_count,
        since=format_instant(since),
        notified_count=len(readers),
        policy_set=permit.policy_set_digest,
        policies=permit.policies,
        **_proof(asked),
    )
    one = replace(one, event_id=_record(tx, event, asked, provider, at=at))  # (4)
    contests.insert_contest(tx, one, found)  # (5)
    for partner_id, reader in readers.items():  # (6)
        compose = partial(cloud_event, desk, one, OPENED, at=at, events=reader.events)
        notices.add_notice(tx, partner_id, contest_id=one.id, at=at, compose=compose)
    return Contested(one, one.event_id, replay=False)


def _withdraw(
    tx: Tx, *, desk: CorrectionsDesk, asked: ContestRequest, provider: str, permit: Permit, found: Sequence[LiveNumber]
) -> Contested:
    """End a contest and tell everyone who was told of it; a second withdrawal finds the first one's end."""
    del found
    one = contests.get_contest(tx, asked.said.withdraws, partner_id=provider)
    if one is None:
        raise NotFound
    if one.withdrawn_at:
        return Contested(one, one.event_id, replay=True)
    _spend_nonce(tx, asked)
    at, told = desk.clock.now(), notices.told_of(tx, one.id)
    event = CorrectionWithdrawn(
        path=asked.path,
        source=asked.source,
        correction_id=one.id,
        provider=provider,
        notified_count=len(told),
        policy_set=permit.policy_set_digest,
        policies=permit.policies,
        **_proof(asked),
    )
    event_id = _record(tx, event, asked, provider, at=at)
    contests.withdraw_contest(tx, one, at)
    for partner_id in told:
        compose = partial(cloud_event, desk, one, WITHDRAWN, at=at, events=[])
        notices.add_notice(tx, partner_id, contest_id=one.id, at=at, compose=compose)
    return Contested(replace(one, withdrawn_at=at), event_id, replay=False)


def _spend_nonce(tx: Tx, asked: ContestRequest) -> None:
    if asked.envelope:
        until = asked.envelope.created + timedelta(seconds=SIGNATURE_AGE_SECONDS_MAX)
        spent = SpentNonce(asked.caller.id, asked.envelope.nonce, sha256(asked.envelope.signature), until)
        submissions.claim_nonces(tx, [spent])


def _proof(asked: ContestRequest) -> dict[str, Any]:
    envelope = asked.envelope
    if envelope is None:
        return {}
    digest, signature = b64(envelope.content_digest), b64(envelope.signature)
    return {"content_digest": digest, "signature": signature, "keyid": envelope.keyid}


def _record(
    tx: Tx, event: CorrectionOpened | CorrectionWithdrawn, asked: ContestRequest, provider: str, *, at: datetime
) -> str:
    return record_event(
        tx,
        event,
        at=at,
        partner_id=provider,
        audience=frozenset({country_of(provider)}),
        actor=asked.caller.id,
        request_id=asked.request_id,
    )
