# SPDX-License-Identifier: Apache-2.0
"""That no agreement can override the floor; this file is about proving it, request by request, over a finite model.

Policies tell requests apart by what they name and by nothing else, so that a model with every name in them, and one
more that is in none, has every answer there is. Two sets are asked about every request of it: the floor alone beside a
permit for everything, which is the worst that any agreement or role could say; and the set as proposed. What must
never be is written here a second time, as plain functions that share nothing with the policies. Each has its twin: a
request that keeps all of them must be permitted, because a floor that forbids everything proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import combinations, product
from typing import Any

from gateway.policy import requests
from gateway.policy.agreements import Agreement, Clause
from gateway.policy.decide import DecisionPoint
from gateway.policy.load import PoliciesInvalid, PolicySet, Rules, compile_policies
from gateway.trip import PolicyRequest, Supposed

PERMIT_ALL = '@id("any#permits-all") permit (principal, action, resource);'
EVENT_ROWS = frozenset({"border-event"})
NEVER = "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"
PARTNER_ROLES = ("provider", "reader")
OFFICER_ROLES = ("approver", "auditor", "data-protection-officer", "security-officer")
MOMENT = timedelta(milliseconds=1)
Shared = Collection[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a proposed set must not be: `request` is permitted and breaks the invariant.

    `what` is `overridden` when the floor alone does not hold it, `permitted` when the set does not; `vacuous` when
    nothing at all is permitted where something must be, and `invalid` when the set cannot be compiled.
    """

    invariant: str
    what: str
    request: PolicyRequest | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Invariant:
    """What holds of every permitted request of some actions; `holds` is told which reader each owner shares with."""

    id: str
    actions: frozenset[str]
    holds: Callable[[PolicyRequest, Shared], bool]


def _named(request: PolicyRequest, fact: str) -> frozenset[str]:
    named = request.context[fact]
    assert isinstance(named, Collection), "a fact that names some"
    return frozenset(map(str, named))


def _own_records(request: PolicyRequest) -> bool:
    return request.resource_type != "Records" or request.resource_id.rsplit("/", 1)[0] == request.principal.id


def _own_country(request: PolicyRequest) -> bool:
    return request.resource_type == "Records" or request.resource_id == request.principal.country


def _approvable(request: PolicyRequest) -> bool:
    voices = _named(request, "voices")
    return _named(request, "concerned") <= voices and bool(voices - {request.principal.country})


_PUSH = frozenset({"submit", "validate"})
_READ = frozenset({"read-flow"})
_PROPOSE, _APPROVE, _ENACT = frozenset({"propose"}), frozenset({"approve"}), frozenset({"enact"})
_GOVERN = frozenset({"narrow"}) | _PROPOSE | _APPROVE | _ENACT

INVARIANTS = (
    Invariant("own-country", _PUSH, lambda r, _: _named(r, "countries") <= {r.principal.country}),
    Invariant("own-provider", _PUSH, lambda r, _: _named(r, "providers") <= {r.principal.id}),
    Invariant("signed", _PUSH, lambda r, _: r.context["signed"] is True),
    Invariant("own-records", frozenset({"read-own", "read-records"}), lambda r, _: _own_records(r)),
    Invariant("agreement", _READ, lambda r, shared: (r.resource_id, r.principal.country) in shared),
    Invariant("no-individual-enforcement", _READ, lambda r, _: r.context["purpose"] != NEVER),
    Invariant("no-event-rows", _READ, lambda r, _: r.context["product"] not in EVENT_ROWS),
    Invariant("asylum-of-nationals", _READ, lambda r, _: r.principal.country not in _named(r, "asylum_of")),
    Invariant("own-audit", frozenset({"review-audit", "ask-policies"}), lambda r, _: _own_country(r)),
    Invariant("own-numbers", frozenset({"contest"}), lambda r, _: _own_records(r)),
    Invariant("own-country-numbers", frozenset({"contest"}), lambda r, _: _own_country(r)),
    Invariant("concerned-narrows", frozenset({"narrow"}), lambda r, _: r.principal.country in _named(r, "concerned")),
    Invariant("concerned-proposes", _PROPOSE, lambda r, _: r.principal.country in _named(r, "concerned")),
    Invariant("somebody-to-approve", _PROPOSE, lambda r, _: _approvable(r)),
    Invariant("nobody-approves-own", _APPROVE, lambda r, _: r.context["proposer"] != r.principal.id),
    Invariant("one-voice-a-government", _APPROVE, lambda r, _: r.principal.country not in _named(r, "governments")),
    Invariant("every-government-concerned", _ENACT, lambda r, _: _named(r, "concerned") <= _named(r, "governments")),
    Invariant("two-governments", _ENACT, lambda r, _: bool(_named(r, "governments") - {r.principal.country})),
)


