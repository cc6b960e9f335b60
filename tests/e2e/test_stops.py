# SPDX-License-Identifier: Apache-2.0
"""The stop under load; this file is about ten clients on two gateway processes, and what is accepted afterwards."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.program import app
from gateway.client.config import load_config
from gateway.client.failures import Refused
from gateway.client.sdk import GatewayClient
from gateway.storage import log
from tests.running import MEX, USA, Running, running
from tests.synthetic import event_lines

CLIENTS = 10
ACCEPTED_FIRST = 20
WAIT_SECONDS = 60
WITHIN = timedelta(seconds=1)


@pytest.fixture(scope="module")
def two(postgresql_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    folder = tmp_path_factory.mktemp("stops") / "s"
    with running(folder, engine_url=postgresql_server.fresh()) as first, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        held.close()
        own = {"GATEWAY_LISTEN_PORT": str(port), "GATEWAY_OPERATOR_SOCKET": str(Path(folder) / "run/2.sock")}
        second = Running(replace(first.files, port=port), own)
        second.start()
        try:
            yield first, second
        finally:
            second.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partner", "words", "kind", "reason"),
    [
        (MEX, ("govern", "stop", "product", "border-event"), "exchange.stopped", "denied-by-policy"),
        (USA, ("partners", "suspend", USA), "partner.suspended", "partner-suspended"),
    ],
    ids=["product", "partner"],
)
def test_nothing_is_accepted_a_second_after_the_stop(
    two: tuple[Running, Running], partner: str, words: tuple[str, ...], kind: str, reason: str
) -> None:
    enough, accepted, refused = threading.Event(), list[str](), list[str]()

    def work(number: int) -> None:
        config, seed = load_config(two[0].party(partner).client), number
        config = replace(config, gateway_url=f"https://localhost:{two[number % 2].files.port}")
        with GatewayClient(config) as client:
            while True:
                seed += CLIENTS
                try:
                    lines = list(event_lines(1, seed=seed, provider=partner))
                    client.submit_lines("border-event", "1.0.0", lines)
                except Refused as refusal:
                    refused.append(str(refusal))
                    return
                accepted.append(partner)
                if len(accepted) >= ACCEPTED_FIRST:
                    enough.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    assert enough.wait(WAIT_SECONDS)
    done = CliRunner().invoke(app, ["--language", "en", *words, "--config", str(two[0].files.settings)])
    for thread in threads:
        thread.join(WAIT_SECONDS)

    assert done.exit_code == 0, done.stderr
    assert len(refused) == CLIENTS
    assert all(reason in text for text in refused), refused
    with two[0].storage() as storage:
        stopped = storage.read(lambda tx: log.list_events(tx, partner[:3], log.EventQuery(kind=kind)))[-1].at
        query = log.EventQuery(kind="submission.accepted")
        last = storage.read(lambda tx: log.list_events(tx, partner[:3], query))[-1].at
    assert last <= stopped + WITHIN
    print(f"{len(accepted)} accepted; the last {(last - stopped).total_seconds() * 1000:.0f} ms after the stop")
