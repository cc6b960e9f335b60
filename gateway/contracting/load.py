# SPDX-License-Identifier: Apache-2.0
"""From a folder to a contract; this file is about reading contract.yaml and code lists, and refusing what is unclear.

The form is closed: an unknown key, a rule about a field that does not exist, or a code that its list does not
have stops the start. What is read here is what governments signed, so that nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from gateway.contracting.contract import (
    Acceptance,
    Code,
    CodeList,
    Contract,
    ContractSet,
    Field,
    Rule,
    Text,
    version_key,
)
from gateway.contracting.schema import schema_of, validator_of
from gateway.contracting.strict_yaml import ContractInvalid, read_yaml
from gateway.trip import ColumnShape, ContractRef, CubeShape, FieldType, TableShape
from gateway.wire.canonical import canonical_bytes

FORBIDDEN_NAMES = "forbidden-name/1"
_NOW = "now"
_RULE_KEYS = {"id", "kind", "pointer", "severity", "message", "when"}
# Which parameters each kind of rule takes; all but a few name fields.
_PARAMETERS: dict[str, set[str]] = {
    "condition": {"then"},
    "not_after": {"earlier", "later", "strict"},
    "within_days": {"from", "to", "days"},
    "sum_at_most": {"parts", "at_most"},
    "multiple_of": {"field", "base"},
    "same_country": {"fields"},
    "member_of_scheme": {"scheme", "code", "country"},
    "total_not_below_part": {"measure", "total", "within", "parts"},
    "unique": set(),
    "control_total": {"measure", "total", "rounding", "within", "parts"},
    "supersedes": {"action", "supersedes"},
}
_NAMES_NO_FIELD = {"then", "strict", "days", "total"}
T = TypeVar("T")


def packaged_root() -> Path:
    """Return the `contracts` folder that came with the program: beside the sources, or inside the wheel."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_contracts"
    return inside if inside.is_dir() else package.parent / "contracts"


def load_contracts(root: Path) -> ContractSet:
    """Return every contract version under a `contracts` folder.

    Raises:
        ContractInvalid: when a file leaves its form.
    """
    folders = [path.parent for path in root.glob("*/*/contract.yaml")]
    contracts = [load_contract(folder) for folder in folders]
    return ContractSet(tuple(sorted(contracts, key=lambda c: (c.ref.product, version_key(c.ref.version)))))


def load_contract(folder: Path) -> Contract:
    """Return the contract version whose contract.yaml lies in a folder `<product>/<version>`.

    Raises:
        ContractInvalid: when a file leaves its form.
    """
    return _read(folder / "contract.yaml", lambda document: _contract(document, folder))


def load_code_list(root: Path, ref: str) -> CodeList:
    """Return one version of a code list, named as `country/1`.

    Raises:
        ContractInvalid: when the file leaves its form.
    """
    return _read(root / "codelists" / f"{ref}.yaml", lambda document: _code_list(document, ref))


