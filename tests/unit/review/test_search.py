# SPDX-License-Identifier: Apache-2.0
"""An officer's look at the log, on both engines; this file is about seeing one's own and nothing of others."""

from __future__ import annotations

import pytest

from gateway.auditlog.receipts import fields_of
from gateway.clock import format_instant
from gateway.contracting.load import packaged_root
from gateway.errors import DeniedByPolicy, NotFound, RequestMalformed
from gateway.policy.decide import DecisionPoint
from gateway.review.search import ReviewDesk, ReviewRequest, read_query, search_events, show_event
from gateway.storage import log
from gateway.storage.engine import Storage
from gateway.storage.log import EventQuery
from gateway.trip import Officer
from gateway.wire.receipt import verify_receipt
from tests.unit.auditlog.world import POLICY, World
from tests.unit.policy.test_decide import policies

MEX, GTM = frozenset({"MEX"}), frozenset({"GTM"})
DECISIONS = DecisionPoint(policies())


@pytest.fixture
def world(storage: Storage) -> World:
    return World(storage)


@pytest.fixture
def desk(world: World) -> ReviewDesk:
    root = packaged_root()
    return ReviewDesk(storage=world.storage, policy=DECISIONS, clock=world.clock, log_policy=POLICY, root=root)


def officer_of(country: str, role: str = "security-officer") -> ReviewRequest:
    officer = Officer(f"{country}.OFFICER.SECURITY", country, frozenset({role}))
    return ReviewRequest(officer=officer, path="/v1/audit/events", source="ab" * 32, request_id="review-1")


def ids(page: dict[str, object]) -> list[str]:
    return [event["event_id"] for event in page["events"]]


def test_an_officer_sees_the_own_country_alone(world: World, desk: ReviewDesk) -> None:
    own = [world.record(audience=MEX), world.record(audience=MEX | GTM)]
    other = [world.record(partner_id="GTM.IGM", audience=GTM) for _ in range(3)]
    world.record(partner_id="-", audience=frozenset())

    assert ids(search_events(desk, officer_of("MEX"), EventQuery())) == own
    assert ids(search_events(desk, officer_of("GTM"), EventQuery())) == [own[1], *other]
    assert ids(search_events(desk, officer_of("USA"), EventQuery())) == []


def test_every_search_is_an_event_that_keeps_no_query(world: World, desk: ReviewDesk) -> None:
    world.record(audience=MEX)
    search_events(desk, officer_of("MEX"), EventQuery(partner="MEX.SEGOB.UPMRIP"))

    seen = search_events(desk, officer_of("MEX"), EventQuery(kind="search.run"))
    [search] = seen["events"]
    event = world.storage.read(lambda tx: log.get_event(tx, search["event_id"]))
    assert event is not None
    assert fields_of(event.personal or "") == {"actor": "MEX.OFFICER.SECURITY"}
    assert fields_of(event.fields)["result_count"] == 1
    assert "UPMRIP" not in event.fields
    assert world.storage.read(lambda tx: log.audience_of(tx, event.id)) == MEX


def test_another_countrys_event_looks_like_none_and_the_try_is_recorded(world: World, desk: ReviewDesk) -> None:
    other = world.record(partner_id="GTM.IGM", audience=GTM)
    refusals = []
    for event_id in (other, "00000000-0000-7000-8000-000000000000"):
        with pytest.raises(NotFound) as caught:
            show_event(desk, officer_of("MEX"), event_id)
        refusals.append((caught.value.reason, caught.value.facts, caught.value.hint, caught.value.extra))

    assert refusals[0] == refusals[1]
    tries = search_events(desk, officer_of("MEX"), EventQuery(kind="search.run"))["events"]
    assert len(tries) == 2


def test_a_shown_event_opens_and_its_receipt_verifies(world: World, desk: ReviewDesk) -> None:
    event_id = world.record(audience=MEX)
    assert "receipt" not in show_event(desk, officer_of("MEX"), event_id)
    world.settle()
    shown = show_event(desk, officer_of("MEX"), event_id)

    verified = verify_receipt(shown["receipt"], policy=POLICY)
    assert verified.event_id == shown["event_id"] == event_id
    assert verified.fields == shown["fields"]
    assert shown["reason"] == "unknown-partner"


def test_pages_hold_every_event_once(world: World, desk: ReviewDesk) -> None:
    """Keyset: what is recorded meanwhile joins at the end and moves nothing."""
    wanted = [world.record(audience=MEX) for _ in range(7)]
    query = {"kind": "request.refused", "limit": "3", "after": "00000000-0000-7000-8000-000000000000"}
    seen: list[str] = []
    while True:
        page = search_events(desk, officer_of("MEX"), read_query(query))
        seen += ids(page)
        if "after" not in page:
            break
        world.record(partner_id="GTM.IGM", audience=GTM)
        query["after"] = page["after"]

    assert seen == wanted
    newest = search_events(desk, officer_of("MEX"), EventQuery(kind="request.refused", limit=2))
    assert ids(newest) == wanted[-2:]


def test_a_search_narrows_by_each_of_its_parts(world: World, desk: ReviewDesk) -> None:
    first = world.record(audience=MEX)
    moment = world.clock.now()
    second = world.record(partner_id="MEX.INM", audience=MEX)

    def asked(**parameters: str) -> list[str]:
        narrowed = {"kind": "request.refused"} | parameters
        return ids(search_events(desk, officer_of("MEX"), read_query(narrowed)))

    assert asked() == [first, second]
    assert asked(partner="MEX.INM") == [second]
    assert asked(until=format_instant(moment)) == [first]
    assert asked(since=format_instant(moment)) == [second]
    assert asked(outcome="success") == []
    assert asked(request_id="request-1") == [first, second]
    assert asked(request_id="other") == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"kind": "no.such"},
        {"since": "yesterday"},
        {"limit": "many"},
        {"after": "1 OR 1=1"},
        {"country": "GTM"},
        {"partner": "x" * 65},
    ],
)
def test_a_search_of_another_form_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(RequestMalformed):
        read_query(parameters)


def test_a_page_has_a_bound() -> None:
    assert read_query({"limit": "999999"}).limit == log.EVENTS_PAGE_MAX
    assert read_query({"limit": "-1"}).limit == 1


def test_who_is_no_security_officer_reviews_nothing(world: World, desk: ReviewDesk) -> None:
    event_id = world.record(audience=MEX)

    with pytest.raises(DeniedByPolicy):
        search_events(desk, officer_of("MEX", role="approver"), EventQuery())
    with pytest.raises(DeniedByPolicy):
        show_event(desk, officer_of("MEX", role="approver"), event_id)
