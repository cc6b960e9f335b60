# SPDX-License-Identifier: Apache-2.0
"""Parts and totals; this file is about the rules that need more than one record of a submission.

The first walk over the records keeps a number for each row that is a total in some dimension; the second compares
the parts with it. Keys are kept as 64-bit hashes under the process's random seed, so that 100,000 rows cost a few
megabytes; a chance collision is one in 10^9 for the largest submission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from gateway.contracting.contract import Contract, Rule

_Record = Mapping[str, Any]


class CellsOnce:
    """The rule `unique`: the natural key of a record stands once in a submission."""

    def __init__(self, rule: Rule, contract: Contract) -> None:
        self.rule = rule
        self._key = itemgetter(*contract.shape.natural_key)
        self._seen: set[int] = set()

    def is_new(self, record: _Record) -> bool:
        """Remember a record's cell, and say whether it was not there before."""
        count = len(self._seen)
        self._seen.add(hash(self._key(record)))
        return len(self._seen) > count


@dataclass(slots=True)
class _Total:
    value: int
    base: int
    parts_sum: dict[int, int]
    parts_count: dict[int, int]


class Totals:
    """One rule of the kind `total_not_below_part` or `control_total`, over one submission."""

    def __init__(self, rule: Rule, contract: Contract) -> None:
        parameters = rule.parameters
        names = (*contract.shape.natural_key, *parameters["within"])
        self.rule = rule
        self._names = itemgetter(*names)
        self._measure: str = parameters["measure"]
        self._total: str = parameters["total"]
        self._rounding: str = parameters.get("rounding", "")
        self._parts = tuple(tuple(names.index(name) for name in part) for part in parameters["parts"])
        self._totals: dict[int, _Total] = {}

    def notice(self, record: _Record) -> None:
        """Remember a row that is the total of some dimension."""
        key = self._names(record)
        value = record.get(self._measure)
        if value is not None and any(key[part[0]] == self._total for part in self._parts):
            self._totals[hash(key)] = _Total(value, record.get(self._rounding, 1), {}, {})

    def holds(self, record: _Record) -> bool:
        """Hold one record against its totals; say no when it is above one and the rule is about that."""
        key, value = self._names(record), record.get(self._measure)
        if value is None:
            return True
        for number, part in enumerate(self._parts):
            if key[part[0]] == self._total:
                continue
            above = list(key)
            for position in part:
                above[position] = self._total
            if (total := self._totals.get(hash(tuple(above)))) is None:
                continue
            if self.rule.kind == "total_not_below_part" and value > total.value:
                return False
            total.parts_sum[number] = total.parts_sum.get(number, 0) + value
            total.parts_count[number] = total.parts_count.get(number, 0) + 1
        return True

    def differing(self) -> int:
        """Return how many sums of parts are away from their total by more than rounding explains."""
        count = 0
        for total in self._totals.values():
            for number, parts_sum in total.parts_sum.items():
                # Each part and the total itself may be off by half the rounding base; base 1 or 0 is exact.
                slack = (total.parts_count[number] + 1) * total.base // 2 if total.base > 1 else 0
                count += abs(parts_sum - total.value) > slack
        return count