def prove(
    rules: Rules, agreements: Sequence[Agreement], parties: Collection[str], products: Collection[str]
) -> tuple[Violation, ...]:
    """Return everything that is wrong with a proposed set, each with the request that shows it; nothing when it holds.

    (1) it compiles; (2) the floor alone holds every invariant against a permit for everything; (3) the set as
    proposed permits only what the invariants and the clauses say; (4) every clause and every act permits something.
    """
    try:  # (1)
        proposed = compile_policies(rules, tuple(agreements), parties=parties, products=products)
        pair = _pair(sorted(parties))
        worst = compile_policies(replace(rules, roles=PERMIT_ALL), (pair,), parties=parties, products=products)
    except PoliciesInvalid as error:
        return (Violation("compiles", "invalid", detail=str(error)),)
    # A floor that does not hold is answer enough.
    return tuple(_floor(worst, rules)) or tuple(_set(proposed, rules))


def _floor(worst: PolicySet, rules: Rules) -> Iterator[Violation]:
    clauses = tuple(worst.clauses.values())
    shared = {(clause.owner, clause.reader) for clause in clauses}
    asked = Asked(worst, f"{rules.floor}{clauses[0].compile()}")
    broken: dict[str, PolicyRequest] = {}
    twins: set[str] = set()
    for request in asked.permitted():
        here = [each for each in INVARIANTS if request.action in each.actions]
        wrong = [each.id for each in here if not each.holds(request, shared)]
        broken |= {name: request for name in wrong if name not in broken}
        if not wrong:
            twins |= {each.id for each in here}
    yield from (Violation(name, "overridden", request) for name, request in broken.items())
    yield from (Violation(each.id, "vacuous") for each in INVARIANTS if each.id not in twins)


def _set(proposed: PolicySet, rules: Rules) -> Iterator[Violation]:
    shared = {(clause.owner, clause.reader) for clause in proposed.clauses.values()}
    text = "".join((rules.floor, rules.roles, *(clause.compile() for clause in proposed.clauses.values())))
    broken: dict[str, PolicyRequest] = {}
    used: set[str] = set()
    for request in Asked(proposed, text).permitted():
        wrong = [each.id for each in INVARIANTS if request.action in each.actions and not each.holds(request, shared)]
        if request.action == "read-records":
            wrong.append("rows-are-nobodys")
        used.add(request.action)
        if request.action == "read-flow":
            under = {clause.policy_id for clause in proposed.clauses.values() if covers(clause, request)}
            used |= under
            wrong += [] if under else ["nothing-beyond-a-clause"]
        broken |= {name: request for name in wrong if name not in broken}
    yield from (Violation(name, "permitted", request) for name, request in broken.items())
    needed = {"submit", "validate", "read-own", "review-audit", "ask-policies", "contest", *_GOVERN, *proposed.clauses}
    yield from (Violation(name, "vacuous") for name in sorted(needed - used))


def covers(clause: Clause, request: PolicyRequest) -> bool:
    """Say, without Cedar, whether a clause permits a reading."""
    context: Any = request.context
    # In the order in which a lawyer would ask: who, whose, what, why, when.
    return (
        (request.principal.country, request.resource_id) == (clause.reader, clause.owner)
        and "reader" in request.principal.roles
        and (context["product"], context["major"]) == (clause.product, clause.major)
        and context["purpose"] in clause.purposes
        and clause.valid_from <= context["at"].date() <= clause.readable_until
    )


