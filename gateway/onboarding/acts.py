# SPDX-License-Identifier: Apache-2.0
"""Every act of governance; this file is about the table of them: what each needs, whom it concerns, what it does.

What narrows takes something away: one person does it, and it holds at the commit. What widens lets something happen
that could not happen before: it needs the signature of every government concerned, and never of fewer than two, and
takes effect once the log shows that under a published checkpoint. docs/GOVERNANCE.md has the same table in words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.auditlog.event_kinds_governance import ApprovalWithdrawn, ChangeEnded
from gateway.auditlog.events import NO_PARTNER
from gateway.contracting.strict_yaml import read_yaml
from gateway.identifiers import country_of
from gateway.identity.identify import ACTIVE
from gateway.onboarding import enrol, invitation, life, stops, words
from gateway.onboarding.approvals import (
    PUT_IN_FORCE,
    Subject,
    SubjectKind,
    approvals_of,
    offered_in,
    stored_approvals,
)
from gateway.onboarding.enrol import By
from gateway.onboarding.in_force import StopKind, read_in_force
from gateway.onboarding.life import LifeRefused
from gateway.policy.agreements import load_agreements
from gateway.storage import registry
from gateway.storage.changes import Status, get_change, move_change
from gateway.storage.engine import Tx
from gateway.storage.registry import OfficerEntry, PartnerEntry
from gateway.trip import SigningKey
from gateway.wire.change import written_in

Parties = frozenset[str]
Told = dict[str, str]


@dataclass(frozen=True, slots=True)
class Doing:
    """An act while it is done: its words, when and by whom; `root` is the contracts folder.

    `change_id` and `signers` are those of the change that officers signed; an act of the operator has none.
    """

    tx: Tx
    words: Mapping[str, str]
    at: datetime
    by: By
    parties: Parties
    root: Path
    change_id: str = ""
    signers: tuple[OfficerEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of act. `needs` and `may` are its words; an act about subjects takes any that the folder offers.

    `rehearse` says what would be told of it, or raises; without one the act itself is done and undone.
    """

    needs: tuple[str, ...]
    concerned: Callable[[Doing], Parties]
    do: Callable[[Doing], Told]
    may: tuple[str, ...] = ()
    rehearse: Callable[[Doing], Told] | None = None


def check_words(act: Act, given: Mapping[str, str]) -> None:
    """Return when an act has the words that it needs and no others, or raise LifeRefused."""
    if act.rehearse or not act.needs:
        return
    known = {*act.needs, *act.may}
    if missing := [name for name in act.needs if not given.get(name)]:
        raise LifeRefused(f"it needs {', '.join(missing)}")
    if unknown := given.keys() - known:
        raise LifeRefused(f"it has no {', '.join(sorted(unknown))}, but {', '.join(sorted(known))}")


# Whom an act concerns


def _country(doing: Doing) -> Parties:
    return frozenset({country_of(words.party_id(doing.words, doing.parties))})


def _of_exchange(doing: Doing) -> Parties:
    kind, subject = doing.words["kind"], doing.words["subject"]
    if kind == StopKind.DIRECTION:
        return frozenset({subject[:3], subject[4:]}) & doing.parties
    if kind == StopKind.AGREEMENT:
        agreements = load_agreements(doing.root / "agreements", read_yaml)
        return frozenset(party for one in agreements if one.id == subject for party in one.parties)
    return doing.parties


def _of_subjects(doing: Doing) -> Parties:
    return frozenset(party for subject in subjects_in(doing) for party in subject.parties)


def _of_target(doing: Doing) -> Parties:
    target = get_change(doing.tx, doing.words["change"], to_change=True)
    if target is None or target.status != Status.WAITING:
        raise LifeRefused("no such change waits")
    said = written_in(json.loads(target.envelope))
    there = Doing(doing.tx, said.words, doing.at, doing.by, doing.parties, doing.root)
    return ACTS[said.act].concerned(there) | {country_of(target.proposer)}


def subjects_in(doing: Doing) -> tuple[Subject, ...]:
    """Return the subjects that a change names, each as the contracts folder of this gateway has it.

    Raises:
        LifeRefused: when the folder has it not, or with another digest.
    """
    offered = offered_in(doing.root, doing.parties)
    for word, digest in doing.words.items():
        if word not in offered:
            raise LifeRefused(f"{word} is not in the contracts folder of this gateway")
        if offered[word].digest != digest:
            raise LifeRefused(f"{word} has the digest {offered[word].digest} here")
    if not doing.words:
        raise LifeRefused("it names nothing")
    return tuple(offered[word] for word in sorted(doing.words))


# What an act does


def _enrol(doing: Doing) -> Told:
    named = words.party_id(doing.words, doing.parties)
    roles, name = words.roles_and_name(doing.words, words.PARTNER_ROLES)
    leaf, key = words.certificate(doing.words, at=doing.at), words.signing_key(doing.words)
    _free(doing, named)
    entry = PartnerEntry(named, country_of(named), name, ACTIVE, roles, doing.at)
    enrol.enrol_partner(doing.tx, entry, at=doing.at, by=doing.by)
    told = _pinned(doing, entry, leaf)
    first = SigningKey(key.keyid, key.algorithm, key.der, doing.at, None)
    life.add_key(doing.tx, named, first, at=doing.at, by=doing.by)
    return {**told, "keyid": key.keyid}


