# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio; this file is about the same methods, awaited, many at once."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gateway.client import AsyncGatewayClient, GatewayClient, Refused
from gateway.client import channel as channel_module
from tests.unit.client.fake_gateway import FakeGateway, StoppedClock

LINES = [b'{"count":%d,"id":"a%d"}' % (n, n) for n in range(5)]


@pytest.fixture
def fake(tmp_path: Path) -> FakeGateway:
    return FakeGateway(tmp_path)


@pytest.fixture
def client(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[AsyncGatewayClient]:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    with GatewayClient(fake.config(), clock=StoppedClock(), transport=httpx2.MockTransport(fake)) as opened:
        yield AsyncGatewayClient(opened)


def test_it_has_every_method_of_the_other_client() -> None:
    """A method that is added to one must not be missed in the other."""
    ours = {name for name, _ in inspect.getmembers(AsyncGatewayClient, inspect.iscoroutinefunction)}
    theirs = {name for name, _ in inspect.getmembers(GatewayClient, inspect.isfunction) if not name.startswith("_")}

    assert {name for name in ours if not name.startswith("_")} == theirs | {"submit_file"}


def test_many_submissions_run_at_once(client: AsyncGatewayClient, fake: FakeGateway) -> None:
    """Each waits for all others inside the gateway: one after the other they would wait for ever."""
    gate = threading.Barrier(4, timeout=20)
    fake.change_answer = lambda document: (gate.wait(), document)[1]

    async def all_at_once() -> list[int]:
        async with client:
            sent = (client.submit_lines("flow", "1.0.0", LINES[:size]) for size in range(1, 5))
            return [outcome.records.accepted for outcome in await asyncio.gather(*sent)]

    assert asyncio.run(all_at_once()) == [1, 2, 3, 4]


def test_what_the_other_raises_is_raised_here(client: AsyncGatewayClient, fake: FakeGateway) -> None:
    fake.refuse_with = {"status": 422, "reason": "forbidden-field"}

    with pytest.raises(Refused, match="forbidden-field"):
        asyncio.run(client.submit_lines("flow", "1.0.0", LINES))


def test_a_file_is_submitted_with_its_journal(client: AsyncGatewayClient, fake: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"a":1}\n')

    outcome = asyncio.run(client.submit_file(path, "border-event", "1.0.0"))

    assert (outcome.records.accepted, len(outcome.receipts)) == (1, 1)
