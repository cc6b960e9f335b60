# SPDX-License-Identifier: Apache-2.0
"""Files that wait; this file is about what an outbox keeps, tries again, gives up, and never sends twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from gateway.cli.demo.synthetic import border_events
from gateway.client import CannotReach, ClientFailure, GatewayClient, InputUnusable, Refused
from gateway.client import channel as channel_module
from gateway.client import outbox as outbox_module
from gateway.client.journal import held
from gateway.client.outbox import ATTEMPTS_MAX, DONE, FAILED, WAITING, Outbox
from gateway.client.retry import Pace
from gateway.wire.canonical import canonical_bytes
from tests.unit.client.fake_gateway import FakeGateway, StoppedClock

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CONTRACT = "border-event/1.0.0"
CELLS = [{"citizenship": "GTM", "count": "120", "place_scheme": "USA.CBP.AOR", "place_code": "USBP-RGV"}]
EVENTS = [canonical_bytes(e) for e in border_events(CELLS, provider="USA.DHS.CBP", count=5, now=NOW)]


class PowerFailure(BaseException):
    """What no part of the program catches."""


@pytest.fixture
def fake(tmp_path: Path) -> FakeGateway:
    return FakeGateway(tmp_path)


@pytest.fixture
def client(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayClient]:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    pace = Pace(60, attempts_max=1, sleep=lambda _: None)
    with GatewayClient(fake.config(), clock=StoppedClock(), pace=pace, transport=httpx2.MockTransport(fake)) as opened:
        yield opened


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in EVENTS))
    return path


def test_an_added_file_is_sent_and_its_receipts_stay(
    outbox: Outbox, client: GatewayClient, fake: FakeGateway, events: Path
) -> None:
    """The copy goes when all is accepted: what the gateway keeps need not lie about here, too."""
    entry = outbox.add(events, CONTRACT, at=NOW)
    events.unlink()

    done = outbox.attempt(client, entry, at=NOW)

    assert (done.state, done.records.accepted) == (DONE, 5)
    assert fake.lines_kept == EVENTS
    assert [one.state for one in outbox.entries()] == [DONE]
    left = [path.name for path in outbox.input_path(done).parent.rglob("*") if path.is_file()]
    assert sorted(name.rpartition(".")[0] for name in left) == sorted(["journal", f"{receipt_event(left)}.receipt"])


def receipt_event(names: list[str]) -> str:
    return next(name for name in names if name.endswith(".receipt.json")).partition(".")[0]


def test_the_same_file_under_the_same_contract_is_there_once(
    outbox: Outbox, client: GatewayClient, fake: FakeGateway, events: Path
) -> None:
    """A second copy of a CSV would be converted again, with other ids, and all of it kept twice."""
    first = outbox.add(events, CONTRACT, at=NOW)
    copy = events.with_name("copy.ndjson")
    copy.write_bytes(events.read_bytes())

    assert outbox.add(copy, CONTRACT, at=NOW) == first
    outbox.attempt(client, first, at=NOW)
    assert outbox.add(events, CONTRACT, at=NOW).state == DONE
    assert len(outbox.entries()) == 1
    assert outbox.add(events, "flow/1.0.0", at=NOW).id != first.id


def test_a_gateway_that_is_away_makes_it_wait_longer_each_time(
    outbox: Outbox, client: GatewayClient, fake: FakeGateway, events: Path
) -> None:
    entry = outbox.add(events, CONTRACT, at=NOW)
    waits = []
    for _ in range(12):
        fake.fail_next("connect")
        with pytest.raises(CannotReach):
            outbox.attempt(client, entry, at=NOW)
        (entry,) = outbox.entries()
        waits.append((datetime.fromisoformat(entry.next_at) - NOW).total_seconds())

    assert (entry.state, entry.attempts) == (WAITING, 12)
    assert "refused" in entry.problem
    assert 7 <= waits[0] <= 15
    assert 1800 <= waits[-1] <= 3600
    assert not entry.is_due(NOW)
    assert entry.is_due(NOW + timedelta(hours=1))
    assert outbox.attempt(client, entry, at=NOW).problem == ""


def test_trying_again_has_an_end(
    outbox: Outbox, client: GatewayClient, fake: FakeGateway, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "ATTEMPTS_MAX", 2)
    outbox.add(events, CONTRACT, at=NOW)
    for _ in range(2):
        fake.fail_next("connect")
        with pytest.raises(CannotReach):
            outbox.attempt(client, outbox.entries()[0], at=NOW)

    assert [entry.state for entry in outbox.entries()] == [FAILED]
    assert outbox.add(events, CONTRACT, at=NOW).state == WAITING
    assert [(entry.state, entry.attempts) for entry in outbox.entries()] == [(WAITING, 0)]
    assert ATTEMPTS_MAX > 2


@pytest.mark.parametrize(
    ("status", "signed", "state"),
    [(422, True, FAILED), (409, True, FAILED), (422, False, WAITING), (401, True, WAITING), (403, True, WAITING)],
)
def test_only_a_signed_refusal_of_what_was_sent_is_final(
    outbox: Outbox, client: GatewayClient, fake: FakeGateway, events: Path, status: int, signed: bool, state: str
) -> None:
    """A suspension or a wrong clock passes once somebody mends it; a proxy's own refusal means nothing."""
    fake.refuse_with, fake.sign_answers = {"status": status, "reason": "some-reason"}, signed
    entry = outbox.add(events, CONTRACT, at=NOW)

    with pytest.raises(Refused):
        outbox.attempt(client, entry, at=NOW)

    assert [one.state for one in outbox.entries()] == [state]


