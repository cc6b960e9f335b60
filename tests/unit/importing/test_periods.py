# SPDX-License-Identifier: Apache-2.0
"""Cutting a file; this file is about whole periods under atomic contracts, and any number under partial ones."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

from gateway.importing.periods import Part, cuts_of, part_of
from tests.unit.contracting.submissions import contract, line, numbered

CELLS = [
    line(numbered("flow", "cell", number, period=period))
    for number, period in enumerate(["2026-03", "2026-01", "2026-02", "2026-01", "2026-03", "2026-01"])
]


def parts_of(lines: list[bytes], product: str, records_max: int) -> list[Part]:
    file = io.BytesIO(b"".join(entry + b"\n" for entry in lines))
    return [part_of(file, cut) for cut in cuts_of(file, contract(product), records_max=records_max)]


def numbers(records_max: int) -> list[tuple[int, ...]]:
    parts = parts_of(CELLS, "flow", records_max)
    assert all(part.lines == tuple(CELLS[number - 1] for number in part.numbers) for part in parts)
    return [tuple(part.numbers) for part in parts]


def test_a_period_is_never_cut_in_two() -> None:
    """A table is whole or not at all; the records keep their numbers in the file."""
    assert numbers(100) == [(2, 4, 6, 3, 1, 5)]
    assert numbers(4) == [(2, 4, 6, 3), (1, 5)]
    assert numbers(3) == [(2, 4, 6), (3, 1, 5)]


def test_a_period_larger_than_the_limit_is_one_part() -> None:
    """The gateway decides whether it is too large; cutting it would be a lie."""
    assert numbers(1) == [(2, 4, 6), (3,), (1, 5)]


def test_a_partial_contract_is_cut_anywhere() -> None:
    """Every line is in exactly one part, in order."""
    events = [line(numbered("border-event", "one-adult", number)) for number in range(5)]

    parts = parts_of(events, "border-event", 2)

    assert [tuple(part.numbers) for part in parts] == [(1, 2), (3, 4), (5,)]
    assert [entry for part in parts for entry in part.lines] == events


def test_a_line_without_period_goes_along_and_is_judged_by_the_gateway() -> None:
    """A broken line must not stop the file before anybody said why."""
    parts = parts_of([*CELLS, b"rubbish"], "flow", 100)

    assert parts[0].lines[0] == b"rubbish"
    assert parts[0].numbers[0] == 7


def test_a_large_table_is_cut_without_being_in_memory(tmp_path: Path) -> None:
    """Its periods lie scattered over the file; of each line a number and a place are kept, 16 bytes."""
    path = tmp_path / "table.ndjson"
    with path.open("wb") as file:
        for number in range(20_000):
            file.write(b'{"note":"%s","period":"2024-%02d"}\n' % (b"x" * 300, number % 12 + 1))
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            cuts = cuts_of(file, contract("flow"), records_max=2_000)
            counts = [len(part_of(file, cut).lines) for cut in cuts]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sum(counts) == 20_000
    assert max(counts) <= 2_000
    assert peak < path.stat().st_size / 3


def test_an_empty_file_has_no_parts() -> None:
    """Silence is not a nil return."""
    assert parts_of([], "flow", 10) == []