class Asked:
    """Every request that a set of policies could tell from others: its model, walked in full."""

    def __init__(self, policies: PolicySet, text: str) -> None:
        self._point = DecisionPoint(policies)
        self._parties = sorted(policies.parties)
        clauses = tuple(policies.clauses.values())
        named = [name for name in sorted(policies.products) if f'"{name}"' in text]
        self._products = [*named, *[name for name in sorted(policies.products) if name not in named][:1]]
        self._majors = sorted({1, *(clause.major for clause in clauses)})
        self._majors.append(self._majors[-1] + 1)
        self._purposes = sorted({NEVER, "OTHER", *(purpose for clause in clauses for purpose in clause.purposes)})
        days = {clause.valid_from for clause in clauses}
        days |= {day + timedelta(days=1) for clause in clauses for day in (clause.valid_until, clause.readable_until)}
        edges = [datetime.combine(day, time(), UTC) for day in days]
        self._instants = sorted({edge - back for edge in edges for back in (timedelta(0), MOMENT)})
        self._roles = [frozenset(some) for some in _some(PARTNER_ROLES, len(PARTNER_ROLES))]
        # Roles that no policy names are all alike.
        if not any(f'"{role}"' in text for role in PARTNER_ROLES):
            self._roles = [frozenset()]
        officers = [role for role in OFFICER_ROLES if f'"{role}"' in text]
        self._officer_roles = [frozenset(some) for some in _some(officers, len(officers))]
        self._officer_roles.append(frozenset({"a-role-of-none"}))

    def permitted(self) -> Iterator[PolicyRequest]:
        """Yield the requests that the set permits."""
        for request in self._requests():
            if self._point.weigh(request).permits:
                yield request

    def _requests(self) -> Iterator[PolicyRequest]:
        for country in self._parties:
            for roles in self._roles:
                partner = Supposed("Partner", f"{country}.ONE", country, roles)
                yield from self._of_partner(partner)
            for roles in self._officer_roles:
                officer = Supposed("Officer", f"{country}.OFFICER.ONE", country, roles)
                for owner in self._parties:
                    yield requests.review_audit(officer, country=owner)
                    yield requests.ask_policies(officer, country=owner)
                    yield requests.contest_country(officer, owner=owner)
                yield from self._of_change(officer)

    def _of_change(self, officer: Supposed) -> Iterator[PolicyRequest]:
        some = _some(self._parties, len(self._parties))
        for concerned in some:
            yield requests.narrow(officer, requests.ANY_CHANGE, concerned=concerned)
        for concerned, signed in product(some, some):
            yield requests.propose(officer, requests.ANY_CHANGE, concerned=concerned, voices=signed)
            yield requests.enact(officer, requests.ANY_CHANGE, concerned=concerned, governments=signed)
        for proposer, signed in product((officer.id, f"{officer.country}.OFFICER.TWO"), some):
            yield requests.approve(officer, requests.ANY_CHANGE, proposer=proposer, governments=signed)

    def _of_partner(self, partner: Supposed) -> Iterator[PolicyRequest]:
        other = next(name for name in self._parties if name != partner.country)
        ids = (partner.id, f"{partner.country}.TWO", f"{other}.ONE")
        countries, providers = _some(self._parties, 2), _some(ids, 2)
        for name, signed, some, who in product(self._products, (True, False), countries, providers):
            facts = {"signed": signed, "countries": frozenset(some), "providers": frozenset(who)}
            for action in sorted(_PUSH):
                yield PolicyRequest(partner, action, "Contract", f"{name}/1.0.0", facts)
        for action, owner, name in product(("read-own", "read-records", "contest"), ids, self._products):
            yield PolicyRequest(partner, action, "Records", f"{owner}/{name}", {})
        kept = ((), (partner.country,), (other,), (partner.country, other))
        for owner, name, major, purpose, at, some in product(
            self._parties, self._products, self._majors, self._purposes, self._instants, kept
        ):
            facts = {"product": name, "major": major, "purpose": purpose, "at": at, "asylum_of": frozenset(some)}
            yield PolicyRequest(partner, "read-flow", "Flow", owner, facts)


def _some(items: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """Return every choice of at most so many."""
    return [some for count in range(most + 1) for some in combinations(items, count)]


def _pair(parties: Sequence[str]) -> Agreement:
    """Return an agreement of one direction between the first two parties, so that some share and others do not."""
    text = {"en": "-", "es": "-"}
    day = {"valid_from": "2026-01-01", "valid_until": "2026-12-31"}
    first, second = parties[:2]
    clause = Clause.model_validate(
        {"id": "any", "agreement": "any", "owner": second, "reader": first, "product": "flow", "major": 1}
        | {"dimensions": (), "floor": 10, "embargo_days": 0, "purposes": ("STATISTICS",), "requests_per_hour": 1}
        | {"origin_release": False, "protected_until": day["valid_until"], "text": text, **day}
    )
    return Agreement.model_validate(
        {"id": "any", "revision": 1, "parties": (first, second), "title": text, "legal_basis": text}
        | {"suspension": text, "protection": _protected((first, second), day["valid_until"]), **day}
        | {"clauses": (clause,), "digest": ""}
    )


def _protected(parties: Iterable[str], until: str) -> tuple[dict[str, object], ...]:
    record = {"record": {"en": "-", "es": "-"}, "assessed_on": "2026-01-01", "valid_until": until}
    return tuple({"country": name, **record} for name in parties)
