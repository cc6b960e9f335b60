# SPDX-License-Identifier: Apache-2.0
"""What governments sign before it counts; this file is about approvals of contracts, agreements and rules.

An approval is one officer's DSSE signature under kind, id and digest of a subject. It names no time, so that
the signatures of several officers stand under one and the same payload.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.contracting.contract import ContractSet
from gateway.identity.identify import ACTIVE
from gateway.policy.agreements import Agreement
from gateway.policy.load import RULES_ID, Rules
from gateway.storage import registry
from gateway.storage.engine import Tx
from gateway.storage.registry import Approval, OfficerEntry
from gateway.wire.canonical import canonical_bytes
from gateway.wire.dsse import sign_envelope, verify_envelope
from gateway.wire.keys import Signer, public_of_der

APPROVER = "approver"
PAYLOAD_TYPE = "application/vnd.gateway.approval+json"


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
    def payload(self) -> bytes:
        """Return the bytes that an approval signs."""
        return canonical_bytes({"digest": self.digest, "id": self.id, "kind": self.kind.value})


def subjects_of(
    contracts: ContractSet, rules: Rules, agreements: Iterable[Agreement], parties: Iterable[str]
) -> tuple[Subject, ...]:
    """Return what a contracts folder offers for approval: an agreement to its own parties, the rest to all."""
    everyone = tuple(sorted(parties))
    refs = [contract.ref for contract in contracts.contracts]
    return (
        Subject(SubjectKind.RULES, RULES_ID, rules.digest, everyone),
        *(Subject(SubjectKind.AGREEMENT, item.reference, item.digest, item.parties) for item in agreements),
        *(Subject(SubjectKind.CONTRACT, f"{ref.product}/{ref.version}", ref.digest, everyone) for ref in refs),
    )


def sign_approval(subject: Subject, signer: Signer, *, at: datetime) -> Approval:
    """Return an officer's approval of a subject, ready to be stored."""
    envelope = sign_envelope(PAYLOAD_TYPE, subject.payload, [signer])
    return Approval(
        subject_kind=subject.kind.value,
        digest=subject.digest,
        keyid=signer.keyid,
        subject_id=subject.id,
        envelope=canonical_bytes(envelope).decode(),
        at=at,
    )


def approved_digests(rows: Iterable[Approval], officers: Iterable[OfficerEntry]) -> dict[str, frozenset[str]]:
    """Return for each digest the countries whose approvers signed it; every signature is verified anew.

    An officer who is no approver, or is suspended or revoked, has approved nothing.

    Raises:
        ApprovalInvalid: when an envelope does not hold, or is about something else than its row.
    """
    approvers = {o.approval_keyid: o for o in officers if APPROVER in o.roles and o.status == ACTIVE}
    keys = {keyid: public_of_der(officer.approval_public) for keyid, officer in approvers.items()}
    signed: dict[str, set[str]] = {}
    for row in rows:
        if row.keyid not in keys:
            continue
        subject = Subject(SubjectKind(row.subject_kind), row.subject_id, row.digest, ())
        try:
            envelope: Mapping[str, object] = json.loads(row.envelope)
            payload, signers = verify_envelope(envelope, {row.keyid: keys[row.keyid]}, payload_type=PAYLOAD_TYPE)
        except ValueError as error:
            raise ApprovalInvalid(f"{row.subject_kind} {row.subject_id}: {error}") from error
        if payload != subject.payload:
            raise ApprovalInvalid(f"{row.subject_kind} {row.subject_id}: the envelope is about something else")
        signed.setdefault(row.digest, set()).update(approvers[keyid].country for keyid in signers)
    return {digest: frozenset(countries) for digest, countries in signed.items()}


def stored_approvals(tx: Tx) -> dict[str, frozenset[str]]:
    """Return for each digest the countries that approved it, from the registry.

    Raises:
        ApprovalInvalid: when a stored approval does not hold.
    """
    rows = [row for kind in SubjectKind for row in registry.approvals(tx, kind.value)]
    return approved_digests(rows, registry.officers(tx))
