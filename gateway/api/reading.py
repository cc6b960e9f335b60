# SPDX-License-Identifier: Apache-2.0
"""What reading routes share; this file is about leaving the event loop, and about texts in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread

from gateway.api.desk import Desk

P = ParamSpec("P")
T = TypeVar("T")


async def reads(desk: Desk, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work on a thread for reads: no database call and no parsing of certificates on the event loop."""
    return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=desk.reading)


def localized(document: Any, language: str) -> Any:
    """Return a document in which every text that has both languages stands in one: `{en, es}` becomes a string."""
    if isinstance(document, dict):
        if document.keys() == {"en", "es"}:
            return document[language]
        return {name: localized(value, language) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [localized(value, language) for value in document]
    return document
