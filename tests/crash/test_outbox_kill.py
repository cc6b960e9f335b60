# SPDX-License-Identifier: Apache-2.0
"""An agency's machine without power; this file is about kill -9 of the outbox while it sends to a real gateway."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.client.outbox import DONE, Outbox
from gateway.clock import SystemClock
from gateway.wire.receipt import verify_receipt
from tests.crash.test_kill import fsck
from tests.running import GTM, USA, Running, running
from tests.synthetic import event_lines

TABLE = Path(__file__).resolve().parents[2] / "contracts/flow/1.0.0/examples" / f"{GTM}.csv"
RECORDS_PER_FILE = 400
SECONDS_MAX = 60


@pytest.mark.slow
def test_an_outbox_survives_thirty_kills(tmp_path: Path) -> None:
    """Whatever was added is accepted once, with its receipts, and needs nobody to look after it."""
    kill_and_compare(30, tmp_path)


def test_an_outbox_survives_kills(tmp_path: Path) -> None:
    """The short form of the thirty, for every run."""
    kill_and_compare(2, tmp_path)


def kill_and_compare(kills: int, folder: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with running(folder / "sandbox") as gateway:
        box = Outbox(folder / "outbox")
        for number in range(kills):
            path = folder / f"events-{number}.ndjson"
            path.write_bytes(b"".join(line + b"\n" for line in event_lines(RECORDS_PER_FILE, seed=number)))
            box.add(path, "border-event/1.0.0", at=SystemClock().now())
        for _ in range(kills):
            process = outbox_run(gateway, USA, box, "--watch")
            # The moment is the test: while it starts, converts, sends, waits for a receipt, or moves an entry.
            threading.Event().wait(chance.uniform(0.6, 1.6))
            process.kill()
            process.wait()
        process = outbox_run(gateway, USA, box)
        assert process.wait(SECONDS_MAX) == 0
        compare(gateway, box, kills)


def compare(gateway: Running, box: Outbox, files: int) -> None:
    entries = box.entries()
    assert [entry.state for entry in entries] == [DONE] * files
    with gateway.client(USA) as client:
        totals, policy = client.own("border-event"), client.policy
    for entry in entries:
        receipts = [json.loads(path.read_bytes()) for path in box.input_path(entry).parent.rglob("*.receipt.json")]
        proven = [verify_receipt(receipt, policy=policy).fields for receipt in receipts]
        assert [fields["received_count"] for fields in proven] == [RECORDS_PER_FILE]
        assert not box.input_path(entry).exists()
    assert sum(int(row["records"]) for row in totals["totals"]) == files * RECORDS_PER_FILE
    fsck(gateway)


def test_a_table_whose_ids_are_made_here_is_not_kept_twice(tmp_path: Path) -> None:
    """The file has no record ids: a second conversion would be a second table."""
    path = tmp_path / "table.csv"
    header, *rows = TABLE.read_text().splitlines()
    assert header.startswith("record_id,")
    path.write_text("\n".join(line.partition(",")[2] for line in (header, *rows)) + "\n")
    with running(tmp_path / "sandbox") as gateway:
        box = Outbox(tmp_path / "outbox")
        box.add(path, "flow/1.0.0", at=SystemClock().now())
        lines = box.input_path(box.entries()[0]).parent / "table.csv.receipts"
        process = outbox_run(gateway, GTM, box)
        while not list(lines.glob("lines-*.ndjson")) and process.poll() is None:
            threading.Event().wait(0.001)
        process.kill()
        process.wait()

        assert outbox_run(gateway, GTM, box).wait(SECONDS_MAX) == 0

        with gateway.client(GTM) as client:
            totals = client.own("flow")["totals"]
        assert sum(int(row["records"]) for row in totals) == len(rows)


def outbox_run(gateway: Running, party: str, box: Outbox, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway", "outbox", "run", "--outbox", str(box.folder)]
    with (box.folder.parent / "outbox.log").open("ab") as out:
        return subprocess.Popen([*command, "--config", str(gateway.party(party).client), *more], stdout=out, stderr=out)
