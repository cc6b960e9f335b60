# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out; this file is about any row that a contract allows being stored without a change."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.identifiers import new_id
from gateway.storage.engine import Storage
from gateway.storage.inspection import stream_records
from gateway.trip import ColumnShape, Row, Scalar, TableShape
from tests.unit.storage.samples import BORDER_EVENT, CBP, FLOW, keep

# No NUL: PostgreSQL has no text with it, and the contracts' patterns refuse control characters.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
INSTANTS = st.datetimes(datetime(2017, 1, 1), datetime(2026, 11, 24), timezones=st.just(UTC))  # noqa: DTZ001


def values(column: ColumnShape) -> st.SearchStrategy[Scalar]:
    known: dict[str, st.SearchStrategy[Scalar]] = {
        "integer": INTEGERS,
        "boolean": st.booleans(),
        "uuid": INSTANTS.map(new_id),
    }
    value = known.get(column.type, TEXTS)
    return value if column.required else st.none() | value


def rows(shape: TableShape) -> st.SearchStrategy[list[Row]]:
    fixed = {"action": st.none()}
    one = st.tuples(*(fixed.get(column.name, values(column)) for column in shape.columns))
    return st.lists(one, min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.data())
def test_a_row_comes_back_as_it_went_in(storage: Storage, data: st.DataObject) -> None:
    """The canonical line is rebuilt from the row: a change in one byte would break the leaf hash."""
    shape = data.draw(st.sampled_from([FLOW, BORDER_EVENT]))
    sent = data.draw(rows(shape))
    submission_id = new_id(datetime(2026, 11, 24, tzinfo=UTC))

    kept = keep(storage, shape, sent, partner_id=CBP, submission_id=submission_id)

    found = storage.read(lambda tx: [r.row for r in stream_records(tx, shape) if r.submission_id == submission_id])
    assert found == [sent[position] for position in kept.accepted]
    assert [list(map(type, row or ())) for row in found] == [list(map(type, sent[p])) for p in kept.accepted]