def _free(doing: Doing, named: str) -> None:
    """Return when an id is nobody's yet: one that were a partner's and an officer's could not be stopped as both."""
    taken = {one.id for one in registry.partners(doing.tx)} | {one.id for one in registry.officers(doing.tx)}
    if named in taken:
        raise LifeRefused(f"{named} is enrolled already")


def _enrol_officer(doing: Doing) -> Told:
    named = words.party_id(doing.words, doing.parties)
    roles, name = words.roles_and_name(doing.words, words.OFFICER_ROLES)
    leaf, key = words.certificate(doing.words, at=doing.at), words.signing_key(doing.words)
    known = registry.officers(doing.tx)
    _free(doing, named)
    if any(key.keyid == one.approval_keyid for one in known):
        raise LifeRefused("an officer with that key is enrolled already")
    entry = OfficerEntry(named, country_of(named), name, roles, ACTIVE, key.keyid, key.der)
    enrol.enrol_officer(doing.tx, entry, at=doing.at, by=doing.by)
    return {**_pinned(doing, entry, leaf), "keyid": key.keyid}


def _activate(doing: Doing) -> Told:
    named, keyid = words.party_id(doing.words, doing.parties), doing.words["keyid"]
    digest = words.sha256_hex(doing.words, "certificate").hex()
    roles, name = words.roles_and_name(doing.words, words.PARTNER_ROLES)
    _free(doing, named)
    wanted = invitation.SignedFor(name, roles, keyid, digest)
    invitation.activate(doing.tx, named, wanted, at=doing.at, by=doing.by)
    return {"id": named, "keyid": keyid, "certificate": digest}


def _pin(doing: Doing) -> Told:
    return _pinned(doing, enrol.party_of(doing.tx, doing.words["id"]), words.certificate(doing.words, at=doing.at))


def _pinned(doing: Doing, entry: PartnerEntry | OfficerEntry, leaf: x509.Certificate) -> Told:
    if registry.find_pin(doing.tx, leaf.fingerprint(SHA256())) is not None:
        raise LifeRefused("the certificate is pinned already")
    enrol.pin_certificate(doing.tx, entry, leaf, at=doing.at, by=doing.by)
    return {"id": entry.id, "certificate": leaf.fingerprint(SHA256()).hex()}


def _unpin(doing: Doing) -> Told:
    digest = words.sha256_hex(doing.words, "sha256")
    life.withdraw_pin(doing.tx, doing.words["id"], digest, at=doing.at, by=doing.by)
    return {"id": doing.words["id"], "certificate": digest.hex()}


def _add_key(doing: Doing) -> Told:
    public = words.signing_key(doing.words)
    begin, end = words.instant(doing.words, "not_before") or doing.at, words.instant(doing.words, "not_after")
    key = SigningKey(public.keyid, public.algorithm, public.der, begin, end)
    life.add_key(doing.tx, doing.words["id"], key, at=doing.at, by=doing.by)
    return {"id": doing.words["id"], "keyid": key.keyid}


def _end_key(doing: Doing) -> Told:
    until, named = words.instant(doing.words, "until") or doing.at, doing.words["id"]
    life.end_key(doing.tx, named, doing.words["keyid"], until=until, at=doing.at, by=doing.by)
    return {"id": named, "keyid": doing.words["keyid"]}


def _status(change: Callable[..., None]) -> Callable[[Doing], Told]:
    def do(doing: Doing) -> Told:
        change(doing.tx, doing.words["id"], at=doing.at, by=doing.by)
        return {"id": doing.words["id"]}

    return do


def _resume(doing: Doing) -> Told:
    if enrol.party_of(doing.tx, doing.words["id"]).status == ACTIVE:
        raise LifeRefused(f"{doing.words['id']} is not suspended")
    return _status(enrol.resume)(doing)


def contradicts(narrowing: str, done: Mapping[str, str], widening: str, wanted: Mapping[str, str]) -> bool:
    """Say whether something that was taken away is what a change still waits to give."""
    if narrowing in {"suspend", "revoke"}:
        return widening in {"resume", "pin", "add-key"} and wanted.get("id") == done["id"]
    if narrowing == "stop":
        return widening == "lift" and dict(wanted) == dict(done)
    if narrowing != "withdraw" or widening != PUT_IN_FORCE:
        return False
    subject = done["subject"]
    # Of an agreement whichever revision; a contract's version stands for itself.
    name = subject.partition("/")[0] if subject.startswith(f"{SubjectKind.AGREEMENT} ") else subject
    return any(word == subject or word.partition("/")[0] == name for word in wanted)


def _exchange(change: Callable[..., None]) -> Callable[[Doing], Told]:
    def do(doing: Doing) -> Told:
        kind, subject = doing.words["kind"], doing.words["subject"]
        change(doing.tx, kind, subject, parties=doing.parties, at=doing.at, by=doing.by)
        return {kind: subject}

    return do


