# SPDX-License-Identifier: Apache-2.0
"""Who may do what; this file is about the table of all principals, acts, products and listeners, and who could see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import product as times
from typing import NamedTuple

from gateway.policy import requests
from gateway.policy.agreements import PURPOSES
from gateway.policy.decide import Decisions
from gateway.trip import PolicyRequest, Supposed

HTTPS = "https"
# What stands in a column that an act does not have.
NONE = "-"


class Line(NamedTuple):
    """One thing that a principal may do on a listener, and the policies that permit it, with the purposes if any."""

    principal: str
    action: str
    product: str
    owner: str
    listener: str
    policies: tuple[str, ...]
    purposes: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the line as it is printed, and kept in the golden file of the tests."""
        listed = [",".join(self.purposes) or NONE, ",".join(self.policies) or NONE]
        return " ".join([self.principal, self.action, self.product, self.owner, self.listener, *listed])


def matrix(point: Decisions, principals: Iterable[Supposed], *, at: datetime) -> Iterator[Line]:
    """Yield every line that something permits; what is not in it is denied."""
    for principal in principals:
        if principal.kind == "Officer":
            yield from _of_officer(point, principal)
        else:
            for product in sorted(point.policies.products):
                yield from _of_partner(point, principal, product, at)


def of_operator(acts: Iterable[str]) -> Iterator[Line]:
    """Yield the acts of whoever can open the operator's socket; no policy speaks of them, so they are listed whole."""
    for act in sorted(acts):
        yield Line("operator", act, NONE, NONE, "operator-socket", ())


def could_see(lines: Iterable[Line], *, owner: str, product: str) -> list[Line]:
    """Return the lines under which something of a country's product can be read, by whoever it is."""
    reading = {"read-flow", "read-own", "read-records"}
    return [line for line in lines if line.action in reading and (line.owner, line.product) == (owner, product)]


def _of_officer(point: Decisions, officer: Supposed) -> Iterator[Line]:
    for owner in sorted(point.policies.parties):
        asked = (
            requests.review_audit(officer, country=owner),
            requests.ask_policies(officer, country=owner),
            requests.contest_country(officer, owner=owner),
            *(requests.of_change(officer, action, owner=owner) for action in requests.GOVERNING),
        )
        yield from _lines(point, asked, NONE, owner)


def _of_partner(point: Decisions, partner: Supposed, product: str, at: datetime) -> Iterator[Line]:
    pushes = [requests.push_of(partner, action, product=product, version="1.0.0") for action in ("submit", "validate")]
    own = requests.read_own(partner, product=product), requests.contest_own(partner, product=product)
    yield from _lines(point, [*pushes, *own], product, partner.country)
    majors = sorted({clause.major for clause in point.policies.clauses.values()})
    for owner in sorted(point.policies.parties):
        found: dict[str, tuple[str, ...]] = {}
        for purpose, major in times(sorted(PURPOSES), majors):
            asked = requests.read_flow(partner, owner=owner, purpose=purpose, at=at, product=product, major=major)
            weighed = point.weigh(asked)
            if weighed.permits:
                found[purpose] = (*found.get(purpose, ()), *weighed.policies)
        if found:
            ids = tuple(sorted({name for names in found.values() for name in names}))
            yield Line(partner.id, "read-flow", product, owner, HTTPS, ids, tuple(found))


def _lines(point: Decisions, asked: Iterable[PolicyRequest], product: str, owner: str) -> Iterator[Line]:
    for request in asked:
        weighed = point.weigh(request)
        if weighed.permits:
            yield Line(request.principal.id, request.action, product, owner, HTTPS, weighed.policies)
