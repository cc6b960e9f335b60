# SPDX-License-Identifier: Apache-2.0
"""What a data request asks for; this file is about reading the SDMX REST key and component filters.

`+` is SDMX's AND, so the query string is read raw and never as a form, where it would be a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.aggregates.dataflow import AGENCY, TIME, Dataflow
from gateway.errors import NotAPublishedTable, NotFound, RequestMalformed, UnitsDiffer
from gateway.wire.canonical import JSON

QUERY_BYTES_MAX = 8192
CONDITIONS_MAX = 64
VALUES_MAX = 512
_ALL = frozenset({"", "*", "all"})
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_YEAR = re.compile(r"[0-9]{4}")
_FILTER = re.compile(r"c\[([A-Za-z0-9_]+)\]")
# Parameters that name the only answer there is may stand; any other would be ignored silently, so it is refused.
_GIVEN = {
    "dimensionAtObservation": {TIME, "AllDimensions"},
    "attributes": {"all", "dsd"},
    "measures": {"all"},
    "includeHistory": {"false"},
}
# Totals over these would add what must not be added: other units, other meanings; other owners, other countries.
_UNITS = frozenset({"UNIT_MEASURE", "DEFINITION"})
_NEVER_TOTALLED = frozenset({"PROVIDER", "REF_AREA", "FLOW_TYPE", "DIRECTION"})
TOTAL = "_T"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one dimension: the value is one of `values`, or none of them."""

    dimension: str
    position: int
    values: frozenset[str]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class FlowQuery:
    """A request that was understood: alternatives of series keys, conditions that all hold, a span of months."""

    keys: tuple[tuple[frozenset[str], ...], ...]
    conditions: tuple[Condition, ...]
    first_month: str
    last_month: str

    def selects(self, key: Sequence[str]) -> bool:
        """Say whether a series key was asked for; the span is the storage's to apply."""
        if self.keys and not any(
            all(not wanted or value in wanted for wanted, value in zip(alternative, key, strict=True))
            for alternative in self.keys
        ):
            return False
        return all((key[c.position] in c.values) != c.negated for c in self.conditions)

    def named(self, flow: Dataflow, dimension: str) -> frozenset[str]:
        """Return the values that a request names for a dimension; none means that it takes any."""
        position = flow.dimensions.index(dimension)
        sets = [c.values for c in self.conditions if c.dimension == dimension and not c.negated]
        if self.keys and all(alternative[position] for alternative in self.keys):
            sets.append(frozenset().union(*(alternative[position] for alternative in self.keys)))
        return frozenset.intersection(*sets) if sets else frozenset()

    def as_json(self) -> dict[str, JSON]:
        """Return the request in one form, whatever its spelling, for the digest in the audit log."""
        return {
            "keys": [[sorted(wanted) for wanted in alternative] for alternative in self.keys],
            "conditions": sorted(
                f"{c.dimension}{'!=' if c.negated else '='}{','.join(sorted(c.values))}" for c in self.conditions
            ),
            "first_month": self.first_month,
            "last_month": self.last_month,
        }


def parse_query(flow: Dataflow, *, agency: str, dataflow: str, version: str, key: str, query: str) -> FlowQuery:
    """Read a data request: the path's parts as they came, the query string raw.

    Raises:
        NotFound: when there is no such dataflow.
        RequestMalformed: when key, filter or parameter cannot be read.
        UnitsDiffer: when a total over units or definitions is asked for.
        NotAPublishedTable: when another total that nobody publishes is.
    """
    _known(flow, agency, dataflow, version)
    if len(query) + len(key) > QUERY_BYTES_MAX:
        raise RequestMalformed(what=f"key and query are longer than {QUERY_BYTES_MAX} bytes")
    conditions: list[Condition] = []
    first, last = "0000-01", "9999-12"
    for name, value in _parameters(query):
        if not (match := _FILTER.fullmatch(name)):
            if value not in _GIVEN.get(name, ()):
                raise RequestMalformed(what=f"the parameter {name[:40]} is not offered with that value")
        elif match[1] == TIME:
            first, last = _narrowed(value, first, last)
        else:
            conditions.extend(_conditions(flow, match[1], value))
    if len(conditions) > CONDITIONS_MAX:
        raise RequestMalformed(what=f"more than {CONDITIONS_MAX} conditions")
    asked = FlowQuery(_keys(flow, unquote(key).strip("/")), tuple(conditions), first, last)
    _refuse_sums(flow, asked)
    return asked


