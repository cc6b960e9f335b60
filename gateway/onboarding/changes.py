# SPDX-License-Identifier: Apache-2.0
"""Who says so; this file is about a change on its way: written and signed, then approved, or done at once.

Every step is decided by the policies, from facts of the registry, and leaves its event in the same transaction. What
narrows holds at the commit. What widens waits for the signatures, and `enacting.py` does the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.auditlog.event_kinds_governance import (
    ChangeApproved,
    ChangeEnacted,
    ChangeEnded,
    ChangeProposed,
    ChangeRefused,
)
from gateway.auditlog.events import NO_PARTNER, AuditEvent, record_event
from gateway.clock import Clock, format_instant
from gateway.errors import ChangeClosed, ChangeInvalid, DeniedByPolicy, NotFound, PartnerSuspended, Refusal
from gateway.identifiers import country_of, first_id
from gateway.identity.identify import ACTIVE
from gateway.onboarding.acts import ACTS, NARROWING, WIDENING, Act, Doing, Told, check_words, contradicts
from gateway.onboarding.approvals import APPROVER, PUT_IN_FORCE
from gateway.onboarding.enrol import By, PartyEnded
from gateway.onboarding.life import LifeRefused
from gateway.onboarding.proven import check_proven
from gateway.policy import requests
from gateway.policy.decide import Decisions
from gateway.storage import registry
from gateway.storage.changes import Status, StoredChange, get_change, insert_change, list_changes, move_change
from gateway.storage.engine import Storage, Tx, rehearsed
from gateway.storage.registry import OfficerEntry
from gateway.trip import Officer, Permit
from gateway.wire.canonical import canonical_bytes
from gateway.wire.change import Change, ChangeMalformed, joined, read_change, written_in
from gateway.wire.digests import sha256
from gateway.wire.keys import public_of_der

# What waits is looked at again and again; a government that has more to propose lets others sign first.
WAITING_MAX = 100
WRITTEN_WITHIN = timedelta(minutes=10)
OPEN = (Status.WAITING, Status.APPROVED)


@dataclass(frozen=True, slots=True)
class ChangesDesk:
    """What changes need; `origin` is what this gateway calls itself, `root` its contracts folder."""

    storage: Storage
    policy: Decisions
    clock: Clock
    parties: frozenset[str]
    origin: str
    root: Path


@dataclass(frozen=True, slots=True)
class Saying:
    """What an officer sent, and from where; `source` is the SHA-256, hex, of the certificate."""

    officer: Officer
    envelope: Mapping[str, Any]
    place: str
    source: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A change after an officer was heard, and what would be told, or is told, of the act."""

    change: StoredChange
    told: Told


def submit(desk: ChangesDesk, saying: Saying) -> Heard:
    """Take a new change: do it when it narrows, else let it wait for others; the same one again is heard once.

    Raises:
        ChangeInvalid: when it is not what it should be, or cannot be done to what is there.
        DeniedByPolicy: when the officer may not, or nobody could approve it.
    """

    def work(tx: Tx) -> Heard:
        change = _read(tx, saying)
        if (before := get_change(tx, change.id)) is not None:
            if written_in(json.loads(before.envelope)).payload != change.payload:
                raise ChangeInvalid(what="another change has its id")
            return Heard(before, {})
        _check_document(desk, change)
        return (_propose if change.act in WIDENING else _narrow)(tx, desk, saying, change)

    return _heard(desk, saying, work, before=lambda: _prove(desk, saying))


