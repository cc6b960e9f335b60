# SPDX-License-Identifier: Apache-2.0
"""A power failure at any moment; this file is about kill -9 of the gateway while agencies submit."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.client.config import load_config
from gateway.client.outcome import SubmitOutcome
from gateway.client.retry import Pace
from gateway.client.sdk import GatewayClient
from gateway.wire.receipt import verify_receipt
from tests.running import USA, Running, running
from tests.synthetic import event_lines

KILLS = 20
RECORDS_PER_SUBMISSION = 40
SECONDS_TOTAL_MAX = 120.0
# Back at once, so that the next failure meets submissions under way.
IMPATIENT = Pace(SECONDS_TOTAL_MAX, attempts_max=10_000, sleep=lambda seconds: time.sleep(min(seconds, 0.02)))


class Agency(threading.Thread):
    """A partner's program that keeps submitting until it is told to stop, and remembers what was acknowledged."""

    def __init__(self, gateway: Running, number: int) -> None:
        super().__init__(name=f"agency-{number}")
        self._gateway = gateway
        self._number = number
        self.acknowledged: list[tuple[list[bytes], SubmitOutcome]] = []
        self.failure: BaseException | None = None
        self.enough = threading.Event()

    def run(self) -> None:
        config = load_config(self._gateway.party(USA).client)
        try:
            with GatewayClient(config, pace=IMPATIENT) as client:
                batch = 0
                while not self.enough.is_set():
                    batch += 1
                    lines = list(event_lines(RECORDS_PER_SUBMISSION, seed=self._number * 100_000 + batch))
                    outcome = client.submit_lines("border-event", "1.0.0", lines)
                    self.acknowledged.append((lines, outcome))
        except BaseException as failure:  # noqa: BLE001 - it is raised again by the test
            self.failure = failure


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_was_acknowledged_survives_twenty_power_failures(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever was answered stands once, its receipt verifies, and the client ends its work by itself."""
    kill_and_compare(KILLS, engine, tmp_path, request)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_was_acknowledged_survives_a_power_failure(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The short form of the twenty, for every run."""
    kill_and_compare(2, engine, tmp_path, request)


def kill_and_compare(kills: int, engine: str, folder: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgresql_url") if engine == "postgresql" else None
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with running(folder / "sandbox", engine_url=url) as gateway:
        agencies = [Agency(gateway, number) for number in range(3)]
        for agency in agencies:
            agency.start()
        for _ in range(kills):
            # The moment is the test: anywhere between two requests, in one, in its commit, in the log's pass.
            threading.Event().wait(chance.uniform(0.05, 0.6))
            gateway.kill()
            gateway.start()
        for agency in agencies:
            agency.enough.set()
        for agency in agencies:
            agency.join(SECONDS_TOTAL_MAX)
        compare(gateway, agencies)


def compare(gateway: Running, agencies: list[Agency]) -> None:
    failures = [agency.failure for agency in agencies if agency.failure]
    assert not failures, failures
    acknowledged = [pair for agency in agencies for pair in agency.acknowledged]
    assert acknowledged
    with gateway.client(USA) as client:
        policy = client.policy
        totals = client.own("border-event")
    for _, outcome in acknowledged:
        assert outcome.records.accepted + outcome.records.duplicate == RECORDS_PER_SUBMISSION
        verify_receipt(outcome.receipt, policy=policy)
    assert len({outcome.submission_id for _, outcome in acknowledged}) == len(acknowledged)
    counted = sum(int(row["records"]) for row in totals["totals"])
    assert counted == len(acknowledged) * RECORDS_PER_SUBMISSION
    fsck(gateway)


def fsck(gateway: Running) -> None:
    command = [sys.executable, "-m", "gateway", "fsck", "--config", str(gateway.files.settings)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
