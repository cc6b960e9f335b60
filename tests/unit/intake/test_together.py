# SPDX-License-Identifier: Apache-2.0
"""Small submissions that meet; this file is about who is kept with others, who goes by itself, and who is told what."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from gateway.clock import Clock
from gateway.contracting.load import packaged_root
from gateway.errors import StorageUnavailable
from gateway.identifiers import new_id
from gateway.intake import together
from gateway.intake.desk import Accepted
from gateway.intake.together import Together, accept_together
from gateway.onboarding.live import LiveDecisions
from gateway.policy.decide import DecisionPoint
from gateway.wire.canonical import canonical_bytes
from tests.api.asking import Asked, line, signed
from tests.engines import PostgresServer
from tests.faults.office import Ground, Office, prepared
from tests.running import GTM, MEX, USA

WAIT_SECONDS = 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    server: PostgresServer | None = (
        request.getfixturevalue("postgresql_server") if request.param == "postgresql" else None
    )
    return prepared(tmp_path_factory.mktemp("together") / "sandbox", server)


@pytest.fixture
def office(ground: Ground) -> Iterator[Office]:
    url = ground.fresh()
    opened = Office(ground, url)
    yield opened
    opened.storage.close()
    ground.drop(url)


def settle(office: Office, *some: Asked) -> list[Accepted | None]:
    return accept_together(office.intake, [office.small(asked) for asked in some])


def one(office: Office, partner: str = USA, **changes: str) -> Asked:
    return signed(office.callers, [line(partner, **changes)], partner=partner)


@dataclass
class Late:
    """A clock at whose second look, inside the write transaction, something happens."""

    clock: Clock
    then: Callable[[], None]
    looks: int = 0

    def now(self) -> datetime:
        self.looks += 1
        if self.looks == 2:
            self.then()
        return self.clock.now()


def flow(office: Office) -> Asked:
    example = json.loads((packaged_root() / "flow/1.0.0/examples/valid/cell.json").read_bytes())
    record = {**example["record"], "record_id": new_id(datetime.now(UTC))}
    return signed(office.callers, [canonical_bytes(record)], partner=GTM, product="flow")


def kept(outcomes: Sequence[Accepted | None]) -> list[bool]:
    return [outcome is not None for outcome in outcomes]


def test_submissions_of_several_partners_are_kept_at_once_each_with_its_event(office: Office) -> None:
    before = office.counts()

    outcomes = settle(office, one(office), one(office, MEX), one(office, GTM), one(office))

    assert len({outcome.event_id for outcome in outcomes if outcome}) == 4
    assert office.counts().more_than(before)["submission"] == 4
    assert office.findings() == []
    office.settle()
    assert all(office.receipt(outcome.event_id) for outcome in outcomes if outcome)


def test_a_repeat_goes_by_itself_and_the_others_are_kept(office: Office) -> None:
    first = one(office)
    assert kept(settle(office, first)) == [True]

    assert kept(settle(office, one(office), first, one(office))) == [True, False, True]
    assert office.accept(first).event is None


def test_of_twins_in_one_company_one_is_kept(office: Office) -> None:
    twin = one(office)

    assert kept(settle(office, twin, twin)) == [True, False]


def test_who_corrects_or_repeats_records_holds_up_no_other_partner(office: Office) -> None:
    standing = signed(office.callers, [office.ground.repeated])

    assert kept(settle(office, one(office, MEX), standing, one(office), one(office, MEX))) == [True, False, False, True]
    assert office.findings() == []


def test_a_product_that_is_stopped_before_the_commit_is_not_kept(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each product is decided again, also of a partner whose other product goes on; `accept` then says which it was."""
    flows, events = (office.small(asked) for asked in (flow(office), one(office, GTM)))
    policy = office.intake.policy
    assert isinstance(policy, LiveDecisions)
    stopped = replace(policy.policies, digest="stopped", products=policy.policies.products - {"flow"})
    late = Late(office.clock, lambda: monkeypatch.setattr(policy, "now", DecisionPoint(stopped)))

    before = office.counts()
    outcomes = accept_together(replace(office.intake, clock=late), [flows, events])

    assert kept(outcomes) == [False, False]
    assert office.counts().more_than(before) == {}


def broken(office: Office) -> Asked:
    asked = one(office)
    return replace(asked, body=asked.body + b"\n")


def wrong(office: Office) -> Asked:
    return one(office, direction="SIDEWAYS")


def many(office: Office) -> Asked:
    return signed(office.callers, [line() for _ in range(together.RECORDS_MAX + 1)])


def of_another_product(office: Office) -> Asked:
    return signed(office.callers, [line()], product="no-such-product")


@pytest.mark.parametrize("other", [broken, wrong, many, of_another_product])
def test_what_is_not_plainly_right_goes_by_itself(office: Office, other: Callable[[Office], Asked]) -> None:
    assert kept(settle(office, one(office), other(office), one(office))) == [True, False, True]


def test_a_database_that_is_away_is_told_and_nothing_is_tried_again(office: Office) -> None:
    def away() -> None:
        raise StorageUnavailable(retry_after_seconds=7)

    intake = replace(office.intake, check_log=away)
    lane = Together(intake)

    async def ask() -> list[Accepted | BaseException | None]:
        asked = [office.small(one(office)) for _ in range(3)]
        return await asyncio.gather(*map(lane.accept, asked), return_exceptions=True)

    told = asyncio.run(ask())

    assert [error.retry_after_seconds for error in told if isinstance(error, StorageUnavailable)] == [7, 7, 7]
    assert len(set(map(id, told))) == 3


def test_who_comes_while_some_are_under_way_goes_with_the_next(office: Office) -> None:
    companies: list[int] = []
    under_way, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        companies.append(0)
        under_way.set()
        assert go_on.wait(WAIT_SECONDS)

    lane = Together(replace(office.intake, check_log=hold))

    async def ask() -> list[Accepted | None]:
        asked = [asyncio.ensure_future(lane.accept(office.small(one(office))))]
        assert await asyncio.to_thread(under_way.wait, WAIT_SECONDS)
        asked += [asyncio.ensure_future(lane.accept(office.small(one(office, MEX)))) for _ in range(5)]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*asked)

    assert kept(asyncio.run(ask())) == [True] * 6
    assert len(companies) == 2


def test_a_caller_that_went_away_does_not_keep_the_others_from_their_answers(office: Office) -> None:
    go_on = threading.Event()

    def hold() -> None:
        assert go_on.wait(WAIT_SECONDS)

    lane = Together(replace(office.intake, check_log=hold))

    async def ask() -> Accepted | None:
        gone = asyncio.ensure_future(lane.accept(office.small(one(office))))
        stays = asyncio.ensure_future(lane.accept(office.small(one(office))))
        await asyncio.sleep(0)
        gone.cancel()
        go_on.set()
        return await stays

    assert asyncio.run(ask()) is not None


def test_a_fault_sends_each_by_itself(office: Office) -> None:
    def fault() -> None:
        raise ZeroDivisionError

    lane = Together(replace(office.intake, check_log=fault))

    with capture_logs() as logged:
        assert asyncio.run(lane.accept(office.small(one(office)))) is None
    assert [entry["log_level"] for entry in logged] == ["error"]
