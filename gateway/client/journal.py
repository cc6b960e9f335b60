# SPDX-License-Identifier: Apache-2.0
"""What a sender keeps beside its input; this file is about the folder `<input>.receipts` and the refused records.

The folder holds `journal.json`, the receipts, and, while a CSV is being sent, its canonical lines: record ids are
made when a CSV is converted, so a run after a crash must send the very lines of the run before it, or records
would be kept twice. Those lines go when every part is accepted. Every file is renamed into place when whole.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.client.outcome import RecordCounts, RefusedLine

_VERSION: Final = 1
_REASON_COLUMNS: Final = ("line", "pointer", "code", "reason")


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refused record as it was sent, with the line of the input and the reason."""

    refused: RefusedLine
    record: Mapping[str, Any]


@dataclass(slots=True)
class Journal:
    """The state of sending one input file under one contract."""

    folder: Path
    input_sha256: str
    contract: str
    complete: bool = False
    counts: RecordCounts | None = None
    receipts: list[str] = field(default_factory=list)

    @property
    def lines_path(self) -> Path:
        """Return where the canonical lines of this input lie while it is being sent."""
        return self.folder / f"lines-{self.input_sha256[:16]}.ndjson"

    def save(self) -> None:
        """Write the state, durable and whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        counts = self.counts
        document = {
            "version": _VERSION,
            "input_sha256": self.input_sha256,
            "contract": self.contract,
            "complete": self.complete,
            "counts": counts and [counts.received, counts.accepted, counts.duplicate, counts.refused],
            "receipts": self.receipts,
        }
        put(self.folder / "journal.json", [json.dumps(document, indent=1).encode() + b"\n"])

    def keep_lines(self, lines: Iterable[bytes]) -> Path:
        """Write the canonical lines once; an earlier run's are taken as they are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.lines_path.exists():
            put(self.lines_path, (line + b"\n" for line in lines))
        return self.lines_path

    def keep_receipt(self, receipt: Mapping[str, Any], event_id: str) -> Path:
        """Write a receipt under its event id."""
        path = self.folder / f"{event_id}.receipt.json"
        put(path, [json.dumps(receipt, indent=1, sort_keys=True).encode() + b"\n"])
        if path.name not in self.receipts:
            self.receipts.append(path.name)
        return path

    def finish(self, counts: RecordCounts) -> None:
        """Record that every part is accepted, then drop the lines: their records are at the gateway now."""
        self.complete, self.counts = True, counts
        self.save()
        self.lines_path.unlink(missing_ok=True)


def open_journal(path: Path, contract: str) -> Journal:
    """Return the journal of an input file, taking up an earlier run with the same content and contract."""
    journal = Journal(path.with_name(path.name + ".receipts"), file_sha256(path), contract)
    try:
        state = json.loads((journal.folder / "journal.json").read_bytes())
    except (OSError, ValueError):
        return journal
    if (state.get("version"), state.get("input_sha256"), state.get("contract")) == (
        _VERSION,
        journal.input_sha256,
        contract,
    ):
        journal.complete, journal.receipts = state["complete"], state["receipts"]
        journal.counts = RecordCounts(*state["counts"]) if state["counts"] else None
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
    put(ndjson, (json.dumps(_document(row), ensure_ascii=False).encode() + b"\n" for row in rows))
    names = sorted({name for row in rows for name in row.record})
    partial = table.with_name(table.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*_REASON_COLUMNS, *names])
        for row in rows:
            reasons = (row.refused.line, row.refused.pointer, row.refused.code, row.refused.detail)
            writer.writerow([*reasons, *(_cell(row.record.get(name)) for name in names)])
    partial.replace(table)
    return ndjson


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all: a crash leaves the old one, or a `.partial` that is overwritten next time."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        for chunk in chunks:
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def _document(row: RefusedRow) -> dict[str, Any]:
    refused = row.refused
    reason = {"line": refused.line, "pointer": refused.pointer, "code": refused.code, "reason": refused.detail}
    return {**reason, "record": row.record}


def _cell(value: object) -> object:
    # A spreadsheet runs a text that begins like a formula; the sender opens this file in one.
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return "'" + value
    return "" if value is None else value
