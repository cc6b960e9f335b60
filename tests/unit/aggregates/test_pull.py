# SPDX-License-Identifier: Apache-2.0
"""A partner's pull, on both engines under the real policies; this file is about answers, refusals and their events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.aggregates.observations import Condition, DataQuery
from gateway.aggregates.quota import Quota
from gateway.errors import (
    DeniedByPolicy,
    NotAPublishedTable,
    NotFound,
    PurposeMissing,
    RateLimited,
    Refusal,
    UnitsDiffer,
)
from gateway.policy.decide import DecisionPoint
from gateway.trip import Partner
from tests.unit.aggregates.counter import (
    CBP,
    FLOW,
    IGM,
    INM,
    MUTE,
    NOW,
    SEGEPLAN,
    Counter,
    field_of,
    only,
    sandbox_policies,
)


def key_with(**codes: str) -> tuple[frozenset[str], ...]:
    """Return a series key with these codes and wildcards elsewhere."""
    return tuple(frozenset({codes[name]} if name in codes else ()) for name in FLOW.structure.key)


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [(2, 0, ["01", "02"]), (0, 1, ["05"]), (1, 2, ["01", "04", "05"]), (4, 4, ["01", "02", "03", "04", "05"])],
)
def test_a_pull_may_want_the_ends_of_each_series(counter: Counter, first: int, last: int, months: list[str]) -> None:
    """What is left out was not read: the event counts the cells that were given."""
    counter.keep(
        *({"period": f"2024-0{month}", "citizenship": code} for month in range(1, 6) for code in ("HND", "SLV"))
    )

    pulled, seen = counter.pull(query=replace(only(REF_AREA="USA"), first_n=first, last_n=last))

    assert [one.period for one in seen] == [f"2024-{month}" for month in months] * 2
    assert counter.event(pulled.event_id)[1]["cell_count"] == len(months) * 2


def test_a_pull_gives_the_cells_with_what_is_said_of_them(counter: Counter) -> None:
    counter.keep({"period": "2024-04", "count": 7}, {})

    seen = counter.ask()

    assert [(one.period, one.value) for one in seen] == [("2024-03", 5000), ("2024-04", 7)]
    assert seen[0].key == (
        *("M", "USA_DHS_CBP", "USA", "_X", "IN", "ENC_BETWEEN_PORTS", "EVT", "HND", "_T", "_T", "_T", "_T", "_T"),
        "USA_T8",
    )
    assert seen[0].attributes == ("A", "F", 1, "urn_mig_def_usa_cbp_encounter_2020", "2024-05-15", 0, None)


def test_a_pull_is_in_the_log_before_it_is_answered(counter: Counter) -> None:
    """The owners see who read, why and how much; the only purpose of the agreement need not be named."""
    counter.keep({"citizenship": "GTM", "confidentiality": "A"})

    pulled, seen = counter.pull(SEGEPLAN, only(REF_AREA="USA"), purpose="")

    kind, fields, audience = counter.event(pulled.event_id)
    assert (kind, audience) == ("aggregate.read", {"GTM", "USA"})
    assert fields["partner"] == "GTM.SEGEPLAN"
    assert fields["purpose"] == "STATISTICS"
    assert fields["owner"] == "USA"
    assert (fields["cell_count"], fields["suppressed_count"]) == (len(seen), 1)
    assert fields["policies"] == ["gtm-usa#usa-flow-to-gtm"]


def test_no_owner_learns_from_its_event_who_else_was_read(counter: Counter) -> None:
    """A wildcard reads of two owners: each sees its own permit and the count of its own cells, the reader both."""
    counter.keep({}, {"citizenship": "SLV"})
    counter.keep({"provider": INM.id, "reporting_country": "MEX"}, partner_id=INM.id)

    pulled, _ = counter.pull()

    usa, mex = counter.seen_by("USA"), counter.seen_by("MEX")
    assert [(seen["owner"], seen["policies"], seen["cell_count"]) for seen in (*usa, *mex)] == [
        ("USA", ["gtm-usa#usa-flow-to-gtm"], 2),
        ("MEX", ["gtm-mex#mex-flow-to-gtm"], 1),
    ]
    assert not any("MEX" in json.dumps(seen) for seen in usa)
    assert not any("USA" in json.dumps(seen) for seen in mex)
    assert sorted(str(seen["owner"]) for seen in counter.seen_by("GTM")) == ["MEX", "USA"]
    assert counter.event(pulled.event_id)[1] == mex[0]


def test_no_owner_learns_from_a_refusal_who_else_was_asked(counter: Counter) -> None:
    """GTM names itself, which nothing permits, beside USA, which would: the decision is only in GTM's event."""
    counter.keep({})

    with pytest.raises(DeniedByPolicy):
        counter.ask(query=only(REF_AREA="USA GTM"))

    (usa,) = counter.seen_by("USA")
    assert usa["owner"] == "USA"
    assert "policy_set" not in usa
    assert sorted(str(seen["owner"]) for seen in counter.seen_by("GTM")) == ["GTM", "USA"]


