# SPDX-License-Identifier: Apache-2.0
"""One that asks too much beside one that works; this file is about limits by partner and action, and what they tell."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator

import http_sf
import pytest

from gateway.client.config import load_config
from gateway.client.sdk import GatewayClient
from tests.api.contesting import publish
from tests.running import GTM, MEX, USA, Running, running
from tests.synthetic import event_lines

PER_SECOND, BURST = 20, 40
NOISY_THREADS = 4
ROUNDS = 30
DATA = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*?c[REF_AREA]=USA"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = {"GATEWAY_REQUESTS_PER_SECOND": str(PER_SECOND), "GATEWAY_REQUESTS_BURST": str(BURST)}
    with running(tmp_path_factory.mktemp("noisy") / "s", environment=limits) as started:
        yield started


def told(headers: dict[str, str]) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    """Read RateLimit-Policy and RateLimit by a library of structured fields, by the name of the limit."""
    policy, left = (
        dict(http_sf.parse(headers[name].encode(), tltype="list")) for name in ("ratelimit-policy", "ratelimit")
    )
    assert list(policy) == list(left)
    return {name: (dict(policy[name]), dict(left[name])) for name in policy}


def test_an_answer_tells_what_is_left_of_each_limit(gateway: Running) -> None:
    _, other, _ = gateway.get(GTM, "/v1/contracts")
    publish(gateway)
    status, read, _ = gateway.get(GTM, DATA, {"Gateway-Purpose": "STATISTICS"})

    assert set(told(other)) == {"other"}
    policy, left = told(other)["other"]
    assert policy == {"q": BURST, "w": BURST // PER_SECOND}
    assert left["r"] < BURST
    assert status == 200
    assert list(told(read)) == ["read", "flow-USA"]
    policy, left = told(read)["flow-USA"]
    assert policy["w"] == 3600
    assert left["r"] == policy["q"] - 1
    assert 3540 <= left["t"] <= 3660


def test_a_noisy_partner_is_told_to_wait_and_slows_nobody(gateway: Running) -> None:
    """What is too much costs its sender an answer of 429 and its neighbour next to nothing; the ratio is printed."""
    alone = submitted(gateway)
    over, answers, waits = threading.Event(), Counter[int](), list[dict[str, str]]()

    def flood() -> None:
        with GatewayClient(load_config(gateway.party(USA).client)) as client:
            while not over.is_set():
                answer = client.channel.send("GET", "/v1/contracts", headers={"accept": "application/json"})
                answers[answer.status] += 1
                if answer.status == 429:
                    waits.append(dict(answer.headers))

    threads = [threading.Thread(target=flood) for _ in range(NOISY_THREADS)]
    for thread in threads:
        thread.start()
    try:
        beside = submitted(gateway)
        with gateway.client(USA) as client:
            client.submit_lines("border-event", "1.0.0", list(event_lines(1, seed=9)))
    finally:
        over.set()
        for thread in threads:
            thread.join()

    print(f"{statistics.median(beside) / statistics.median(alone):.1f} times as long beside {answers}")
    assert answers[429] > answers[200]
    for headers in waits:
        _, left = told(headers)["other"]
        assert (left["r"], left["t"]) == (0, int(headers["retry-after"]))
    # Four clients and the gateway on the same cores: far from a measurement, and far from a standstill.
    assert statistics.median(beside) < 20 * statistics.median(alone)


def submitted(gateway: Running) -> list[float]:
    """Submit at a modest pace; return how long each took. A refusal would end the test."""
    seconds = []
    with gateway.client(MEX) as client:
        for number in range(ROUNDS):
            lines = list(event_lines(1, seed=time.monotonic_ns() + number, provider=MEX))
            began = time.perf_counter()
            client.submit_lines("border-event", "1.0.0", lines)
            seconds.append(time.perf_counter() - began)
    return seconds
