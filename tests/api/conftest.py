# SPDX-License-Identifier: Apache-2.0
"""Gateways for the tests of the edge; this file is about one running process for each edge that a session has.

`make test` reaches the gateway's own TLS; `make conformance` runs the same suite through nginx and HAProxy with the
files of deploy/.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.proxies import PROXIES, behind
from tests.running import Running, running

EMBEDDED = "embedded"
# One stranger asks all questions of the suite, in less time than its rate is meant for.
PATIENT = {"GATEWAY_REQUESTS_BURST": "10000"}
EDGES = [EMBEDDED, *(pytest.param(name, marks=pytest.mark.conformance) for name in PROXIES)]


@pytest.fixture(scope="session", params=EDGES)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(request.param)
    own = request.param == EMBEDDED
    edge = running(folder / "sandbox", environment=PATIENT) if own else behind(request.param, folder, PATIENT)
    with edge as started:
        yield started