def test_only_the_cells_of_permitting_owners_are_given(counter: Counter) -> None:
    """Not even one's own country's: those are exact totals of one's own, elsewhere."""
    counter.keep({})
    counter.keep({"provider": IGM.id, "reporting_country": "GTM", "count": 99}, partner_id=IGM.id)

    assert {field_of(one, "REF_AREA") for one in counter.ask()} == {"USA"}


@pytest.mark.parametrize(
    "query",
    [
        DataQuery(keys=(key_with(FREQ="M", REF_AREA="USA", CITIZENSHIP="HND"), key_with(REF_AREA="MEX"))),
        DataQuery(conditions=(Condition("CITIZENSHIP", frozenset({"SLV"}), negated=True),)),
        only(CITIZENSHIP="HND GTM", FREQ="M"),
        only(OBS_STATUS="A", CITIZENSHIP="HND"),
    ],
)
def test_keys_and_conditions_narrow_the_answer(counter: Counter, query: DataQuery) -> None:
    counter.keep({}, {"citizenship": "SLV"}, {"period": "2024-06"}, {"period": "2023-12"})

    seen = counter.ask(query=replace(query, first_month="2024-01", last_month="2024-05"))

    assert [(one.period, field_of(one, "CITIZENSHIP")) for one in seen] == [("2024-03", "HND")]


@pytest.mark.parametrize("query", [only(FREQ="A"), only(CITIZENSHIP="FRA"), only(OBS_STATUS="P"), only(REF_AREA="MEX")])
def test_what_nothing_meets_is_not_found(counter: Counter, query: DataQuery) -> None:
    counter.keep({})

    with pytest.raises(NotFound):
        counter.ask(query=query)


def test_single_months_may_be_named(counter: Counter) -> None:
    counter.keep(*({"period": f"2024-0{month}"} for month in (1, 2, 3)))

    seen = counter.ask(query=DataQuery(months=frozenset({"2024-01", "2024-03"})))

    assert [one.period for one in seen] == ["2024-01", "2024-03"]


@pytest.mark.parametrize(
    ("reader", "query", "purpose", "refusal"),
    [
        (IGM, DataQuery(), "", PurposeMissing),
        (IGM, DataQuery(), "IMMIGRATION_ENFORCEMENT_INDIVIDUAL", DeniedByPolicy),
        (IGM, only(REF_AREA="GTM"), "STATISTICS", DeniedByPolicy),
        (IGM, only(REF_AREA="USA FRA"), "STATISTICS", DeniedByPolicy),
        (MUTE, DataQuery(), "STATISTICS", DeniedByPolicy),
        (IGM, only(FLOW_TYPE="ASYL_APPLICATION", CITIZENSHIP="GTM"), "STATISTICS", DeniedByPolicy),
        (IGM, only(FLOW_TYPE="ASYL_APPLICATION", PLACE_SCHEME="USA_CBP_AOR"), "STATISTICS", NotAPublishedTable),
        (IGM, only(UNIT_MEASURE="_T"), "STATISTICS", UnitsDiffer),
        (IGM, only(DEFINITION="_T"), "STATISTICS", UnitsDiffer),
        (IGM, only(REF_AREA="_T"), "STATISTICS", NotAPublishedTable),
        (IGM, only(REF_AREA="MEX"), "STATISTICS", NotFound),
    ],
)
def test_a_refused_pull_is_an_event(
    counter: Counter, reader: Partner, query: DataQuery, purpose: str, refusal: type[Refusal]
) -> None:
    counter.keep({})

    with pytest.raises(refusal) as caught:
        counter.ask(reader, query, purpose=purpose)

    kind, fields, audience = counter.event(caught.value.audit_event)
    assert kind == "aggregate.refused"
    assert fields["reason"] == refusal.reason.value
    assert "GTM" in audience


