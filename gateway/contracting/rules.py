# SPDX-License-Identifier: Apache-2.0
"""What JSON Schema cannot say; this file is about the named kinds of rules, made into checks of one record.

All of them are built once for a contract and an instant, so that a record costs a few look-ups. They are asked
only about records whose fields are valid by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from gateway.contracting.contract import Contract, Field, Rule
from gateway.contracting.report import NotAsAgreed, broken_code, broken_rule
from gateway.wire.record_code import RecordCode

Record = Mapping[str, Any]
Holds = Callable[[Record], bool]

NOW = "now"
CLOCK_SKEW = timedelta(seconds=30)
ID_SKEW = timedelta(seconds=300)
ID_YEARS_MAX = 10
DAYS_KEPT_MAX = 8192
COMBINATIONS_KEPT_MAX = 8192
CONTRACTS_KEPT_MAX = 256
# Submissions that are judged together are judged at one moment.
MOMENTS_KEPT_MAX = 16
_NO_TIME = datetime.min.replace(tzinfo=UTC)
# Sorts after every digit and letter, so that a day with it is after each of its hours; and just after a text.
_AFTER_ALL = "~"
_JUST_AFTER = "\x00"
_TYPE_LENGTHS = {"month": 7, "date": 10, "datetime": 20}


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """Whether something `holds` for a record, the fields that must be valid for it, and what is wrong otherwise."""

    fields: frozenset[str]
    severity: str
    holds: Holds
    problem: NotAsAgreed


@dataclass(frozen=True, slots=True)
class Checks:
    """All checks of single records; `at_once` says the same as `required`, made to be asked about very many records."""

    required: tuple[RecordCheck, ...]
    warnings: tuple[RecordCheck, ...]
    at_once: tuple[Holds, ...]


@lru_cache(maxsize=MOMENTS_KEPT_MAX)
def compile_checks(contract: Contract, at: datetime) -> Checks:
    """Return the checks of single records at an instant, those that the schema says already left out."""
    standing = _standing(contract)
    checks = [_id_instant(contract.shape.id_column, at)]
    checks += [_validity(field, contract) for field in contract.fields if field.valid_on]
    checks += [standing.get(r.id) or _check(r, contract, at) for r in contract.rules if r.kind in _BUILDERS]
    required = tuple(check for check in checks if check.severity != "warn")
    warnings = tuple(check for check in checks if check.severity == "warn")
    return Checks(required, warnings, _at_once(contract, required))


@lru_cache(maxsize=CONTRACTS_KEPT_MAX)
def _standing(contract: Contract) -> dict[str, RecordCheck]:
    """Return the checks in which no clock has a part: their tables are large, and made once for a contract."""
    rules = (r for r in contract.rules if r.kind in _BUILDERS and NOW not in r.parameters.values())
    return {rule.id: _check(rule, contract, _NO_TIME) for rule in rules}


def _check(rule: Rule, contract: Contract, at: datetime) -> RecordCheck:
    holds = _narrowed(rule, _BUILDERS[rule.kind](rule, contract, at))
    return RecordCheck(named_fields(rule, contract), rule.severity, holds, broken_rule(rule))


def _at_once(contract: Contract, checks: Iterable[RecordCheck]) -> tuple[Holds, ...]:
    """Return all that must hold.

    The codes and the days in an agency's records repeat: checks that are only about them are asked once for each
    combination. In a million records they are a few hundred.
    """
    rest = list(checks)
    asked: list[Holds] = []
    for types in ({"code", "string"}, {"date"}):
        names = {field.name for field in contract.fields if field.required and field.type in types}
        repeating = [check for check in rest if check.fields <= names]
        rest = [check for check in rest if check not in repeating]
        if repeating:
            asked.append(_once_a_combination(repeating))
    return (*asked, *(check.holds for check in rest))


def _once_a_combination(checks: Sequence[RecordCheck]) -> Holds:
    names = sorted(frozenset[str]().union(*(check.fields for check in checks)))
    # The first name stands twice, so that one field alone makes a tuple as well.
    combination_of = itemgetter(names[0], *names)

    @lru_cache(maxsize=COMBINATIONS_KEPT_MAX)
    def agreed(combination: tuple[object, ...]) -> bool:
        record = dict(zip(names, combination[1:], strict=True))
        return all(check.holds(record) for check in checks)

    return lambda record: agreed(combination_of(record))


def named_fields(rule: Rule, contract: Contract) -> frozenset[str]:
    """Return every field that a rule is about."""
    names = {*rule.when, *rule.parameters.get("then", ())}
    for value in rule.parameters.values():
        names |= {item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)}
    return frozenset(names) & {field.name for field in contract.fields}


def _id_instant(name: str, at: datetime) -> RecordCheck:
    first, last = _id_prefix(at - timedelta(days=ID_YEARS_MAX * 365 + 3)), _id_prefix(at + ID_SKEW)
    holds = _between(name, first, last + _AFTER_ALL)
    return RecordCheck(frozenset({name}), "error", holds, broken_code(f"/{name}", RecordCode.RANGE))


def _id_prefix(at: datetime) -> str:
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


@lru_cache(maxsize=CONTRACTS_KEPT_MAX)
def _validity(field: Field, contract: Contract) -> RecordCheck:
    """Refuse a code outside the time in which its list says it held."""
    name, on = field.name, field.valid_on
    length = _TYPE_LENGTHS[contract.field(on).type]
    bounds = {
        code.code: (code.valid_from[:length], (code.valid_to or "9")[:length])
        for code in contract.code_lists[field.code_list].codes.values()
        if code.valid_from or code.valid_to
    }

    def holds(record: Record) -> bool:
        bound = bounds.get(record.get(name, ""))
        return bound is None or bound[0] <= record[on] <= bound[1]

    return RecordCheck(frozenset({name, on}), "error", holds, broken_code(f"/{name}", RecordCode.CODE_NOT_IN_LIST))


def _narrowed(rule: Rule, holds: Holds) -> Holds:
    if not rule.when:
        return holds
    tests = tuple((name, frozenset(values)) for name, values in rule.when.items())
    return lambda record: not all(record.get(name) in values for name, values in tests) or holds(record)


def _between(name: str, first: str, last: str) -> Holds:
    """Compare as text, which is how dates and UUIDs of version 7 sort."""
    return lambda record: (value := record.get(name)) is None or first <= value <= last


def _not_after(rule: Rule, contract: Contract, at: datetime) -> Holds:
    """Compare two instants as text; a month sorts before its days, so that the earlier one is cut to the coarser."""
    earlier, later = rule.parameters["earlier"], rule.parameters["later"]
    strict = rule.parameters.get("strict", False)
    if later == NOW:
        kind = contract.field(earlier).type
        # A sender's clock may run ahead as far as its signature's may.
        return _between(earlier, "", _instant(at + CLOCK_SKEW if kind == "datetime" else at, kind))
    if earlier == NOW:
        now = _instant(at, contract.field(later).type)
        return _between(later, now + (_JUST_AFTER if strict else ""), _AFTER_ALL)
    coarse = min(_TYPE_LENGTHS[contract.field(name).type] for name in (earlier, later))

    def holds(record: Record) -> bool:
        first: str | None = record.get(earlier)
        second: str | None = record.get(later)
        if first is None or second is None:
            return True
        return first[:coarse] < second[:coarse] if strict else first[:coarse] <= second

    return holds


def _instant(at: datetime, kind: str) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")[: _TYPE_LENGTHS[kind]]


@lru_cache(maxsize=DAYS_KEPT_MAX)
def _last_day(start: str, days: int) -> str:
    return (date.fromisoformat(start) + timedelta(days=days)).isoformat() + _AFTER_ALL


def _within_days(rule: Rule, _: Contract, at: datetime) -> Holds:
    start, end, days = rule.parameters["from"], rule.parameters["to"], rule.parameters["days"]
    if end == NOW:
        return _between(start, (at.date() - timedelta(days=days)).isoformat(), _AFTER_ALL)
    return lambda record: (last := record.get(end)) is None or last <= _last_day(record[start], days)


def _sum_at_most(rule: Rule, _: Contract, __: datetime) -> Holds:
    parts, at_most = tuple(rule.parameters["parts"]), rule.parameters["at_most"]
    if len(parts) == 1:
        part = parts[0]
        return lambda record: record.get(part, 0) <= record.get(at_most, 0)
    return lambda record: sum([record.get(name, 0) for name in parts]) <= record.get(at_most, 0)


def _multiple_of(rule: Rule, _: Contract, __: datetime) -> Holds:
    field, base = rule.parameters["field"], rule.parameters["base"]

    def holds(record: Record) -> bool:
        step: int = record.get(base, 0)
        return step <= 1 or record.get(field, 0) % step == 0

    return holds


def _same_country(rule: Rule, contract: Contract, _: datetime) -> Holds:
    """Compare the countries that two fields name: a country, an agency, or a code whose list names its country."""
    left, right = rule.parameters["fields"]
    if contract.field(left).type != "code":
        return lambda record: record[left][:3] == record[right]
    codes = contract.code_lists[contract.field(left).code_list].codes
    table = {name: code.attributes["country"] for name, code in codes.items() if "country" in code.attributes}
    if not table:
        return lambda record: record[left] == record[right]

    def holds(record: Record) -> bool:
        country: str = record[right]
        # A code that names no country is any country's.
        return table.get(record[left], country) == country

    return holds


def _member_of_scheme(rule: Rule, contract: Contract, _: datetime) -> Holds:
    scheme, code, country = (rule.parameters[key] for key in ("scheme", "code", "country"))
    places: set[tuple[str, str, str]] = set()
    anywhere: set[tuple[str, str]] = set()
    for entry in contract.code_lists[contract.field(scheme).code_list].codes.values():
        if ref := entry.attributes.get("list"):
            members = contract.code_lists[ref].codes.values()
            places |= {(entry.code, place.code, place.attributes["country"]) for place in members}
        else:
            anywhere.add((entry.code, entry.code))

    def holds(record: Record) -> bool:
        place = (record[scheme], record[code], record[country])
        return place in places or place[:2] in anywhere

    return holds


def _supersedes(rule: Rule, contract: Contract, _: datetime) -> Holds:
    """Refuse a record that supersedes itself; the schema says when the field is there, and that an id is."""
    name, own = rule.parameters["supersedes"], contract.shape.id_column
    return lambda record: name not in record or record[name] != record.get(own)


_BUILDERS: dict[str, Callable[[Rule, Contract, datetime], Holds]] = {
    "not_after": _not_after,
    "within_days": _within_days,
    "sum_at_most": _sum_at_most,
    "multiple_of": _multiple_of,
    "same_country": _same_country,
    "member_of_scheme": _member_of_scheme,
    "supersedes": _supersedes,
}
