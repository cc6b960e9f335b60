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


def medians(work: Callable[[PolicyRequest], object], asked: list[PolicyRequest]) -> str:
    """Return the median of one piece of work, in microseconds, over questions asked for the first time and again."""
    first, again = [], []
    for turn in range(1 + max(1, ROUNDS // len(asked))):
        for request in asked:
            begun = time.perf_counter()
            work(request)
            (again if turn else first).append((time.perf_counter() - begun) * 1e6)
    return f"{statistics.median(first):8.0f} us first, {statistics.median(again):6.0f} us again"


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

    print(f"{PARTNERS} partners, {PRODUCTS} products, {len(point.policies.clauses)} clauses, medians")
    print(f"decision, submission  {medians(point.decide, pushes)}")
    print(f"decision, pull        {medians(point.decide, reads)}")
    print(f"decision, denied pull {medians(denied, strange)}")
    print(f"explanation           {medians(explained, strange)}")


if __name__ == "__main__":
    main()
