# SPDX-License-Identifier: Apache-2.0
"""Rules that need more than one record; this file is about cells that stand twice, and parts and totals."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ContractViolated
from tests.unit.contracting.submissions import GTM, judged, line, numbered


def cell(number: int, **changes: object) -> dict[str, Any]:
    return numbered("flow", "cell", number, **changes)


def codes(*cells: dict[str, Any]) -> list[tuple[int, str]]:
    with pytest.raises(ContractViolated) as refused:
        judged("flow", [line(entry) for entry in cells], provider=GTM)
    return [(error["line"], error["code"]) for error in refused.value.extra["errors"]]


def flags(*cells: dict[str, Any]) -> dict[str, int]:
    return dict(judged("flow", [line(entry) for entry in cells], provider=GTM).flags)


def test_a_cell_stands_once_in_a_submission() -> None:
    """Two values of one cell under two ids would both be live."""
    assert codes(cell(1), cell(2, count=7)) == [(2, "rule:cell-once")]
    assert flags(cell(1), cell(2, sex="M")) == {}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_part_above_its_total_is_refused_in_either_order(order: tuple[int, int]) -> None:
    """The total may come before or after its parts."""
    cells = {1: cell(1, sex="_T", count=500), 2: cell(2, sex="F", count=501)}

    found = codes(*(cells[number] for number in order))

    assert found == [(order.index(2) + 1, "rule:part-not-above-total")]


def test_a_part_equal_to_its_total_is_accepted() -> None:
    """Just inside the bound; the other sex is simply not there."""
    assert flags(cell(1, sex="_T", count=501), cell(2, sex="F", count=501)) == {}


def test_values_of_another_vintage_or_definition_are_no_parts() -> None:
    """A later release may be higher than an earlier total of another cell."""
    other = "urn:mig:def:rollup.border-event:1"

    assert flags(cell(1, sex="_T", count=5), cell(2, vintage="2026-11-16")) == {}
    assert flags(cell(1, sex="_T", count=5), cell(2, definition_id=other)) == {}


def test_parts_that_do_not_make_their_total_are_flagged() -> None:
    """A soft rule: agencies publish such tables, and their readers should know."""
    parts = [cell(2, sex="F", count=300), cell(3, sex="M", count=200)]

    assert flags(cell(1, sex="_T", count=500), *parts) == {}
    assert flags(cell(1, sex="_T", count=501), *parts) == {"rule:parts-make-total": 1}


def test_rounding_of_the_source_explains_a_difference_as_far_as_it_can() -> None:
    """Three rounded numbers may be off by half the base each: 15 for base 10, and not 20."""

    def rounded(total: int) -> dict[str, int]:
        parts = [cell(2, sex="F", count=300, rounding_base=10), cell(3, sex="M", count=200, rounding_base=10)]
        return flags(cell(1, sex="_T", count=total, rounding_base=10), *parts)

    assert rounded(510) == {}
    assert rounded(520) == {"rule:parts-make-total": 1}


def test_a_suppressed_part_says_nothing_about_its_total() -> None:
    """It has no count to compare."""
    hidden = cell(2, sex="F", status="Q", confidentiality="A")
    del hidden["count"]

    assert flags(cell(1, sex="_T", count=5), hidden) == {}
