# SPDX-License-Identifier: Apache-2.0
"""What a data request asks for; this file is about reading SDMX keys, component filters and parameters.

REST 1.5 and REST 2 spell one question in two ways; both end here. `+` is SDMX's AND (or, in a key, its OR), so the
query string is read raw and never as a form, where it would be a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

from gateway.aggregates.observations import AGENCY, FIRST_MONTH, LAST_MONTH, TIME, Condition, DataQuery, Structure
from gateway.errors import NotFound, RequestMalformed

QUERY_BYTES_MAX = 8192
CONDITIONS_MAX = 64
VALUES_MAX = 512
OBSERVATIONS_MAX = 1_000_000
FLAT = "AllDimensions"
FULL, DATA_ONLY, SERIES_ONLY = "full", "dataonly", "serieskeysonly"
ANY = frozenset({"", "*", "all"})
NEWEST = frozenset({"*", "~", "+", "all", "latest"})
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_DAY = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2]))-(?:0[1-9]|[12][0-9]|3[01])(?:T[0-9:.]{5,15}Z?)?")
_YEAR = re.compile(r"([0-9]{4})(?:-A1)?")
_PART = re.compile(r"([0-9]{4})-([QST])([1-4])")
_PART_MONTHS = {"Q": 3, "T": 4, "S": 6}
_FILTER = re.compile(r"c\[([A-Za-z0-9_]+)\]")
_COUNT = re.compile(r"[1-9][0-9]{0,6}")
# What decides on form alone; `forms.py` reads it.
_FORM = frozenset({"format"})
# Parameters that name the only answer there is may stand; any other would be ignored silently, so it is refused.
_GIVEN = {
    "attributes": {"all", "dsd", "none", "obs", "series,obs"},
    "measures": {"all", "none"},
    "detail": {FULL, DATA_ONLY, SERIES_ONLY, "nodata"},
    "dimensionAtObservation": {TIME, FLAT},
    "includeHistory": {"true", "false"},
}


@dataclass(slots=True)
class _Reading:
    """What the parameters have said so far."""

    conditions: list[Condition] = field(default_factory=list)
    first: str = FIRST_MONTH
    last: str = LAST_MONTH
    months: frozenset[str] = frozenset()
    instants: dict[str, datetime] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)


def parse_query(
    structures: Sequence[Structure], *, agency: str, dataflow: str, version: str, key: str, query: str
) -> tuple[Structure, DataQuery]:
    """Read a data request: the path's parts as they came, the query string raw.

    Raises:
        NotFound: when there is no such dataflow.
        RequestMalformed: when key, filter or parameter cannot be read.
    """
    structure = find_structure(structures, agency=agency, dataflow=dataflow, version=version)
    if len(query) + len(key) > QUERY_BYTES_MAX:
        raise RequestMalformed(what=f"key and query are longer than {QUERY_BYTES_MAX} bytes")
    found = _Reading()
    # No id has a character that cannot be seen, and a NUL is more than a database takes.
    if not unquote(key + query).isprintable():
        raise RequestMalformed(what="key or query has characters that cannot be seen")
    for name, value in parameters(query):
        _read(structure, found, name, value)
    if len(found.conditions) > CONDITIONS_MAX:
        raise RequestMalformed(what=f"more than {CONDITIONS_MAX} conditions")
    return structure, DataQuery(
        keys=_keys(structure, unquote(key).strip("/")),
        conditions=tuple(found.conditions),
        first_month=found.first,
        last_month=found.last,
        months=found.months,
        first_n=found.counts.get("firstNObservations", 0),
        last_n=found.counts.get("lastNObservations", 0),
        updated_after=found.instants.get("updatedAfter"),
        as_of=found.instants.get("asOf"),
        include_history=found.given.get("includeHistory") == "true",
        detail=_detail(found.given),
        at_observation=found.given.get("dimensionAtObservation", TIME),
    )


def find_structure(structures: Sequence[Structure], *, agency: str, dataflow: str, version: str) -> Structure:
    """Return the dataflow that a path names.

    Raises:
        NotFound: when there is none, or more than one would be meant.
    """
    found = [
        one
        for one in structures
        if agency in ANY | {AGENCY} and dataflow in ANY | {one.id} and takes_version(version, one.version)
    ]
    if len(found) != 1:
        raise NotFound
    return found[0]


def takes_version(wanted: str, version: str) -> bool:
    """Say whether a version is the one wanted: any, the newest of a major version (`1.0+`), or this one."""
    newest = wanted.endswith("+") and wanted.rstrip("+").partition(".")[0] == version.partition(".")[0]
    return wanted in NEWEST | {version, ""} or newest


def parameters(query: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a raw query string."""
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            yield unquote(name), unquote(value)


def _read(structure: Structure, found: _Reading, name: str, value: str) -> None:
    match = _FILTER.fullmatch(name)
    if match and match[1] == TIME:
        _narrow(found, value)
    elif match:
        found.conditions.extend(_conditions(structure, match[1], value))
    elif name in {"startPeriod", "endPeriod"}:
        _narrow(found, f"{'ge' if name == 'startPeriod' else 'le'}:{value}")
    elif name in {"asOf", "updatedAfter"}:
        found.instants[name] = _instant(name, value)
    elif name in {"firstNObservations", "lastNObservations"}:
        if not _COUNT.fullmatch(value):
            raise RequestMalformed(what=f"{name} is a number from 1 on")
        found.counts[name] = int(value)
    elif name not in _FORM:
        if value not in _GIVEN.get(name, ()):
            raise RequestMalformed(what=f"the parameter {name[:40]} is not offered with that value")
        found.given[name] = value


