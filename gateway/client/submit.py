# SPDX-License-Identifier: Apache-2.0
"""A whole file, safely; this file is about sending an input in parts, taking up where a crash left off.

(1) the journal of an earlier run of the same input is opened; (2) the input becomes canonical lines, on disk where
record ids had to be made; (3) the lines are cut into parts: whole periods where the contract takes a table whole or
not at all; (4) each part is sent under a key that its own content gives, and its receipt saved; (5) refused records
are written beside the input; (6) the journal is closed. A crash anywhere leaves a state from which the next run
sends the same bytes under the same keys: what was accepted is answered as a repeat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.client.failures import ClientFailure, Refused
from gateway.client.journal import Journal, RefusedRow, open_journal, write_refused
from gateway.client.outcome import NO_RECORDS, FileOutcome, RefusedLine, SubmitOutcome, refused_line
from gateway.client.sdk import GatewayClient
from gateway.clock import SystemClock
from gateway.contracting.contract import Contract
from gateway.contracting.load import load_contract, packaged_root
from gateway.contracting.strict_yaml import ContractInvalid
from gateway.identifiers import new_id
from gateway.importing.csv import InputUnreadable, lines_of_csv
from gateway.importing.periods import parts_of
from gateway.wire.canonical import canonical_bytes, parse_canonical

RECORDS_PER_PART: Final = 50_000
LINE_BYTES_MAX: Final = 64 * 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,40}/[0-9]+\.[0-9]+\.[0-9]+")

PartDone = Callable[[int, int, SubmitOutcome], None]


class InputUnusable(ClientFailure):
    """The input file, or the contract it names, cannot be used here."""

    def __init__(self, en: str, es: str = "") -> None:
        self.es = es or en
        super().__init__(en)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A part: the lines, and where each stands in the input."""

    lines: Sequence[bytes]
    numbers: Sequence[int]


def submit_file(
    client: GatewayClient,
    path: Path,
    product: str,
    version: str,
    *,
    contracts: Path | None = None,
    records_per_part: int = RECORDS_PER_PART,
    progress: PartDone | None = None,
) -> FileOutcome:
    """Send a file under a contract and return when the acceptance of every part is proven.

    Raises:
        InputUnusable: before anything is sent, when the file cannot be read as records.
        Refused: when the gateway refuses a part; parts before it are accepted and have their receipts.
        CannotReach, AnswerNotTrusted, ReceiptNotTrusted: as `GatewayClient.submit_lines`; run it again.
    """
    contract = local_contract(product, version, contracts)
    journal = open_journal(path, f"{product}/{version}")  # (1)
    if journal.complete and _makes_ids(path) and journal.counts:
        saved = tuple(journal.folder / name for name in journal.receipts)
        return FileOutcome(journal.counts, saved, None, (), already=True)
    parts = list(_parts(_kept_lines(path, contract, journal), contract, records_per_part))  # (2) (3)
    journal.complete = False
    journal.save()
    outcomes: list[SubmitOutcome] = []
    receipts: list[Path] = []
    rows: list[RefusedRow] = []
    for number, part in enumerate(parts, start=1):
        try:
            outcome = client.submit_lines(product, version, part.lines)  # (4)
        except Refused as refused:
            rows += _refused_rows(part, _errors(refused, client.config.language))
            write_refused(path, rows)
            raise
        receipts.append(journal.keep_receipt(outcome.receipt, outcome.event_id))
        journal.save()
        outcomes.append(outcome)
        rows += _refused_rows(part, outcome.refused)
        if progress:
            progress(number, len(parts), outcome)
    refused_path = write_refused(path, rows)  # (5)
    counts = NO_RECORDS
    for outcome in outcomes:
        counts = counts.plus(outcome.records)
    journal.finish(counts)  # (6)
    return FileOutcome(counts, tuple(receipts), refused_path, tuple(outcomes))


def local_contract(product: str, version: str, contracts: Path | None) -> Contract:
    """Return a contract of the installed package, or of another folder.

    Raises:
        InputUnusable: when there is none of that name and version.
    """
    if not _NAME.fullmatch(f"{product}/{version}"):
        raise InputUnusable(f"contract {product}/{version}: not of the form flow/1.0.0")
    try:
        return load_contract((contracts or packaged_root()) / product / version)
    except (ContractInvalid, OSError) as error:
        raise InputUnusable(f"contract {product}/{version}: {error}") from error


def lines_of_file(path: Path, product: str, version: str, *, contracts: Path | None = None) -> Iterator[bytes]:
    """Return the canonical lines of a file of records, as `lines_of` does for a contract by its name."""
    return lines_of(path, local_contract(product, version, contracts))


def lines_of(path: Path, contract: Contract) -> Iterator[bytes]:
    """Return the canonical lines of a file of records of a contract.

    Raises:
        InputUnusable: when the file cannot be read as records, naming row and column.
    """
    if not _makes_ids(path):
        return _ndjson(path)
    return _csv(path, contract)


def _makes_ids(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _kept_lines(path: Path, contract: Contract, journal: Journal) -> Iterator[bytes]:
    if not _makes_ids(path):
        return lines_of(path, contract)
    return _ndjson(journal.keep_lines(lines_of(path, contract)))


def _csv(path: Path, contract: Contract) -> Iterator[bytes]:
    clock = SystemClock()
    try:
        yield from lines_of_csv(path, contract, new_id=lambda: new_id(clock.now()))
    except InputUnreadable as error:
        where = f"fila {error.row}, columna {error.column}" if error.column else f"fila {error.row}"
        raise InputUnusable(f"{path}: {error}", f"{path}: {where}: {error.es}") from error
    except OSError as error:
        raise InputUnusable(f"{path}: {error.strerror or error}") from error


def _ndjson(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if len(raw) > LINE_BYTES_MAX:
                    raise InputUnusable(f"{path}: line {number} is longer than {LINE_BYTES_MAX} bytes")
                if line := raw.strip(b" \t\r\n"):
                    yield _canonical(line)
    except OSError as error:
        raise InputUnusable(f"{path}: {error.strerror or error}") from error


def _canonical(line: bytes) -> bytes:
    """Return the canonical form of a line; what has none is sent as it is and refused alone, with its reason."""
    try:
        parse_canonical(line)
    except ValueError:
        try:
            return canonical_bytes(json.loads(line, object_pairs_hook=_without_duplicates))
        except ValueError:
            return line
    return line


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        # Readers differ on which of two equal keys counts, so the SDK must not decide it for the sender.
        raise ValueError("duplicate key")
    return document


def _parts(lines: Iterator[bytes], contract: Contract, records_per_part: int) -> Iterator[_Sent]:
    for part in parts_of(lines, contract, records_max=records_per_part):
        yield _Sent(part.lines, part.numbers)


def _errors(refused: Refused, language: str) -> list[RefusedLine]:
    entries = refused.problem.get("errors")
    try:
        return [refused_line(entry, language) for entry in (entries if isinstance(entries, list) else [])]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _refused_rows(part: _Sent, refused: Sequence[RefusedLine]) -> list[RefusedRow]:
    rows = []
    for entry in refused:
        try:
            record = json.loads(part.lines[entry.line - 1])
        except (ValueError, IndexError):
            record = {}
        number = part.numbers[entry.line - 1] if entry.line <= len(part.numbers) else entry.line
        rows.append(RefusedRow(replace(entry, line=number), record if isinstance(record, dict) else {"": record}))
    return rows
