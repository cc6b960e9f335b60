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
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.client.answers import proven
from gateway.client.failures import ReceiptNotTrusted, Refused
from gateway.client.journal import Journal, RefusedRow, open_journal, write_refused
from gateway.client.outcome import FileOutcome, RecordCounts, RefusedLine, SubmitOutcome
from gateway.client.records import RECORDS_PER_PART, lines_of, local_contract, makes_ids
from gateway.client.sdk import GatewayClient
from gateway.errors import Reason
from gateway.importing.periods import Part, parts_of
from gateway.wire.receipt import status_under

PartDone = Callable[[int, int, SubmitOutcome], None]
# A repeat of something that was kept is answered as such before these are asked, so nothing was.
_JUDGED: Final = frozenset({Reason.CONTRACT_VIOLATED, Reason.FORBIDDEN_FIELD, Reason.WRONG_PROVIDER})


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
        CannotReach, AnswerNotTrusted, ReceiptNotTrusted: as every call of `GatewayClient`; run it again.
    """
    contract = local_contract(product, version, contracts)
    journal = open_journal(path, f"{product}/{version}")  # (1)
    if journal.counts and makes_ids(path):
        return _finished_before(client, journal, journal.counts)
    lines = lines_of(path, contract)  # (2)
    if makes_ids(path):
        lines = lines_of(journal.keep_lines(lines), contract)
    parts = list(parts_of(lines, contract, records_max=records_per_part))  # (3)
    journal.counts = None
    journal.save()
    outcomes: list[SubmitOutcome] = []
    receipts: list[Path] = []
    rows: list[RefusedRow] = []
    for number, part in enumerate(parts, start=1):
        try:
            outcome = client.submit_lines(product, version, part.lines)  # (4)
        except Refused as refused:
            rows += _refused_rows(part, refused.lines(client.config.language))
            write_refused(path, rows)
            if refused.signed and refused.reason in _JUDGED and not journal.receipts:
                journal.drop_lines()
            raise
        receipts.append(journal.keep_receipt(outcome.receipt, outcome.event_id))
        outcomes.append(outcome)
        rows += _refused_rows(part, outcome.refused)
        if progress:
            progress(number, len(parts), outcome)
    refused_path = write_refused(path, rows)  # (5)
    counts = sum((outcome.records for outcome in outcomes), RecordCounts())
    journal.finish(counts)  # (6)
    return FileOutcome(counts, tuple(receipts), status_under(client.policy), refused_path, tuple(outcomes))


def _finished_before(client: GatewayClient, journal: Journal, counts: RecordCounts) -> FileOutcome:
    receipts = tuple(journal.folder / name for name in journal.receipts)
    for path in receipts:
        try:
            proven(json.loads(path.read_bytes()), client.policy)
        except (OSError, ValueError) as error:
            raise ReceiptNotTrusted(f"{path}: {error}") from error
    return FileOutcome(counts, receipts, status_under(client.policy), already=True)


def _refused_rows(part: Part, refused: Sequence[RefusedLine]) -> list[RefusedRow]:
    rows = []
    for entry in refused:
        try:
            record = json.loads(part.lines[entry.line - 1])
        except (ValueError, IndexError):
            record = {}
        number = part.numbers[entry.line - 1] if entry.line <= len(part.numbers) else entry.line
        rows.append(RefusedRow(replace(entry, line=number), record if isinstance(record, dict) else {"": record}))
    return rows
