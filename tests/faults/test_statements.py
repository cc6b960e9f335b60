# SPDX-License-Identifier: Apache-2.0
"""Any statement, any commit; this file is about a database that fails in the middle of every use case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gateway.errors import StorageUnavailable
from tests.faults.cases import CASES, Case
from tests.faults.injection import Injector, Point, ProcessGone, chosen, injected, points
from tests.faults.office import Ground, Office, prepared

SAMPLE = 3


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A deployment to be copied, once on each engine."""
    server = request.getfixturevalue("postgresql_server") if request.param == "postgresql" else None
    return prepared(tmp_path_factory.mktemp("faults") / "sandbox", server)


@pytest.mark.parametrize("name", CASES)
def test_a_failing_statement_leaves_all_or_nothing(name: str, ground: Ground) -> None:
    """Some of the statements and commits, chosen anew each time; the seed that is printed gives them again."""
    for point in chosen(points(counted(CASES[name], ground)), SAMPLE):
        strike(CASES[name](), ground, point)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_failing_statement_leaves_all_or_nothing(name: str, ground: Ground) -> None:
    """Every statement and every commit, in every way in which it can fail."""
    found = counted(CASES[name], ground)
    every = points(found)
    for point in every:
        strike(CASES[name](), ground, point)

    engine = "postgresql" if ground.server else "sqlite"
    counts = f"statements={len(found.statements)} commits={found.commits_count} injected={len(every)}"
    print(f"\nfaults: {name} on {engine}: {counts} lost=0")


def counted(case: type[Case], ground: Ground) -> Injector:
    """Count the statements and commits of a use case, in a run in which nothing fails."""
    with opened(ground) as office:
        stage = case()
        stage.before(office)
        with injected(office.storage) as injector:
            stage.act(office)
        return injector


def strike(case: Case, ground: Ground, point: Point) -> None:
    """Let one use case fail at one point, start anew, and see that all holds and the work can be ended."""
    with opened(ground) as office:
        case.before(office)
        outcome: object = None
        with injected(office.storage, point) as injector, suppress(ProcessGone):
            try:
                outcome = case.act(office)
            except StorageUnavailable as told:  # The only thing that a failing database may be told as.
                outcome = told
        assert injector.fired
        office.reopen()
        office.settle()

        try:
            assert office.findings() == []
            case.after(office, outcome, twin=bool(point.number % 2))
        except BaseException as error:
            error.add_note(f"{point}, {outcome!r}")
            raise


@contextmanager
def opened(ground: Ground) -> Iterator[Office]:
    url = ground.fresh()
    office = Office(ground, url)
    try:
        yield office
    finally:
        office.storage.close()
        ground.drop(url)
