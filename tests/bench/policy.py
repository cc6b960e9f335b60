# SPDX-License-Identifier: Apache-2.0
"""What a decision costs; this file is about medians at 50 partners and 20 products, of decisions and explanations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle, permutations, product

from gateway.contracting.load import packaged_root
from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import DeniedByPolicy
from gateway.policy import requests
from gateway.policy.agreements import Agreement
from gateway.policy.decide import DecisionPoint
from gateway.policy.explain import Explainer
from gateway.policy.load import compile_policies, load_rules, newest_of
from gateway.trip import Partner, PolicyRequest

PARTNERS, PRODUCTS, ROUNDS = 50, 20, 4000
PARTIES = ("GTM", "MEX", "USA")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def wide(agreement: Agreement, products: list[str]) -> Agreement:
    """Return an agreement with its clauses for every product."""
    clauses = [
        clause.model_copy(update={"id": f"{clause.id}-{name}", "product": name})
        for clause, name in product(agreement.clauses, products)
    ]
    return agreement.model_copy(update={"clauses": tuple(clauses)})


def median(work: Callable[[PolicyRequest], object], asked: list[PolicyRequest]) -> float:
    """Return the median of one piece of work, in microseconds."""
    took = []
    for _, request in zip(range(ROUNDS), cycle(asked), strict=False):
        begun = time.perf_counter()
        work(request)
        took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1e6


def main() -> None:
    """Print the figures."""
    products = [f"product-{number}" for number in range(PRODUCTS)]
    agreements = tuple(wide(one, products) for one in newest_of(packaged_root(), read_yaml))
    rules = load_rules(packaged_root())[-1]
    point = DecisionPoint(compile_policies(rules, agreements, parties=PARTIES, products=products))
    roles = frozenset({"provider", "reader"})
    partners = [
        Partner(f"{country}.AGENCY{number}", country, "active", roles, ())
        for number, country in zip(range(PARTNERS), cycle(PARTIES), strict=False)
    ]
    pushes = [
        requests.push_of(one, "submit", product=name, version="1.0.0") for one, name in product(partners, products)
    ]
    pairs = [(one, owner) for one in partners for here, owner in permutations(PARTIES, 2) if one.country == here]
    reads = [
        requests.read_flow(one, owner=owner, purpose="STATISTICS", at=NOW, product=name)
        for (one, owner), name in product(pairs, products)
    ]
    strange = [requests.read_flow(one, owner=owner, purpose="TOURISM", at=NOW) for one, owner in pairs]
    explainer = Explainer(point)

    def denied(request: PolicyRequest) -> None:
        try:
            point.decide(request)
        except DeniedByPolicy:
            return
        raise AssertionError(request)

    def explained(request: PolicyRequest) -> None:
        assert explainer.explain(request, viewer=request.principal.country).missing

    print(f"{PARTNERS} partners, {PRODUCTS} products, {len(point.policies.clauses)} clauses, medians of {ROUNDS}")
    print(f"decision, submission  {median(point.decide, pushes):8.0f} us")
    print(f"decision, pull        {median(point.decide, reads):8.0f} us")
    print(f"decision, denied pull {median(denied, strange):8.0f} us")
    print(f"explanation           {median(explained, strange) / 1000:8.2f} ms")


if __name__ == "__main__":
    main()
