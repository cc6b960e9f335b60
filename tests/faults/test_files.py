# SPDX-License-Identifier: Apache-2.0
"""Disks of the agencies fail too; this file is about journal, receipts and refused records on the sender's side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from gateway.app import write_address
from gateway.client import GatewayClient, InputUnusable, submit_file
from gateway.client import channel as channel_module
from gateway.client.outbox import WAITING, Outbox
from gateway.client.outcome import FileOutcome
from gateway.settings import SettingsInvalid
from gateway.wire.receipt import verify_receipt
from tests.faults.files import ERRORS, FileFaults, FilePoint, failing_files, file_points
from tests.faults.injection import ProcessGone, chosen
from tests.unit.client.fake_gateway import NOW, FakeGateway, StoppedClock
from tests.unit.client.test_submit_file import CSV, EVENTS

SAMPLE = 6
RECORDS = {"table.csv": 3, "events.ndjson": 25}
CONTRACTS = {"table.csv": "flow", "events.ndjson": "border-event"}
Send = Callable[[GatewayClient, Path], FileOutcome]


@contextmanager
def sender(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeGateway, GatewayClient]]:
    folder.mkdir()
    (folder / "table.csv").write_text(CSV)
    (folder / "events.ndjson").write_bytes(b"".join(one + b"\n" for one in EVENTS))
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    fake = FakeGateway(folder)
    fake.refuse_lines = {EVENTS[3]: "range"}
    with GatewayClient(fake.config(), clock=StoppedClock(), transport=httpx2.MockTransport(fake)) as client:
        yield fake, client


def at_once(client: GatewayClient, path: Path) -> FileOutcome:
    """Send a file as `gateway submit` does."""
    return submit_file(client, path, CONTRACTS[path.name], "1.0.0", records_per_part=10)


def by_outbox(client: GatewayClient, path: Path) -> FileOutcome:
    """Send a file as `gateway outbox add` and `run` do."""
    outbox = Outbox(path.parent / "outbox")
    outbox.resume()
    entry = outbox.add(path, f"{CONTRACTS[path.name]}/1.0.0", at=NOW)
    done = outbox.attempt(client, entry, at=NOW) if entry.state == WAITING else entry
    files = outbox.input_path(done).parent
    told = files / f"{path.name}.refused.ndjson"
    assert not outbox.input_path(done).exists(), "a copy of the records stays behind"
    if told.exists():
        shutil.copy(told, path.parent)
    return FileOutcome(done.records, tuple(files.rglob("*.receipt.json")), "unwitnessed")


JOURNEYS = [("table.csv", at_once), ("events.ndjson", at_once), ("events.ndjson", by_outbox)]


@pytest.mark.parametrize(("name", "send"), JOURNEYS)
def test_a_failing_disk_costs_the_sender_neither_a_record_nor_a_receipt(
    name: str, send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed or last fsync or rename the next run ends the work, and nothing was kept twice."""
    every = file_points(counted(tmp_path / "counted", monkeypatch, name, send))
    strike(chosen(every, SAMPLE), name, send, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "send"), JOURNEYS)
def test_no_failing_call_costs_the_sender_a_record_or_a_receipt(
    name: str, send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole form: every call, in every way in which it can fail."""
    faults = counted(tmp_path / "counted", monkeypatch, name, send)
    every = file_points(faults)
    strike(every, name, send, tmp_path, monkeypatch)

    print(f"\nfaults: {name} {send.__name__}: calls={len(faults.calls)} injected={len(every)} lost=0")


@pytest.mark.parametrize("error", ERRORS)
def test_the_address_file_is_whole_or_the_one_before(error: int, tmp_path: Path) -> None:
    """Whoever starts a gateway reads from it where to connect; half an address would send it elsewhere."""
    file = tmp_path / "address"
    write_address(file, "127.0.0.1", 8443)

    with failing_files(FilePoint(0, error)), pytest.raises(SettingsInvalid, match="address_file"):
        write_address(file, "127.0.0.1", 9443)

    assert file.read_text() == "127.0.0.1:8443\n"
    write_address(file, "127.0.0.1", 9443)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["127.0.0.1:9443\n"]


def strike(every: list[FilePoint], name: str, send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, point in enumerate(every):
        with sender(tmp_path / str(number), monkeypatch) as (fake, client):
            path = tmp_path / str(number) / name
            with failing_files(point) as faults, suppress(OSError, ProcessGone, InputUnusable):
                send(client, path)
            assert faults.fired

            outcome = send(client, path)

            check(fake, client, outcome, path, point)


def counted(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, send: Send) -> FileFaults:
    with sender(folder, monkeypatch) as (_, client), failing_files() as faults:
        send(client, folder / name)
    return faults


def check(fake: FakeGateway, client: GatewayClient, outcome: FileOutcome, path: Path, point: FilePoint) -> None:
    lines = fake.lines_kept
    assert len(lines) == len(set(lines)) == RECORDS[path.name], point
    refused = sum(line in fake.refuse_lines for line in lines)
    assert outcome.records.accepted == len(lines) - refused, point
    events = {verify_receipt(json.loads(one.read_bytes()), policy=client.policy).event_id for one in outcome.receipts}
    assert events == set(fake.receipts), point
    assert not list(path.parent.rglob("*.partial")), point
    told = path.with_name(path.name + ".refused.ndjson")
    assert (len(told.read_bytes().splitlines()) if told.exists() else 0) == refused, point
