# SPDX-License-Identifier: Apache-2.0
"""What JSON Schema cannot say; this file is about the named kinds of rules, made into checks of one record.

A check returns nothing and raises `NotAsAgreed`. It runs only on records whose fields are valid by themselves.
All of them are built once a submission, for its instant, so that a record costs a few look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from gateway.contracting.contract import Contract, Field, Rule, Text
from gateway.contracting.texts import CODE_TEXTS
from gateway.errors import RecordCode

Record = Mapping[str, Any]
Check = Callable[[Record], None]

NOW = "now"
CLOCK_SKEW = timedelta(seconds=30)
ID_SKEW = timedelta(seconds=300)
ID_YEARS_MAX = 10
_TYPE_LENGTHS = {"month": 7, "date": 10, "datetime": 20}


class NotAsAgreed(Exception):
    """One thing about one record that breaks the contract: where, under which code, in which words."""

    def __init__(self, pointer: str, code: str, text: Text) -> None:
        super().__init__(code)
        self.pointer = pointer
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """A check, the fields it needs to be valid, and how grave it is."""

    fields: frozenset[str]
    severity: str
    check: Check


def compile_checks(contract: Contract, *, at: datetime) -> tuple[RecordCheck, ...]:
    """Return the checks of single records at an instant, those that the schema says already left out."""
    checks = [_whole_numbers(contract), _id_instant(contract, at)]
    checks += [_validity(field, contract) for field in contract.fields if field.valid_on]
    for rule in contract.rules:
        if builder := _BUILDERS.get(rule.kind):
            check = builder(rule, contract, at)
            checks.append(RecordCheck(named_fields(rule), rule.severity, _narrowed(rule, check)))
    return tuple(checks)


def broken(rule: Rule) -> NotAsAgreed:
    """Return what is raised when a record breaks a rule."""
    return NotAsAgreed(rule.pointer, f"rule:{rule.id}", rule.message)


def _whole_numbers(contract: Contract) -> RecordCheck:
    """Refuse fractions: JSON Schema takes 1.0 for an integer, and readers print it differently."""
    names = tuple(field.name for field in contract.fields if field.type == "integer")

    def check(record: Record) -> None:
        for name in names:
            if type(record.get(name, 0)) is not int:
                raise NotAsAgreed(f"/{name}", RecordCode.TYPE, CODE_TEXTS[RecordCode.TYPE])

    return RecordCheck(frozenset(names), "error", check)


def _id_instant(contract: Contract, at: datetime) -> RecordCheck:
    """Bound the time inside a UUID version 7, which sorts as text and is compared as text."""
    name = contract.shape.id_column
    first, last = _id_prefix(at - timedelta(days=ID_YEARS_MAX * 365 + 3)), _id_prefix(at + ID_SKEW)

    def check(record: Record) -> None:
        if not first <= record[name] <= last:
            raise NotAsAgreed(f"/{name}", RecordCode.RANGE, CODE_TEXTS[RecordCode.RANGE])

    return RecordCheck(frozenset({name}), "error", check)


def _id_prefix(at: datetime) -> str:
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _validity(field: Field, contract: Contract) -> RecordCheck:
    """Refuse a code outside the time in which its list says it held."""
    name, on = field.name, field.valid_on
    length = _TYPE_LENGTHS[contract.field(on).type]
    codes = contract.code_lists[field.code_list].codes.values()
    bounds = {
        code.code: (code.valid_from[:length], (code.valid_to or "9")[:length])
        for code in codes
        if code.valid_from or code.valid_to
    }

    def check(record: Record) -> None:
        if (bound := bounds.get(record.get(name, ""))) and not bound[0] <= record[on] <= bound[1]:
            raise NotAsAgreed(f"/{name}", RecordCode.CODE_NOT_IN_LIST, CODE_TEXTS[RecordCode.CODE_NOT_IN_LIST])

    return RecordCheck(frozenset({name, on}), "error", check)


def _not_after(rule: Rule, contract: Contract, at: datetime) -> Check:
    earlier, later = rule.parameters["earlier"], rule.parameters["later"]
    strict = rule.parameters.get("strict", False)
    length = min(_TYPE_LENGTHS[contract.field(name).type] for name in (earlier, later) if name != NOW)
    # A sender's clock may run ahead as far as its signature's may.
    now = (at + CLOCK_SKEW if later == NOW and length == _TYPE_LENGTHS["datetime"] else at).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )

    def check(record: Record) -> None:
        first = now if earlier == NOW else record.get(earlier)
        second = now if later == NOW else record.get(later)
        if first is None or second is None:
            return
        if first[:length] > second[:length] or (strict and first[:length] == second[:length]):
            raise broken(rule)

    return check


def _within_days(rule: Rule, _: Contract, at: datetime) -> Check:
    start, end, days = rule.parameters["from"], rule.parameters["to"], rule.parameters["days"]
    now = at.date().isoformat()

    def check(record: Record) -> None:
        first = now if start == NOW else record.get(start)
        last = now if end == NOW else record.get(end)
        if first is not None and last is not None and _ordinal(last[:10]) - _ordinal(first[:10]) > days:
            raise broken(rule)

    return check


@lru_cache(maxsize=8192)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _sum_at_most(rule: Rule, _: Contract, __: datetime) -> Check:
    parts, at_most = tuple(rule.parameters["parts"]), rule.parameters["at_most"]

    def check(record: Record) -> None:
        get = record.get
        if sum([get(name, 0) for name in parts]) > get(at_most, 0):
            raise broken(rule)

    return check


def _multiple_of(rule: Rule, _: Contract, __: datetime) -> Check:
    field, base = rule.parameters["field"], rule.parameters["base"]

    def check(record: Record) -> None:
        step = record.get(base, 0)
        if step > 1 and record.get(field, 0) % step:
            raise broken(rule)

    return check


def _same_country(rule: Rule, contract: Contract, _: datetime) -> Check:
    (left, left_countries), (right, right_countries) = (
        (name, _countries(contract.field(name), contract)) for name in rule.parameters["fields"]
    )

    def check(record: Record) -> None:
        first, second = left_countries(record[left]), right_countries(record[right])
        if first and second and first != second:
            raise broken(rule)

    return check


def _countries(field: Field, contract: Contract) -> Callable[[str], str]:
    """Return how a field's value names a country; an empty answer means that it names none."""
    if field.type != "code":
        return lambda value: value[:3]
    codes = contract.code_lists[field.code_list].codes
    if any("country" in code.attributes for code in codes.values()):
        table = {name: code.attributes.get("country", "") for name, code in codes.items()}
        return table.__getitem__
    return lambda value: value


