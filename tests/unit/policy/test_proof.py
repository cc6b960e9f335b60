# SPDX-License-Identifier: Apache-2.0
"""The proof; this file is about what it finds: a missing rule, a hole beside the floor, an empty truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cedarpy
import pytest

from gateway.contracting.load import load_contracts
from gateway.contracting.strict_yaml import read_yaml
from gateway.policy.agreements import Agreement, load_agreements
from gateway.policy.decide import DecisionPoint
from gateway.policy.load import Rules, compile_policies, load_rules, text_of
from gateway.policy.proof import EVENT_ROWS, INVARIANTS, Asked, prove

ROOT = Path(__file__).parents[3] / "contracts"
PARTIES = ("GTM", "MEX", "USA")
TWO = PARTIES[:2]
PRODUCTS = ("flow", "border-event")
RULES = load_rules(ROOT)[-1]
AGREEMENTS = load_agreements(ROOT / "agreements", read_yaml)
FLOOR = {
    policy["annotations"]["id"]: json.dumps(policy)
    for policy in json.loads(cedarpy.policies_to_json_str(RULES.floor))["staticPolicies"].values()
}
ANYTHING = '@id("x") permit (principal is Partner, action == Action::"read-flow", resource);'


def of_two(**changes: object) -> Agreement:
    one = next(item for item in AGREEMENTS if set(item.parties) == set(TWO))
    return one.model_copy(update={"clauses": tuple(each.model_copy(update=changes) for each in one.clauses)})


def found(rules: Rules = RULES, *agreements: Agreement) -> set[tuple[str, str]]:
    return {(each.invariant, each.what) for each in prove(rules, agreements, TWO, PRODUCTS)}


def test_what_stands_in_the_contracts_folder_is_proven() -> None:
    assert prove(RULES, AGREEMENTS, PARTIES, PRODUCTS) == ()


def test_every_rule_of_the_floor_is_an_invariant() -> None:
    assert set(FLOOR) == {f"floor#{each.id}" for each in INVARIANTS}


@pytest.mark.parametrize("missing", sorted(FLOOR))
def test_without_any_one_rule_of_the_floor_an_agreement_could_override_it(missing: str) -> None:
    """The proof names the rule and shows a request; a rule whose absence nobody notices would be no protection."""
    kept = [json.loads(policy) for name, policy in FLOOR.items() if name != missing]
    text = cedarpy.policies_from_json_str(
        json.dumps({"staticPolicies": {f"p{n}": p for n, p in enumerate(kept)}, "templates": {}, "templateLinks": []})
    )

    violations = prove(replace(RULES, floor=text), (), TWO, PRODUCTS)

    name = missing.removeprefix("floor#")
    assert [(each.invariant, each.what) for each in violations if each.what == "overridden"] == [(name, "overridden")]
    broken = next(each for each in INVARIANTS if each.id == name)
    shown = violations[0].request
    assert shown is not None
    assert not broken.holds(shown, {("MEX", "GTM")})


def test_a_floor_that_forbids_everything_proves_nothing() -> None:
    assert {(each.id, "vacuous") for each in INVARIANTS} <= found(
        replace(RULES, floor='@id("floor#all") forbid (principal, action, resource);')
    )


def test_a_role_that_reads_beyond_a_clause_is_shown() -> None:
    assert found(replace(RULES, roles=RULES.roles + ANYTHING), of_two()) == {("nothing-beyond-a-clause", "permitted")}


def test_a_role_that_serves_rows_is_shown() -> None:
    role = '@id("x") permit (principal is Partner, action == Action::"read-records", resource);'

    assert found(replace(RULES, roles=RULES.roles + role), of_two()) == {("rows-are-nobodys", "permitted")}


def test_an_agreement_about_event_rows_permits_nothing_and_is_shown() -> None:
    one = of_two(product="border-event")

    assert found(RULES, one) == {(clause.policy_id, "vacuous") for clause in one.clauses}


def test_a_set_that_does_not_compile_is_no_proof() -> None:
    assert found(replace(RULES, roles="permit (principal, action, resource);")) == {("compiles", "invalid")}


def test_every_product_about_single_acts_is_forbidden_by_name() -> None:
    """A new one has a day on which its rows are deleted; it belongs into the floor before it has a table."""
    about_acts = {each.ref.product for each in load_contracts(ROOT).contracts if each.shape.retention_column}

    assert about_acts == EVENT_ROWS
    assert all(f'"{product}"' in RULES.floor for product in about_acts)


def test_what_is_left_out_of_a_decision_would_not_have_changed_it() -> None:
    """The decision point leaves out the permits of other clauses; the whole set says the same, with the same ids."""
    policies = compile_policies(RULES, AGREEMENTS, parties=PARTIES, products=PRODUCTS)
    point = DecisionPoint(policies)
    requests = list(Asked(policies, text_of(policies.rules, policies.clauses.values()))._requests())

    permitted = 0
    for request in requests[::7]:
        whole = point._ask(request, policies.parsed)
        names = whole.diagnostics.id_annotations_by_reason
        ids = tuple(sorted(names[reason] for reason in whole.diagnostics.reasons))
        assert point.weigh(request) == (whole.allowed, ids)
        permitted += whole.allowed
    assert permitted > 20
