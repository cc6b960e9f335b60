# SPDX-License-Identifier: Apache-2.0
"""What JSON Schema cannot say; this file is about the named kinds of rules, made into checks of one record.

A check returns nothing and raises `NotAsAgreed`. It runs only on records whose fields are valid by themselves.
All of them are built once a submission, for its instant, so that a record costs a few look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
DAYS_KEPT_MAX = 8192
# Sorts after every digit and letter, so that a day with it is after each of its hours; and just after a text.
_AFTER_ALL = "~"
_JUST_AFTER = "\x00"
_TYPE_LENGTHS = {"month": 7, "date": 10, "datetime": 20}


class NotAsAgreed(Exception):
    """One thing about one record that breaks the contract: where, under which code, in which words."""

    def __init__(self, pointer: str, code: str, text: Text) -> None:
        super().__init__(code)
        self.pointer = pointer
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and last text that a required field may have; dates and UUIDs of version 7 sort as text."""

    name: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """A check, the fields it needs to be valid, how grave it is, and its bounds when it says no more than those."""

    fields: frozenset[str]
    severity: str
    check: Check
    bounds: Bounds | None = None


def compile_checks(contract: Contract, *, at: datetime) -> tuple[RecordCheck, ...]:
    """Return the checks of single records at an instant, those that the schema says already left out."""
    checks = [_whole_numbers(contract), _id_instant(contract, at)]
    checks += [_validity(field, contract) for field in contract.fields if field.valid_on]
    for rule in contract.rules:
        if bounds := _bounds_at(rule, contract, at):
            checks.append(_bounded(bounds, broken(rule), contract, rule.severity, when=rule))
        elif builder := _BUILDERS.get(rule.kind):
            check = builder(rule, contract)
            checks.append(RecordCheck(named_fields(rule), rule.severity, _narrowed(rule, check)))
    return tuple(checks)


def broken(rule: Rule) -> NotAsAgreed:
    """Return what is raised when a record breaks a rule."""
    return NotAsAgreed(rule.pointer, f"rule:{rule.id}", rule.message)


def _whole_numbers(contract: Contract) -> RecordCheck:
    """Refuse fractions: JSON Schema takes 1.0 for an integer, and readers print it differently."""
    names = tuple(field.name for field in contract.fields if field.type == "integer")

    def check(record: Record) -> None:
        get = record.get
        for name in names:
            if type(get(name)) is float:
                raise NotAsAgreed(f"/{name}", RecordCode.TYPE, CODE_TEXTS[RecordCode.TYPE])

    return RecordCheck(frozenset(names), "error", check)


def _id_instant(contract: Contract, at: datetime) -> RecordCheck:
    name = contract.shape.id_column
    first, last = _id_prefix(at - timedelta(days=ID_YEARS_MAX * 365 + 3)), _id_prefix(at + ID_SKEW)
    problem = NotAsAgreed(f"/{name}", RecordCode.RANGE, CODE_TEXTS[RecordCode.RANGE])
    return _bounded(Bounds(name, first, last + _AFTER_ALL), problem, contract, "error")


def _bounded(
    bounds: Bounds, problem: NotAsAgreed, contract: Contract, severity: str, *, when: Rule | None = None
) -> RecordCheck:
    name, first, last = bounds.name, bounds.first, bounds.last

    def check(record: Record) -> None:
        if (value := record.get(name)) is not None and not first <= value <= last:
            raise NotAsAgreed(problem.pointer, problem.code, problem.text)

    narrowed = bool(when and when.when)
    plain = contract.field(name).required and not narrowed
    whole = _narrowed(when, check) if when else check
    return RecordCheck(frozenset({name, *(when.when if when else ())}), severity, whole, bounds if plain else None)


def _bounds_at(rule: Rule, contract: Contract, at: datetime) -> Bounds | None:
    """Return the bounds that a rule about now puts on one field, or None when the rule is about something else."""
    parameters = rule.parameters
    if rule.kind == "within_days" and parameters["to"] == NOW:
        return Bounds(parameters["from"], (at.date() - timedelta(days=parameters["days"])).isoformat(), _AFTER_ALL)
    if rule.kind != "not_after" or NOW not in {parameters["earlier"], parameters["later"]}:
        return None
    now_first = parameters["earlier"] == NOW
    name = parameters["later" if now_first else "earlier"]
    kind = contract.field(name).type
    # A sender's clock may run ahead as far as its signature's may.
    moment = at if now_first or kind != "datetime" else at + CLOCK_SKEW
    now = moment.strftime("%Y-%m-%dT%H:%M:%SZ")[: _TYPE_LENGTHS[kind]]
    if now_first:
        return Bounds(name, now + (_JUST_AFTER if parameters.get("strict", False) else ""), _AFTER_ALL)
    return Bounds(name, "", now)


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


