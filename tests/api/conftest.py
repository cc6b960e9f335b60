# SPDX-License-Identifier: Apache-2.0
"""Gateways for the tests of the edge; this file is about one running process that a whole session shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running import Running, running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("api") / "sandbox") as started:
        yield started
