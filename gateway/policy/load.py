# SPDX-License-Identifier: Apache-2.0
"""Which rules are in force; this file is about reading floor, roles and agreements, and linting them together.

Only what the parties approved is in force: the rules when all parties signed their digest, an agreement when
its own parties signed its. The gateway does not start without a floor; an agreement that is not approved, or
suspended, is simply no permit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cedarpy

from gateway.policy.agreements import Agreement, Clause, ReadYaml, load_agreements
from gateway.wire.canonical import JSON, canonical_bytes
from gateway.wire.digests import sha256

RULES_ID = "floor-and-roles"
FLOOR_FILE, ROLES_FILE, SCHEMA_FILE = "floor.cedar", "roles.cedar", "schema.cedarschema"


class PoliciesInvalid(ValueError):
    """The policies cannot be put in force; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One revision of floor, roles and schema as the parties sign them; `digest` is SHA-256, hex."""

    number: int
    floor: str
    roles: str
    schema: str
    digest: str

    @property
    def reference(self) -> str:
        """Return what approvals name it by."""
        return f"{RULES_ID}/{self.number}"


@dataclass(frozen=True, slots=True)
class Stops:
    """What is stopped: agreements by id, data products, and directions as owner and reader."""

    agreements: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()
    directions: frozenset[tuple[str, str]] = frozenset()

    def named(self) -> dict[str, JSON]:
        """Return what joins the digest of a set, so that the log tells decisions under a stop from others."""
        names = [*self.agreements, *self.products, *(f"{owner}>{reader}" for owner, reader in self.directions)]
        return {"stopped": sorted(names)} if names else {}


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Policies in force, parsed once; built here only, after schema and lint have passed."""

    digest: str
    # Floor and roles; the permits of the clauses join them.
    rules: str
    parsed: cedarpy.PolicySet
    schema: cedarpy.Schema
    parties: frozenset[str]
    products: frozenset[str]
    agreements: tuple[Agreement, ...]
    clauses: Mapping[str, Clause]

    def shared_with(self, owner: str) -> tuple[str, ...]:
        """Return the countries with which an agreement in force shares an owner's flows."""
        return tuple(sorted({clause.reader for clause in self.clauses.values() if clause.owner == owner}))

    def without(self, agreement_id: str) -> PolicySet:
        """Return this set as it would be without one agreement; it has no digest, because nobody approved it."""
        kept = {name: clause for name, clause in self.clauses.items() if clause.agreement != agreement_id}
        return replace(
            self,
            digest="",
            parsed=cedarpy.PolicySet.from_str(text_of(self.rules, kept.values())),
            agreements=tuple(one for one in self.agreements if one.id != agreement_id),
            clauses=kept,
        )


def load_rules(root: Path) -> tuple[Rules, ...]:
    """Read every revision of floor, roles and schema from `<root>/policies/<n>`, oldest first.

    Raises:
        PoliciesInvalid: when there is none, or a file cannot be read.
    """
    folders = {int(path.name): path for path in (root / "policies").glob("*") if path.name.isdecimal()}
    if not folders:
        raise PoliciesInvalid(f"there are no rules in {root / 'policies'}")
    return tuple(_rules_of(number, folders[number]) for number in sorted(folders))


def _rules_of(number: int, folder: Path) -> Rules:
    try:
        texts = {name: (folder / name).read_text("utf-8") for name in (FLOOR_FILE, ROLES_FILE, SCHEMA_FILE)}
    except (OSError, UnicodeDecodeError) as error:
        raise PoliciesInvalid(str(error)) from error
    digests: dict[str, JSON] = {name: sha256(text.encode()).hex() for name, text in texts.items()}
    # With its number: else a copy of an old revision would be a new one that all have signed.
    digest = sha256(canonical_bytes({**digests, "revision": number})).hex()
    return Rules(number, texts[FLOOR_FILE], texts[ROLES_FILE], texts[SCHEMA_FILE], digest)


def load_policies(
    root: Path,
    *,
    parties: Collection[str],
    products: Collection[str],
    approved: Mapping[str, Collection[str]],
    read: ReadYaml,
    stops: Stops | None = None,
) -> PolicySet:
    """Read the policies of a contracts folder and put in force what was approved.

    Raises:
        PoliciesInvalid: when no rules were approved by all parties, or schema or lint refuse a policy.
        AgreementInvalid: when an agreement's file does not have the closed form.
    """
    rules, agreements = approved_policies(root, parties=parties, approved=approved, read=read)
    return compile_policies(rules, agreements, parties=parties, products=products, stops=stops or Stops())


