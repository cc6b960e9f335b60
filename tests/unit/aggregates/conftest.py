# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the statistics; this file is about a counter on both engines."""

from __future__ import annotations

import pytest

from gateway.storage.engine import Storage
from tests.unit.aggregates.counter import Counter, desk_on


@pytest.fixture
def counter(storage: Storage) -> Counter:
    """A gateway without cells yet, on each engine."""
    return Counter(desk_on(storage))
