# SPDX-License-Identifier: Apache-2.0
"""May they; this file is about the decision point: one question, a permit or a refusal, deny by default.

Cedar skips a policy that fails to evaluate, a `forbid` as well, so that a missing entity would open the gate.
Here one evaluation error is a denial, and so is anything that the registry or the schema does not know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import cedarpy

from gateway.clock import format_instant
from gateway.errors import DeniedByPolicy
from gateway.identifiers import PARTNER_ID, is_id
from gateway.policy.agreements import Clause
from gateway.policy.instants import instants_of, place_of
from gateway.policy.load import PolicySet, parsed_policies
from gateway.trip import Partner, Permit, PolicyRequest, Supposed
from gateway.wire.canonical import JSON, canonical_bytes
from gateway.wire.digests import sha256

ENTITY_STORES_MAX = 4096
SLICES_MAX = 4096
ANSWERS_MAX = 4096
TIME = "at"
_ENTITY_SETS = {
    "asylum_of": "Country",
    "concerned": "Country",
    "countries": "Country",
    "governments": "Country",
    "providers": "Partner",
    "voices": "Country",
}
_ENTITIES = {"proposer": "Officer"}


class Weighed(NamedTuple):
    """What Cedar says: whether it is a permit that counts, and the ids of the policies that decided."""

    permits: bool
    policies: tuple[str, ...]


class Slice(NamedTuple):
    """The policies that can speak of a question, and the instants that they tell its time by, when that is all."""

    policies: cedarpy.PolicySet
    instants: tuple[datetime, ...] | None


class Decisions(Protocol):
    """Who is asked: one decision point, or whichever is in force."""

    @property
    def policies(self) -> PolicySet: ...

    def decide(self, request: PolicyRequest) -> Permit: ...

    def weigh(self, request: PolicyRequest) -> Weighed: ...

    def holding(self, parts: Mapping[str, Mapping[str, JSON]], request: PolicyRequest) -> frozenset[str]: ...


class DecisionPoint:
    """The one place that says yes; the policies inside never change, a new set is a new decision point."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        standing = json.dumps(_standing_entities(policies))
        self._standing = cedarpy.Entities.from_json_str(standing, schema=policies.schema)
        # Keyed by the facts themselves, so that a changed role is another store and never an old answer.
        self._store = lru_cache(maxsize=ENTITY_STORES_MAX)(self._store_of)
        self._slice = lru_cache(maxsize=SLICES_MAX)(self._slice_of)
        # What was said, by the question and by where its time lies among the instants that policies name.
        self._weighed: dict[tuple[str, tuple[int, int]], Weighed] = {}

    def decide(self, request: PolicyRequest) -> Permit:
        """Return a permit with its obligations, or raise `DeniedByPolicy`; deny unless a rule permits.

        A permit counts only when (1) principal and resource are known, (2) the request passes the schema,
        (3) Cedar says Allow, (4) with no evaluation error at all, (5) and names the permitting policies.
        """
        digest = digest_of(request)
        try:
            weighed = self._said(request, digest)
        except (ValueError, TypeError) as error:
            raise self._denied((), digest) from error
        policies = weighed.policies
        if not weighed.permits or isinstance(request.principal, Supposed):
            raise self._denied(policies, digest)
        clauses = [self.policies.clauses[name] for name in policies if name in self.policies.clauses]
        return Permit(
            action=request.action,
            principal_id=request.principal.id,
            resource_id=request.resource_id,
            policies=policies,
            policy_set_digest=self.policies.digest,
            request_digest=digest,
            obligations=_obligations(clauses, request.context),
        )

    def _said(self, request: PolicyRequest, digest: str) -> Weighed:
        """Return what was said of the same question before, or ask.

        Nothing but the question and the policies, which never change, has a part in an answer; and of the time of a
        question only where it lies among the instants that the policies compare it with.
        """
        times = [name for name, value in request.context.items() if isinstance(value, datetime)]
        place = (0, 0)
        if times:
            _known(request, self.policies)
            instants = self._sliced(request).instants if times == [TIME] else None
            if instants is None:
                return self.weigh(request)
            at = request.context[TIME]
            assert isinstance(at, datetime)
            place = place_of(instants, at)
            timeless = {name: value for name, value in request.context.items() if name != TIME}
            digest = digest_of(replace(request, context=timeless))
        if (weighed := self._weighed.get((digest, place))) is None:
            weighed = self.weigh(request)
            if len(self._weighed) >= ANSWERS_MAX:
                self._weighed.clear()
            self._weighed[digest, place] = weighed
        return weighed

    def weigh(self, request: PolicyRequest) -> Weighed:
        """Return what Cedar says of a request, as `decide`, proof and explanation all take it.

        Raises:
            ValueError, TypeError: when something in it is not known, or does not pass the schema.
        """
        _known(request, self.policies)  # (1)
        result = self._ask(request, self._sliced(request).policies)
        ids = result.diagnostics.id_annotations_by_reason
        policies = tuple(sorted(ids.get(reason, reason) for reason in result.diagnostics.reasons))
        permits = result.allowed and not result.diagnostics.errors and bool(policies)  # (3) (4) (5)
        return Weighed(permits, policies)

    def holding(self, parts: Mapping[str, Mapping[str, JSON]], request: PolicyRequest) -> frozenset[str]:
        """Return which of some conditions hold of a request, each of them a permit in Cedar's JSON form.

        Raises:
            ValueError, TypeError: as `weigh` does.
        """
        whole = {"staticPolicies": parts, "templates": {}, "templateLinks": []}
        result = self._ask(request, cedarpy.PolicySet.from_json_str(json.dumps(whole)))
        return frozenset(result.diagnostics.reasons)

    def _sliced(self, request: PolicyRequest) -> Slice:
        product = str(request.context.get("product", ""))
        # What nobody knows has no slice of its own: the store of slices is bounded by what there is.
        product = product if product in self.policies.products else ""
        owner = request.resource_id if product else ""
        return self._slice(request.action, request.principal.country, owner, product)

    def _ask(self, request: PolicyRequest, policies: cedarpy.PolicySet) -> cedarpy.AuthzResult:
        principal, kind = request.principal, _kind(request)
        store = self._store(
            kind, principal.id, principal.country, principal.roles, request.resource_type, request.resource_id
        )
        return cedarpy.is_authorized(
            {
                "principal": {"type": kind, "id": principal.id},
                "action": {"type": "Action", "id": request.action},
                "resource": {"type": request.resource_type, "id": request.resource_id},
                "context": {name: _cedar(name, value) for name, value in request.context.items()},
            },
            policies,
            store,
            self.policies.schema,  # (2)
        )

    def _denied(self, policies: tuple[str, ...], digest: str) -> DeniedByPolicy:
        decision = {"policies": list(policies), "policy_set": self.policies.digest, "request": digest}
        return DeniedByPolicy(extra={"decision": decision})

    def _slice_of(self, action: str, reader: str, owner: str, product: str) -> Slice:
        """Return the policies that can speak of such a request: those of its action, and its clauses' permits.

        Actions have no groups, so that a policy that names other actions never applies. That nothing is lost is proven
        with every change: `proof.py` asks this decision point.
        """
        rules = [policy for policy in parsed_policies(self.policies.rules) if _is_about(policy, action)]
        clauses = [
            clause.compile()
            for clause in self.policies.clauses.values()
            if (clause.reader, clause.owner, clause.product) == (reader, owner, product)
        ]
        named = {f"r{number}": policy for number, policy in enumerate(rules)}
        whole = {"staticPolicies": named, "templates": {}, "templateLinks": []}
        text = "\n".join([cedarpy.policies_from_json_str(json.dumps(whole)), *clauses])
        return Slice(cedarpy.PolicySet.from_str(text), instants_of(parsed_policies(text), TIME))

    def _store_of(
        self, kind: str, principal: str, country: str, roles: frozenset[str], resource_type: str, resource_id: str
    ) -> cedarpy.Entities:
        entities = [_entity(kind, principal, {"country": _reference("Country", country), "roles": sorted(roles)})]
        if resource_type == "Contract":
            entities.append(_entity("Contract", resource_id, {"product": resource_id.split("/", maxsplit=1)[0]}))
        elif resource_type == "Change":
            entities.append(_entity("Change", resource_id, {}))
        elif resource_type == "Records":
            owner, product = resource_id.rsplit("/", 1)
            facts: dict[str, JSON] = {"owner": _reference("Partner", owner), "product": product}
            entities.append(_entity("Records", resource_id, facts))
        return self._standing.with_added_json_str(json.dumps(entities), schema=self.policies.schema)


