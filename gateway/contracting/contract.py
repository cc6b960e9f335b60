# SPDX-License-Identifier: Apache-2.0
"""What a data contract says; this file is about the values that a contract version and its code lists are read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

import jsonschema_rs

from gateway.errors import ContractRetired, ContractUnknown
from gateway.trip import ContractRef, FieldType, TableShape

Severity = Literal["error", "warn", "quarantine"]


@dataclass(frozen=True, slots=True)
class Text:
    """A text for people, in English and Spanish."""

    en: str
    es: str


@dataclass(frozen=True, slots=True)
class Code:
    """One value of a code list.

    A `special` code (unknown, total, not specified) is allowed only where a field names it; a `sandbox` code
    is refused in live use. `attributes` hold what rules ask for, such as the country of a place.
    """

    code: str
    text: Text
    valid_from: str = ""
    valid_to: str = ""
    special: bool = False
    sandbox: bool = False
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class CodeList:
    """One version of a code list; `ref` is `country/1`, the digest is of its canonical bytes."""

    ref: str
    title: Text
    codes: Mapping[str, Code]
    digest: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record, as the contract writes it."""

    name: str
    type: FieldType
    required: bool
    sensitivity: str
    title: Text
    code_list: str = ""
    only: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    valid_on: str = ""
    forbidden: tuple[str, ...] = ()
    pattern: str = ""
    minimum: int | None = None
    maximum: int | None = None
    values: tuple[int, ...] = ()
    length_max: int | None = None
    detect: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule between fields; `parameters` are those of its kind, `when` narrows it to some records."""

    id: str
    kind: str
    pointer: str
    severity: Severity
    message: Text
    when: Mapping[str, Any]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Whether a submission is whole or not at all (`atomic`), or may lose a few records (`partial`)."""

    mode: Literal["atomic", "partial"]
    refused_percent_max: int

    def refused_max(self, received: int) -> int:
        """Return how many of the records received may be refused before nothing is kept."""
        return 0 if self.mode == "atomic" else max(1, received * self.refused_percent_max // 100)


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """One version of a data contract; `document` is contract.json, the bytes that governments sign."""

    ref: ContractRef
    title: Text
    description: Text
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    acceptance: Acceptance
    provider_field: str
    country_field: str
    shape: TableShape
    code_lists: Mapping[str, CodeList]
    document: bytes
    schema: dict[str, Any]
    # Compiled once at start-up: the published schema, and the one that lets a sandbox's specimen codes pass.
    validator: jsonschema_rs.Draft202012Validator
    sandbox_validator: jsonschema_rs.Draft202012Validator

    def field(self, name: str) -> Field:
        """Return a field by its name; the loader proved that rules name only fields that exist."""
        return next(entry for entry in self.fields if entry.name == name)


class Contracts(Protocol):
    """The contract versions that are served: a set of them, or whichever is in force."""

    @property
    def contracts(self) -> tuple[Contract, ...]: ...

    @property
    def states(self) -> Mapping[tuple[str, str], str]: ...

    @property
    def shapes(self) -> tuple[TableShape, ...]: ...

    def get(self, product: str, version: str) -> Contract: ...

    def knows(self, product: str, version: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ContractSet:
    """The contract versions that are served, with the lifecycle state of each (`active` unless told)."""

    contracts: tuple[Contract, ...]
    states: Mapping[tuple[str, str], str] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, product: str, version: str) -> Contract:
        """Return the contract of a product and full version that takes submissions now.

        Raises:
            ContractRetired: when its sunset has passed.
            ContractUnknown: when there is none, or it is a draft.
        """
        state = self.states.get((product, version), "active")
        contract = next((c for c in self.contracts if (c.ref.product, c.ref.version) == (product, version)), None)
        if contract is None or state == "draft":
            raise ContractUnknown
        if state == "retired":
            raise ContractRetired(product=product, version=version)
        return contract

    def knows(self, product: str, version: str) -> bool:
        """Say whether there is such a contract, in whatever state."""
        return any((contract.ref.product, contract.ref.version) == (product, version) for contract in self.contracts)

    def with_states(self, states: Mapping[tuple[str, str], str]) -> ContractSet:
        """Return the same contracts under the lifecycle states that deployment knows."""
        return ContractSet(self.contracts, MappingProxyType(dict(states)))

    @property
    def shapes(self) -> tuple[TableShape, ...]:
        """Return the table of each product and major version, the newest minor version's columns."""
        newest: dict[tuple[str, int], TableShape] = {}
        for contract in sorted(self.contracts, key=lambda c: version_key(c.ref.version)):
            newest[contract.shape.product, contract.shape.major] = contract.shape
        return tuple(newest.values())


def version_key(version: str) -> tuple[int, ...]:
    """Return what full versions sort by."""
    return tuple(int(part) for part in version.split("."))


def approved(
    contracts: ContractSet, digests: Mapping[str, frozenset[str] | set[str]], parties: frozenset[str]
) -> ContractSet:
    """Return only the contracts whose digest every party approved; `digests` says which countries approved which."""
    return ContractSet(
        tuple(c for c in contracts.contracts if parties and parties <= digests.get(c.ref.digest, frozenset())),
        contracts.states,
    )
