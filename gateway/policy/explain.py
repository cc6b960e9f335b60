# SPDX-License-Identifier: Apache-2.0
"""Why a request is permitted or not; this file is about naming the deciding policies, or the conditions that failed.

Each condition of each policy is a small policy of its own, so that Cedar itself says which of them hold. Whoever asks
for a country is told of the rules that all share and of that country's own agreements, never of others'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy

from gateway.policy.decide import Decisions, Weighed
from gateway.policy.load import parsed_policies, text_of
from gateway.trip import PolicyRequest

MISSING_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class PolicySaid:
    """One policy in words, and of one that did not permit the conditions that failed, as Cedar writes them."""

    id: str
    effect: str
    en: str
    es: str
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`deciding` decided. Without a permit `missing` are those that came nearest, with what each lacks.

    `unknown` says what the registry or the schema does not know; nothing was asked then.
    """

    permitted: bool
    policy_set: str
    deciding: tuple[PolicySaid, ...] = ()
    missing: tuple[PolicySaid, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    id: str
    policy: Mapping[str, Any]
    en: str
    es: str
    conditions: tuple[tuple[str, Mapping[str, Any]], ...]

    def about(self, request: PolicyRequest) -> bool:
        """Say whether the rule speaks of such a request at all: its action and its resource."""
        action, resource = self.policy["action"], self.policy["resource"]
        entities = action.get("entities", [action["entity"]] if "entity" in action else [])
        if entities and not any(entity["id"] == request.action for entity in entities):
            return False
        if resource["op"] == "==" and resource["entity"]["id"] != request.resource_id:
            return False
        return bool(resource.get("entity_type", request.resource_type) == request.resource_type)


class Explainer:
    """The policies of a decision point, taken apart once."""

    def __init__(self, point: Decisions) -> None:
        self._point = point
        policies = point.policies
        self._owners = {
            clause.policy_id: frozenset(agreement.parties)
            for agreement in policies.agreements
            for clause in agreement.clauses
        }
        said = {
            clause.policy_id: (f"{item.title.en}: {clause.text.en}", f"{item.title.es}: {clause.text.es}")
            for item in policies.agreements
            for clause in item.clauses
        }
        self._rules = {rule.id: rule for rule in _rules(text_of(policies.rules, policies.clauses.values()), said)}

    def explain(self, request: PolicyRequest, *, viewer: str | None) -> Explanation:
        """Say why; `viewer` is the country that is told, None the operator."""
        digest = self._point.policies.digest
        try:
            weighed = self._point.weigh(request)
            lacking = () if weighed.permits else tuple(self._missing(request, weighed, viewer))
        except (ValueError, TypeError) as error:
            return Explanation(permitted=False, policy_set=digest, unknown=str(error).partition("\n")[0])
        deciding = tuple(
            PolicySaid(rule.id, rule.policy["effect"], rule.en, rule.es)
            for rule in map(self._rules.__getitem__, weighed.policies)
            if self._shows(rule, viewer)
        )
        return Explanation(weighed.permits, digest, deciding, lacking)

    def _shows(self, rule: _Rule, viewer: str | None) -> bool:
        return viewer is None or rule.id not in self._owners or viewer in self._owners[rule.id]

    def _missing(self, request: PolicyRequest, weighed: Weighed, viewer: str | None) -> Iterator[PolicySaid]:
        rules = [
            rule
            for rule in self._rules.values()
            if rule.policy["effect"] == "permit" and rule.about(request) and self._shows(rule, viewer)
        ]
        parts = {f"{n}.{m}": part for n, rule in enumerate(rules) for m, (_, part) in enumerate(rule.conditions)}
        if not parts or any(self._rules[name].policy["effect"] == "forbid" for name in weighed.policies):
            return
        holding = self._point.holding(parts, request)
        found = [
            PolicySaid(
                rule.id,
                "permit",
                rule.en,
                rule.es,
                tuple(text for m, (text, _) in enumerate(rule.conditions) if f"{n}.{m}" not in holding),
            )
            for n, rule in enumerate(rules)
        ]
        yield from sorted(found, key=lambda said: len(said.failed))[:MISSING_SHOWN_MAX]


def _rules(text: str, said: Mapping[str, tuple[str, str]]) -> Iterator[_Rule]:
    for policy in parsed_policies(text):
        name = policy["annotations"]["id"]
        en, es = said.get(name) or (policy["annotations"].get("en", ""), policy["annotations"].get("es", ""))
        yield _Rule(name, policy, en, es, tuple(_conditions(policy)))


def _conditions(policy: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each condition as text, with the permit that holds exactly when it does."""
    anyone = {"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"}}
    if policy["principal"]["op"] != "All":
        yield (
            f"principal is {policy['principal']['entity_type']}",
            anyone
            | {
                "principal": policy["principal"],
                "conditions": [],
            },
        )
    for condition in policy["conditions"]:
        for body in _conjuncts(condition["body"]) if condition["kind"] == "when" else [condition["body"]]:
            part = anyone | {"conditions": [{"kind": condition["kind"], "body": body}]}
            yield _text(part), part


def _conjuncts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "&&" in body:
        yield from _conjuncts(body["&&"]["left"])
        yield from _conjuncts(body["&&"]["right"])
    else:
        yield body


def _text(part: Mapping[str, Any]) -> str:
    whole = {"staticPolicies": {"p": part}, "templates": {}, "templateLinks": []}
    text = cedarpy.policies_from_json_str(json.dumps(whole))
    return " ".join(text.partition("{")[2].rpartition("}")[0].split())