def test_a_refused_pull_is_shown_to_the_owner_that_was_named_and_to_no_other(counter: Counter) -> None:
    with pytest.raises(DeniedByPolicy) as caught:
        counter.ask(MUTE, only(REF_AREA="MEX"))

    assert counter.event(caught.value.audit_event)[2] == {"GTM", "MEX"}


@pytest.mark.parametrize(
    ("named", "logged"),
    [("IMMIGRATION_ENFORCEMENT_INDIVIDUAL", "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"), ("Ana Gomez, case 7", "OTHER")],
)
def test_the_log_takes_no_free_text_for_a_purpose(counter: Counter, named: str, logged: str) -> None:
    with pytest.raises(DeniedByPolicy) as caught:
        counter.ask(purpose=named)

    assert counter.event(caught.value.audit_event)[1]["purpose"] == logged


def with_terms(counter: Counter, **terms: object) -> Counter:
    """Return the counter under agreements that differ in every clause."""
    policies = sandbox_policies()
    agreements = tuple(
        agreement.model_copy(update={"clauses": tuple(c.model_copy(update=terms) for c in agreement.clauses)})
        for agreement in policies.agreements
    )
    clauses = {clause.policy_id: clause for agreement in agreements for clause in agreement.clauses}
    changed = replace(policies, agreements=agreements, clauses=clauses)
    return Counter(replace(counter.desk, policy=DecisionPoint(changed), quota=Quota()))


def test_an_agreement_s_requests_per_hour_are_counted_for_each_partner(counter: Counter) -> None:
    counter.keep({})
    scarce = with_terms(counter, requests_per_hour=2)
    scarce.ask(), scarce.ask()

    with pytest.raises(RateLimited) as caught:
        scarce.ask()

    assert caught.value.retry_after_seconds == 3660, "counted by minute: never more in an hour than agreed"
    assert caught.value.audit_event is None, "many in a row are one event, which the edge counts"
    assert scarce.ask(SEGEPLAN)
    assert scarce.on(NOW + timedelta(minutes=61)).ask()


def test_the_requests_of_all_processes_count_together(counter: Counter) -> None:
    """Two desks on one database are two gateways; what one refused the other refuses from what is stored."""
    counter.keep({})
    first, second = (with_terms(counter, requests_per_hour=2) for _ in range(2))
    first.ask(), second.ask()

    for gateway in (first, second, first):
        with pytest.raises(RateLimited):
            gateway.ask()


def test_a_pull_that_finds_nothing_counts_as_well(counter: Counter) -> None:
    scarce = with_terms(counter, requests_per_hour=1)
    with pytest.raises(NotFound):
        scarce.ask()

    with pytest.raises(RateLimited):
        scarce.ask()


def test_an_agreement_s_embargo_runs_from_acceptance(counter: Counter) -> None:
    later = with_terms(counter, embargo_days=30)
    later.keep({}, at=NOW - timedelta(days=29))
    with pytest.raises(NotFound):
        later.ask()

    assert later.on(NOW + timedelta(days=1)).ask()


def test_an_agreement_s_floor_counts_for_what_is_not_published_at_source(counter: Counter) -> None:
    later = with_terms(counter, floor=50)
    restricted = {"confidentiality": "E", "embargo_until": "2026-11-24"}
    later.keep({**restricted, "count": 49}, {**restricted, "citizenship": "SLV", "count": 50}, {"citizenship": "MEX"})

    assert [(one.value, one.attributes[:2]) for one in later.ask()] == [
        (None, ("Q", "A")),
        (5000, ("A", "F")),
        (50, ("A", "F")),
    ]


def test_a_dimension_that_an_agreement_does_not_open_is_shown_in_total_only(counter: Counter) -> None:
    narrow = with_terms(counter, dimensions=tuple(n for n in counter.desk.flow.fields if n != "sex"))
    narrow.keep({"sex": "F"}, {"citizenship": "SLV"})

    assert [field_of(one, "SEX") for one in narrow.ask()] == ["_T"]


def test_the_provider_s_own_country_finds_nothing_of_its_own_in_the_flow(counter: Counter) -> None:
    counter.keep({})

    with pytest.raises(NotFound):
        counter.ask(CBP)