def approved_policies(
    root: Path, *, parties: Collection[str], approved: Mapping[str, Collection[str]], read: ReadYaml
) -> tuple[Rules, tuple[Agreement, ...]]:
    """Return the newest rules and the newest revision of each agreement that its parties approved.

    `approved` maps a digest to the countries that signed it.

    Raises:
        PoliciesInvalid: when no rules were approved by all parties.
        AgreementInvalid: when an agreement's file does not have the closed form.
    """
    known = load_rules(root)
    signed = [rules for rules in known if set(parties) <= set(approved.get(rules.digest, ()))]
    if not signed:
        missing = ", ".join(sorted(set(parties) - set(approved.get(known[-1].digest, ()))))
        raise PoliciesInvalid(f"the rules {known[-1].digest[:16]} are not approved by {missing}")
    return signed[-1], _in_force(load_agreements(root / "agreements", read), approved)


def text_of(rules: str, clauses: Iterable[Clause]) -> str:
    """Return the rules and the permits of some clauses as one text."""
    return "\n".join([rules, *(clause.compile() for clause in clauses)])


def newest_of(root: Path, read: ReadYaml) -> tuple[Agreement, ...]:
    """Return the newest revision of each agreement of a contracts folder, as if its parties had approved it.

    Raises:
        AgreementInvalid: when an agreement's file does not have the closed form.
    """
    newest = {agreement.id: agreement for agreement in load_agreements(root / "agreements", read)}
    return tuple(newest.values())


def compile_policies(
    rules: Rules,
    agreements: tuple[Agreement, ...],
    *,
    parties: Collection[str],
    products: Collection[str],
    stops: Stops = Stops(),
) -> PolicySet:
    """Compile rules and agreements into one set, without what is stopped.

    (1) the floor only forbids; (2) everything passes the schema; (3) every policy has one id of its own;
    (4) every entity that is named exists.

    Raises:
        PoliciesInvalid: when one of these does not hold.
    """
    agreements = tuple(agreement for agreement in agreements if agreement.id not in stops.agreements)
    clauses = {clause.policy_id: clause for agreement in agreements for clause in agreement.clauses}
    clauses = {name: each for name, each in clauses.items() if (each.owner, each.reader) not in stops.directions}
    both = f"{rules.floor}\n{rules.roles}"
    text = text_of(both, clauses.values())
    try:
        floor, schema = parsed_policies(rules.floor), cedarpy.Schema.from_str(rules.schema)
        parsed = cedarpy.PolicySet.from_str(text)
    except ValueError as error:
        raise PoliciesInvalid(str(error)) from error
    if not floor or any(policy["effect"] != "forbid" for policy in floor):  # (1)
        raise PoliciesInvalid("the floor only forbids, and is not empty")
    if not (result := cedarpy.validate_policies(text, schema)):  # (2)
        raise PoliciesInvalid("; ".join(str(error) for error in result.errors))
    policies = parsed_policies(text)
    ids = [policy["annotations"].get("id", "") for policy in policies]
    if not all(ids) or len(ids) != len(set(ids)):  # (3)
        raise PoliciesInvalid("every policy needs an @id of its own")
    known = {(kind, country) for kind in ("Country", "Flow", "AuditLog") for country in parties}
    if unknown := {entity for entity in _entities(policies) if entity[0] != "Action"} - known:  # (4)
        raise PoliciesInvalid(f"the registry does not know {sorted(unknown)}")
    content: JSON = {
        "agreements": {agreement.reference: agreement.digest for agreement in agreements},
        "parties": sorted(parties),
        "rules": rules.digest,
        **stops.named(),
    }
    return PolicySet(
        digest=sha256(canonical_bytes(content)).hex(),
        rules=both,
        parsed=parsed,
        schema=schema,
        parties=frozenset(parties),
        products=frozenset(products) - stops.products,
        agreements=agreements,
        clauses=clauses,
    )


def _in_force(agreements: tuple[Agreement, ...], approved: Mapping[str, Collection[str]]) -> tuple[Agreement, ...]:
    """Return of each agreement the newest revision that its parties approved."""
    newest = {
        agreement.id: agreement
        for agreement in sorted(agreements, key=lambda agreement: (agreement.id, agreement.revision))
        if set(agreement.parties) <= set(approved.get(agreement.digest, ()))
    }
    return tuple(newest.values())


def parsed_policies(text: str) -> list[dict[str, Any]]:
    """Return policies in Cedar's JSON form, each with its annotations."""
    parsed: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(text))
    if parsed["templates"]:
        raise PoliciesInvalid("templates are not used")
    return [{"annotations": {}, **policy} for policy in parsed["staticPolicies"].values()]


def _entities(node: Any) -> Iterator[tuple[str, str]]:
    """Walk a parsed policy for the entities that it names."""
    if isinstance(node, dict):
        if node.keys() == {"type", "id"}:
            yield node["type"], node["id"]
        for value in node.values():
            yield from _entities(value)
    elif isinstance(node, list):
        for value in node:
            yield from _entities(value)
