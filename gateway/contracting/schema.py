# SPDX-License-Identifier: Apache-2.0
"""The published JSON Schema; this file is about writing a contract as JSON Schema 2020-12, which the gateway enforces.

An integrator runs the same file. `format` is asserted here; where a validator only annotates it, the patterns
still hold and the gateway finds the rest (a 30 February). `allOf` holds the rules, in the order of `rule_ids`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from gateway.contracting.contract import CodeList, Field, Rule, Text
from gateway.contracting.detect import VALUE_PATTERNS
from gateway.trip import ContractRef

UUID7_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
MONTH_PATTERN = "^(199[0-9]|2[0-9]{3})-(0[1-9]|1[0-2])$"
_DATE_PATTERN = "^(19[0-9]{2}|2[0-9]{3})-[0-9]{2}-[0-9]{2}$"
# Whole seconds in UTC without leap seconds, so that every database gives back what it was given.
_DATETIME_PATTERN = "^(19[0-9]{2}|2[0-9]{3})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]Z$"
_DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$"
_TEXT_LENGTH_MAX = 64
# Text that people write: no control characters, which no footnote needs.
_CONTROL_PATTERN = "[\\u0000-\\u001f\\u007f]"
_DIGITS_PATTERN = "[0-9]{7}"
_REGEX_BYTES_MAX = 1 << 22
_INTEGER_MAX = 2**53 - 1

_SIMPLE: dict[str, dict[str, Any]] = {
    "uuid": {"type": "string", "pattern": UUID7_PATTERN},
    "date": {"type": "string", "format": "date", "pattern": _DATE_PATTERN},
    "month": {"type": "string", "pattern": MONTH_PATTERN},
    "datetime": {"type": "string", "format": "date-time", "pattern": _DATETIME_PATTERN},
    "decimal": {"type": "string", "pattern": _DECIMAL_PATTERN},
    "boolean": {"type": "boolean"},
}


def schema_of(
    fields: Sequence[Field],
    rules: Sequence[Rule],
    code_lists: Mapping[str, CodeList],
    *,
    ref: ContractRef,
    title: Text,
    sandbox: bool,
) -> dict[str, Any]:
    """Return the JSON Schema of one record; in a sandbox the specimen codes are allowed as well."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:gateway:contract:{ref.product}:{ref.version}{':sandbox' if sandbox else ''}",
        "title": title.en,
        "type": "object",
        "properties": {field.name: _property(field, code_lists, sandbox=sandbox) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }
    conditions = [condition for rule in rules for _, condition in _conditions(rule)]
    return schema | ({"allOf": conditions} if conditions else {})


def validator_of(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return the compiled schema; its expressions run in linear time, whatever a contract or a sender writes."""
    return jsonschema_rs.Draft202012Validator(
        schema, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions(size_limit=_REGEX_BYTES_MAX)
    )


def rule_ids(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Return which rule each entry of `allOf` says."""
    return tuple(rule_id for rule in rules for rule_id, _ in _conditions(rule))


def allowed_codes(field: Field, code_list: CodeList, *, sandbox: bool) -> list[str]:
    """Return the codes that a field takes, withdrawn ones only where a date says whether they still held."""
    return [
        code.code
        for code in code_list.codes.values()
        if (code.code in field.special if code.special else not field.only or code.code in field.only)
        and (sandbox or not code.sandbox)
        and (field.valid_on or not code.valid_to)
        and code.code not in field.forbidden
    ]


def _property(field: Field, code_lists: Mapping[str, CodeList], *, sandbox: bool) -> dict[str, Any]:
    prop: dict[str, Any] = {"title": field.title.en}
    if field.type == "code":
        # No "type" beside the list: the list says it, and the check is made once a record and field.
        return prop | {"enum": allowed_codes(field, code_lists[field.code_list], sandbox=sandbox)}
    if field.type == "integer":
        if field.values:
            return prop | {"type": "integer", "enum": list(field.values)}
        minimum = -_INTEGER_MAX if field.minimum is None else field.minimum
        maximum = _INTEGER_MAX if field.maximum is None else field.maximum
        return prop | {"type": "integer", "minimum": minimum, "maximum": maximum}
    if field.type == "string":
        return prop | _string(field)
    return prop | _SIMPLE[field.type]


def _string(field: Field) -> dict[str, Any]:
    prop: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": field.length_max or _TEXT_LENGTH_MAX}
    if field.pattern:
        prop["pattern"] = field.pattern
    if field.detect:
        patterns = [_CONTROL_PATTERN, _DIGITS_PATTERN, *VALUE_PATTERNS.values()]
        prop["not"] = {"anyOf": [{"pattern": pattern} for pattern in patterns]}
    return prop


def _conditions(rule: Rule) -> list[tuple[str, dict[str, Any]]]:
    if rule.kind == "condition":
        return [(rule.id, {"if": _clause(rule.when, present=True), "then": _clause(rule.parameters["then"])})]
    if rule.kind == "supersedes":
        action, supersedes = rule.parameters["action"], rule.parameters["supersedes"]
        corrects = _clause({action: ["amend", "retract"]}, present=True)
        return [
            (rule.id, {"if": corrects, "then": {"required": [supersedes]}}),
            (rule.id, {"if": {"required": [supersedes]}, "then": corrects}),
        ]
    return []


def _clause(tests: Mapping[str, Any], *, present: bool = False) -> dict[str, Any]:
    """Return tests on fields as a schema; with `present`, a field that is tested must also be there."""
    tested: dict[str, Any] = {}
    required = []
    for name, test in tests.items():
        wanted = test.get("present") if isinstance(test, dict) else None
        if (prop := _test(test)) is not True:
            tested[name] = prop
        if wanted or (present and wanted is None):
            required.append(name)
    return ({"properties": tested} if tested else {}) | ({"required": required} if required else {})


def _test(test: Any) -> Any:
    """Return one test: a list of codes, or a mapping of tests (`not`, `pattern`, `minimum` and the like)."""
    if isinstance(test, list):
        return {"const": test[0]} if len(test) == 1 else {"enum": test}
    if test.get("present") is False:
        return False
    schema: dict[str, Any] = {}
    for key, value in test.items():
        if key == "not":
            schema["not"] = {"enum": value}
        elif key == "not_pattern":
            schema["not"] = {"pattern": value}
        elif key in {"pattern", "minimum", "maximum"}:
            schema[key] = value
        elif key != "present":
            raise ValueError(f"{key} is no test of a field")
    return schema or True