def _not_after(rule: Rule, contract: Contract) -> Check:
    """Compare two instants as text; a month sorts before its days, so that the earlier one is cut to the coarser."""
    earlier, later = rule.parameters["earlier"], rule.parameters["later"]
    strict = rule.parameters.get("strict", False)
    coarse = min(_TYPE_LENGTHS[contract.field(name).type] for name in (earlier, later))

    def check(record: Record) -> None:
        first, second = record.get(earlier), record.get(later)
        if first is None or second is None:
            return
        if first[:coarse] > second or (strict and first[:coarse] == second[:coarse]):
            raise broken(rule)

    return check


class _LastDays(dict[str, str]):
    """The last day allowed, by the day it is counted from; days repeat, so that most are looked up."""

    def __init__(self, days: int) -> None:
        super().__init__()
        self._step = timedelta(days=days)

    def __missing__(self, start: str) -> str:
        if len(self) >= DAYS_KEPT_MAX:
            self.clear()
        self[start] = last = (date.fromisoformat(start) + self._step).isoformat() + _AFTER_ALL
        return last


def _within_days(rule: Rule, _: Contract) -> Check:
    start, end = rule.parameters["from"], rule.parameters["to"]
    last_days = _LastDays(rule.parameters["days"])

    def check(record: Record) -> None:
        if (last := record.get(end)) is not None and last > last_days[record[start]]:
            raise broken(rule)

    return check


def _sum_at_most(rule: Rule, _: Contract) -> Check:
    parts, at_most = tuple(rule.parameters["parts"]), rule.parameters["at_most"]
    part = parts[0]

    def check_one(record: Record) -> None:
        if record.get(part, 0) > record.get(at_most, 0):
            raise broken(rule)

    def check(record: Record) -> None:
        get = record.get
        if sum([get(name, 0) for name in parts]) > get(at_most, 0):
            raise broken(rule)

    return check_one if len(parts) == 1 else check


def _multiple_of(rule: Rule, _: Contract) -> Check:
    field, base = rule.parameters["field"], rule.parameters["base"]

    def check(record: Record) -> None:
        step = record.get(base, 0)
        if step > 1 and record.get(field, 0) % step:
            raise broken(rule)

    return check


def _same_country(rule: Rule, contract: Contract) -> Check:
    """Compare the countries that two fields name: a country, an agency, or a code whose list names its country."""
    left, right = rule.parameters["fields"]
    if contract.field(left).type != "code":

        def of_agency(record: Record) -> None:
            if record[left][:3] != record[right]:
                raise broken(rule)

        return of_agency
    codes = contract.code_lists[contract.field(left).code_list].codes
    if not any("country" in code.attributes for code in codes.values()):

        def of_country(record: Record) -> None:
            if record[left] != record[right]:
                raise broken(rule)

        return of_country
    # A code that names no country is any country's.
    table = {name: code.attributes["country"] for name, code in codes.items() if "country" in code.attributes}

    def of_code(record: Record) -> None:
        country = record[right]
        if table.get(record[left], country) != country:
            raise broken(rule)

    return of_code


def _member_of_scheme(rule: Rule, contract: Contract) -> Check:
    scheme, code, country = (rule.parameters[key] for key in ("scheme", "code", "country"))
    places: set[tuple[str, str, str]] = set()
    anywhere: set[tuple[str, str]] = set()
    for entry in contract.code_lists[contract.field(scheme).code_list].codes.values():
        if ref := entry.attributes.get("list"):
            members = contract.code_lists[ref].codes.values()
            places |= {(entry.code, place.code, place.attributes["country"]) for place in members}
        else:
            anywhere.add((entry.code, entry.code))

    def check(record: Record) -> None:
        place = (record[scheme], record[code], record[country])
        if place not in places and place[:2] not in anywhere:
            raise broken(rule)

    return check


def _supersedes(rule: Rule, contract: Contract) -> Check:
    """Refuse a record that supersedes itself; the schema says when the field is there."""
    name, own = rule.parameters["supersedes"], contract.shape.id_column

    def check(record: Record) -> None:
        # A record without any id is refused for that, by the schema.
        if own in record and record.get(name) == record[own]:
            raise broken(rule)

    return check


_BUILDERS: dict[str, Callable[[Rule, Contract], Check]] = {
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