def _detail(given: Mapping[str, str]) -> str:
    if given.get("measures") == "none" or given.get("detail") in {SERIES_ONLY, "nodata"}:
        return SERIES_ONLY
    return DATA_ONLY if given.get("attributes") == "none" else given.get("detail", FULL)


def _instant(name: str, value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RequestMalformed(what=f"{name} is an instant, as in 2025-05-01T00:00:00Z") from error


def _keys(structure: Structure, key: str) -> tuple[tuple[frozenset[str], ...], ...]:
    """Read a key: `*`, keys joined by a comma, or one key whose positions hold alternatives."""
    if key in ANY:
        return ()
    size = len(structure.key)
    alternatives = key.split(",")
    if any(alternative.count(".") != size - 1 for alternative in alternatives):
        alternatives = [key]
    if any(alternative.count(".") != size - 1 for alternative in alternatives):
        raise RequestMalformed(what=f"a key has {size} positions, {'.'.join(structure.key)}")
    if len(alternatives) > CONDITIONS_MAX:
        raise RequestMalformed(what=f"more than {CONDITIONS_MAX} keys")
    return tuple(tuple(_alternatives(part) for part in alternative.split(".")) for alternative in alternatives)


def _alternatives(part: str) -> frozenset[str]:
    return frozenset() if part in ANY else frozenset(re.split(r"[+,]", part))


def _conditions(structure: Structure, component: str, value: str) -> Iterator[Condition]:
    if component not in (*structure.key, *structure.names):
        raise RequestMalformed(what=f"there is no dimension {component[:40]}")
    for term in value.split("+"):
        pairs = [_operator(item) for item in term.split(",")]
        if len(pairs) > VALUES_MAX:
            raise RequestMalformed(what=f"more than {VALUES_MAX} values for {component}")
        operators = {operator for operator, _ in pairs}
        values = frozenset(text for _, text in pairs)
        if operators == {"eq"}:
            if not values & ANY:
                yield Condition(component, values)
        elif operators == {"ne"} and len(pairs) == 1:
            yield Condition(component, values, negated=True)
        else:
            raise RequestMalformed(what=f"{component} takes values, or one ne: value")


def _operator(item: str) -> tuple[str, str]:
    operator, colon, text = item.partition(":")
    return (operator, text) if colon and operator.isalpha() else ("eq", item)


def _narrow(found: _Reading, value: str) -> None:
    """Narrow the months by conditions such as `ge:2024-01+le:2024-12`, or to a list of periods, `2024-01,2025`."""
    for term in value.split("+"):
        pairs = [_operator(item) for item in term.split(",")]
        if len(pairs) > VALUES_MAX:
            raise RequestMalformed(what=f"more than {VALUES_MAX} values for {TIME}")
        spans = [(operator, *_span(text)) for operator, text in pairs]
        if len(spans) > 1:
            if any(operator != "eq" for operator, _, _ in spans):
                raise RequestMalformed(what=f"a list of {TIME} has plain values")
            listed = frozenset(month for _, low, high in spans for month in _months(low, high))
            found.months = found.months & listed if found.months else listed
            # Two lists that share no month leave none: a span that ends before it begins.
            found.first = max(found.first, min(found.months, default=LAST_MONTH))
            found.last = min(found.last, max(found.months, default=FIRST_MONTH))
            continue
        [(operator, low, high)] = spans
        if operator in {"eq", "ge"}:
            found.first = max(found.first, low)
        if operator in {"eq", "le"}:
            found.last = min(found.last, high)
        if operator == "gt":
            found.first = max(found.first, _next(high))
        if operator == "lt":
            found.last = min(found.last, _previous(low))
        if operator not in {"eq", "ge", "le", "gt", "lt"}:
            raise RequestMalformed(what=f"{TIME} takes eq, ge, gt, le and lt")


def _span(text: str) -> tuple[str, str]:
    """Return the first and the last month of a year, a half, a third, a quarter, a month or a day."""
    if _MONTH.fullmatch(text):
        return text, text
    if match := _YEAR.fullmatch(text):
        return f"{match[1]}-01", f"{match[1]}-12"
    if match := _DAY.fullmatch(text):
        return match[1], match[1]
    if (match := _PART.fullmatch(text)) and int(match[3]) <= 12 // (size := _PART_MONTHS[match[2]]):
        last = int(match[3]) * size
        return f"{match[1]}-{last - size + 1:02}", f"{match[1]}-{last:02}"
    raise RequestMalformed(what=f"{TIME} is a year or a month, as in ge:2024-01+le:2024-12")


def _months(low: str, high: str) -> Iterator[str]:
    while low <= high:
        yield low
        low = _next(low)


def _next(month: str) -> str:
    # Nothing comes after 9999-12: the thirteenth month keeps its order among texts, the year 10000 would not.
    ends_year = month.endswith("12") and month < "9999"
    return f"{int(month[:4]) + 1:04}-01" if ends_year else f"{month[:5]}{int(month[5:]) + 1:02}"


def _previous(month: str) -> str:
    begins_year = month.endswith("01") and month > "0001"
    return f"{int(month[:4]) - 1:04}-12" if begins_year else f"{month[:5]}{int(month[5:]) - 1:02}"
