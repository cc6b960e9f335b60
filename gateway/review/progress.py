# SPDX-License-Identifier: Apache-2.0
"""How far a long check has come; this file is about telling it while it goes on."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then with what is being counted and how many there were."""

    def __call__(self, what: str, count: int, /) -> None: ...


def silent(what: str, count: int, /) -> None:
    """Tell nobody."""
    del what, count
