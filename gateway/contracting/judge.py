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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson

from gateway.contracting.contract import Contract
from gateway.contracting.examine import Examiner
from gateway.contracting.report import REFUSED_INLINE_MAX, violated
from gateway.contracting.rows import row_maker
from gateway.contracting.rules import Check, NotAsAgreed, RecordCheck, compile_checks
from gateway.contracting.schema import MONTH_PATTERN
from gateway.contracting.totals import CellsOnce, Totals
from gateway.errors import BodyTooLarge, ContractViolated, MediaTypeUnsupported, RecordsRootMismatch, RequestMalformed
from gateway.trip import (
    Partner,
    RecordChunk,
    RecordLines,
    RefusedRecord,
    Row,
    TableShape,
    ValidSubmission,
    VerifiedEnvelope,
)
from gateway.wire.canonical import parse_canonical
from gateway.wire.merkle import RunningRoot

RECORDS_MEDIA_TYPE = "application/x-ndjson"
NIL_MEDIA_TYPE = "application/vnd.gateway.nil+json"
RECORDS_MAX = 1_000_000
CHUNK_RECORDS_MAX = 5_000
# A contract that bears no refusal still gets a useful report, at a bounded price (a second look costs 0.1 ms).
REFUSED_EXAMINED_MIN = 1_000
NIL_BYTES_MAX = 1_024
_FIRST_MONTH = "1990-01"
_MONTH = re.compile(MONTH_PATTERN)
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


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
    return _Bench(envelope, contract, at=at, sandbox=sandbox).judged()


@dataclass(frozen=True, slots=True)
class _ReadAgain:
    """The valid records of a body, read again from its lines; a short body's are kept from the first walk."""

    lines: RecordLines
    refused: frozenset[int]
    shape: TableShape
    kept: RecordChunk | None

    def __iter__(self) -> Iterator[RecordChunk]:
        """Yield the records in chunks, in the order sent."""
        if self.kept is not None:
            if self.kept.lines:
                yield self.kept
            return
        to_row, loads = row_maker(self.shape), orjson.loads
        chunk = _Chunk()
        for number, line in enumerate(self.lines, 1):
            if number in self.refused:
                continue
            chunk.add(number, to_row(loads(line)), sha256(b"\x00" + line).digest())
            if len(chunk.numbers) == CHUNK_RECORDS_MAX:
                yield chunk.finished()
                chunk = _Chunk()
        if chunk.numbers:
            yield chunk.finished()


class _Chunk:
    """Records on their way into a `RecordChunk`."""

    __slots__ = ("hashes", "numbers", "rows")

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.rows: list[Row] = []
        self.hashes: list[bytes] = []

    def add(self, number: int, row: Row, leaf_hash: bytes) -> None:
        self.numbers.append(number)
        self.rows.append(row)
        self.hashes.append(leaf_hash)

    def finished(self, without: frozenset[int] = frozenset()) -> RecordChunk:
        if not without:
            return RecordChunk(self.numbers, self.rows, self.hashes)
        kept = [index for index, number in enumerate(self.numbers) if number not in without]
        return RecordChunk(
            [self.numbers[index] for index in kept],
            [self.rows[index] for index in kept],
            [self.hashes[index] for index in kept],
        )


