# SPDX-License-Identifier: Apache-2.0
"""Lines measured against a contract; this file is about the walks over them, in constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from operator import itemgetter
from typing import Any

import orjson

from gateway.contracting.contract import Contract
from gateway.contracting.examine import Examiner
from gateway.contracting.report import REFUSED_INLINE_MAX, NotAsAgreed, broken_rule, violated
from gateway.contracting.rules import Record, compile_checks
from gateway.contracting.totals import CellsOnce, Totals
from gateway.errors import ContractViolated
from gateway.trip import RefusedRecord
from gateway.wire.merkle import RunningRoot, leaf_hash

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


class Bench:
    """What the walks over the lines of one sender count and find.

    `refused` has the first reason of each refused record by line, `errors` the first of all reasons.
    """

    def __init__(
        self,
        contract: Contract,
        sender: tuple[str, str],
        *,
        at: datetime,
        sandbox: bool,
        examined_max: int,
    ) -> None:
        self.contract = contract
        self.sender = sender
        self.validator = contract.sandbox_validator if sandbox else contract.validator
        self.checks = compile_checks(contract, at)
        self.examiner = Examiner(contract, self.validator, self.checks.required, sender)
        self.once = [CellsOnce(rule, contract) for rule in contract.rules if rule.kind == "unique"]
        kinds = {"total_not_below_part", "control_total"}
        self.totals = [Totals(rule, contract) for rule in contract.rules if rule.kind in kinds]
        self.examined_max = examined_max
        self.root = RunningRoot()
        self.refused: dict[int, RefusedRecord] = {}
        self.errors: list[RefusedRecord] = []
        self.counts: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()

    @property
    def received(self) -> int:
        """Return how many lines were seen."""
        return self.root.size

    def walk(self, lines: Iterable[bytes]) -> None:
        """Judge every record by itself; a line that does not pass at once gets a second look.

        Raises:
            ForbiddenField: when a record carries what must never arrive.
            WrongProvider: when a record speaks for another provider or country.
            ContractViolated: when more records were refused than it is worth examining.
        """
        append, look, warnings = self.root.append, self._first_look(), self.checks.warnings
        for number, line in enumerate(lines, 1):
            append(sha256(b"\x00" + line).digest())
            try:
                record = look(line)
            except _SecondLook:
                self._refuse(number, self.examiner.examine(number, line))
                continue
            for once in self.once:
                if not once.is_new(record):
                    self._refuse_record(number, line, record, broken_rule(once.rule))
                    break
            else:
                for totals in self.totals:
                    totals.notice(record)
                for warning in warnings:
                    if not warning.holds(record):
                        self.flags[warning.problem.code] += 1

    def compare(self, lines: Iterable[bytes]) -> None:
        """Walk over the same lines again and compare parts with totals, where the contract does.

        Raises:
            ContractViolated: when more records were refused than it is worth examining.
        """
        for number, line in enumerate(lines if self.totals else (), 1):
            if number not in self.refused:
                record = orjson.loads(line)
                for totals in self.totals:
                    if not totals.holds(record):
                        self._refuse_record(number, line, record, broken_rule(totals.rule))
        for totals in self.totals:
            if totals.rule.kind == "control_total" and (differing := totals.differing()):
                self.flags[f"rule:{totals.rule.id}"] += differing

    def violated(self) -> ContractViolated:
        """Return the refusal of the whole submission for what was found."""
        return violated(self.errors, received_count=self.received, refused_count=len(self.refused), counts=self.counts)

    def _first_look(self) -> Callable[[bytes], Record]:
        """Return a function from a line to its record, right in every way, that asks for a second look otherwise."""
        loads, dumps, is_valid = orjson.loads, orjson.dumps, self.validator.is_valid
        speaks_for, sender = itemgetter(self.contract.provider_field, self.contract.country_field), self.sender
        whole_numbers = tuple(field.name for field in self.contract.fields if field.type == "integer")
        must_hold = self.checks.at_once

        def look(line: bytes) -> Record:
            try:
                record: dict[str, Any] = loads(line)
                if dumps(record, None, _CANONICAL) != line or not is_valid(record):
                    raise _SecondLook
            except (ValueError, TypeError) as error:
                raise _SecondLook from error
            if speaks_for(record) != sender:
                raise _SecondLook
            for name in whole_numbers:
                # JSON Schema takes 1.0 for an integer, and readers print it differently.
                if type(record.get(name)) is float:
                    raise _SecondLook
            for holds in must_hold:
                if not holds(record):
                    raise _SecondLook
            return record

        return look

    def _refuse_record(self, number: int, line: bytes, record: Record, problem: NotAsAgreed) -> None:
        record_id = record[self.contract.shape.id_column]
        self._refuse(number, (problem.about(number, record_id, leaf_hash(line)),))

    def _refuse(self, number: int, found: Sequence[RefusedRecord]) -> None:
        self.refused.setdefault(number, found[0])
        self.errors.extend(found[: REFUSED_INLINE_MAX - len(self.errors)])
        self.counts.update(str(entry.code) for entry in found)
        if len(self.refused) > self.examined_max:
            raise self.violated()


class _SecondLook(Exception):
    """A line did not pass at once."""
