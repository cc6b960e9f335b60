# SPDX-License-Identifier: Apache-2.0
"""What a sender keeps; this file is about taking up where a crash left off, and refused records on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client.failures import InputUnusable
from gateway.client.journal import KeptPart, held, open_journal, put, refused_rows, write_refused
from gateway.client.outcome import RecordCounts, RefusedLine

LINES = [b'{"id":"1"}', b'{"id":"2"}']


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    path.write_text("id\n1\n2\n")
    return path


def test_lines_are_made_once_and_taken_up_again(source: Path) -> None:
    """Ids are random: a second conversion would be other records, and all of them would be kept twice."""
    first = open_journal(source, "flow/1.0.0").keep_lines(LINES)

    again = open_journal(source, "flow/1.0.0").keep_lines([b"other"])

    assert again == first
    assert again.read_bytes() == b'{"id":"1"}\n{"id":"2"}\n'


def test_a_conversion_that_broke_off_leaves_no_lines(source: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield LINES[0]
        raise OSError("disk full")

    journal = open_journal(source, "flow/1.0.0")
    with pytest.raises(OSError, match="full"):
        journal.keep_lines(broken())

    assert list(journal.folder.iterdir()) == []
    assert journal.keep_lines(LINES).read_bytes().count(b"\n") == 2


def test_other_content_has_other_lines(source: Path) -> None:
    first = open_journal(source, "flow/1.0.0").keep_lines(LINES)
    source.write_text("id\n3\n")

    assert open_journal(source, "flow/1.0.0").keep_lines([b"new"]) != first


def test_a_finished_journal_says_so_for_the_same_content_and_contract_only(source: Path) -> None:
    journal = open_journal(source, "flow/1.0.0")
    journal.keep_lines(LINES)
    part = KeptPart("d1", "e1", RecordCounts(2, 2, 0, 0))
    journal.keep_part(part, {"proof": "x"})
    assert not open_journal(source, "flow/1.0.0").done
    journal.finish()

    taken_up = open_journal(source, "flow/1.0.0")
    assert (taken_up.done, taken_up.parts, taken_up.counts) == (True, {"d1": part}, part.counts)
    assert json.loads(taken_up.receipt_path(part).read_bytes()) == {"proof": "x"}
    assert not journal.lines_path.exists()
    assert not open_journal(source, "flow/1.1.0").done
    source.write_text("id\n3\n")
    assert not open_journal(source, "flow/1.0.0").done


def test_a_damaged_journal_counts_as_none(source: Path) -> None:
    journal = open_journal(source, "flow/1.0.0")
    journal.save()
    (journal.folder / "journal.json").write_text("{")

    assert not open_journal(source, "flow/1.0.0").done


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    put(path, [b"old"])

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        put(path, broken())

    assert path.read_bytes() == b"old"


def test_refused_records_are_written_with_their_reasons(source: Path) -> None:
    line = b'{"id":"2","count":9,"note":"=1+1"}'

    path = write_refused(source, refused_rows([line], [7], [RefusedLine(1, "/count", "range", "Too large.")]))

    assert path is not None
    assert json.loads(path.read_text()) == {
        "line": 7, "pointer": "/count", "code": "range", "reason": "Too large.",
        "record": {"id": "2", "count": 9, "note": "=1+1"},
    }  # fmt: skip
    with source.with_name("events.csv.refused.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"line": "7", "pointer": "/count", "code": "range", "reason": "Too large.", "count": "9", "id": "2",
             "note": "'=1+1"}
        ]  # fmt: skip


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝"])
def test_no_cell_of_the_refused_records_is_a_formula(source: Path, start: str) -> None:
    """Field names come from the input, reasons and pointers from the gateway: each may begin like a formula."""
    evil = f"{start}cmd"
    record = json.dumps({evil: evil, "z": [evil], "count": -5}).encode()
    write_refused(source, refused_rows([record], [1], [RefusedLine(1, evil, evil, evil)]))

    with source.with_name("events.csv.refused.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]

    assert cells.count(f"'{evil}") == 5
    assert [cell for cell in cells if cell.lstrip(" ")[:1] in {"=", "+", "@", "\t", "\r", "\n", "＝"}] == []
    assert "-5" in cells


def test_a_refusal_of_no_line_of_the_part_has_no_record(source: Path) -> None:
    """A list of errors is not signed with the lines; a number out of range must not show another's record."""
    rows = list(refused_rows(LINES, [5, 6], [RefusedLine(0, "", "type", ""), RefusedLine(3, "", "type", "")]))

    assert [json.loads(row)["record"] for row in rows] == [{}, {}]


def test_a_file_is_held_by_one_process_at_a_time(source: Path) -> None:
    """Two that convert one CSV at once would make two sets of record ids, and both would be kept."""
    with held(source), pytest.raises(InputUnusable), held(source):
        pass
    with held(source):
        pass


def test_mended_input_leaves_no_old_complaints(source: Path) -> None:
    write_refused(source, refused_rows([b"{}"], [1], [RefusedLine(1, "", "type", "")]))

    assert write_refused(source, []) is None
    assert not source.with_name("events.csv.refused.csv").exists()
