# SPDX-License-Identifier: Apache-2.0
"""What is asked of the decision point; this file is about the questions, each with the facts that its policies need.

Facts come from trusted places: country and roles from the registry, countries and providers from validated
records, the time from the clock. The purpose is the reader's own word and becomes part of the evidence.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gateway.trip import Officer, Partner, PolicyRequest, Supposed, ValidSubmission

SUBMIT, VALIDATE = "submit", "validate"
GOVERNING = ("narrow", "propose", "approve")
# For questions about changes that nobody has written.
ANOTHER = "another government"
ANY_CHANGE = "00000000-0000-7000-8000-000000000000"


def push(submission: ValidSubmission, action: str) -> PolicyRequest:
    """Ask whether a judged submission may be kept (`submit`) or tried out (`validate`)."""
    contract = submission.contract
    return PolicyRequest(
        principal=submission.envelope.partner,
        action=action,
        resource_type="Contract",
        resource_id=f"{contract.product}/{contract.version}",
        context={"signed": True, "countries": submission.countries, "providers": submission.providers},
    )


def push_of(partner: Partner | Supposed, action: str, *, product: str, version: str, **facts: object) -> PolicyRequest:
    """Ask about a push of the partner's own records, or of whatever else the facts say."""
    own = {"signed": True, "countries": frozenset({partner.country}), "providers": frozenset({partner.id})}
    return PolicyRequest(partner, action, "Contract", f"{product}/{version}", own | facts)


def read_own(partner: Partner | Supposed, *, product: str) -> PolicyRequest:
    """Ask whether a partner may see exact totals of what it pushed."""
    return PolicyRequest(partner, "read-own", "Records", f"{partner.id}/{product}", {})


def read_flow(
    partner: Partner | Supposed,
    *,
    owner: str,
    purpose: str,
    at: datetime,
    product: str = "flow",
    major: int = 1,
    asylum_of: frozenset[str] = frozenset(),
) -> PolicyRequest:
    """Ask whether a partner may pull the flow cells of one country for a purpose.

    `asylum_of` are the parties whose nationals' asylum is all that is asked for.
    """
    context = {"product": product, "major": major, "purpose": purpose, "at": at, "asylum_of": asylum_of}
    return PolicyRequest(partner, "read-flow", "Flow", owner, context)


def review_audit(officer: Officer | Supposed, *, country: str) -> PolicyRequest:
    """Ask whether an officer may review the audit events of a country."""
    return PolicyRequest(officer, "review-audit", "AuditLog", country, {})


def ask_policies(officer: Officer | Supposed, *, country: str) -> PolicyRequest:
    """Ask whether an officer may ask the policies about a country."""
    return PolicyRequest(officer, "ask-policies", "AuditLog", country, {})


def contest_own(partner: Partner | Supposed, *, product: str) -> PolicyRequest:
    """Ask whether a partner may contest numbers that it pushed."""
    return PolicyRequest(partner, "contest", "Records", f"{partner.id}/{product}", {})


def contest_country(officer: Officer | Supposed, *, owner: str) -> PolicyRequest:
    """Ask whether an officer may contest numbers of a country."""
    return PolicyRequest(officer, "contest", "Flow", owner, {})


def narrow(officer: Officer | Supposed, change_id: str, *, concerned: Collection[str]) -> PolicyRequest:
    """Ask whether an officer may do alone what only takes away."""
    return _change(officer, "narrow", change_id, concerned=frozenset(concerned))


def propose(
    officer: Officer | Supposed, change_id: str, *, concerned: Collection[str], voices: Collection[str]
) -> PolicyRequest:
    """Ask whether an officer may propose what widens; `voices` are the governments that have an approver."""
    return _change(officer, "propose", change_id, concerned=frozenset(concerned), voices=frozenset(voices))


def approve(
    officer: Officer | Supposed, change_id: str, *, proposer: str, governments: Collection[str]
) -> PolicyRequest:
    """Ask whether an officer may sign what another proposed; `governments` have signed it before."""
    return _change(officer, "approve", change_id, proposer=proposer, governments=frozenset(governments))


def enact(
    officer: Officer | Supposed, change_id: str, *, concerned: Collection[str], governments: Collection[str]
) -> PolicyRequest:
    """Ask whether a change takes effect with an officer's signature, `governments` having signed it, that one too."""
    return _change(officer, "enact", change_id, concerned=frozenset(concerned), governments=frozenset(governments))


def of_change(officer: Officer | Supposed, action: str, *, owner: str) -> PolicyRequest:
    """Ask about a change of the ordinary kind: about one country, whose officer proposed what is to be approved."""
    if action == "approve":
        return approve(officer, ANY_CHANGE, proposer=f"{owner}.OFFICER", governments={owner})
    if action == "propose":
        return propose(officer, ANY_CHANGE, concerned={owner}, voices={officer.country, owner, ANOTHER})
    return narrow(officer, ANY_CHANGE, concerned={owner})


def _change(officer: Officer | Supposed, action: str, change_id: str, **facts: object) -> PolicyRequest:
    return PolicyRequest(officer, action, "Change", change_id, facts)


def supposed(asker: Supposed, action: str, *, owner: str, product: str, purpose: str, at: datetime) -> PolicyRequest:
    """Ask what somebody could do, with facts of the ordinary kind; an empty owner is the asker's own country."""
    owner = owner or asker.country
    if action == "read-flow":
        return read_flow(asker, owner=owner, purpose=purpose, at=at, product=product)
    if action in GOVERNING:
        return of_change(asker, action, owner=owner)
    if action in {"review-audit", "ask-policies"}:
        return PolicyRequest(asker, action, "AuditLog", owner, {})
    if action == "contest" and asker.kind == "Officer":
        return contest_country(asker, owner=owner)
    if action in {SUBMIT, VALIDATE}:
        return push_of(asker, action, product=product, version="1.0.0")
    return PolicyRequest(asker, action, "Records", f"{asker.id}/{product}", {})