def _known(flow: Dataflow, agency: str, dataflow: str, version: str) -> None:
    newest = {"*", "~", "+", "all", "latest", flow.version, f"{flow.version.split('.')[0]}.0+"}
    if agency not in {"*", "all", AGENCY} or dataflow not in {"*", "all", flow.id} or version not in newest:
        raise NotFound


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            yield unquote(name), unquote(value)


def _keys(flow: Dataflow, key: str) -> tuple[tuple[frozenset[str], ...], ...]:
    """Read a key: `*`, keys joined by a comma, or one key whose positions hold alternatives."""
    if key in _ALL:
        return ()
    size = len(flow.dimensions)
    alternatives = key.split(",")
    if any(alternative.count(".") != size - 1 for alternative in alternatives):
        alternatives = [key]
    if any(alternative.count(".") != size - 1 for alternative in alternatives):
        raise RequestMalformed(what=f"a key has {size} positions, {'.'.join(flow.dimensions)}")
    if len(alternatives) > CONDITIONS_MAX:
        raise RequestMalformed(what=f"more than {CONDITIONS_MAX} keys")
    return tuple(tuple(_alternatives(part) for part in alternative.split(".")) for alternative in alternatives)


def _alternatives(part: str) -> frozenset[str]:
    return frozenset() if part in _ALL else frozenset(re.split(r"[+,]", part))


def _conditions(flow: Dataflow, dimension: str, value: str) -> Iterator[Condition]:
    if dimension not in flow.dimensions:
        raise RequestMalformed(what=f"there is no dimension {dimension[:40]}")
    position = flow.dimensions.index(dimension)
    for term in value.split("+"):
        pairs = [_operator(item) for item in term.split(",")]
        if len(pairs) > VALUES_MAX:
            raise RequestMalformed(what=f"more than {VALUES_MAX} values for {dimension}")
        operators = {operator for operator, _ in pairs}
        values = frozenset(text for _, text in pairs)
        if operators == {"eq"}:
            if not values & _ALL:
                yield Condition(dimension, position, values)
        elif operators == {"ne"} and len(pairs) == 1:
            yield Condition(dimension, position, values, negated=True)
        else:
            raise RequestMalformed(what=f"{dimension} takes values, or one ne: value")


def _operator(item: str) -> tuple[str, str]:
    operator, colon, text = item.partition(":")
    return (operator, text) if colon else ("eq", item)


def _narrowed(value: str, first: str, last: str) -> tuple[str, str]:
    """Narrow a span of months by conditions such as `ge:2024-01+le:2024-12`; a year is all its months."""
    for term in value.split("+"):
        operator, text = _operator(term)
        if _YEAR.fullmatch(text):
            low, high = f"{text}-01", f"{text}-12"
        elif _MONTH.fullmatch(text):
            low = high = text
        else:
            raise RequestMalformed(what=f"{TIME} is a year or a month, as in ge:2024-01+le:2024-12")
        if operator in {"eq", "ge"}:
            first = max(first, low)
        if operator in {"eq", "le"}:
            last = min(last, high)
        if operator == "gt":
            first = max(first, _next(high))
        if operator == "lt":
            last = min(last, _previous(low))
        if operator not in {"eq", "ge", "le", "gt", "lt"}:
            raise RequestMalformed(what=f"{TIME} takes eq, ge, gt, le and lt")
    return first, last


def _next(month: str) -> str:
    # Nothing comes after 9999-12: the thirteenth month keeps its order among texts, the year 10000 would not.
    ends_year = month.endswith("12") and month < "9999"
    return f"{int(month[:4]) + 1:04}-01" if ends_year else f"{month[:5]}{int(month[5:]) + 1:02}"


def _previous(month: str) -> str:
    begins_year = month.endswith("01") and month > "0001"
    return f"{int(month[:4]) - 1:04}-12" if begins_year else f"{month[:5]}{int(month[5:]) - 1:02}"


def _refuse_sums(flow: Dataflow, asked: FlowQuery) -> None:
    """Refuse totals that would be sums of the gateway's own: every number served is a cell that an agency sent."""
    totalled = [dimension for dimension in flow.dimensions if TOTAL in asked.named(flow, dimension)]
    for dimension in totalled:
        if dimension in _UNITS:
            raise UnitsDiffer
        if dimension in _NEVER_TOTALLED:
            raise NotAPublishedTable(what=f"a total over {dimension}")