def _read(path: Path, build: Callable[[dict[str, Any]], T]) -> T:
    document = read_yaml(path)
    try:
        return build(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ContractInvalid(f"{path}: {error!r}") from error


def _code_list(document: dict[str, Any], ref: str) -> CodeList:
    _keys(document, required={"id", "version", "title", "codes"})
    codes = {entry["code"]: _code(entry) for entry in document["codes"]}
    if f"{document['id']}/{document['version']}" != ref or len(codes) != len(document["codes"]):
        raise ValueError("id and version are those of the path, and a code stands once")
    digest = sha256(canonical_bytes(document)).hexdigest()
    return CodeList(ref, _text(document["title"]), MappingProxyType(codes), digest)


def _contract(document: dict[str, Any], folder: Path) -> Contract:
    _keys(
        document,
        required={"product", "version", "title", "description", "acceptance", "id_field", "provider_field"}
        | {"country_field", "period_field", "fields", "rules"},
        optional={"measure", "units", "natural_key", "retention_field", "cubes"},
    )
    if (document["product"], document["version"]) != (folder.parent.name, folder.name):
        raise ValueError("product and version are not those of the folder")
    fields = tuple(_field(entry) for entry in document["fields"])
    rules = tuple(_rule(entry, {field.name for field in fields}) for entry in document["rules"])
    code_lists = _code_lists(folder.parents[1], fields, rules)
    signed = document | {"code_lists": {ref: code_list.digest for ref, code_list in sorted(code_lists.items())}}
    document_bytes = canonical_bytes(signed)
    ref = ContractRef(document["product"], document["version"], sha256(document_bytes).hexdigest())
    title = _text(document["title"])
    schema, sandbox_schema = (
        schema_of(fields, rules, code_lists, ref=ref, title=title, sandbox=sandbox) for sandbox in (False, True)
    )
    return Contract(
        ref=ref,
        title=title,
        description=_text(document["description"]),
        fields=fields,
        rules=rules,
        acceptance=_acceptance(document["acceptance"]),
        provider_field=document["provider_field"],
        country_field=document["country_field"],
        shape=_shape(document, fields),
        code_lists=MappingProxyType(code_lists),
        document=document_bytes,
        schema=schema,
        validator=validator_of(schema),
        sandbox_validator=validator_of(sandbox_schema),
    )


def _code_lists(root: Path, fields: tuple[Field, ...], rules: tuple[Rule, ...]) -> dict[str, CodeList]:
    wanted = {field.code_list for field in fields if field.code_list} | {FORBIDDEN_NAMES}
    lists = {ref: load_code_list(root, ref) for ref in wanted}
    for field in fields:
        codes = lists[field.code_list].codes if field.code_list else {}
        if unknown := {*field.only, *field.special, *field.forbidden} - codes.keys():
            raise ValueError(f"{field.name}: the list has no {sorted(unknown)}")
    # A scheme of places names the list of its places, which a contract takes along.
    schemes = {rule.parameters["scheme"] for rule in rules if rule.kind == "member_of_scheme"}
    for field in (entry for entry in fields if entry.name in schemes):
        for code in lists[field.code_list].codes.values():
            if ref := code.attributes.get("list"):
                lists[ref] = load_code_list(root, ref)
    return lists


def _shape(document: dict[str, Any], fields: tuple[Field, ...]) -> TableShape:
    ordered = sorted(fields, key=lambda field: not field.required)
    names = {field.name for field in fields}
    cubes = tuple(
        CubeShape(cube["name"], tuple(cube["dimensions"]), tuple(cube["sums"])) for cube in document.get("cubes", ())
    )
    dimensions = {d.removeprefix("month(").removesuffix(")") for cube in cubes for d in cube.dimensions}
    named = {document["id_field"], document["provider_field"], document["country_field"], document["period_field"]}
    named |= {*document.get("natural_key", ()), *document.get("units", ()), *dimensions}
    named |= {document[key] for key in ("measure", "retention_field") if key in document}
    if unknown := named - names:
        raise ValueError(f"no such field: {sorted(unknown)}")
    return TableShape(
        product=document["product"],
        major=version_key(document["version"])[0],
        columns=tuple(ColumnShape(field.name, field.type, field.required) for field in ordered),
        id_column=document["id_field"],
        natural_key=tuple(document.get("natural_key", ())),
        retention_column=document.get("retention_field"),
        cubes=cubes,
        units=tuple(document.get("units", ())),
        period_column=document["period_field"],
        measure=document.get("measure"),
    )


def _field(entry: dict[str, Any]) -> Field:
    _keys(
        entry,
        required={"name", "type", "required", "sensitivity", "title"},
        optional={"code_list", "only", "special", "valid_on", "forbidden", "pattern", "minimum", "maximum"}
        | {"values", "length_max", "detect"},
    )
    if entry["type"] not in get_args(FieldType) or (entry["type"] == "code") != ("code_list" in entry):
        raise ValueError(f"{entry['name']}: the type is not one of the closed list, or lacks its code list")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    values["title"] = _text(entry["title"])
    return Field(**values)


def _rule(entry: dict[str, Any], names: set[str]) -> Rule:
    kind = entry["kind"]
    if kind not in _PARAMETERS:
        raise ValueError(f"{entry['id']}: {kind} is no kind of rule")
    allowed = _PARAMETERS[kind]
    _keys(entry, required=_RULE_KEYS - {"when"}, optional=allowed | {"when"})
    if entry["severity"] not in {"error", "warn", "quarantine"} or (
        kind == "condition" != entry["severity"] != "error"
    ):
        raise ValueError(f"{entry['id']}: the severity is error, warn or quarantine")
    if entry["severity"] == "quarantine":
        # A contract must not promise what nothing does: there is no place yet where a record waits for a person.
        raise ValueError(f"{entry['id']}: no record can be quarantined yet")
    parameters = {key: entry[key] for key in allowed if key in entry}
    named = set(entry.get("when", {})) | set(parameters.get("then", {}))
    for key in parameters.keys() - _NAMES_NO_FIELD:
        named |= _names(parameters[key])
    if unknown := named - names - {_NOW}:
        raise ValueError(f"{entry['id']}: no such field: {sorted(unknown)}")
    return Rule(
        id=entry["id"],
        kind=kind,
        pointer=entry["pointer"],
        severity=entry["severity"],
        message=_text(entry["message"]),
        when=MappingProxyType(entry.get("when", {})),
        parameters=MappingProxyType(parameters),
    )


def _names(value: object) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _names(item)}
    return {str(value)}


def _code(entry: dict[str, Any]) -> Code:
    optional = {"valid_from", "valid_to", "special", "sandbox", "attributes"}
    _keys(entry, required={"code", "en", "es"}, optional=optional)
    rest = {key: entry[key] for key in optional if key in entry}
    return Code(code=entry["code"], text=Text(entry["en"], entry["es"]), **rest)


def _acceptance(entry: dict[str, Any]) -> Acceptance:
    partial = entry["mode"] == "partial"
    _keys(entry, required={"mode"} | ({"refused_percent_max"} if partial else set()))
    if entry["mode"] not in {"atomic", "partial"}:
        raise ValueError("acceptance is atomic or partial")
    return Acceptance(entry["mode"], entry.get("refused_percent_max", 0))


def _text(entry: dict[str, Any]) -> Text:
    _keys(entry, required={"en", "es"})
    return Text(entry["en"], entry["es"])


def _keys(entry: Mapping[str, Any], *, required: set[str], optional: set[str] | None = None) -> None:
    missing, unknown = required - entry.keys(), entry.keys() - required - (optional or set())
    if missing or unknown:
        raise ValueError(
            f"{entry.get('id', entry.get('name', ''))}: missing {sorted(missing)}, unknown {sorted(unknown)}"
        )
