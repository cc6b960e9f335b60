# SPDX-License-Identifier: Apache-2.0
"""The examples that integrators get; this file is about each passing or failing as it says."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from gateway.errors import ContractViolated, ForbiddenField
from tests.unit.contracting.submissions import contract, examples, judged

PRODUCTS = ("flow", "border-event")
VALID = [(product, name) for product in PRODUCTS for name in examples(product, "valid")]
INVALID = [(product, name) for product in PRODUCTS for name in examples(product, "invalid")]


def as_sent(record: dict[str, Any]) -> bytes:
    """Write a record as an integrator's own serializer would: sorted and tight, but with whatever types it has."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(("product", "name"), VALID)
def test_a_valid_example_is_accepted(product: str, name: str) -> None:
    """What the contract shows as right must be right."""
    example = examples(product, "valid")[name]
    record = example["record"]

    submission = judged(
        product, [as_sent(record)], provider=record["provider"], at=datetime.fromisoformat(example["at"])
    )

    assert [chunk.lines for chunk in submission.records] == [[1]]


@pytest.mark.parametrize(("product", "name"), INVALID)
def test_an_invalid_example_is_refused_with_its_pointer_and_code(product: str, name: str) -> None:
    """An integrator sees in advance what the gateway will say, and where."""
    example = examples(product, "invalid")[name]
    record, at = example["record"], datetime.fromisoformat(example["at"])

    with pytest.raises((ContractViolated, ForbiddenField)) as refused:
        judged(product, [as_sent(record)], provider=record["provider"], at=at)

    if isinstance(refused.value, ForbiddenField):
        assert example["code"] == "forbidden-field"
        assert refused.value.facts["pointer"] == example["pointer"]
    else:
        first = refused.value.extra["errors"][0]
        assert (first["pointer"], first["code"]) == (example["pointer"], example["code"])
        assert first["detail"]["en"] != first["detail"]["es"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_rule_about_one_record_has_an_invalid_example(product: str) -> None:
    """A rule that nothing breaks may be a rule that never runs; own-country is refused as wrong-provider before."""
    shown = {example["code"] for example in examples(product, "invalid").values()}
    across = {"unique", "total_not_below_part", "control_total"}
    rules = {
        f"rule:{rule.id}"
        for rule in contract(product).rules
        if rule.severity == "error" and rule.kind not in across and rule.id != "own-country"
    }

    assert rules <= shown