def approve(desk: ChangesDesk, saying: Saying, change_id: str) -> Heard:
    """Take an officer's signature under a change that waits.

    Raises:
        NotFound: when there is no such change.
        ChangeClosed: when it waits no longer.
        ChangeInvalid: when the signature is under another document.
        DeniedByPolicy: when the officer may not: it is their own proposal, or their government has signed.
    """

    def work(tx: Tx) -> Heard:
        stored = get_change(tx, change_id, to_change=True)
        if stored is None:
            raise NotFound
        change = _read(tx, saying)
        if change.payload != written_in(json.loads(stored.envelope)).payload:
            raise ChangeInvalid(what="the signature is under another document")
        if stored.status != Status.WAITING or stored.expires_at <= desk.clock.now():
            raise ChangeClosed(status=stored.status)
        return _approve(tx, desk, saying, stored, change)

    return _heard(desk, saying, work)


def shown(tx: Tx, one: StoredChange) -> dict[str, Any]:
    """Return a change as officers see it: the document, who signed it, whose signature is wanted, how far it came."""
    change = written_in(json.loads(one.envelope))
    signers = signers_of(tx, one)
    return {
        "change_id": one.id,
        "act": one.act,
        "widens": one.act not in NARROWING,
        "words": dict(change.words),
        "status": one.status,
        "proposer": one.proposer,
        "signed_by": [officer.id for officer in signers],
        "governments": sorted({officer.country for officer in signers}),
        "proposed_at": format_instant(one.proposed_at),
        "expires_at": format_instant(one.expires_at),
        "digest": sha256(change.payload).hex(),
        "audit_event": one.event_id,
    }


# Steps, each in one transaction


def _narrow(tx: Tx, desk: ChangesDesk, saying: Saying, change: Change) -> Heard:
    act, doing = ACTS[change.act], _doing(tx, desk, saying, change)
    concerned = _said(lambda: concerned_by(act, doing))
    permit = desk.policy.decide(requests.narrow(saying.officer, change.id, concerned=concerned))
    told = _said(lambda: act.do(doing))
    _close_contradicted(tx, desk, change, doing.by)
    event_id = _record(tx, desk, saying, _event(ChangeEnacted, saying, change, permit))
    stored = _stored(desk, saying, change, Status.IN_FORCE, event_id)
    insert_change(tx, stored)
    return Heard(stored, told)


def _propose(tx: Tx, desk: ChangesDesk, saying: Saying, change: Change) -> Heard:
    permit, told = _proposable(tx, desk, saying, change)
    event_id = _record(tx, desk, saying, _event(ChangeProposed, saying, change, permit))
    stored = _stored(desk, saying, change, Status.WAITING, event_id)
    insert_change(tx, stored)
    return Heard(stored, told)


def _close_contradicted(tx: Tx, desk: ChangesDesk, narrowing: Change, by: By) -> None:
    """Reject what others have signed already and what was said now contradicts: it was signed before this was known."""
    for seen in list_changes(tx, OPEN):
        wanted = written_in(json.loads(seen.envelope))
        if not contradicts(narrowing.act, narrowing.words, wanted.act, wanted.words):
            continue
        # Held from here on: whoever enacts it at this moment was first, or finds it rejected.
        one = get_change(tx, seen.id, to_change=True)
        if one is not None and one.status in OPEN:
            event = ChangeEnded(path=NO_PARTNER, source=by.source, change_id=one.id, act=one.act, status="rejected")
            move_change(tx, one, Status.REJECTED, event_id=recorded(tx, desk, event, actor=by.actor))


def _proposable(tx: Tx, desk: ChangesDesk, saying: Saying, change: Change) -> tuple[Permit, Told]:
    """Return the permit to propose a change, and what would be told of it; nothing is written."""
    act, doing = ACTS[change.act], _doing(tx, desk, saying, change)
    concerned = _said(lambda: concerned_by(act, doing))
    voices = {one.country for one in registry.officers(tx) if APPROVER in one.roles and one.status == ACTIVE}
    theirs = [one for one in list_changes(tx, (Status.WAITING,)) if country_of(one.proposer) == saying.officer.country]
    if len(theirs) >= WAITING_MAX:
        raise ChangeInvalid(what=f"{WAITING_MAX} changes of this government wait already; reject some")
    permit = desk.policy.decide(requests.propose(saying.officer, change.id, concerned=concerned, voices=voices))
    return permit, _said(lambda: _rehearsed(act, doing))


