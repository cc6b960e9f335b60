# SPDX-License-Identifier: Apache-2.0
"""A submission measured against its contract; this file is about judging every record in constant memory.

1. The media type says records or a nil return.
2. One walk over the lines: leaf hash, canonical form, schema, rules. A line that fails gets a second look.
3. A second walk where the contract compares parts with totals.
4. The lines are those that the sender counted and hashed.
5. The contract says how many refused records it bears.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import orjson

from gateway.contracting.bench import Bench
from gateway.contracting.contract import Contract
from gateway.contracting.rows import row_maker
from gateway.contracting.schema import MONTH_PATTERN
from gateway.errors import BodyTooLarge, MediaTypeUnsupported, RecordsRootMismatch, RequestMalformed
from gateway.trip import RecordChunk, RecordLines, TableShape, ValidSubmission, VerifiedEnvelope
from gateway.wire.canonical import parse_canonical
from gateway.wire.merkle import EMPTY_ROOT, leaf_hash

RECORDS_MEDIA_TYPE = "application/x-ndjson"
NIL_MEDIA_TYPE = "application/vnd.gateway.nil+json"
RECORDS_MAX = 1_000_000
CHUNK_RECORDS_MAX = 5_000
# A contract that bears no refusal still gets a useful report, at a bounded price (a second look costs 0.1 ms).
REFUSED_EXAMINED_MIN = 1_000
NIL_BYTES_MAX = 1_024
_FIRST_MONTH = "1990-01"
_MONTH = re.compile(MONTH_PATTERN)


def judge(envelope: VerifiedEnvelope, contract: Contract, *, at: datetime, sandbox: bool) -> ValidSubmission:
    """Return the submission with every record judged.

    Raises:
        MediaTypeUnsupported: when the body is neither records nor a nil return.
        RequestMalformed: when there are no records, or the nil return names no period.
        BodyTooLarge: when there are more records than a submission may have.
        ForbiddenField: when a record carries what must never arrive.
        WrongProvider: when a record speaks for another provider or country.
        RecordsRootMismatch: when the lines are not those that were counted and hashed.
        ContractViolated: when more records break the contract than it bears.
    """
    media_type = envelope.media_type.partition(";")[0].strip().lower()
    if media_type == NIL_MEDIA_TYPE:  # (1)
        return _nil_return(envelope, contract, at)
    if media_type != RECORDS_MEDIA_TYPE:
        raise MediaTypeUnsupported(supported=f"{RECORDS_MEDIA_TYPE}, {NIL_MEDIA_TYPE}")
    return _records(envelope, contract, at, sandbox=sandbox)


@dataclass(frozen=True, slots=True)
class _ReadAgain:
    """The valid records of a body, read again from its lines."""

    lines: RecordLines
    refused: frozenset[int]
    shape: TableShape

    def __iter__(self) -> Iterator[RecordChunk]:
        """Yield the records in chunks, in the order sent."""
        to_row, refused = row_maker(self.shape), self.refused
        valid = ((number, line) for number, line in enumerate(self.lines, 1) if number not in refused)
        while chunk := list(islice(valid, CHUNK_RECORDS_MAX)):
            yield RecordChunk(
                [number for number, _ in chunk],
                [to_row(orjson.loads(line)) for _, line in chunk],
                [leaf_hash(line) for _, line in chunk],
            )


def _records(envelope: VerifiedEnvelope, contract: Contract, at: datetime, *, sandbox: bool) -> ValidSubmission:
    partner, lines, acceptance = envelope.partner, envelope.lines, contract.acceptance
    bench = Bench(
        contract,
        (partner.id, partner.country),
        at=at,
        sandbox=sandbox,
        examined_max=max(REFUSED_EXAMINED_MIN, acceptance.refused_max(RECORDS_MAX)),
    )
    bench.walk(islice(lines, RECORDS_MAX + 1))  # (2)
    received, root = bench.received, bench.root.root()
    if received > RECORDS_MAX:
        raise BodyTooLarge(limit=RECORDS_MAX, what="records")
    if received == 0:
        raise RequestMalformed(what=f"no records; to say so send {NIL_MEDIA_TYPE}")
    refused_max = acceptance.refused_max(received)
    if len(bench.refused) <= refused_max:  # (3)
        bench.compare(lines)
    claimed = envelope.claimed_records
    if claimed is not None and (claimed.count, claimed.root) != (received, root):  # (4)
        raise RecordsRootMismatch
    if len(bench.refused) > refused_max or len(bench.refused) == received:  # (5)
        raise bench.violated()
    return ValidSubmission(
        envelope=envelope,
        contract=contract.ref,
        shape=contract.shape,
        received_count=received,
        root=root,
        refused=tuple(bench.refused.values()),
        refused_max=refused_max,
        records=_ReadAgain(lines, frozenset(bench.refused), contract.shape),
        countries=frozenset({partner.country}),
        providers=frozenset({partner.id}),
        flags=dict(bench.flags),
    )


def _nil_return(envelope: VerifiedEnvelope, contract: Contract, at: datetime) -> ValidSubmission:
    period = _nil_period(envelope.lines)
    if not _FIRST_MONTH <= period <= at.strftime("%Y-%m"):
        raise RequestMalformed(what="the period of a nil return is a month from 1990-01 until now")
    if envelope.claimed_records is not None and envelope.claimed_records.count != 0:
        raise RecordsRootMismatch
    return ValidSubmission(
        envelope=envelope,
        contract=contract.ref,
        shape=contract.shape,
        received_count=0,
        root=EMPTY_ROOT,
        refused=(),
        refused_max=0,
        records=(),
        countries=frozenset({envelope.partner.country}),
        providers=frozenset({envelope.partner.id}),
        nil_period=period,
    )


def _nil_period(lines: Iterable[bytes]) -> str:
    what = 'a nil return is one line, {"period":"2026-10"}'
    walk = iter(lines)
    line = next(walk, b"")
    if len(line) > NIL_BYTES_MAX or next(walk, None) is not None:
        raise RequestMalformed(what=what)
    try:
        document = parse_canonical(line)
    except ValueError as error:
        raise RequestMalformed(what=what) from error
    period = document.get("period") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(period, str) or not _MONTH.fullmatch(period):
        raise RequestMalformed(what=what)
    return period
