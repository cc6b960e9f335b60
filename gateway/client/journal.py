# SPDX-License-Identifier: Apache-2.0
"""What a sender keeps beside its input; this file is about the folder `<input>.receipts` and the refused records.

The folder holds `journal.json`, the receipts, what was refused of each part, and, while a file is being sent, its
canonical lines: record ids are made when a CSV is converted, so a run after a crash must send the very lines of the
run before it, or records would be kept twice. Those lines go when every part is accepted, or when the gateway judged
the first part and kept nothing. Every file is renamed into place when whole.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gateway.client.failures import InputUnusable
from gateway.client.outcome import RecordCounts, RefusedLine

_VERSION: Final = 1
_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
_REASON_COLUMNS: Final = ("line", "pointer", "code", "reason")


@dataclass(frozen=True, slots=True)
class KeptPart:
    """A part that the gateway accepted: the digest of its lines, the event that says so, and what became of them."""

    digest: str
    event_id: str
    counts: RecordCounts


@dataclass(slots=True)
class Journal:
    """The state of sending one input file under one contract; `done` when every part is accepted."""

    folder: Path
    input_sha256: str
    contract: str
    done: bool = False
    parts: dict[str, KeptPart] = field(default_factory=dict)

    @property
    def lines_path(self) -> Path:
        """Return where the canonical lines of this input lie while it is being sent."""
        return self.folder / f"lines-{self.input_sha256[:16]}.ndjson"

    @property
    def counts(self) -> RecordCounts:
        """Return what became of the records of all parts so far."""
        return sum((part.counts for part in self.parts.values()), RecordCounts())

    def receipt_path(self, part: KeptPart) -> Path:
        """Return where the receipt of a part lies."""
        return self.folder / f"{part.event_id}.receipt.json"

    def refused_path(self, part: KeptPart) -> Path:
        """Return where the refused records of a part lie, if it has any, until all parts are accepted."""
        return self.folder / f"{part.event_id}.refused.ndjson"

    def save(self) -> None:
        """Write the state, durable and whole."""
        document = {
            "version": _VERSION,
            "input_sha256": self.input_sha256,
            "contract": self.contract,
            "done": self.done,
            "parts": [asdict(part) for part in self.parts.values()],
        }
        put(self.folder / "journal.json", [json.dumps(document, indent=1).encode() + b"\n"])

    def keep_lines(self, lines: Iterable[bytes]) -> Path:
        """Write the canonical lines once; an earlier run's are taken as they are."""
        if not self.lines_path.exists():
            put(self.lines_path, (line + b"\n" for line in lines))
        return self.lines_path

    def drop_lines(self) -> None:
        """Forget the canonical lines, when no later run has to send them again."""
        self.lines_path.unlink(missing_ok=True)

    def keep_part(self, part: KeptPart, receipt: Mapping[str, Any], refused: Iterable[bytes] = ()) -> None:
        """Write what came of a part: its receipt and refused records first, then that it is accepted."""
        put(self.receipt_path(part), [json.dumps(receipt, indent=1, sort_keys=True).encode() + b"\n"])
        if part.counts.refused:
            put(self.refused_path(part), refused)
        self.parts[part.digest] = part
        self.save()

    def refused(self) -> Iterator[bytes]:
        """Return the refused records of all parts."""
        for part in self.parts.values():
            if part.counts.refused:
                with self.refused_path(part).open("rb") as file:
                    yield from file

    def finish(self) -> None:
        """Record that every part is accepted, then drop the lines: their records are at the gateway now."""
        self.done = True
        self.save()
        self.drop_lines()
        for part in self.parts.values():
            self.refused_path(part).unlink(missing_ok=True)


def open_journal(path: Path, contract: str) -> Journal:
    """Return the journal of an input file, taking up an earlier run with the same content and contract."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    journal = Journal(path.with_name(path.name + ".receipts"), digest, contract)
    try:
        state = json.loads((journal.folder / "journal.json").read_bytes())
    except (OSError, ValueError):
        return journal
    if [state.get(name) for name in ("version", "input_sha256", "contract")] == [_VERSION, digest, contract]:
        parts = (KeptPart(**{**part, "counts": RecordCounts(**part["counts"])}) for part in state["parts"])
        journal.done, journal.parts = state["done"], {part.digest: part for part in parts}
    return journal


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep a file or folder to this process until the block, or the process, ends; InputUnusable if that cannot be.

    Two that convert the same CSV at once would make two sets of record ids.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputUnusable(f"{path}: {error.strerror}") from error
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def refused_rows(lines: Sequence[bytes], numbers: Sequence[int], refused: Iterable[RefusedLine]) -> Iterator[bytes]:
    """Return refused records as they were sent, each with its line of the input and the reason, as NDJSON."""
    for entry in refused:
        known = 0 < entry.line <= len(lines)
        try:
            record = json.loads(lines[entry.line - 1]) if known else {}
        except ValueError:
            record = {}
        entry = replace(entry, line=numbers[entry.line - 1] if known else entry.line)  # noqa: PLW2901
        reasons = dict(zip(_REASON_COLUMNS, (entry.line, entry.pointer, entry.code, entry.detail), strict=True))
        whole = record if isinstance(record, dict) else {"": record}
        yield json.dumps({**reasons, "record": whole}, ensure_ascii=False).encode() + b"\n"


def write_refused(path: Path, rows: Iterable[bytes]) -> Path | None:
    """Write the refused records beside the input: NDJSON, and the same columns as CSV with reasons added.

    Without refused records the files of an earlier run are removed, for they would tell of errors that are mended.
    """
    ndjson, table = path.with_name(path.name + ".refused.ndjson"), path.with_name(path.name + ".refused.csv")
    put(ndjson, rows)
    if not ndjson.stat().st_size:
        ndjson.unlink()
        table.unlink(missing_ok=True)
        return None
    put(table, _table_of(ndjson))
    return ndjson


def put(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all, in a folder that need not be there: a crash leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as out:
            out.writelines(chunks)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except BaseException:
        # Half a file is of no use to the next run, which overwrites what a crash left all the same.
        partial.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename alone may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        text = f"{path}: another process is at it", f"{path}: otro proceso lo está usando"
        raise InputUnusable(*text) from error


class _Row:
    """What `csv.writer` writes into, to get each row as a text."""

    def write(self, text: str) -> str:
        return text


def _table_of(ndjson: Path) -> Iterator[bytes]:
    names = sorted({name for row in _documents(ndjson) for name in row["record"]})
    writer = csv.writer(_Row())
    yield str(writer.writerow(map(_cell, [*_REASON_COLUMNS, *names]))).encode()
    for row in _documents(ndjson):
        cells = [*map(row.get, _REASON_COLUMNS), *map(row["record"].get, names)]
        yield str(writer.writerow(map(_cell, cells))).encode()


def _documents(ndjson: Path) -> Iterator[dict[str, Any]]:
    with ndjson.open("rb") as file:
        yield from map(json.loads, file)


def _cell(value: object) -> object:
    # A spreadsheet runs a text that begins like a formula, and the sender opens this file in one. Names of fields,
    # reasons and pointers are others' words as much as values are; only a number is left as it is.
    if value is None or type(value) is int:
        return "" if value is None else value
    text = str(value)
    return f"'{text}" if text.lstrip(" ")[:1] in _FORMULA else text
