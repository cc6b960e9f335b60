# SPDX-License-Identifier: Apache-2.0
"""Complementary suppression; this file is about what a reader could compute, and about withholding enough and no more.

The judge of these tests is no code of ours: whatever is determined in the solution space of all tables that agree
with what is shown has the same value in two of them that were made to differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.aggregates.suppress import Number, complements, disjoint, within

CODES = {"citizenship": ("GTM", "HND", "SLV"), "sex": ("F", "M")}


def number(name: str, value: int | None, *, free: bool = False, fresh: bool = True, **codes: str) -> Number:
    whole = {"citizenship": "_T", "sex": "_T", "age_group": "_T", "accompaniment": "_T"}
    return Number(name, whole | codes, value, fresh, free)


def column(**values: int) -> list[Number]:
    """A total and its parts by citizenship."""
    parts = [number(name, value, citizenship=name) for name, value in values.items()]
    return [number("total", sum(values.values())), *parts]


def withheld(state: Sequence[Number], *hidden: str, floor: int = 10) -> set[str]:
    return complements([state], hidden=set(hidden), protected=set(hidden), floor=floor)


def test_one_hidden_part_takes_the_next_smallest_with_it() -> None:
    assert withheld(column(GTM=3, HND=400, SLV=50), "GTM") == {"SLV"}


def test_two_hidden_parts_that_are_small_together_take_a_third() -> None:
    assert withheld(column(GTM=3, HND=400, SLV=5), "GTM", "SLV") == {"HND"}
    assert withheld(column(GTM=3, HND=400, SLV=7), "GTM", "SLV") == set()


def test_without_a_total_nothing_can_be_subtracted() -> None:
    assert withheld(column(GTM=3, HND=400, SLV=50)[1:], "GTM") == set()


def test_parts_that_fall_far_short_of_their_total_determine_nothing() -> None:
    state = [number("total", 1000), number("GTM", 3, citizenship="GTM"), number("HND", 400, citizenship="HND")]

    assert withheld(state, "GTM") == set()


def test_what_is_public_at_its_source_is_withheld_last() -> None:
    state = [number("total", 453, free=True), number("GTM", 3, citizenship="GTM")]
    state += [number("SLV", 50, free=True, citizenship="SLV"), number("HND", 400, citizenship="HND")]

    assert withheld(state, "GTM") == {"HND"}


def test_two_breakdowns_of_one_month_are_subtracted_from_each_other() -> None:
    """No total was sent; the other breakdown gives it away (nationalities here, sexes there)."""
    state = [*column(GTM=3, HND=400, SLV=50)[1:], number("F", 200, sex="F"), number("M", 253, sex="M")]

    assert withheld(state, "GTM") == {"SLV"}


def test_minors_hide_in_ragged_tables() -> None:
    """Adults as one, minors by company: no code is a total of the other two, and still they add up."""
    adults = number("adults", 900, age_group="Y_GE18")
    minors = [number(c, v, age_group="Y_LT18", accompaniment=c) for c, v in (("AM", 60), ("UM", 12))]

    assert withheld([number("total", 972), adults, *minors], "UM") == {"AM"}


def test_a_zero_that_was_not_sent_is_a_zero() -> None:
    """Men only: what is left of the nationality's total is no woman, and the reader knows it."""
    state = [number("GTM", 3, citizenship="GTM"), number("GTM/M", 3, citizenship="GTM", sex="M")]

    assert withheld([*state, number("HND", 9, citizenship="HND", sex="F")], "GTM/M", floor=1) == {"GTM"}


def test_an_age_group_is_made_of_the_two_below_it() -> None:
    ages = [("Y_LT18", 75), ("Y_LT12", 15), ("Y12T17", 60)]

    assert withheld([number(code, value, age_group=code) for code, value in ages], "Y_LT12") == {"Y12T17"}


def test_places_of_different_schemes_are_breakdowns_of_their_own() -> None:
    state = [number("total", 100), number("a", 3, **{"place X": "A"}), number("b", 97, **{"place X": "B"})]
    state += [number("c", 40, **{"place Y": "C"}), number("d", 60, **{"place Y": "D"})]

    assert withheld(state, "a") == {"b"}


def test_a_later_vintage_does_not_give_away_an_earlier_one() -> None:
    """The complement is revised: shown, it would let the total of the new vintage be reduced to what is hidden."""
    old = column(GTM=3, HND=400, SLV=50)
    first = withheld(old, "GTM")
    revised = number("SLV2", 51, citizenship="SLV")
    new = [number("total2", 454), *(one for one in old if one.id in {"GTM", "HND"}), revised]
    stale = [Number(n.id, n.codes, n.value, fresh=n.id.endswith("2"), free=n.free) for n in [*old, *new]]
    states = [[n for n in stale if n.id in {o.id for o in state}] for state in (old, new)]

    more = complements(states, hidden={"GTM", *first}, protected={"GTM"}, floor=10)

    assert first == {"SLV"}
    assert more == {"SLV2"}


def test_boxes_know_what_they_share() -> None:
    girls = {"citizenship": "_T", "sex": "F", "age_group": "Y_LT12"}
    minors = {"citizenship": "_T", "sex": "_T", "age_group": "Y_LT18"}

    assert within(girls, minors)
    assert not within(minors, girls)
    assert not within(girls, girls)
    assert not disjoint(girls, minors)
    assert disjoint(girls, minors | {"age_group": "Y_GE18"})


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Number], set[str]]:
    """A two-way table with all its margins, or some, and some parts that must not be known."""
    inner = {at: draw(st.integers(0, 60)) for at in product(*CODES.values())}
    state = []
    for at in product(*((*codes, "_T") for codes in CODES.values())):
        value = sum(v for cell, v in inner.items() if all(w in {c, "_T"} for c, w in zip(cell, at, strict=True)))
        kept = "_T" not in at or draw(st.booleans())
        if kept:
            state.append(number("/".join(at), value, citizenship=at[0], sex=at[1]))
    hidden = {one.id for one in state if one.value is not None and one.value < 10}
    return state, hidden


def another_table(state: Sequence[Number], unknown: set[str], of: str) -> bool:
    """Say whether some other table agrees with all that is shown and gives another number to `of`.

    The differences of two such tables are what moves along rectangles and rows that no shown margin holds: a
    difference exists exactly when the linear system has more than one solution, which is searched here by brute force
    over the differences -1, 0 and 1 of the inner cells.
    """
    places = list(product(*CODES.values()))
    boxes: Mapping[str, tuple[str, str]] = {one.id: (one.codes["citizenship"], one.codes["sex"]) for one in state}
    for moved in product((-1, 0, 1), repeat=len(places)):
        change = {
            name: sum(
                m for m, p in zip(moved, places, strict=True) if all(w in {c, "_T"} for c, w in zip(p, at, strict=True))
            )
            for name, at in boxes.items()
        }
        if change[of] and not any(change[name] for name in boxes if name not in unknown):
            return True
    return False


@settings(max_examples=60, deadline=None)
@given(tables())
def test_what_is_protected_can_never_be_computed(table: tuple[list[Number], set[str]]) -> None:
    state, hidden = table

    unknown = hidden | withheld(state, *hidden)

    assert all(another_table(state, unknown, name) for name in hidden)
