# SPDX-License-Identifier: Apache-2.0
"""Synthetic border events as canonical lines; this file is about input for tests and benchmarks, in any number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.cli.demo.synthetic import border_events
from gateway.wire.canonical import canonical_bytes

_SECTORS = ("USBP-RGV", "USBP-TCA", "USBP-SDC", "USBP-EPT")
_CITIZENSHIPS = ("GTM", "MEX", "HND", "SLV", "VEN", "CUB", "COL", "ECU")
CELLS = [
    {"citizenship": citizenship, "place_scheme": "USA.CBP.AOR", "place_code": sector, "count": str(10 + 7 * rank)}
    for rank, citizenship in enumerate(_CITIZENSHIPS)
    for sector in _SECTORS
]


def event_lines(count: int, *, seed: int = 1, provider: str = "USA.DHS.CBP") -> Iterator[bytes]:
    """Return canonical lines of border events of an agency."""
    for event in border_events(CELLS, provider=provider, count=count, now=datetime.now(UTC), seed=seed):
        yield canonical_bytes(event)