class _Bench:
    """One submission on the bench: what the walks over its lines count and find."""

    def __init__(self, envelope: VerifiedEnvelope, contract: Contract, *, at: datetime, sandbox: bool) -> None:
        self.envelope = envelope
        self.contract = contract
        checks = compile_checks(contract, at=at)
        validator = contract.sandbox_validator if sandbox else contract.validator
        graver = [_own_records(contract, envelope.partner), *(entry for entry in checks if entry.severity != "warn")]
        self.look = _first_look(validator.is_valid, graver)
        self.examiner = Examiner(contract, validator, checks, envelope.partner)
        kinds = {"total_not_below_part", "control_total"}
        self.totals = [Totals(rule, contract) for rule in contract.rules if rule.kind in kinds]
        once = [CellsOnce(rule, contract).notice for rule in contract.rules if rule.kind == "unique"]
        self.notices = (*once, *(totals.notice for totals in self.totals))
        self.to_row = row_maker(contract.shape)
        self.root = RunningRoot()
        self.received = 0
        self.refused: dict[int, RefusedRecord] = {}
        self.errors: list[RefusedRecord] = []
        self.counts: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.warnings = tuple(_counted(entry.check, self.flags) for entry in checks if entry.severity == "warn")
        self.chunk: _Chunk | None = _Chunk()
        self.examined_max = max(REFUSED_EXAMINED_MIN, contract.acceptance.refused_max(RECORDS_MAX))

    def judged(self) -> ValidSubmission:
        self._walk(self.envelope.lines)  # (2)
        if self.received == 0:
            raise RequestMalformed(what=f"no records; to say so send {NIL_MEDIA_TYPE}")
        refused_max = self.contract.acceptance.refused_max(self.received)
        if self.totals and len(self.refused) <= refused_max:  # (3)
            self._compare(self.envelope.lines)
        root = self.root.root()
        claimed = self.envelope.claimed_records
        if claimed is not None and (claimed.count, claimed.root) != (self.received, root):  # (4)
            raise RecordsRootMismatch
        if len(self.refused) > refused_max or len(self.refused) == self.received:  # (5)
            raise self._violated()
        partner, numbers = self.envelope.partner, frozenset(self.refused)
        kept = self.chunk.finished(numbers) if self.chunk is not None else None
        return ValidSubmission(
            envelope=self.envelope,
            contract=self.contract.ref,
            shape=self.contract.shape,
            received_count=self.received,
            root=root,
            refused=tuple(self.refused.values()),
            refused_max=refused_max,
            records=_ReadAgain(self.envelope.lines, numbers, self.contract.shape, kept),
            countries=frozenset({partner.country}),
            providers=frozenset({partner.id}),
            flags=dict(self.flags),
        )

    def _walk(self, lines: Iterable[bytes]) -> None:
        append, look, notices, warnings = self.root.append, self.look, self.notices, self.warnings
        number = 0
        for number, line in enumerate(islice(lines, RECORDS_MAX + 1), 1):
            leaf_hash = sha256(b"\x00" + line).digest()
            append(leaf_hash)
            try:
                record = look(line)
                for notice in notices:
                    notice(record)
            except _SecondLook:
                self._refuse(number, self.examiner.examine(number, line), count=number)
                continue
            except NotAsAgreed as problem:
                self._refuse(number, (self._refused(number, record, problem, leaf_hash),), count=number)
                continue
            if self.chunk is not None:
                self.chunk.add(number, self.to_row(record), leaf_hash)
                if len(self.chunk.numbers) > CHUNK_RECORDS_MAX:
                    self.chunk = None
            for warning in warnings:
                warning(record)
        if number > RECORDS_MAX:
            raise BodyTooLarge(limit=RECORDS_MAX, what="records")
        self.received = number

    def _compare(self, lines: Iterable[bytes]) -> None:
        for number, line in enumerate(lines, 1):
            if number in self.refused:
                continue
            record = orjson.loads(line)
            for totals in self.totals:
                try:
                    totals.compare(record)
                except NotAsAgreed as problem:
                    leaf_hash = sha256(b"\x00" + line).digest()
                    self._refuse(number, (self._refused(number, record, problem, leaf_hash),), count=self.received)
        for totals in self.totals:
            if totals.rule.kind == "control_total" and (differing := totals.differing()):
                self.flags[f"rule:{totals.rule.id}"] += differing

    def _refused(self, number: int, record: Mapping[str, Any], problem: NotAsAgreed, leaf_hash: bytes) -> RefusedRecord:
        record_id = record[self.contract.shape.id_column]
        return RefusedRecord(
            number, record_id, problem.pointer, problem.code, leaf_hash, problem.text.en, problem.text.es
        )

    def _refuse(self, number: int, found: tuple[RefusedRecord, ...], *, count: int) -> None:
        self.refused.setdefault(number, found[0])
        self.errors.extend(found[: REFUSED_INLINE_MAX - len(self.errors)])
        self.counts.update(str(entry.code) for entry in found)
        if len(self.refused) > self.examined_max:
            self.received = count
            raise self._violated()

    def _violated(self) -> ContractViolated:
        return violated(self.errors, received_count=self.received, refused_count=len(self.refused), counts=self.counts)


def _first_look(is_valid: Callable[[object], bool], checks: Iterable[RecordCheck]) -> Callable[[bytes], dict[str, Any]]:
    """Return a function from a line to its record, right in every way, that asks for a second look otherwise."""
    loads, dumps = orjson.loads, orjson.dumps
    bounds = tuple((entry.bounds.name, entry.bounds.first, entry.bounds.last) for entry in checks if entry.bounds)
    others = tuple(entry.check for entry in checks if not entry.bounds)

    def look(line: bytes) -> dict[str, Any]:
        try:
            record: dict[str, Any] = loads(line)
            if dumps(record, None, _CANONICAL) != line or not is_valid(record):
                raise _SecondLook
            for name, first, last in bounds:
                if not first <= record[name] <= last:
                    raise _SecondLook
            for check in others:
                check(record)
        except (ValueError, TypeError, NotAsAgreed) as error:
            raise _SecondLook from error
        return record

    return look


def _own_records(contract: Contract, partner: Partner) -> RecordCheck:
    """Make sure that a record speaks for who signed it; the second look then refuses the whole submission."""
    provider, country = contract.provider_field, contract.country_field
    partner_id, partner_country = partner.id, partner.country

    def check(record: Mapping[str, Any]) -> None:
        if record[provider] != partner_id or record[country] != partner_country:
            raise _SecondLook

    return RecordCheck(frozenset({provider, country}), "error", check)


def _counted(check: Check, flags: Counter[str]) -> Check:
    def warn(record: Mapping[str, Any]) -> None:
        try:
            check(record)
        except NotAsAgreed as problem:
            flags[problem.code] += 1

    return warn


class _SecondLook(Exception):
    """A line did not pass at once."""


def _nil_return(envelope: VerifiedEnvelope, contract: Contract, at: datetime) -> ValidSubmission:
    root = RunningRoot().root()
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
        root=root,
        refused=(),
        refused_max=0,
        records=_ReadAgain(envelope.lines, frozenset(), contract.shape, RecordChunk((), (), ())),
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
    if not isinstance(period, str) or not _MONTH.match(period):
        raise RequestMalformed(what=what)
    return period
