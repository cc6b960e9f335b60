# SPDX-License-Identifier: Apache-2.0
"""How it begins; this file is about the founding: the first officers and the first rules, signed before there are any.

One change names every officer with role, certificate and key, and every contract, agreement and rule with its digest.
Each approver that it names signs it, with the key that it names. There is no log yet that could show it first, so that
it holds at the commit; it counts in an empty registry only, and once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway.auditlog.event_kinds_governance import DeploymentFounded
from gateway.clock import format_instant
from gateway.identifiers import country_of, new_id
from gateway.identity.identify import ACTIVE
from gateway.onboarding import enrol, words
from gateway.onboarding.approvals import APPROVER, FOUND, Subject, approvals_of, offered_in
from gateway.onboarding.in_force import read_in_force
from gateway.onboarding.life import LifeRefused
from gateway.storage import registry
from gateway.storage.changes import Status, StoredChange, insert_change
from gateway.storage.engine import Tx
from gateway.storage.registry import OfficerEntry
from gateway.wire.canonical import canonical_bytes
from gateway.wire.change import Change, ChangeMalformed, read_change, written_in
from gateway.wire.digests import sha256
from gateway.wire.keys import public_of_der

OFFICER, CERTIFICATE, KEY, NAME = "officer ", "certificate ", "signing_key ", "name "


@dataclass(frozen=True, slots=True)
class FirstOfficer:
    """An officer in a founding; `certificate` and `signing_key` are PEM, the key a public one."""

    id: str
    name: str
    roles: frozenset[str]
    certificate: str
    signing_key: str


def founding(
    officers: Iterable[FirstOfficer],
    subjects: Mapping[str, Subject],
    *,
    gateway: str,
    parties: Collection[str],
    at: datetime,
) -> Change:
    """Return the document of a founding, for every approver in it to sign.

    Raises:
        LifeRefused, ChangeMalformed: when nobody could found anything with it.
    """
    said = {word: subject.digest for word, subject in subjects.items()}
    for one in officers:
        said[OFFICER + one.id] = ",".join(sorted(one.roles))
        said[NAME + one.id] = one.name
        said[CERTIFICATE + one.id] = one.certificate
        said[KEY + one.id] = one.signing_key
    change = Change(act=FOUND, at=format_instant(at), gateway=gateway, id=new_id(at), words=said)
    officers_in(change, parties, at=at)
    return change


def found(
    tx: Tx, envelope: Mapping[str, Any], root: Path, *, gateway: str, parties: Collection[str], at: datetime
) -> Change:
    """Enter the first officers, and put in force what their approvers signed.

    Raises:
        LifeRefused: when there are officers already, an approver has not signed, a party has none, or the contracts
            folder has something else.
    """
    if registry.officers(tx):
        raise LifeRefused("this deployment was founded already")
    change, officers = _read(envelope, parties, at=at)
    if (change.act, change.gateway) != (FOUND, gateway):
        raise LifeRefused(f"it is no founding of {gateway}")
    subjects = _subjects(change, root, parties)
    for entry, leaf in officers:
        enrol.enrol_officer(tx, entry, at=at)
        enrol.pin_certificate(tx, entry, leaf, at=at)
    approvers = [entry for entry, _ in officers if APPROVER in entry.roles]
    event = DeploymentFounded(
        change_id=change.id,
        change_digest=sha256(change.payload).hex(),
        signers=tuple(sorted(entry.approval_keyid for entry in approvers)),
    )
    event_id = enrol.record(tx, event, parties, at=at)
    text, first = canonical_bytes(dict(envelope)).decode(), approvers[0].id
    insert_change(tx, StoredChange(change.id, FOUND, first, Status.IN_FORCE, text, at, change.expires_at, event_id))
    for approval in approvals_of(change.id, subjects, approvers, at=at):
        registry.add_approval(tx, approval)
    in_force = read_in_force(tx, root, parties=parties, at=at)
    for contract in in_force.contracts.contracts:
        enrol.publish_contract(tx, contract.ref, approved_by=parties, at=at)
    enrol.activate_policies(tx, in_force.policies, at=at)
    return change


def _read(
    envelope: Mapping[str, Any], parties: Collection[str], *, at: datetime
) -> tuple[Change, list[tuple[OfficerEntry, x509.Certificate]]]:
    """Return a founding that every approver in it signed, and its officers."""
    try:
        change = written_in(envelope)
        officers = officers_in(change, parties, at=at)
        approvers = {one.approval_keyid: one for one, _ in officers if APPROVER in one.roles}
        keys = {keyid: public_of_der(one.approval_public) for keyid, one in approvers.items()}
        signers = read_change(envelope, keys)[1] if envelope["signatures"] else frozenset()
    except (KeyError, ChangeMalformed) as error:
        raise LifeRefused(f"no founding: {error}") from error
    if unsigned := sorted(one.id for keyid, one in approvers.items() if keyid not in signers):
        raise LifeRefused(f"not signed by {', '.join(unsigned)}")
    return change, officers


def officers_in(
    change: Change, parties: Collection[str], *, at: datetime
) -> list[tuple[OfficerEntry, x509.Certificate]]:
    """Return the officers of a founding with their certificates.

    Raises:
        LifeRefused: when a word does not hold, a party has no approver, or two officers share a key.
    """
    named = [word.removeprefix(OFFICER) for word in change.words if word.startswith(OFFICER)]
    try:
        officers = [_officer(each, change.words, parties, at=at) for each in named]
    except KeyError as error:
        raise LifeRefused(f"no founding: {error} is missing") from error
    if missing := set(parties) - {one.country for one, _ in officers if APPROVER in one.roles}:
        raise LifeRefused(f"no approver of {', '.join(sorted(missing))}")
    if len({one.approval_keyid for one, _ in officers}) != len(officers):
        raise LifeRefused("two officers have one signing key")
    return officers


def _officer(
    named: str, said: Mapping[str, str], parties: Collection[str], *, at: datetime
) -> tuple[OfficerEntry, x509.Certificate]:
    own = {"id": named, "name": said[NAME + named], "roles": said[OFFICER + named]}
    own |= {"certificate": said[CERTIFICATE + named], "signing_key": said[KEY + named]}
    words.party_id(own, parties)
    roles, name = words.roles_and_name(own, words.OFFICER_ROLES)
    key = words.signing_key(own)
    entry = OfficerEntry(named, country_of(named), name, roles, ACTIVE, key.keyid, key.der)
    return entry, words.certificate(own, at=at)


def _subjects(change: Change, root: Path, parties: Collection[str]) -> list[Subject]:
    offered = offered_in(root, parties)
    own = (OFFICER, CERTIFICATE, KEY, NAME)
    named = {word: digest for word, digest in change.words.items() if not word.startswith(own)}
    for word, digest in named.items():
        if word not in offered or offered[word].digest != digest:
            raise LifeRefused(f"{word} is not in the contracts folder of this gateway, or with another digest")
    return [offered[word] for word in sorted(named)]