def test_a_file_that_is_no_table_fails_and_says_why(outbox: Outbox, client: GatewayClient, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    entry = outbox.add(path, "flow/1.0.0", at=NOW)

    with pytest.raises(InputUnusable):
        outbox.attempt(client, entry, at=NOW)

    assert [(one.state, "column a" in one.problem) for one in outbox.entries()] == [(FAILED, True)]


def test_a_power_failure_at_any_rename_loses_and_doubles_nothing(
    outbox: Outbox, client: GatewayClient, fake: FakeGateway, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every durable step is a rename: the power fails before and after each of them, one after another."""
    real, steps = Path.replace, 0

    def cut_at(step: int, *, after: bool) -> Callable[[Path, Path], Path]:
        def replace(source: Path, target: Path) -> Path:
            nonlocal steps
            steps += 1
            if steps == step and not after:
                raise PowerFailure
            moved = real(source, target)
            if steps == step:
                raise PowerFailure
            return moved

        return replace

    step, cuts = 0, 0
    while True:
        step += 1
        finished = [False, False]
        for after in (False, True):
            changed = events.with_name(f"events-{step}-{after}.ndjson")
            lines = [canonical_bytes({**json.loads(EVENTS[0]), "minors": step, "adults": 2 * step + after})]
            changed.write_bytes(lines[0] + b"\n")
            steps = 0
            monkeypatch.setattr(Path, "replace", cut_at(step, after=after))
            try:
                outbox.attempt(client, outbox.add(changed, CONTRACT, at=NOW), at=NOW)
                finished[after] = True
            except PowerFailure:
                cuts += 1
            monkeypatch.setattr(Path, "replace", real)

            again = Outbox(outbox.folder)
            again.resume()
            entry = again.add(changed, CONTRACT, at=NOW)
            if entry.state == WAITING:
                entry = again.attempt(client, entry, at=NOW)

            assert (entry.state, entry.records.accepted) == (DONE, 1)
            assert fake.lines_kept.count(lines[0]) == 1
            assert not again.input_path(entry).exists()
        if all(finished):
            break

    assert cuts >= 16
    assert {path.name for path in outbox.folder.iterdir()} == {WAITING, DONE, FAILED}


def test_a_dropped_file_is_gone_with_all_that_was_kept(outbox: Outbox, client: GatewayClient, events: Path) -> None:
    waiting = outbox.add(events, CONTRACT, at=NOW)
    with held(outbox.input_path(waiting)), pytest.raises(InputUnusable):
        outbox.drop(waiting.id)

    outbox.drop(waiting.id)

    assert outbox.entries() == []
    assert {path.name for path in outbox.folder.rglob("*")} == {WAITING, DONE, FAILED}
    with pytest.raises(InputUnusable):
        outbox.drop(waiting.id)
    with pytest.raises(ClientFailure):
        outbox.attempt(client, waiting, at=NOW)
    assert outbox.entries() == []


@pytest.mark.parametrize("contract", ["flow/9.9.9", "flow", "../flow/1.0.0"])
def test_an_unknown_contract_is_said_when_the_file_is_added(outbox: Outbox, events: Path, contract: str) -> None:
    """Hours later nobody would be there to read it."""
    with pytest.raises(InputUnusable):
        outbox.add(events, contract, at=NOW)

    assert outbox.entries() == []
