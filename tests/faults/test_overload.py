# SPDX-License-Identifier: Apache-2.0
"""Twice what the machine can take; this file is about bounded memory, honest answers, and recovery by itself."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.api.asking import kept_count, line, signed
from tests.faults.load import offer
from tests.faults.machine import works_again
from tests.running import GTM, MEX, USA, Running, running

SECONDS = 20
# As many at once as it takes: few would not show what small submissions that go together can do.
WARM, WARM_CONNECTIONS = 1500, 90
PARTNERS = (USA, MEX, GTM)
# Of each partner: a little less than one certificate may have open.
CONNECTIONS = 120
TIMES = 2
GROWTH_MIB_MAX = 200
ALONE = 30
SLOWER_MAX = 2.0
ROUNDS = 3
# Without rates of the partners the bounds of the machine alone are left.
# All come from one address, of which only a share of the connections may be.
ROOM = {"GATEWAY_CONNECTIONS_MAX": "2048"}
UNTHROTTLED = {**ROOM, "GATEWAY_REQUESTS_PER_SECOND": "100000", "GATEWAY_REQUESTS_BURST": "1000000"}


@pytest.mark.slow
@pytest.mark.parametrize("environment", [ROOM, UNTHROTTLED], ids=["rates as set", "no rates"])
def test_twice_the_capacity_is_met_with_answers_and_bounded_memory(environment: dict[str, str], tmp_path: Path) -> None:
    """Whoever is not served now is told when to come back; what was acknowledged is kept; then all is as before."""
    with running(tmp_path / "sandbox", environment=environment) as gateway:
        alone = latency(gateway)
        warm = offer(gateway, requests(gateway, WARM, *PARTNERS), per_second=1e6, connections=WARM_CONNECTIONS)
        capacity = warm.statuses[201] / warm.seconds
        before, kept_before = resident_mib(gateway), kept(gateway)
        count = int(TIMES * capacity * SECONDS) // len(PARTNERS) * len(PARTNERS)

        tally = offer(
            gateway, requests(gateway, count, *PARTNERS), per_second=TIMES * capacity, connections=CONNECTIONS
        )

        grown = resident_mib(gateway) - before
        # The best of some rounds: what is left of the overload must pass by itself, and soon.
        after = min(latency(gateway) for _ in range(ROUNDS))
        print(
            f"\noverload: capacity={capacity:.0f}/s offered={count} in {tally.seconds:.0f} s "
            f"answers={dict(tally.statuses)} memory=+{grown:.0f} MiB "
            f"slowest={max(tally.milliseconds):.0f} ms alone={alone:.0f} ms after={after:.0f} ms"
        )
        assert set(tally.statuses) <= {201, 202, 429, 503}
        assert tally.without_retry_after == 0
        assert (sum(tally.statuses.values()), tally.cut) == (count, 0)
        acknowledged = tally.statuses[201] + tally.statuses[202]
        assert kept(gateway) - kept_before - ROUNDS * ALONE == acknowledged
        assert grown < GROWTH_MIB_MAX
        assert after < SLOWER_MAX * alone
        works_again(gateway, [])


def requests(gateway: Running, count: int, *partners: str) -> dict[str, list[bytes]]:
    """Return signed submissions of some partners that keep their connections open, so many in all."""
    return {
        partner: [
            signed(gateway, [line(partner)], partner=partner).wire().replace(b"Connection: close\r\n", b"")
            for _ in range(count // len(partners))
        ]
        for partner in partners
    }


def kept(gateway: Running) -> int:
    """Return how many submissions are kept."""
    return sum(kept_count(gateway, partner) for partner in PARTNERS)


def latency(gateway: Running) -> float:
    """Return the median milliseconds of one client alone."""
    one_by_one = offer(gateway, requests(gateway, ALONE, USA), per_second=1e6, connections=1)
    assert one_by_one.statuses == {201: ALONE}, one_by_one.statuses
    return statistics.median(one_by_one.milliseconds)


def resident_mib(gateway: Running) -> float:
    """Return the memory that the process holds."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