def _put_in_force(doing: Doing) -> Told:
    subjects = subjects_in(doing)
    already = registry.approvals(doing.tx)
    held = {(row.subject_kind, row.digest, row.keyid) for row in already}
    for approval in approvals_of(doing.change_id, subjects, doing.signers, at=doing.at):
        if (approval.subject_kind, approval.digest, approval.keyid) not in held:
            registry.add_approval(doing.tx, approval)
    in_force = read_in_force(doing.tx, doing.root, parties=doing.parties, at=doing.at)
    named = {subject.digest for subject in subjects if subject.kind == SubjectKind.CONTRACT}
    for contract in in_force.contracts.contracts:
        if contract.ref.digest in named:
            enrol.publish_contract(doing.tx, contract.ref, approved_by=doing.parties, at=doing.at, by=doing.by)
    enrol.activate_policies(doing.tx, in_force.policies, at=doing.at, by=doing.by)
    return {"policy_set": in_force.policies.digest}


def _rehearse_subjects(doing: Doing) -> Told:
    signed = stored_approvals(doing.tx)
    subjects = subjects_in(doing)
    if all(set(one.parties) <= signed.get(one.digest, frozenset()) for one in subjects):
        raise LifeRefused("all of it is in force already")
    return {}


def _withdraw(doing: Doing) -> Told:
    """Take back what the signer's government approved; what is left is not enough for anybody."""
    subject = offered_in(doing.root, doing.parties).get(doing.words["subject"])
    if subject is None or subject.kind == SubjectKind.RULES:
        raise LifeRefused("what is withdrawn is an agreement or a contract: 'agreement mex-usa/1'")
    ours = {officer.country for officer in doing.signers}
    keyids = [one.approval_keyid for one in registry.officers(doing.tx) if one.country in ours]
    # An earlier revision of an agreement would be in force again, and let happen what had ended.
    earlier = [one for one in _revisions(doing, subject) if one.revision <= subject.revision]
    if not sum(registry.withdraw_approvals(doing.tx, one.digest, keyids) for one in earlier):
        raise LifeRefused(f"{subject.word} has no approval of {', '.join(sorted(ours))}")
    for country in ours:
        event = ApprovalWithdrawn(what=str(subject.kind), subject=subject.id, country=country)
        enrol.record(doing.tx, event, doing.parties, at=doing.at, by=doing.by)
    return {str(subject.kind): subject.id}


def _revisions(doing: Doing, subject: Subject) -> list[Subject]:
    """Return an agreement's revisions; a contract's version stands for itself."""
    if subject.kind != SubjectKind.AGREEMENT:
        return [subject]
    offered = offered_in(doing.root, doing.parties).values()
    return [one for one in offered if one.kind == subject.kind and one.name == subject.name]


def _of_withdrawn(doing: Doing) -> Parties:
    subject = offered_in(doing.root, doing.parties).get(doing.words["subject"])
    return frozenset(subject.parties) if subject else frozenset()


def _reject(doing: Doing) -> Told:
    target = get_change(doing.tx, doing.words["change"], to_change=True)
    assert target is not None, "whom it concerns was asked before"
    event = ChangeEnded(path=NO_PARTNER, source="", change_id=target.id, act=target.act, status=Status.REJECTED.value)
    event_id = enrol.record(doing.tx, event, doing.parties, at=doing.at, by=doing.by)
    move_change(doing.tx, target, Status.REJECTED, event_id=event_id)
    return {"change": target.id}


_KEYS = ("certificate", "signing_key")
WIDENING: Mapping[str, Act] = {
    "enrol": Act(("id", "name", "roles", *_KEYS), _country, _enrol),
    "activate": Act(("id", "name", "roles", "keyid", "certificate"), _country, _activate),
    "enrol-officer": Act(("id", "name", "roles", *_KEYS), _country, _enrol_officer),
    "pin": Act(("id", "certificate"), _country, _pin),
    "add-key": Act(("id", "signing_key"), _country, _add_key, ("not_before", "not_after")),
    "resume": Act(("id",), _country, _resume),
    "lift": Act(("kind", "subject"), _of_exchange, _exchange(stops.lift)),
    PUT_IN_FORCE: Act((), _of_subjects, _put_in_force, rehearse=_rehearse_subjects),
}
NARROWING: Mapping[str, Act] = {
    "suspend": Act(("id",), _country, _status(enrol.suspend)),
    "revoke": Act(("id",), _country, _status(enrol.revoke)),
    "unpin": Act(("id", "sha256"), _country, _unpin),
    "end-key": Act(("id", "keyid"), _country, _end_key, ("until",)),
    "stop": Act(("kind", "subject"), _of_exchange, _exchange(stops.stop)),
    "withdraw": Act(("subject",), _of_withdrawn, _withdraw),
    "reject": Act(("change",), _of_target, _reject),
}
ACTS: Mapping[str, Act] = {**WIDENING, **NARROWING}
