# SPDX-License-Identifier: Apache-2.0
"""The database server goes away; this file is about one that is killed, hangs, or has no connection left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from gateway.errors import Reason
from tests.api.asking import line, send, signed
from tests.faults.machine import reasons_of, told_to_come_back, works_again
from tests.faults.server import Mistreated
from tests.running import Running, running

ATTEMPTS = 3
CROWD = 16
HANG_SECONDS_MAX = 40


@pytest.fixture(scope="module")
def server() -> Iterator[Mistreated]:
    started = Mistreated()
    yield started
    started.stop()


@pytest.fixture
def gateway(server: Mistreated, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "sandbox", engine_url=server.fresh()) as started:
        yield started


def test_a_killed_server_is_told_and_comes_back_by_itself(gateway: Running, server: Mistreated) -> None:
    """Every connection breaks at once; after the server's own recovery the gateway goes on without a restart."""
    works_again(gateway, [])
    refused = [[line()] for _ in range(ATTEMPTS)]
    server.kill()
    for lines in refused:
        told_to_come_back(gateway, signed(gateway, lines))
    status, reasons = reasons_of(gateway)

    server.start()

    assert (status, Reason.STORAGE_UNAVAILABLE in reasons) == (503, True)
    comes_back(gateway, refused)


@pytest.mark.slow
def test_a_server_that_hangs_is_told_within_a_bound(gateway: Running, server: Mistreated) -> None:
    """Stopped, it takes connections and answers nothing, not even its own time-outs."""
    works_again(gateway, [])
    refused = [line()]
    with server.stopped():
        start = time.monotonic()
        told_to_come_back(gateway, signed(gateway, refused))
        assert time.monotonic() - start < HANG_SECONDS_MAX
        assert gateway.answers()

    comes_back(gateway, [refused])


@pytest.mark.slow
def test_who_finds_no_free_connection_is_told(gateway: Running) -> None:
    """Somebody holds a lock that every submission needs: the pool is empty, and nobody waits for ever."""
    works_again(gateway, [])
    refused = [[line()] for _ in range(CROWD)]
    asked = [signed(gateway, lines) for lines in refused]
    url = gateway.files.database_url.replace("+psycopg", "")
    with ThreadPoolExecutor(CROWD) as pool, psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE nonce IN ACCESS EXCLUSIVE MODE")
        answers = list(pool.map(lambda one: send(gateway, one), asked))
        holder.rollback()

    # Who comes while its partner's others wait is told so at once.
    told = {(503, Reason.STORAGE_UNAVAILABLE), (429, Reason.RATE_LIMITED)}
    found = {(answer.status, answer.document["reason"]) for answer in answers}
    assert (503, Reason.STORAGE_UNAVAILABLE) in found
    assert found <= told
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    comes_back(gateway, refused)


def comes_back(gateway: Running, refused: list[list[bytes]]) -> None:
    """Wait for the keeper's next attempt, which may be some seconds away, then let every client repeat."""
    deadline = time.monotonic() + 20
    while not gateway.ready():
        assert time.monotonic() < deadline, reasons_of(gateway)
        time.sleep(0.2)
    works_again(gateway, refused)