def _approve(tx: Tx, desk: ChangesDesk, saying: Saying, stored: StoredChange, change: Change) -> Heard:
    # Who left the office meanwhile has no voice any more, so that a colleague may speak.
    before = frozenset(one.country for one in signers_of(tx, stored) if one.status == ACTIVE and APPROVER in one.roles)
    asked = requests.approve(saying.officer, change.id, proposer=stored.proposer, governments=before)
    permit = desk.policy.decide(asked)
    envelope = joined(json.loads(stored.envelope), saying.envelope)
    event_id = _record(tx, desk, saying, _event(ChangeApproved, saying, change, permit))
    concerned = _said(lambda: concerned_by(ACTS[change.act], _doing(tx, desk, saying, change)))
    governments = before | {saying.officer.country}
    complete = desk.policy.weigh(
        requests.enact(saying.officer, change.id, concerned=concerned, governments=governments)
    ).permits
    status = Status.APPROVED if complete else Status.WAITING
    text = canonical_bytes(envelope).decode()
    return Heard(move_change(tx, stored, status, event_id=event_id, envelope=text), {})


# What the steps share


def _read(tx: Tx, saying: Saying) -> Change:
    """Return a document that its sender signed, and nobody else."""
    entry = registry.get_officer(tx, saying.officer.id)
    if entry.status != ACTIVE:
        raise PartnerSuspended(partner=entry.id, status=entry.status)
    key = public_of_der(entry.approval_public)
    try:
        change, _ = read_change(saying.envelope, {key.keyid: key})
    except ChangeMalformed as error:
        raise ChangeInvalid(what=f"it is not signed with the key of {entry.id} ({error})") from error
    if len(saying.envelope["signatures"]) != 1:
        raise ChangeInvalid(what="each officer sends the own signature")
    return change


def _check_document(desk: ChangesDesk, change: Change) -> None:
    at = desk.clock.now()
    if change.gateway != desk.origin or abs(at - change.written_at) > WRITTEN_WITHIN:
        raise ChangeInvalid(what=f"it is for {desk.origin}, and written within ten minutes of {format_instant(at)}")
    # Compared as ids: most of what a UUID of this version can say is no date at all.
    if not first_id(at - WRITTEN_WITHIN) <= change.id <= first_id(at + WRITTEN_WITHIN):
        raise ChangeInvalid(what="its id is a UUID version 7 of when it was written")
    if change.act not in ACTS:
        raise ChangeInvalid(what=f"an act is one of {', '.join(ACTS)}")


def _prove(desk: ChangesDesk, saying: Saying) -> None:
    """Prove what a proposal would put in force, before a transaction that others would wait for: it takes seconds."""

    def work(tx: Tx) -> Change | None:
        change = _read(tx, saying)
        if change.act != PUT_IN_FORCE or get_change(tx, change.id) is not None:
            return None
        _check_document(desk, change)
        # Only what may be proposed, and can be done, is worth the time.
        _proposable(tx, desk, saying, change)
        return change

    if (change := desk.storage.read(work)) is not None:
        _said(lambda: check_proven(desk.storage, desk.root, change.words, parties=desk.parties))


def concerned_by(act: Act, doing: Doing) -> frozenset[str]:
    """Return whom an act concerns, or raise LifeRefused when that is nobody, or a word is missing."""
    check_words(act, doing.words)
    concerned = act.concerned(doing)
    if not concerned:
        raise LifeRefused("it concerns nobody: what it names is not there")
    return concerned


def _rehearsed(act: Act, doing: Doing) -> Told:
    """Do an act and undo it, so that nobody is asked to sign what cannot be done."""
    if act.rehearse:
        return act.rehearse(doing)
    # Where another role enacts, this one cannot try it; what does not go fails then.
    return rehearsed(doing.tx, lambda: act.do(doing)) or {}


