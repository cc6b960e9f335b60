# SPDX-License-Identifier: Apache-2.0
"""Would it pass; this file is about judging a file by its contract on the sender's side, before anything leaves.

It runs the contract's own schema and rules. What only the gateway can know (a record that is there already, who
may send) is not asked here; `GatewayClient.validate` asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import orjson

from gateway.client.submit import lines_of, local_contract
from gateway.contracting.contract import Contract
from gateway.contracting.examine import Examiner
from gateway.contracting.rules import NotAsAgreed, RecordCheck, compile_checks
from gateway.contracting.totals import CellsOnce, Totals
from gateway.trip import Partner, RefusedRecord
from gateway.wire.canonical import parse_canonical
from gateway.wire.merkle import leaf_hash

FOUND_MAX: Final = 10_000
_Kept: TypeAlias = tuple[int, dict[str, Any], bytes]
_TOTALS: Final = frozenset({"total_not_below_part", "control_total"})


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with the records of a file, at most the first ten thousand errors."""

    received: int
    refused: tuple[RefusedRecord, ...]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the records must speak for."""

    id: str
    country: str


def check_file(
    path: Path, product: str, version: str, *, at: datetime, partner: str = "", contracts: Path | None = None
) -> Found:
    """Judge the records of a file; without a partner, that of the first record is taken.

    Raises:
        InputUnusable: when the file cannot be read as records.
        ForbiddenField, WrongProvider: for what refuses a whole submission.
    """
    contract = local_contract(product, version, contracts)
    return check_lines(lambda: lines_of(path, contract), contract, at=at, partner=partner)


def check_lines(lines: Callable[[], Iterable[bytes]], contract: Contract, *, at: datetime, partner: str = "") -> Found:
    """Judge canonical lines; `lines()` gives them, once for each walk."""
    bench = _Bench(contract, partner or _first_provider(lines(), contract), at=at)
    kept: list[_Kept] = []
    for number, line in enumerate(lines(), start=1):
        bench.look(number, line, kept)
        if len(bench.refused) >= FOUND_MAX:
            break
    bench.compare_totals(kept)
    return Found(bench.received, tuple(sorted(bench.refused, key=lambda refused: refused.line)))


class _Bench:
    """The records of one file on the sender's bench."""

    def __init__(self, contract: Contract, partner: str, *, at: datetime) -> None:
        checks = compile_checks(contract, at=at)
        self.contract = contract
        self.checks: tuple[RecordCheck, ...] = tuple(entry for entry in checks if entry.severity != "warn")
        self.validator = contract.sandbox_validator
        # The examiner asks its partner for id and country only; a Partner is a proven one, and nobody is here.
        sender = cast("Partner", Sender(partner, partner[:3]))
        self.examiner = Examiner(contract, self.validator, checks, sender)
        self.once = [CellsOnce(rule, contract) for rule in contract.rules if rule.kind == "unique"]
        self.totals = [Totals(rule, contract) for rule in contract.rules if rule.kind in _TOTALS]
        self.received = 0
        self.refused: list[RefusedRecord] = []

    def look(self, number: int, line: bytes, kept: list[_Kept]) -> None:
        self.received = number
        try:
            record = self._first_look(line)
        except (ValueError, TypeError, NotAsAgreed):
            self.refused.extend(self.examiner.examine(number, line))
            return
        try:
            for rule in self.once:
                rule.notice(record)
        except NotAsAgreed as problem:
            self._refuse(number, record, line, problem)
            return
        if self.totals:
            kept.append((number, record, line))
            for totals in self.totals:
                totals.notice(record)

    def compare_totals(self, kept: Iterable[_Kept]) -> None:
        for number, record, line in kept:
            for totals in self.totals:
                try:
                    totals.compare(record)
                except NotAsAgreed as problem:
                    self._refuse(number, record, line, problem)

    def _first_look(self, line: bytes) -> dict[str, Any]:
        record = parse_canonical(line)
        if not isinstance(record, dict) or not self.validator.is_valid(record):
            raise ValueError("not by the schema")
        partner = self.examiner.partner
        if (record[self.contract.provider_field], record[self.contract.country_field]) != (partner.id, partner.country):
            raise ValueError("another provider")
        for entry in self.checks:
            entry.check(record)
        return record

    def _refuse(self, number: int, record: dict[str, Any], line: bytes, problem: NotAsAgreed) -> None:
        record_id = record[self.contract.shape.id_column]
        self.refused.append(
            RefusedRecord(
                number, record_id, problem.pointer, problem.code, leaf_hash(line), problem.text.en, problem.text.es
            )
        )


def _first_provider(lines: Iterable[bytes], contract: Contract) -> str:
    for line in lines:
        try:
            record = orjson.loads(line)
            return str(record[contract.provider_field])
        except (ValueError, KeyError, TypeError):
            continue
    return ""
