# SPDX-License-Identifier: Apache-2.0
"""Are the records those that were signed; this file is about holding every row against its submission and its event.

Rows, tombstones and refused records come as three streams in one order, by partner, submission and line, and are
merged with the submissions, so that memory holds one submission's roots and not its records.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from gateway.auditlog.event_kinds import SubmissionAccepted
from gateway.auditlog.receipts import fields_of
from gateway.contracting.rows import canonical_line
from gateway.review.findings import Defect, Finding, Progress
from gateway.storage import inspection
from gateway.storage.engine import Tx
from gateway.storage.inspection import RecordState, SubmissionState
from gateway.trip import TableShape
from gateway.wire.digests import b64
from gateway.wire.merkle import RunningRoot, leaf_hash

SUBMISSIONS_STEP = 100
# The fields of a submission's event that its row states too.
_COLUMN_OF_FIELD = {"partner": "partner_id", "submission_id": "id"} | {
    name: name
    for name in (
        *("received_count", "accepted_count", "duplicate_count", "refused_count", "root_received", "root_accepted"),
        *("content_digest", "contract_digest", "keyid", "signature"),
    )
}


@dataclass(slots=True)
class _Tally:
    """What the lines of one submission add up to."""

    accepted_count: int = 0
    refused_count: int = 0
    accepted: RunningRoot = field(default_factory=RunningRoot)
    received: RunningRoot = field(default_factory=RunningRoot)


def check_records(tx: Tx, shapes: tuple[TableShape, ...], progress: Progress) -> Iterator[Finding]:
    """Yield what is wrong with records, refused records and submissions."""
    lines = groupby(_lines(tx, shapes), key=lambda line: (line.partner_id, line.submission_id))
    group = next(lines, None)
    count = records_count = 0
    for count, submission in enumerate(inspection.stream_submissions(tx), start=1):
        key = (submission.partner_id, submission.id)
        while group is not None and group[0] < key:
            yield Finding(Defect.RECORD_WITHOUT_SUBMISSION, _where(*group[0]))
            group = next(lines, None)
        tally = _Tally()
        if group is not None and group[0] == key:
            yield from _add_up(tally, group[1])
            group = next(lines, None)
        yield from _check_submission(submission, tally)
        yield from _check_evidence(submission)
        records_count += tally.accepted_count
        if count % SUBMISSIONS_STEP == 0:
            progress("submissions", count)
    progress("submissions", count)
    progress("records", records_count)
    while group is not None:
        yield Finding(Defect.RECORD_WITHOUT_SUBMISSION, _where(*group[0]))
        group = next(lines, None)
    for shape in shapes:
        for record_id in inspection.broken_corrections(tx, shape):
            yield Finding(Defect.CORRECTION, f"{shape.table_name} {record_id}")


def _lines(tx: Tx, shapes: tuple[TableShape, ...]) -> Iterator[RecordState]:
    streams = [inspection.stream_records(tx, shape) for shape in shapes]
    streams += [inspection.stream_tombstones(tx), inspection.stream_refused(tx)]
    return heapq.merge(*streams, key=lambda line: (line.partner_id, line.submission_id, line.line))


def _add_up(tally: _Tally, lines: Iterator[RecordState]) -> Iterator[Finding]:
    before = 0
    for line in lines:
        where = f"{_where(line.partner_id, line.submission_id)} line {line.line}"
        if line.line == before:
            yield Finding(Defect.RECORD_DOUBLE, where)
        before = line.line
        if line.row is not None and line.shape is not None:
            # The line is not stored; that its hash comes out again is the proof that no column has changed.
            rebuilt = leaf_hash(canonical_line(line.row, line.shape))
            if rebuilt != line.leaf_hash:
                yield Finding(Defect.RECORD_LINE, where, f"in {line.shape.table_name}")
        tally.received.append(line.leaf_hash)
        if line.accepted:
            tally.accepted_count += 1
            tally.accepted.append(line.leaf_hash)
        else:
            tally.refused_count += 1


def _check_submission(submission: SubmissionState, tally: _Tally) -> Iterator[Finding]:
    where = _where(submission.partner_id, submission.id)
    stated = (submission.accepted_count, submission.refused_count)
    if stated != (tally.accepted_count, tally.refused_count):
        found = f"{tally.accepted_count} accepted and {tally.refused_count} refused are there"
        yield Finding(Defect.SUBMISSION_COUNT, where, found)
    if submission.received_count != sum(stated) + submission.duplicate_count:
        yield Finding(Defect.SUBMISSION_COUNT, where, "accepted, duplicate and refused are not what was received")
    if submission.root_accepted != tally.accepted.root():
        yield Finding(Defect.SUBMISSION_ROOT, where, "of the accepted lines")
    # The leaf hash of a repeat stands with the submission that brought it first.
    if submission.duplicate_count == 0 and submission.root_received != tally.received.root():
        yield Finding(Defect.SUBMISSION_ROOT, where, "of all lines received")


def _check_evidence(submission: SubmissionState) -> Iterator[Finding]:
    """Hold the submission's row against its event, which the log commits to."""
    where = _where(submission.partner_id, submission.id)
    if submission.event_kind != SubmissionAccepted.kind or submission.event_fields is None:
        yield Finding(Defect.SUBMISSION_EVENT, where, "its event is missing or of another kind")
        return
    try:
        fields = fields_of(submission.event_fields)
    except ValueError as error:
        yield Finding(Defect.SUBMISSION_EVENT, where, str(error))
        return
    for name, column in _COLUMN_OF_FIELD.items():
        value = getattr(submission, column)
        if fields.get(name) != (b64(value) if isinstance(value, bytes) else value):
            yield Finding(Defect.SUBMISSION_EVENT, where, f"{name} is not what the event says")


def _where(partner_id: str, submission_id: str) -> str:
    return f"submission {partner_id} {submission_id}"
