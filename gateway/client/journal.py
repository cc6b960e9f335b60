# SPDX-License-Identifier: Apache-2.0
"""What a sender keeps beside its input; this file is about the folder `<input>.receipts` and the refused records.

The folder holds `journal.json`, the receipts, and, while a CSV is being sent, its canonical lines: record ids are
made when a CSV is converted, so a run after a crash must send the very lines of the run before it, or records
would be kept twice. Those lines go when every part is accepted, or when the gateway judged the first part and kept
nothing. Every file is renamed into place when whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.client.outcome import RecordCounts, RefusedLine

_VERSION: Final = 1
_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
_REASON_COLUMNS: Final = ("line", "pointer", "code", "reason")


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refused record as it was sent, with the line of the input and the reason."""

    refused: RefusedLine
    record: Mapping[str, Any]

    @property
    def reasons(self) -> tuple[object, ...]:
        """Return the values of the reason columns."""
        return self.refused.line, self.refused.pointer, self.refused.code, self.refused.detail


@dataclass(slots=True)
class Journal:
    """The state of sending one input file under one contract; `counts` are there when every part is accepted."""

    folder: Path
    input_sha256: str
    contract: str
    counts: RecordCounts | None = None
    receipts: list[str] = field(default_factory=list)

    @property
    def lines_path(self) -> Path:
        """Return where the canonical lines of this input lie while it is being sent."""
        return self.folder / f"lines-{self.input_sha256[:16]}.ndjson"

    def save(self) -> None:
        """Write the state, durable and whole."""
        document = {
            "version": _VERSION,
            "input_sha256": self.input_sha256,
            "contract": self.contract,
            "counts": self.counts and asdict(self.counts),
            "receipts": self.receipts,
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

    def keep_receipt(self, receipt: Mapping[str, Any], event_id: str) -> Path:
        """Write a receipt under its event id."""
        path = self.folder / f"{event_id}.receipt.json"
        put(path, [json.dumps(receipt, indent=1, sort_keys=True).encode() + b"\n"])
        if path.name not in self.receipts:
            self.receipts.append(path.name)
        self.save()
        return path

    def finish(self, counts: RecordCounts) -> None:
        """Record that every part is accepted, then drop the lines: their records are at the gateway now."""
        self.counts = counts
        self.save()
        self.drop_lines()


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
        journal.counts = RecordCounts(**state["counts"]) if state["counts"] else None
        journal.receipts = state["receipts"]
    return journal


def write_refused(path: Path, rows: Sequence[RefusedRow]) -> Path | None:
    """Write the refused records beside the input: NDJSON, and the same columns as CSV with reasons added.

    Without refused records the files of an earlier run are removed, for they would tell of errors that are mended.
    """
    ndjson, table = path.with_name(path.name + ".refused.ndjson"), path.with_name(path.name + ".refused.csv")
    if not rows:
        ndjson.unlink(missing_ok=True)
        table.unlink(missing_ok=True)
        return None
    documents = ({**dict(zip(_REASON_COLUMNS, row.reasons, strict=True)), "record": row.record} for row in rows)
    put(ndjson, (json.dumps(document, ensure_ascii=False).encode() + b"\n" for document in documents))
    names = sorted({name for row in rows for name in row.record})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(_cell, [*_REASON_COLUMNS, *names]))
    writer.writerows(map(_cell, [*row.reasons, *map(row.record.get, names)]) for row in rows)
    put(table, [text.getvalue().encode()])
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
    except BaseException:
        # Half a file is of no use to the next run, which overwrites what a crash left all the same.
        partial.unlink(missing_ok=True)
        raise


def _cell(value: object) -> object:
    # A spreadsheet runs a text that begins like a formula, and the sender opens this file in one. Names of fields,
    # reasons and pointers are others' words as much as values are; only a number is left as it is.
    if value is None or type(value) is int:
        return "" if value is None else value
    text = str(value)
    return f"'{text}" if text.lstrip(" ")[:1] in _FORMULA else text
