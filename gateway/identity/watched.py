# SPDX-License-Identifier: Apache-2.0
"""Files that change while we run; this file is about values made from files, and made anew when one of them changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger()


class FollowsFiles(Protocol):
    """Something that comes from files and can be told to look at them."""

    def refresh(self, *, asked: bool = False) -> None: ...


class Watched(Generic[T]):
    """A value in force that comes from files; files that are broken or gone keep the old one, with a warning."""

    def __init__(self, name: str, files: tuple[Path, ...], make: Callable[[], T]) -> None:
        """Make the first value; whatever `make` raises goes on to the caller, who does not start."""
        self._name, self._files, self._make = name, files, make
        self._stamp = self._look()
        self.current = make()

    def refresh(self, *, asked: bool = False) -> None:
        """Make the value again if a file changed since the last look, or if somebody asked for it."""
        stamp = self._look()
        if stamp == self._stamp and not asked:
            return
        # Noted before the files are read: one that is still being written is seen to change once more.
        self._stamp = stamp
        try:
            self.current = self._make()
            log.info("files reloaded", cause=self._name)
        except (OSError, ValueError) as error:
            log.warning("files not reloaded", cause=self._name, trouble=str(error))

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_stamp, self._files))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # Whoever makes the value says so better.
    return found.st_mtime_ns, found.st_ino, found.st_size
