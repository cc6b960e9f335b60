# SPDX-License-Identifier: Apache-2.0
"""What another set of policies would have said; this file is about replaying recorded decisions, and who did see.

An event says who asked what, when and why. What it does not say (the facts of a push that was refused, a role that
has changed since) is not guessed: such a decision is counted as not replayed. The asker's roles are those of now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.auditlog.receipts import fields_of
from gateway.clock import format_instant
from gateway.policy import requests
from gateway.policy.decide import DecisionPoint, digest_of
from gateway.storage import registry
from gateway.storage.decisions import events_of
from gateway.storage.engine import Tx
from gateway.storage.log import StoredEvent
from gateway.trip import PolicyRequest, Supposed

POLICY_PATH = "/v1/policy/"
DENIED = "denied-by-policy"
SEEN = frozenset({"aggregate.read", "totals.read"})
KINDS = SEEN | {"aggregate.refused", "submission.accepted", "submission.refused", "submission.validated", "search.run"}
# The act behind a refusal, where its facts are known: a rule about them that refused it tells what they were not.
_FACTS_UNKNOWN = frozenset({"floor#own-country", "floor#own-provider", "floor#signed"})
_ASYLUM = "floor#asylum-of-nationals"
_DRY_RUN = "/validate"


@dataclass(frozen=True, slots=True)
class Decided:
    """One recorded decision, as a request that can be asked again; None when the event does not tell it."""

    event_id: str
    at: datetime
    permitted: bool
    policies: tuple[str, ...]
    request: PolicyRequest | None


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would change, with the request that shows it and what would decide then."""

    decided: Decided
    would_permit: bool
    policies: tuple[str, ...]


@dataclass(slots=True)
class Simulation:
    """What replaying found; `until` is when the last decision was made that was looked at."""

    until: datetime | None = None
    replayed: int = 0
    not_replayed: int = 0
    changes: list[Change] = field(default_factory=list)


def principals(tx: Tx, *, active_only: bool = False) -> dict[str, Supposed]:
    """Return everybody whom the registry knows, by id; whoever is suspended or has ended may do nothing now."""
    partners = [(one.status, Supposed("Partner", one.id, one.country, one.roles)) for one in registry.partners(tx)]
    officers = [(one.status, Supposed("Officer", one.id, one.country, one.roles)) for one in registry.officers(tx)]
    return {one.id: one for status, one in (*partners, *officers) if status == "active" or not active_only}


def recorded(tx: Tx, *, since: datetime, country: str = "", limit: int | None = None) -> Iterator[Decided]:
    """Yield the decisions of the audit log since an instant, oldest first; those that a country may see, if named."""
    known = principals(tx)
    for event in events_of(tx, KINDS, since=since, country=country, limit=limit):
        fields = fields_of(event.fields)
        refused = event.outcome == "failure"
        if not fields.get("policy_set") or (refused and fields.get("reason") != DENIED):
            continue
        policies = tuple(str(name) for name in _items(fields.get("policies")))
        asker = known.get(event.actor)
        request = _asked(event, asker, fields, policies) if asker else None
        yield Decided(event.id, event.at, not refused, policies, request)


def simulate(
    tx: Tx, proposed: DecisionPoint, *, since: datetime, country: str = "", limit: int | None = None
) -> Simulation:
    """Ask a proposed set about every recorded decision since an instant, and return what would change."""
    found = Simulation()
    for decided in recorded(tx, since=since, country=country, limit=limit):
        found.until = decided.at
        if decided.request is None:
            found.not_replayed += 1
            continue
        found.replayed += 1
        permits, policies = said(proposed, decided.request)
        if permits != decided.permitted:
            found.changes.append(Change(decided, permits, policies))
    return found


def evidence_of(change: Change) -> dict[str, Any]:
    """Return a change as it is printed: the event, the request that shows it, and both decisions."""
    request = change.decided.request
    assert request is not None
    return {
        "event": change.decided.event_id,
        "at": format_instant(change.decided.at),
        "asker": request.principal.id,
        "action": request.action,
        "resource": f"{request.resource_type}/{request.resource_id}",
        "context": {name: _plain(value) for name, value in request.context.items()},
        "was": {"permitted": change.decided.permitted, "policies": change.decided.policies},
        "would_be": {"permitted": change.would_permit, "policies": change.policies},
    }


def said(point: DecisionPoint, request: PolicyRequest) -> tuple[bool, tuple[str, ...]]:
    """Return whether a set permits a request, and what decides; what it does not know it denies."""
    try:
        weighed = point.weigh(request)
    except (ValueError, TypeError):
        return False, ()
    return weighed.permits, weighed.policies


def did_see(tx: Tx, *, owner: str, since: datetime, limit: int | None = None) -> dict[str, dict[str, Any]]:
    """Return who read numbers of a country since an instant: how often, when, for what, by partner."""
    found: dict[str, dict[str, Any]] = {}
    for event in events_of(tx, SEEN, since=since, country=owner, limit=limit):
        fields = fields_of(event.fields)
        if fields.get("owner", event.partner_id[:3]) != owner:
            continue
        one = found.setdefault(event.partner_id, {"count": 0, "first": format_instant(event.at), "purposes": []})
        one["count"] += 1
        one["last"] = format_instant(event.at)
        if (purpose := fields.get("purpose")) and purpose not in one["purposes"]:
            one["purposes"].append(purpose)
    return dict(sorted(found.items()))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    return sorted(value) if isinstance(value, frozenset) else value


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _asked(
    event: StoredEvent, asker: Supposed, fields: Mapping[str, Any], policies: tuple[str, ...]
) -> PolicyRequest | None:
    if event.kind == "search.run":
        asks = str(fields["path"]).startswith(POLICY_PATH)
        return (requests.ask_policies if asks else requests.review_audit)(asker, country=asker.country)
    if event.kind == "totals.read":
        return requests.read_own(asker, product=fields["product"])
    if event.kind.startswith("aggregate."):
        return _reading(event, asker, fields, policies)
    if not fields.get("product") or _FACTS_UNKNOWN & set(policies):
        return None
    action = "validate" if event.kind == "submission.validated" or fields["path"].endswith(_DRY_RUN) else "submit"
    facts = {"countries": frozenset[str](), "providers": frozenset[str]()} if fields.get("nil_period") else {}
    asked = requests.push_of(asker, action, product=fields["product"], version=fields["version"], **facts)
    # The log says which question it was: another one is none.
    return asked if fields.get("decision_digest", digest_of(asked)) == digest_of(asked) else None


def _reading(
    event: StoredEvent, asker: Supposed, fields: Mapping[str, Any], policies: tuple[str, ...]
) -> PolicyRequest | None:
    if not fields.get("owner"):
        return None
    if any(name.startswith("role#") for name in policies):
        # In a mirror an agency finds its own numbers opposite another's.
        return requests.read_own(asker, product="flow")
    asylum_of = frozenset({asker.country}) if _ASYLUM in policies else frozenset[str]()
    return requests.read_flow(
        asker, owner=fields["owner"], purpose=fields.get("purpose", ""), at=event.at, asylum_of=asylum_of
    )
