# SPDX-License-Identifier: Apache-2.0
"""What governments sign before it counts; this file is about approvals of contracts, agreements and rules.

An approval is one officer's signature under a change that names kind, id and digest of a subject; the same change may
name several. It is kept as a row for each subject and officer, and verified anew whenever it is read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from gateway.contracting.contract import ContractSet
from gateway.contracting.load import load_contracts
from gateway.contracting.strict_yaml import read_yaml
from gateway.policy.agreements import Agreement, load_agreements
from gateway.policy.load import Rules, load_rules
from gateway.storage import registry
from gateway.storage.changes import changes_of
from gateway.storage.engine import Tx
from gateway.storage.registry import Approval, OfficerEntry
from gateway.wire.change import Change, ChangeMalformed, read_change
from gateway.wire.keys import public_of_der

APPROVER = "approver"
# The two acts whose words are subjects: the first of all, and each one later.
FOUND, PUT_IN_FORCE = "found", "put-in-force"


class ApprovalInvalid(ValueError):
    """A stored approval is not what its officer signed: a row was changed beside the gateway."""


class SubjectKind(StrEnum):
    """What can be approved."""

    CONTRACT = "contract"
    AGREEMENT = "agreement"
    RULES = "rules"


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that takes effect once all its parties signed its digest."""

    kind: SubjectKind
    id: str
    digest: str
    parties: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return what all its revisions are called."""
        return self.id.partition("/")[0]

    @property
    def revision(self) -> int:
        """Return an agreement's or the rules' revision; a contract has versions, which are each their own."""
        return int(self.id.partition("/")[2]) if self.kind != SubjectKind.CONTRACT else 0

    @property
    def word(self) -> str:
        """Return the word under which a change names its digest."""
        return f"{self.kind} {self.id}"


def subjects_of(
    contracts: ContractSet, rules: Iterable[Rules], agreements: Iterable[Agreement], parties: Iterable[str]
) -> dict[str, Subject]:
    """Return, by word, what a contracts folder offers: an agreement to its own parties, the rest to all."""
    everyone = tuple(sorted(parties))
    refs = [contract.ref for contract in contracts.contracts]
    offered = (
        *(Subject(SubjectKind.RULES, item.reference, item.digest, everyone) for item in rules),
        *(Subject(SubjectKind.AGREEMENT, item.reference, item.digest, item.parties) for item in agreements),
        *(Subject(SubjectKind.CONTRACT, f"{ref.product}/{ref.version}", ref.digest, everyone) for ref in refs),
    )
    return {subject.word: subject for subject in offered}


def offered_in(root: Path, parties: Collection[str]) -> dict[str, Subject]:
    """Return, by word, everything that a contracts folder offers for approval."""
    agreements = load_agreements(root / "agreements", read_yaml)
    return subjects_of(load_contracts(root), load_rules(root), agreements, parties)


def approvals_of(
    change_id: str, subjects: Iterable[Subject], signers: Iterable[OfficerEntry], *, at: datetime
) -> Iterator[Approval]:
    """Yield what the signatures under a change approve: of each subject its parties' officers."""
    officers = [officer for officer in signers if APPROVER in officer.roles]
    for subject in subjects:
        for officer in officers:
            if officer.country in subject.parties:
                kind, keyid = subject.kind.value, officer.approval_keyid
                yield Approval(kind, subject.digest, keyid, subject.id, change_id, at)


def approved_digests(
    rows: Iterable[Approval], envelopes: Mapping[str, str], officers: Iterable[OfficerEntry]
) -> dict[str, frozenset[str]]:
    """Return for each digest the countries whose approvers signed it; every signature is verified anew.

    `envelopes` are the changes by id. An officer who is no approver has approved nothing; one who left the office
    has, until their government withdraws it.

    Raises:
        ApprovalInvalid: when an envelope does not hold, or is about something else than its row.
    """
    approvers = {officer.approval_keyid: officer for officer in officers if APPROVER in officer.roles}
    keys = {keyid: public_of_der(officer.approval_public) for keyid, officer in approvers.items()}
    read: dict[str, tuple[Change, frozenset[str]]] = {}
    signed: dict[str, set[str]] = {}
    for row in rows:
        if row.keyid not in keys:
            continue
        try:
            if row.change_id not in read:
                read[row.change_id] = read_change(json.loads(envelopes[row.change_id]), keys)
        except (KeyError, ChangeMalformed, ValueError) as error:
            raise ApprovalInvalid(f"{row.subject_kind} {row.subject_id}: {error}") from error
        change, signers = read[row.change_id]
        named = change.words.get(f"{row.subject_kind} {row.subject_id}") == row.digest
        if not named or change.id != row.change_id or change.act not in {FOUND, PUT_IN_FORCE}:
            raise ApprovalInvalid(f"{row.subject_kind} {row.subject_id}: the change is about something else")
        if row.keyid not in signers:
            raise ApprovalInvalid(f"{row.subject_kind} {row.subject_id}: the change does not bear that signature")
        signed.setdefault(row.digest, set()).add(approvers[row.keyid].country)
    return {digest: frozenset(countries) for digest, countries in signed.items()}


def stored_approvals(tx: Tx) -> dict[str, frozenset[str]]:
    """Return for each digest the countries that approved it, from the registry.

    Raises:
        ApprovalInvalid: when a stored approval does not hold.
    """
    rows = registry.approvals(tx)
    envelopes = {change.id: change.envelope for change in changes_of(tx, {row.change_id for row in rows})}
    return approved_digests(rows, envelopes, registry.officers(tx))
