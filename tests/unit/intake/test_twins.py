# SPDX-License-Identifier: Apache-2.0
"""The same thing twice at one moment; this file is about repeats that meet inside the gateway."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.asking import line, signed
from tests.running import USA, parse_answer, running

TWINS = 6


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_twins_sent_at_one_moment_are_one_submission(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One is accepted and the others are told the same, whether byte-identical or signed anew."""
    url = request.getfixturevalue("postgresql_url") if engine == "postgresql" else None
    with running(tmp_path / "sandbox", engine_url=url) as gateway, ThreadPoolExecutor(TWINS) as pool:
        for _ in range(5):
            wire = signed(gateway, [line()]).wire()
            answers = list(pool.map(lambda raw: parse_answer(gateway.exchange(USA, raw)), [wire] * TWINS))

            assert Counter(status for status, _, _ in answers) == {201: 1, 200: TWINS - 1}
            assert len({headers["audit-event"] for _, headers, _ in answers}) == 1
