# SPDX-License-Identifier: Apache-2.0
"""docs/PROTECTION.md; this file is about its table: every rule once, in both languages, each with tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.contracting.load import FORBIDDEN_NAMES, load_code_list, load_contracts
from gateway.policy.load import load_rules

ROOT = Path(__file__).parents[3]
RULES = [f"PP-{number:02}" for number in range(1, 21)]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
# One word of each kind that Convention 108+, article 6, names, in both languages.
SPECIAL = {
    "religion",
    "ethnic",
    "etnia",
    "politic",
    "sexual",
    "health",
    "salud",
    "biometric",
    "fingerprint",
    "criminal",
}


def table(name: str) -> list[list[str]]:
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| PP-")]


@pytest.mark.parametrize("name", ["PROTECTION.md", "PROTECTION.es.md"])
def test_every_rule_has_a_row_and_every_row_tests_that_exist(name: str) -> None:
    rows = table(name)

    assert [row[0] for row in rows] == RULES
    for row in rows:
        named = row[-1].split(", ")
        assert named, row[0]
        assert [one for one in named if not re.search(rf"^def {re.escape(one)}\(", TESTS, re.MULTILINE)] == []


def test_both_languages_name_the_same_tests() -> None:
    assert [row[-1] for row in table("PROTECTION.md")] == [row[-1] for row in table("PROTECTION.es.md")]


def test_every_rule_of_the_floor_that_is_named_exists() -> None:
    floor = load_rules(ROOT / "contracts")[-1].floor
    named = re.findall(r"`(floor#[a-z-]+)`", (ROOT / "docs" / "PROTECTION.md").read_text(encoding="utf-8"))

    assert named
    assert [one for one in named if f'@id("{one}")' not in floor] == []


def test_special_traits_are_forbidden_by_name_and_in_no_contract() -> None:
    """PP-18: a field of such a name could not be added to a contract without being refused at the door."""
    contracts = ROOT / "contracts"
    forbidden = set(load_code_list(contracts, FORBIDDEN_NAMES).codes)

    assert forbidden >= SPECIAL
    for contract in load_contracts(contracts).contracts:
        words = {word for field in contract.fields for word in field.name.split("_")}
        assert not words & forbidden
