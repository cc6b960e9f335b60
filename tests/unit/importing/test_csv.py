# SPDX-License-Identifier: Apache-2.0
"""CSV to records; this file is about what is written down, and what stops with row and column."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gateway.importing.csv import InputUnreadable, lines_of_csv
from tests.unit.contracting.submissions import GTM, contract, judged, line, record

CELL = record("flow", "cell")
NEW = "019aa3f1-2c00-7000-8000-000000000001"


def write(path: Path, rows: list[dict[str, object]], *, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path, product: str = "flow") -> list[bytes]:
    return list(lines_of_csv(path, contract(product), new_id=lambda: NEW))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_row_becomes_the_canonical_line_of_its_record(tmp_path: Path, encoding: str) -> None:
    """Typed by the contract, with or without the mark that Excel writes; an empty optional cell is absent."""
    lines = read(write(tmp_path / "a.csv", [{**CELL, "note": " Año ", "supersedes": ""}], encoding=encoding))

    assert lines == [line(CELL | {"note": "Año"})]
    assert judged("flow", lines, provider=GTM).refused == ()


def test_a_row_without_id_gets_a_new_one(tmp_path: Path) -> None:
    """People do not make UUIDs."""
    without = {name: value for name, value in CELL.items() if name != "record_id"}

    assert read(write(tmp_path / "a.csv", [without])) == [line(CELL | {"record_id": NEW})]


@pytest.mark.parametrize(
    ("change", "row", "column"),
    [
        ({"count": "1,234"}, 3, "count"),
        ({"count": "12.0"}, 3, "count"),
        ({"count": "007"}, 3, "count"),
        ({"sex": ""}, 3, "sex"),
        ({"note": "x" * 5000}, 3, ""),
    ],
)
def test_a_cell_that_cannot_be_read_stops_with_row_and_column(
    tmp_path: Path, change: dict[str, object], row: int, column: str
) -> None:
    """Nothing is guessed: 1,234 is not made a number."""
    good = CELL | {"note": ""}

    with pytest.raises(InputUnreadable) as stopped:
        read(write(tmp_path / "a.csv", [good, good | change]))

    assert (stopped.value.row if column else row, stopped.value.column) == (row, column)
    assert stopped.value.es


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("", "accompaniment"),
        ("record_id,colour\n", "colour"),
        ("sex,sex\n", "sex"),
        (",".join(name for name in CELL if name != "vintage") + "\n", "vintage"),
    ],
)
def test_a_header_that_is_not_the_contracts_stops(tmp_path: Path, content: str, column: str) -> None:
    """A renamed, doubled or missing column is named before any row is read."""
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")

    with pytest.raises(InputUnreadable) as stopped:
        read(tmp_path / "a.csv")

    assert (stopped.value.row, stopped.value.column) == (1, column)


def test_a_row_of_another_length_stops_and_an_empty_row_is_skipped(tmp_path: Path) -> None:
    """A shifted row would put every value under a wrong name."""
    path = write(tmp_path / "a.csv", [dict(CELL)])
    path.write_text(path.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")
    assert len(read(path)) == 1

    path.write_text(path.read_text(encoding="utf-8") + "a,b\n", encoding="utf-8")
    with pytest.raises(InputUnreadable):
        read(path)


def test_a_file_that_is_not_utf8_stops(tmp_path: Path) -> None:
    """Latin-1 read as UTF-8 would make other letters."""
    with pytest.raises(InputUnreadable, match="UTF-8"):
        read(write(tmp_path / "a.csv", [CELL | {"note": "Año"}], encoding="latin-1"))
