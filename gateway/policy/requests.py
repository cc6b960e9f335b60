# SPDX-License-Identifier: Apache-2.0
"""What is asked of the decision point; this file is about the questions, each with the facts that its policies need.

Facts come from trusted places: country and roles from the registry, countries and providers from validated
records, the time from the clock. The purpose is the reader's own word and becomes part of the evidence.
"""

from __future__ import annotations

from datetime import datetime

from gateway.trip import Officer, Partner, PolicyRequest, Supposed, ValidSubmission

SUBMIT, VALIDATE = "submit", "validate"


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


def contest_own(partner: Partner | Supposed, *, product: str) -> PolicyRequest:
    """Ask whether a partner may contest numbers that it pushed."""
    return PolicyRequest(partner, "contest", "Records", f"{partner.id}/{product}", {})


def contest_country(officer: Officer | Supposed, *, owner: str) -> PolicyRequest:
    """Ask whether an officer may contest numbers of a country."""
    return PolicyRequest(officer, "contest", "Flow", owner, {})


def supposed(asker: Supposed, action: str, *, owner: str, product: str, purpose: str, at: datetime) -> PolicyRequest:
    """Ask what somebody could do, with facts of the ordinary kind; an empty owner is the asker's own country."""
    owner = owner or asker.country
    if action == "read-flow":
        return read_flow(asker, owner=owner, purpose=purpose, at=at, product=product)
    if action == "review-audit":
        return review_audit(asker, country=owner)
    if action == "contest" and asker.kind == "Officer":
        return contest_country(asker, owner=owner)
    if action in {SUBMIT, VALIDATE}:
        return push_of(asker, action, product=product, version="1.0.0")
    return PolicyRequest(asker, action, "Records", f"{asker.id}/{product}", {})
