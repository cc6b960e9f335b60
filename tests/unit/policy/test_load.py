# SPDX-License-Identifier: Apache-2.0
"""Policies before they are in force; this file is about what is refused at load, and what a digest covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.contracting.strict_yaml import read_yaml
from gateway.policy.agreements import AgreementInvalid, clauses_for, load_agreement, load_agreements
from gateway.policy.load import PoliciesInvalid, Rules, compile_policies, load_policies, load_rules

ROOT = Path(__file__).parents[3] / "contracts"
PARTIES = ("GTM", "MEX", "USA")
PRODUCTS = ("flow", "border-event")


@pytest.fixture
def rules() -> Rules:
    return load_rules(ROOT)[-1]


@pytest.mark.parametrize(
    "policy",
    [
        '@id("x") permit (principal == Partner::"CAN.CBSA", action, resource);',
        '@id("x") permit (principal, action == Action::"read-flow", resource == Flow::"CAN");',
        '@id("x") permit (principal is Partner, action, resource) when { principal.country == Country::"CAN" };',
        '@id("x") permit (principal is Officer, action, resource) when { [Country::"CAN"] == [principal.country] };',
        '@id("x") permit (principal is Partner, action, resource) when { principal.mood == "good" };',
        '@id("x") permit (principal, action == Action::"rule-the-world", resource);',
        '@id("x") permit (principal, action == Action::"submit", resource) when { context.signed == "yes" };',
        "permit (principal, action, resource);",
        '@id("floor#signed") permit (principal, action, resource);',
        '@id("x") permit (principal == ?principal, action, resource);',
        '@id("x") permit (principal, action, resource)',
    ],
)
def test_a_policy_that_names_what_nobody_knows_is_refused_at_load(rules: Rules, policy: str) -> None:
    """Entities, attributes, actions, types, ids, templates, syntax: each would be a hole or a surprise."""
    with pytest.raises(PoliciesInvalid):
        compile_policies(replace(rules, roles=policy), (), parties=PARTIES, products=PRODUCTS)


@pytest.mark.parametrize("floor", ["", '@id("x") permit (principal, action, resource);', "forbid"])
def test_a_floor_that_does_not_only_forbid_is_refused(rules: Rules, floor: str) -> None:
    with pytest.raises(PoliciesInvalid):
        compile_policies(replace(rules, floor=floor), (), parties=PARTIES, products=PRODUCTS)


def test_rules_that_one_party_did_not_sign_are_not_in_force(rules: Rules) -> None:
    with pytest.raises(PoliciesInvalid, match="USA"):
        load_policies(ROOT, parties=PARTIES, products=PRODUCTS, approved={rules.digest: ("GTM", "MEX")}, read=read_yaml)


def test_the_digest_changes_with_every_part(rules: Rules) -> None:
    agreements = load_agreements(ROOT / "agreements", read_yaml)
    digests = {
        compile_policies(rules, agreements, parties=PARTIES, products=PRODUCTS).digest,
        compile_policies(rules, agreements[:2], parties=PARTIES, products=PRODUCTS).digest,
        compile_policies(replace(rules, digest="0" * 64), agreements, parties=PARTIES, products=PRODUCTS).digest,
    }

    assert len(digests) == 3


def test_every_pair_of_countries_has_one_agreement_and_both_directions() -> None:
    agreements = load_agreements(ROOT / "agreements", read_yaml)

    assert {item.parties for item in agreements} == {("GTM", "MEX"), ("GTM", "USA"), ("MEX", "USA")}
    for item in agreements:
        assert item.id == "-".join(party.lower() for party in item.parties)
        for reader, owner in (item.parties, item.parties[::-1]):
            assert len(clauses_for(agreements, reader=reader, owner=owner, product="flow")) == 1


Change = Callable[[dict[str, Any]], None]


def clause(name: str, value: object) -> Change:
    return lambda content: content["clauses"][0].__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("legal_basis"),
        lambda content: content.__setitem__("mood", "good"),
        lambda content: content.__setitem__("parties", ["USA", "MEX"]),
        lambda content: content.__setitem__("parties", ["MEX", "MEX"]),
        lambda content: content.__setitem__("valid_until", "2024-02-29"),
        lambda content: content.__setitem__("valid_from", "soon"),
        lambda content: content.__setitem__("clauses", []),
        lambda content: content.__setitem__("revision", 2),
        lambda content: content.__setitem__("title", {"en": "only"}),
        clause("owner", "GTM"),
        clause("owner", "USA"),
        clause("floor", 9),
        clause("floor", True),
        clause("purposes", []),
        clause("purposes", ["IMMIGRATION_ENFORCEMENT_INDIVIDUAL"]),
        clause("origin_release", "yes"),
        clause("origin_release", True),
        clause("protected_until", "2029-02-28"),
        lambda content: content.pop("protection"),
        lambda content: content["protection"].reverse(),
        lambda content: content["protection"][0].pop("record"),
        clause("dimensions", ['citizenship" || true']),
        clause("product", 'flow" || true'),
        clause("embargo_days", -1),
    ],
)
def test_an_agreement_out_of_form_is_refused(change: Change) -> None:
    """What cannot be read in one way only is not signed, and nothing in it can become Cedar of its own."""
    path = ROOT / "agreements" / "mex-usa" / "1.yaml"
    content = read_yaml(path)
    change(content)

    with pytest.raises(AgreementInvalid):
        load_agreement(path, lambda _: content)


def test_comments_do_not_change_what_was_signed(tmp_path: Path) -> None:
    original = ROOT / "agreements" / "mex-usa" / "1.yaml"
    copy = tmp_path / "mex-usa" / "1.yaml"
    copy.parent.mkdir()
    copy.write_text("# another comment\n" + original.read_text("utf-8"), "utf-8")

    assert load_agreement(copy, read_yaml).digest == load_agreement(original, read_yaml).digest