def _member_of_scheme(rule: Rule, contract: Contract, _: datetime) -> Check:
    scheme, code, country = (rule.parameters[key] for key in ("scheme", "code", "country"))
    table: dict[tuple[str, str], str] = {}
    for entry in contract.code_lists[contract.field(scheme).code_list].codes.values():
        if ref := entry.attributes.get("list"):
            places = contract.code_lists[ref].codes.values()
            table |= {(entry.code, place.code): place.attributes["country"] for place in places}
        else:
            table[entry.code, entry.code] = ""

    def check(record: Record) -> None:
        if table.get((record[scheme], record[code])) not in {"", record[country]}:
            raise broken(rule)

    return check


def _supersedes(rule: Rule, contract: Contract, _: datetime) -> Check:
    """Refuse a record that supersedes itself; the schema says when the field is there."""
    name, own = rule.parameters["supersedes"], contract.shape.id_column

    def check(record: Record) -> None:
        if record.get(name) == record[own]:
            raise broken(rule)

    return check


_BUILDERS: dict[str, Callable[[Rule, Contract, datetime], Check]] = {
    "not_after": _not_after,
    "within_days": _within_days,
    "sum_at_most": _sum_at_most,
    "multiple_of": _multiple_of,
    "same_country": _same_country,
    "member_of_scheme": _member_of_scheme,
    "supersedes": _supersedes,
}


def _narrowed(rule: Rule, check: Check) -> Check:
    if not rule.when:
        return check
    tests = tuple((name, frozenset(values)) for name, values in rule.when.items())

    def narrowed(record: Record) -> None:
        if all(record.get(name) in values for name, values in tests):
            check(record)

    return narrowed


def named_fields(rule: Rule) -> frozenset[str]:
    """Return every field that a rule is about; other strings among its parameters do no harm in an intersection."""
    names = {*rule.when, *rule.parameters.get("then", ())}
    for value in rule.parameters.values():
        names |= {item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)}
    return frozenset(names)
