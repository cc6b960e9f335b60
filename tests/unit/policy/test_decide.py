# SPDX-License-Identifier: Apache-2.0
"""The decision point; this file is about what is permitted, and that everything else is denied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import cedarpy
import pytest

from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import DeniedByPolicy
from gateway.policy import requests
from gateway.policy.agreements import Agreement, load_agreements
from gateway.policy.decide import DecisionPoint
from gateway.policy.load import PolicySet, Stops, compile_policies, load_policies, load_rules
from gateway.trip import Officer, Partner, PolicyRequest

ROOT = Path(__file__).parents[3] / "contracts"
PARTIES = ("GTM", "MEX", "USA")
PRODUCTS = ("flow", "border-event")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

CBP = Partner("USA.DHS.CBP", "USA", "active", frozenset({"provider", "reader"}), ())
UPM = Partner("MEX.SEGOB.UPMRIP", "MEX", "active", frozenset({"provider", "reader"}), ())
READER = Partner("GTM.SEGEPLAN", "GTM", "active", frozenset({"reader"}), ())
OFFICER = Officer("MEX.OFFICER.SECURITY", "MEX", frozenset({"security-officer"}))


def agreements() -> tuple[Agreement, ...]:
    return load_agreements(ROOT / "agreements", read_yaml)


def everything_approved() -> dict[str, tuple[str, ...]]:
    return {load_rules(ROOT)[-1].digest: PARTIES} | {item.digest: item.parties for item in agreements()}


def policies(approved: Mapping[str, tuple[str, ...]] | None = None, stops: Stops | None = None) -> PolicySet:
    return load_policies(
        ROOT,
        parties=PARTIES,
        products=PRODUCTS,
        approved=everything_approved() if approved is None else approved,
        read=read_yaml,
        stops=stops,
    )


@pytest.fixture(scope="module")
def point() -> DecisionPoint:
    return DecisionPoint(policies())


def push(partner: Partner = UPM, action: str = "submit", **context: object) -> PolicyRequest:
    facts = {"signed": True, "countries": frozenset({partner.country}), "providers": frozenset({partner.id})}
    return PolicyRequest(partner, action, "Contract", "flow/1.0.0", facts | context)


def read(partner: Partner = UPM, owner: str = "USA", purpose: str = "STATISTICS", **more: object) -> PolicyRequest:
    request = requests.read_flow(partner, owner=owner, purpose=purpose, at=NOW)
    return replace(request, context=dict(request.context) | more)


@pytest.mark.parametrize(
    "request_",
    [
        push(),
        push(CBP),
        push(action="validate"),
        push(countries=frozenset(), providers=frozenset()),  # a nil return has no records
        requests.read_own(UPM, product="border-event"),
        read(),
        read(CBP, "MEX"),
        read(READER, "USA"),
        read(purpose="RECEPTION_PLANNING"),
        read(asylum_of=frozenset({"GTM"})),
        requests.review_audit(OFFICER, country="MEX"),
    ],
)
def test_what_floor_roles_and_agreements_allow_is_permitted(point: DecisionPoint, request_: PolicyRequest) -> None:
    permit = point.decide(request_)

    assert permit.policies
    assert permit.policy_set_digest == point.policies.digest


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (push(countries=frozenset({"USA"})), "floor#own-country"),
        (push(countries=frozenset({"MEX", "USA"})), "floor#own-country"),
        (push(providers=frozenset({"MEX.INM"})), "floor#own-provider"),
        (push(signed=False), "floor#signed"),
        (replace(requests.read_own(UPM, product="border-event"), principal=CBP), "floor#own-records"),
        (
            PolicyRequest(UPM, "read-records", "Records", "USA.DHS.CBP/border-event", {}),
            "floor#own-records",
        ),
        (read(owner="MEX"), "floor#agreement"),
        (read(purpose="IMMIGRATION_ENFORCEMENT_INDIVIDUAL"), "floor#no-individual-enforcement"),
        (read(product="border-event"), "floor#no-event-rows"),
        (read(asylum_of=frozenset({"MEX"})), "floor#asylum-of-nationals"),
        (requests.review_audit(OFFICER, country="USA"), "floor#own-audit"),
    ],
)
def test_the_floor_forbids_and_is_named(point: DecisionPoint, request_: PolicyRequest, policy: str) -> None:
    with pytest.raises(DeniedByPolicy) as denied:
        point.decide(request_)

    assert policy in denied.value.extra["decision"]["policies"]  # type: ignore[index]


@pytest.mark.parametrize(
    "request_",
    [
        push(READER),  # a reader does not push
        requests.read_own(READER, product="flow"),
        read(replace(UPM, roles=frozenset({"provider"}))),  # a provider does not read
        read(purpose="TOURISM"),
        read(READER, "USA", "RECEPTION_PLANNING"),  # a purpose of another agreement
        read(product="border-event"),
        read(major=2),
        requests.review_audit(replace(OFFICER, roles=frozenset({"approver"})), country="MEX"),
        requests.review_audit(replace(OFFICER, roles=frozenset({"data-protection-officer"})), country="MEX"),
        PolicyRequest(UPM, "read-records", "Records", "MEX.SEGOB.UPMRIP/border-event", {}),
        PolicyRequest(UPM, "review-audit", "AuditLog", "MEX", {}),  # a partner is no officer
        PolicyRequest(OFFICER, "submit", "Contract", "flow/1.0.0", push().context),
        PolicyRequest(UPM, "delete-everything", "Contract", "flow/1.0.0", {}),
        PolicyRequest(UPM, "read-flow", "Records", "MEX.SEGOB.UPMRIP/flow", read().context),
        read(owner="CAN"),  # no party
        push(replace(UPM, country="CAN", id="CAN.CBSA")),
        replace(push(), resource_id="tariffs/1.0.0"),
        replace(push(), context={"signed": True}),  # the schema wants every fact
        push(mood="good"),  # and no other
        push(signed="yes"),
        push(signed=None),
    ],
)
def test_what_nothing_permits_is_denied(point: DecisionPoint, request_: PolicyRequest) -> None:
    with pytest.raises(DeniedByPolicy):
        point.decide(request_)


def test_a_readers_permit_carries_what_the_agreement_obliges(point: DecisionPoint) -> None:
    obligations = point.decide(read(READER, "MEX")).obligations

    assert obligations["agreements"] == ("gtm-mex#mex-flow-to-gtm",)
    assert obligations["floor"] == 10
    assert obligations["embargo_days"] == 0
    assert obligations["purpose"] == "STATISTICS"
    assert "citizenship" in obligations["dimensions"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        (datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC), False),
        (datetime(2024, 3, 1, tzinfo=UTC), True),
        (datetime(2029, 2, 28, 23, 59, 59, 999000, tzinfo=UTC), True),
        (datetime(2029, 3, 1, tzinfo=UTC), False),
    ],
)
def test_an_agreement_holds_from_its_first_to_its_last_day(point: DecisionPoint, at: datetime, allowed: bool) -> None:
    if allowed:
        assert point.decide(read(at=at)).policies == ("mex-usa#usa-flow-to-mex",)
    else:
        with pytest.raises(DeniedByPolicy):
            point.decide(read(at=at))


def test_a_reader_whose_record_of_protection_has_ended_reads_nothing() -> None:
    """PP-10: the agreement is still good, and so is the other direction."""
    ended = date(2026, 11, 23)
    mended = [
        item.model_copy(
            update={"clauses": tuple(one.model_copy(update=_until(one.reader, ended)) for one in item.clauses)}
        )
        for item in agreements()
    ]
    point = DecisionPoint(compile_policies(load_rules(ROOT)[-1], tuple(mended), parties=PARTIES, products=PRODUCTS))

    with pytest.raises(DeniedByPolicy):
        point.decide(read())
    assert point.decide(read(at=NOW - timedelta(days=1))).policies
    assert point.decide(read(CBP, "MEX")).policies


def _until(reader: str, day: date) -> dict[str, date]:
    return {"protected_until": day} if reader == "MEX" else {}


def test_an_agreement_that_one_party_did_not_sign_permits_nothing() -> None:
    half = everything_approved() | {item.digest: item.parties[:1] for item in agreements() if item.id == "mex-usa"}
    point = DecisionPoint(policies(half))

    with pytest.raises(DeniedByPolicy):
        point.decide(read())
    assert point.decide(read(READER, "USA")).policies


def test_a_suspended_agreement_permits_nothing() -> None:
    point = DecisionPoint(policies(stops=Stops(agreements=frozenset({"mex-usa"}))))

    with pytest.raises(DeniedByPolicy) as denied:
        point.decide(read())
    assert denied.value.extra["decision"]["policies"] == ["floor#agreement"]  # type: ignore[index]


@pytest.mark.parametrize(
    "stops", [Stops(products=frozenset({"flow"})), Stops(directions=frozenset({("USA", "MEX")}))], ids=str
)
def test_what_is_stopped_permits_nothing_and_the_set_says_so(stops: Stops, point: DecisionPoint) -> None:
    assert point.decide(read()).policies

    stopped = DecisionPoint(policies(stops=stops))

    with pytest.raises(DeniedByPolicy):
        stopped.decide(read())
    assert stopped.policies.digest != point.policies.digest


def test_a_stopped_direction_leaves_the_other(point: DecisionPoint) -> None:
    stopped = DecisionPoint(policies(stops=Stops(directions=frozenset({("USA", "GTM")}))))

    assert stopped.decide(read()).policies == point.decide(read()).policies


def test_a_changed_role_is_seen_at_once(point: DecisionPoint) -> None:
    """The facts are part of the store's key, so that nothing is answered from the past."""
    point.decide(push())

    with pytest.raises(DeniedByPolicy):
        point.decide(push(replace(UPM, roles=frozenset())))


