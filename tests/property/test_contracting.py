# SPDX-License-Identifier: Apache-2.0
"""Records in any shape; this file is about round trips, and about the two looks at a line never disagreeing."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracting.rows import canonical_line, row_maker
from gateway.contracting.schema import allowed_codes
from gateway.errors import ContractViolated, ForbiddenField, WrongProvider
from tests.unit.contracting.submissions import contract, judged, line, record

EVENT = record("border-event", "one-adult")
FIELDS = {field.name: field for field in contract("border-event").fields}


def values_of(name: str) -> st.SearchStrategy[Any]:
    field = FIELDS[name]
    if field.code_list:
        code_list = contract("border-event").code_lists[field.code_list]
        return st.sampled_from(allowed_codes(field, code_list, sandbox=False))
    if field.type == "integer":
        return st.integers(field.minimum, field.maximum)
    return st.just(EVENT.get(name, EVENT["event_id"]))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def verdict(body: bytes) -> str:
    try:
        judged("border-event", [body])
    except (ContractViolated, ForbiddenField, WrongProvider) as refused:
        return refused.reason
    return "accepted"


@given(st.fixed_dictionaries({name: values_of(name) for name in FIELDS if FIELDS[name].required}), st.data())
def test_a_record_comes_back_from_its_row_byte_for_byte(needed: dict[str, Any], data: st.DataObject) -> None:
    """Only rows are stored; the line that was signed must be rebuilt from them."""
    optional = {name: values_of(name) for name in FIELDS if not FIELDS[name].required}
    whole = needed | data.draw(st.fixed_dictionaries({}, optional=optional))
    shape = contract("border-event").shape

    assert canonical_line(row_maker(shape)(whole), shape) == line(whole)


@given(st.sampled_from(sorted(FIELDS)), anything)
def test_any_value_in_any_field_is_accepted_or_refused_and_never_a_fault(name: str, value: object) -> None:
    """Whatever a sender writes, the first look and the second agree that it is wrong, or it is right."""
    try:
        body = orjson.dumps(EVENT | {name: value}, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):
        return
    assert verdict(body)


@given(st.fixed_dictionaries({}, optional={name: values_of(name) for name in FIELDS}))
def test_any_valid_values_together_are_judged_without_a_fault(changes: dict[str, Any]) -> None:
    """Rules between fields meet every combination."""
    assert verdict(line(EVENT | changes))


@given(st.binary(max_size=80))
def test_any_bytes_are_refused(body: bytes) -> None:
    """No short string of bytes is a border event."""
    assert verdict(body) != "accepted"


@given(st.integers(0, len(line(EVENT)) - 1), st.binary(min_size=0, max_size=2))
def test_a_damaged_line_is_judged_without_a_fault(position: int, patch: bytes) -> None:
    """One changed, lost or added byte anywhere."""
    whole = line(EVENT)

    assert verdict(whole[:position] + patch + whole[position + 1 :])
