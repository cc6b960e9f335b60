# SPDX-License-Identifier: Apache-2.0
"""A whole file, safely; this file is about sending an input in parts, taking up where a crash left off.

(1) the journal of an earlier run of the same input is opened; (2) the input becomes canonical lines, on disk, with
record ids where it had none; (3) the lines are cut into parts: whole periods where the contract takes a table whole
or not at all; (4) each part is read, and sent under a key that its own content gives, unless its receipt is here;
receipt and refused records are saved; (5) refused records are written beside the input; (6) the journal is closed.
A crash anywhere leaves a state from which the next run goes on: a part without a receipt is sent again, the same
bytes under the same key, and answered as a repeat if it was kept. One part at a time is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from gateway.client.answers import about, proven
from gateway.client.failures import ReceiptNotTrusted, Refused
from gateway.client.journal import Journal, KeptPart, held, open_journal, refused_rows, write_refused
from gateway.client.outcome import FileOutcome
from gateway.client.records import RECORDS_PER_PART, lines_of, local_contract
from gateway.client.sdk import GatewayClient
from gateway.client.sending import Body, body_of_lines
from gateway.errors import Reason
from gateway.importing.periods import Cut, cuts_of, part_of
from gateway.wire.receipt import VerifiedReceipt, status_under

# Number of the part, how many there are, its event, and whether it was accepted before.
PartDone = Callable[[int, int, str, bool], None]
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
    with held(path):
        journal = open_journal(path, f"{product}/{version}")  # (1)
        if journal.done:
            for part in journal.parts.values():
                _receipt_of(client, journal, part)
            return _outcome(client, journal, refused=None, already=True)
        lines = journal.keep_lines(lines_of(path, contract))  # (2)
        journal.save()
        with lines.open("rb") as file:
            _send(client, journal, path, file, cuts_of(file, contract, records_max=records_per_part), progress)
        refused = write_refused(path, journal.refused())  # (5)
        journal.finish()  # (6)
    return _outcome(client, journal, refused=refused)


def _send(
    client: GatewayClient, journal: Journal, path: Path, file: BinaryIO, cuts: list[Cut], progress: PartDone | None
) -> None:
    product, _, version = journal.contract.partition("/")
    earlier, journal.parts = journal.parts, {}  # Another run may have cut the lines otherwise.
    for number, cut in enumerate(cuts, start=1):  # (3)
        part = part_of(file, cut)
        body = body_of_lines(part.lines)
        kept = earlier.get(body.decoded_digest.hex())
        replay = kept is not None and _is_proven(client, journal, kept, body)
        if kept is not None and replay:
            journal.parts[kept.digest] = kept
        else:
            try:
                outcome = client.submit_body(product, version, body)  # (4)
            except Refused as refused:
                rows = refused_rows(part.lines, part.numbers, refused.lines(client.config.language))
                write_refused(path, chain(journal.refused(), rows))
                if refused.signed and refused.reason in _JUDGED and not journal.parts:
                    journal.drop_lines()
                raise
            kept, replay = KeptPart(body.decoded_digest.hex(), outcome.event_id, outcome.records), outcome.replay
            journal.keep_part(kept, outcome.receipt, refused_rows(part.lines, part.numbers, outcome.refused))
        if progress:
            progress(number, len(cuts), kept.event_id, replay)


def _is_proven(client: GatewayClient, journal: Journal, part: KeptPart, body: Body) -> bool:
    """Say whether the receipt of a part is here and proves it; if not, it is sent again and its receipt comes anew."""
    try:
        about(_receipt_of(client, journal, part), body)
    except ReceiptNotTrusted:
        return False
    return not part.counts.refused or journal.refused_path(part).exists()


def _receipt_of(client: GatewayClient, journal: Journal, part: KeptPart) -> VerifiedReceipt:
    path = journal.receipt_path(part)
    try:
        return proven(json.loads(path.read_bytes()), client.policy, event_id=part.event_id)
    except (OSError, ValueError) as error:
        raise ReceiptNotTrusted(f"{path}: {error}") from error


def _outcome(client: GatewayClient, journal: Journal, *, refused: Path | None, already: bool = False) -> FileOutcome:
    receipts = tuple(map(journal.receipt_path, journal.parts.values()))
    return FileOutcome(journal.counts, receipts, status_under(client.policy), refused, already)