def _said(work: Callable[[], Any]) -> Any:
    """Return what some work says; what cannot be done is the proposer's to hear."""
    try:
        return work()
    except LookupError as error:
        raise ChangeInvalid(what=f"there is no {error}") from error
    except (LifeRefused, PartyEnded, ValueError) as error:
        raise ChangeInvalid(what=str(error)) from error


def _doing(tx: Tx, desk: ChangesDesk, saying: Saying, change: Change) -> Doing:
    by = By(saying.officer.id, change.id, saying.request_id)
    signers = (registry.get_officer(tx, saying.officer.id),)
    return Doing(tx, change.words, desk.clock.now(), by, desk.parties, desk.root, change.id, signers)


def signers_of(tx: Tx, stored: StoredChange) -> list[OfficerEntry]:
    """Return who signed a change, in the order in which they did; each signature is verified anew."""
    officers = {officer.approval_keyid: officer for officer in registry.officers(tx)}
    keys = {keyid: public_of_der(officer.approval_public) for keyid, officer in officers.items()}
    envelope = json.loads(stored.envelope)
    _, signers = read_change(envelope, keys)
    keyids = [signature["keyid"] for signature in envelope["signatures"]]
    return [officers[keyid] for keyid in dict.fromkeys(keyids) if keyid in signers]


def _stored(desk: ChangesDesk, saying: Saying, change: Change, status: Status, event_id: str) -> StoredChange:
    text = canonical_bytes(dict(saying.envelope)).decode()
    at = desk.clock.now()
    return StoredChange(change.id, change.act, saying.officer.id, status, text, at, change.expires_at, event_id)


def _event(kind: type[ChangeProposed], saying: Saying, change: Change, permit: Permit) -> ChangeProposed:
    return kind(
        path=saying.place,
        source=saying.source,
        change_id=change.id,
        act=change.act,
        change_digest=sha256(change.payload).hex(),
        policy_set=permit.policy_set_digest,
        policies=permit.policies,
    )


def _heard(
    desk: ChangesDesk, saying: Saying, work: Callable[[Tx], Heard], *, before: Callable[[], None] | None = None
) -> Heard:
    """Do a step; when it is refused, its event stands before the answer leaves."""
    try:
        if before:
            before()
        return desk.storage.write(work)
    except (ChangeInvalid, ChangeClosed, DeniedByPolicy) as error:
        refusal: Refusal = error
        desk.storage.write(lambda tx: _record_refusal(tx, desk, saying, refusal))
        raise


def _record_refusal(tx: Tx, desk: ChangesDesk, saying: Saying, refusal: Refusal) -> None:
    decision: Any = refusal.extra.get("decision", {})
    try:
        change = written_in(saying.envelope)
    except ChangeMalformed:
        change = None
    event = ChangeRefused(
        path=saying.place,
        source=saying.source,
        reason=refusal.reason.value,
        change_id=change.id if change else None,
        act=change.act if change and change.act in ACTS else None,
        policy_set=decision.get("policy_set"),
        policies=tuple(decision["policies"]) if decision else None,
    )
    refusal.audit_event = _record(tx, desk, saying, event)


def _record(tx: Tx, desk: ChangesDesk, saying: Saying, event: AuditEvent) -> str:
    return recorded(tx, desk, event, actor=saying.officer.id, request_id=saying.request_id)


def recorded(tx: Tx, desk: ChangesDesk, event: AuditEvent, *, actor: str, request_id: str = NO_PARTNER) -> str:
    """Record an event of a change, and return its id."""
    # What is proposed anywhere may be for any government to approve, so that all of them see it.
    return record_event(
        tx, event, at=desk.clock.now(), partner_id=NO_PARTNER, audience=desk.parties, actor=actor, request_id=request_id
    )