def digest_of(request: PolicyRequest) -> str:
    """Return the digest under which the audit log knows a question; the same question has the same."""
    return sha256(canonical_bytes(_evidence(request, _kind(request)))).hex()


def _kind(request: PolicyRequest) -> str:
    if isinstance(request.principal, Supposed):
        return request.principal.kind
    return "Partner" if isinstance(request.principal, Partner) else "Officer"


def _is_about(policy: Mapping[str, Any], action: str) -> bool:
    scope = policy["action"]
    named = scope.get("entities", [scope["entity"]] if "entity" in scope else [])
    return scope["op"] == "All" or any(entity["id"] == action for entity in named)


def _standing_entities(policies: PolicySet) -> list[JSON]:
    entities: list[JSON] = []
    for country in sorted(policies.parties):
        shared: list[JSON] = [_reference("Country", reader) for reader in policies.shared_with(country)]
        entities.extend(
            (
                _entity("Country", country, {}),
                _entity("Flow", country, {"owner": _reference("Country", country), "shared_with": shared}),
                _entity("AuditLog", country, {"country": _reference("Country", country)}),
            )
        )
    return entities


def _known(request: PolicyRequest, policies: PolicySet) -> None:
    """Refuse what the registry does not know; principals come from it, as their type says."""
    if request.principal.country not in policies.parties:
        raise ValueError("a country that is no party")
    if request.resource_type in {"Flow", "AuditLog"}:
        if request.resource_id not in policies.parties:
            raise ValueError("a country that is no party")
        return
    if request.resource_type == "Change":
        if not is_id(request.resource_id):
            raise ValueError("no change")
        return
    place, _, name = request.resource_id.partition("/")
    product = place if request.resource_type == "Contract" else name
    if product not in policies.products:
        raise ValueError("a product without a contract")
    if request.resource_type == "Records" and not PARTNER_ID.fullmatch(place):
        raise ValueError("no partner id")


