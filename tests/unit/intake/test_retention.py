# SPDX-License-Identifier: Apache-2.0
"""What may not be kept longer; this file is about a record's end: gone from every file, and still proven."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.client.outcome import SubmitOutcome
from gateway.contracting.load import load_contracts, packaged_root
from gateway.intake.retention import delete_expired
from gateway.storage.engine import open_storage
from gateway.wire.canonical import canonical_bytes
from gateway.wire.receipt import verify_receipt
from tests.api.asking import event
from tests.engines import PostgresServer
from tests.running import USA, Running, running


class DaysLater:
    """A clock that is some days ahead."""

    def __init__(self, days: int) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_record_past_its_day_is_gone_from_every_file_and_its_receipt_still_verifies(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Deletion takes the row and its id; the log and the receipt speak of hashes and counts, and go on holding."""
    server = PostgresServer(durable=True) if engine == "postgresql" else None
    if server:
        request.addfinalizer(server.stop)
    now = datetime.now(UTC)
    short = event(retention_until=(now + timedelta(days=2)).date().isoformat())
    long = event(retention_until=(now + timedelta(days=100)).date().isoformat())
    url = server.fresh() if server else None
    with running(tmp_path / "sandbox", engine_url=url) as gateway, gateway.client(USA) as client:
        outcome = client.submit_lines("border-event", "1.0.0", [canonical_bytes(short), canonical_bytes(long)])
    folder = server.data if server else gateway.files.folder
    gone, stays = str(short["event_id"]), str(long["event_id"])
    assert holding(folder, gone)

    assert delete(gateway, days=1) == 0
    assert delete(gateway, days=4) == 1
    assert delete(gateway, days=4) == 0

    assert holding(folder, gone) == []
    assert holding(folder, stays)
    still_proven(gateway, outcome)


def delete(gateway: Running, *, days: int) -> int:
    storage = open_storage(gateway.files.database_url)
    try:
        return delete_expired(storage, load_contracts(packaged_root()).shapes, clock=DaysLater(days))
    finally:
        storage.close()


def holding(folder: Path, identifier: str) -> list[str]:
    """Return the files that hold an id, as text or as the sixteen bytes of a UUID."""
    forms = (identifier.encode(), bytes.fromhex(identifier.replace("-", "")))
    files = [path for path in folder.rglob("*") if path.is_file() and "receipts" not in path.parts]
    return [str(path) for path in files if any(form in path.read_bytes() for form in forms)]


def still_proven(gateway: Running, outcome: SubmitOutcome) -> None:
    gateway.start()
    with gateway.client(USA) as client:
        again, verified = client.receipt(outcome.event_id)
        verify_receipt(outcome.receipt, policy=client.policy)
        assert verified.fields["accepted_count"] == 2
        assert again["event"] == outcome.receipt["event"]
    gateway.stop()
    command = [sys.executable, "-m", "gateway", "fsck", "--config", str(gateway.files.settings)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