def test_the_same_question_has_the_same_digest_and_another_has_not(point: DecisionPoint) -> None:
    first, again = point.decide(read()), point.decide(read())
    other = point.decide(read(at=NOW + timedelta(seconds=1)))

    assert first.request_digest == again.request_digest != other.request_digest


PLANTED = """
@id("planted#permits-all") permit (principal, action, resource);
@id("planted#forbids-by-a-fact")
forbid (principal, action == Action::"read-own", resource) when { resource.owner.roles.contains("closed") };
"""


def test_a_forbid_that_cannot_be_evaluated_denies() -> None:
    """Cedar passes over a policy that errors, a `forbid` too; the missing entity must not open the gate.

    The owner of these records is not in the store, so `resource.owner.roles` fails to evaluate. Cedar alone
    says Allow, which the first assertion proves; the decision point says no.
    """
    rules = load_rules(ROOT)[-1]
    fail_open = compile_policies(
        replace(rules, roles=PLANTED, floor=only_signed()), (), parties=PARTIES, products=PRODUCTS
    )
    point = DecisionPoint(fail_open)
    request = PolicyRequest(UPM, "read-own", "Records", "MEX.INM/flow", {})
    cedar = cedarpy.is_authorized(
        {
            "principal": 'Partner::"MEX.SEGOB.UPMRIP"',
            "action": 'Action::"read-own"',
            "resource": 'Records::"MEX.INM/flow"',
            "context": {},
        },
        fail_open.parsed,
        point._store("Partner", UPM.id, UPM.country, UPM.roles, "Records", "MEX.INM/flow"),
        fail_open.schema,
    )

    assert cedar.allowed
    assert cedar.diagnostics.errors
    with pytest.raises(DeniedByPolicy):
        point.decide(request)
    # The control: with the owner in the store (the principal is), the same policies permit.
    assert point.decide(replace(request, resource_id=f"{UPM.id}/flow")).policies == ("planted#permits-all",)


def only_signed() -> str:
    return '@id("floor#signed") forbid (principal, action == Action::"submit", resource) unless { context.signed };'