def _obligations(clauses: Sequence[Clause], context: Mapping[str, object]) -> dict[str, object]:
    """Return what a reader's permit carries; where several clauses permit, the strictest of each."""
    if not clauses:
        return {}
    dimensions = clauses[0].dimensions
    for clause in clauses[1:]:
        dimensions = tuple(name for name in dimensions if name in clause.dimensions)
    return {
        "agreements": tuple(clause.policy_id for clause in clauses),
        "floor": max(clause.floor for clause in clauses),
        "dimensions": dimensions,
        "embargo_days": max(clause.embargo_days for clause in clauses),
        "requests_per_hour": min(clause.requests_per_hour for clause in clauses),
        "origin_release": all(clause.origin_release for clause in clauses),
        "purpose": context["purpose"],
    }


def _entity(kind: str, name: str, attributes: dict[str, JSON]) -> dict[str, JSON]:
    return {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": []}


def _reference(kind: str, name: str) -> dict[str, JSON]:
    return {"__entity": {"type": kind, "id": name}}


def _cedar(name: str, value: object) -> JSON:
    """Write one fact of the context the way Cedar reads it."""
    if isinstance(value, datetime):
        instant = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        return {"__extn": {"fn": "datetime", "arg": instant}}
    if name in _ENTITIES:
        return _reference(_ENTITIES[name], str(value))
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, Collection):
        kind = _ENTITY_SETS.get(name)
        return [_reference(kind, str(item)) if kind else str(item) for item in value]
    raise TypeError(f"no fact: {name}")


def _evidence(request: PolicyRequest, kind: str) -> dict[str, JSON]:
    """Return the request as it is digested for the audit log: the same question has the same digest."""
    context: dict[str, JSON] = {}
    for name, value in request.context.items():
        if isinstance(value, datetime):
            context[name] = format_instant(value)
        elif isinstance(value, str | bool | int):
            context[name] = value
        elif isinstance(value, Collection):
            context[name] = sorted(str(item) for item in value)
        else:
            context[name] = {"unknown": type(value).__name__}
    return {
        "action": request.action,
        "context": context,
        "principal": {"country": request.principal.country, "id": request.principal.id, "kind": kind}
        | {"roles": sorted(request.principal.roles)},
        "resource": {"id": request.resource_id, "type": request.resource_type},
    }
