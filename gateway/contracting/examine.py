# SPDX-License-Identifier: Apache-2.0
"""Why a line was refused; this file is about the slow second look at a line that did not pass at once.

It finds everything that is wrong, with pointer and code, in the words of the contract. Nothing here repeats a
submitted value; a property name is repeated only when it looks like one. A forbidden name or value, or a record
that speaks for somebody else, ends the whole submission.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import orjson

from gateway.contracting.contract import Contract
from gateway.contracting.detect import forbidden_names, forbidden_values
from gateway.contracting.load import FORBIDDEN_NAMES
from gateway.contracting.report import NotAsAgreed, broken_code, broken_rule
from gateway.contracting.rules import RecordCheck, named_fields
from gateway.contracting.schema import rule_ids
from gateway.errors import ForbiddenField, WrongProvider
from gateway.identifiers import is_id
from gateway.trip import RefusedRecord
from gateway.wire.merkle import leaf_hash
from gateway.wire.record_code import RecordCode

ERRORS_PER_RECORD_MAX = 20
_PRINTABLE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,39}$")
_SCHEMA_CODES = {
    "additionalProperties": RecordCode.UNKNOWN_FIELD,
    "required": RecordCode.REQUIRED,
    "type": RecordCode.TYPE,
    "enum": RecordCode.CODE_NOT_IN_LIST,
    "const": RecordCode.CODE_NOT_IN_LIST,
    "minimum": RecordCode.RANGE,
    "maximum": RecordCode.RANGE,
    "minLength": RecordCode.RANGE,
    "maxLength": RecordCode.RANGE,
    "pattern": RecordCode.PATTERN,
    "format": RecordCode.PATTERN,
    "not": RecordCode.PATTERN,
}


@dataclass(frozen=True, slots=True)
class Examiner:
    """What a second look needs: the contract, its validator and checks, and the sender's id and country."""

    contract: Contract
    validator: jsonschema_rs.Draft202012Validator
    checks: tuple[RecordCheck, ...]
    sender: tuple[str, str]

    def examine(self, number: int, line: bytes) -> tuple[RefusedRecord, ...]:
        """Return everything that is wrong with a line, at least one thing.

        Raises:
            ForbiddenField: when it carries what must never arrive.
            WrongProvider: when it speaks for another provider or country.
        """
        record_id: str | None = None
        found: list[NotAsAgreed] = []
        try:
            record = self._read(number, line)
            claimed = record.get(self.contract.shape.id_column)
            record_id = claimed if isinstance(claimed, str) and is_id(claimed) else None
            self._refuse_another(number, record)
            found = list(self._problems(record))
        except NotAsAgreed as problem:
            found = [problem]
        assert found, "the first look and the second disagree"
        return tuple(problem.about(number, record_id, leaf_hash(line)) for problem in found[:ERRORS_PER_RECORD_MAX])

    def _read(self, number: int, line: bytes) -> dict[str, Any]:
        """Return the object that a line is, once nothing in it is forbidden and it has one meaning."""
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise broken_code("", RecordCode.NOT_UTF8) from error
        names: list[str] = []
        doubled: list[str] = []

        def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
            names.extend(name for name, _ in items)
            seen: dict[str, Any] = {}
            for name, value in items:
                if name in seen:
                    doubled.append(name)
                seen[name] = value
            return seen

        try:
            record = json.loads(text, object_pairs_hook=pairs)
        except (ValueError, RecursionError) as error:
            raise broken_code("", RecordCode.NOT_CANONICAL) from error
        self._refuse_forbidden(number, line, record, names)
        if doubled:
            raise broken_code(_pointer(doubled[0]), RecordCode.DUPLICATE_KEY)
        if not isinstance(record, dict):
            raise broken_code("", RecordCode.TYPE)
        _refuse_other_spelling(line, record)
        return record

    def _refuse_forbidden(self, number: int, line: bytes, record: object, names: list[str]) -> None:
        known = {field.name for field in self.contract.fields}
        words = self.contract.code_lists[FORBIDDEN_NAMES].codes
        found = forbidden_names((name for name in names if name not in known), words)
        if isinstance(record, dict):
            found += forbidden_values(record, (field.name for field in self.contract.fields if field.detect))
            found += [
                field.name
                for field in self.contract.fields
                if isinstance(value := record.get(field.name), str) and value in field.forbidden
            ]
        if found:
            # The leaf hash lets the intake keep a keyed fingerprint of the line, never the line.
            raise ForbiddenField(line=number, pointer=_pointer(found[0]), sealed=line)

    def _refuse_another(self, number: int, record: Mapping[str, Any]) -> None:
        provider, country = self.sender
        claimed = (record.get(self.contract.provider_field, provider), record.get(self.contract.country_field, country))
        # A value of another type is a fault of the record, not a claim to be somebody else.
        if claimed != self.sender and all(isinstance(claim, str) for claim in claimed):
            raise WrongProvider(line=number)

    def _problems(self, record: dict[str, Any]) -> Iterator[NotAsAgreed]:
        """Yield what is wrong with fields by themselves, then the rules whose fields are all right."""
        wrong: set[str] = set()
        ids = rule_ids(self.contract.rules)
        broken_ids: set[str] = set()
        for error in self.validator.iter_errors(record):
            path = error.schema_path
            if path and path[0] == "allOf":
                broken_ids.add(ids[int(path[1])])
                continue
            for name in _names_of(error):
                # One thing at a time: a field that has the wrong type says nothing about its form.
                if name not in wrong:
                    wrong.add(name)
                    yield broken_code(_pointer(name), self._code_of(error))
        # Fractions: JSON Schema takes 1.0 for an integer, and readers print it differently.
        for name in (name for name, value in record.items() if type(value) is float and name not in wrong):
            wrong.add(name)
            yield broken_code(_pointer(name), RecordCode.TYPE)
        for rule in self.contract.rules:
            if rule.id in broken_ids and not wrong & named_fields(rule, self.contract):
                yield broken_rule(rule)
        for check in self.checks:
            if not wrong & check.fields and not check.holds(record):
                yield check.problem

    def _code_of(self, error: jsonschema_rs.ValidationError) -> RecordCode:
        kind = error.kind.name
        if kind == "enum" and error.instance_path:
            field = self.contract.field(str(error.instance_path[0]))
            if field.type == "code" and not isinstance(error.instance, str):
                return RecordCode.TYPE
            if field.values:
                return RecordCode.RANGE
        return _SCHEMA_CODES[kind]


def _refuse_other_spelling(line: bytes, record: dict[str, Any]) -> None:
    try:
        canonical = orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except TypeError as error:
        raise broken_code("", RecordCode.NOT_CANONICAL) from error
    if canonical != line:
        raise broken_code("", RecordCode.NOT_CANONICAL)


def _names_of(error: jsonschema_rs.ValidationError) -> list[str]:
    if error.kind.name == "required":
        return [error.kind.as_dict()["property"]]
    if error.kind.name == "additionalProperties":
        return sorted(error.kind.as_dict()["unexpected"])
    return [str(error.instance_path[0])] if error.instance_path else [""]


def _pointer(name: str) -> str:
    """Return the JSON pointer of a property, or of the whole record when the name could be a value in disguise."""
    return f"/{name}" if _PRINTABLE_NAME.match(name) else ""
