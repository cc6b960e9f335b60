# SPDX-License-Identifier: Apache-2.0
"""A gateway to conform against; this file is about the description of one running sandbox, as integrators get it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Return what sandbox.json says of a gateway that is running."""
    with running(tmp_path_factory.mktemp("conformance") / "sandbox") as started:
        description: dict[str, Any] = json.loads(started.files.description.read_text())
        yield description
