# SPDX-License-Identifier: Apache-2.0
"""What is asked of the decision point; this file is about the questions, each with the facts that its policies need.

Facts come from trusted places: country and roles from the registry, countries and providers from validated
records, the time from the clock. The purpose is the reader's own word and becomes part of the evidence.
"""

from __future__ import annotations

from datetime import datetime

from gateway.trip import Officer, Partner, PolicyRequest, ValidSubmission

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


def read_own(partner: Partner, *, product: str) -> PolicyRequest:
    """Ask whether a partner may see exact totals of what it pushed."""
    return PolicyRequest(partner, "read-own", "Records", f"{partner.id}/{product}", {})


def read_flow(
    partner: Partner,
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


def review_audit(officer: Officer, *, country: str) -> PolicyRequest:
    """Ask whether an officer may review the audit events of a country."""
    return PolicyRequest(officer, "review-audit", "AuditLog", country, {})


def contest_own(partner: Partner, *, product: str) -> PolicyRequest:
    """Ask whether a partner may contest numbers that it pushed."""
    return PolicyRequest(partner, "contest", "Records", f"{partner.id}/{product}", {})


def contest_country(officer: Officer, *, owner: str) -> PolicyRequest:
    """Ask whether an officer may contest numbers of a country."""
    return PolicyRequest(officer, "contest", "Flow", owner, {})
