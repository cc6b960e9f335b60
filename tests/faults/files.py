# SPDX-License-Identifier: Apache-2.0
"""The n-th fsync or rename fails; this file is about a hook under the plain files that a program keeps."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.injection import ProcessGone

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
HOOKED = ("fsync", "replace", "rename")


@dataclass(frozen=True, slots=True)
class FilePoint:
    """Where to fail: the n-th call; an error number before anything is done, or 0 for the end of the process.

    The process ends before the call took effect, or, with `done`, right after it.
    """

    number: int
    error: int
    done: bool = False


@dataclass(slots=True)
class FileFaults:
    """Counts calls of `os.fsync`, `os.replace` and `os.rename`, and makes the one at `point` fail, once.

    Contract. A call that fails with an error number has done nothing: the old file stands under its name. What was
    written before a failed fsync is taken for lost by its caller. `ProcessGone` is no `Exception`, so that nothing
    can handle it; clean-up that the language does on its way out is done, which the end of a real process would not
    do, so that leftovers are looked for in the crash tests and not here.
    """

    point: FilePoint | None = None
    calls: list[str] = field(default_factory=list)
    fired: bool = False

    def call(self, name: str, really: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Do it, or fail."""
        number = len(self.calls)
        self.calls.append(name)
        if self.point is None or self.fired or number != self.point.number:
            return really(*arguments, **named)
        self.fired = True
        if self.point.error:
            raise OSError(self.point.error, os.strerror(self.point.error))
        if self.point.done:
            really(*arguments, **named)
        raise ProcessGone


@contextmanager
def failing_files(point: FilePoint | None = None) -> Iterator[FileFaults]:
    """Count, and fail where `point` says, whatever is made durable or renamed inside the block."""
    faults = FileFaults(point)
    with pytest.MonkeyPatch.context() as patch:
        for name in HOOKED:
            really = getattr(os, name)
            patch.setattr(os, name, lambda *a, name=name, really=really, **k: faults.call(name, really, *a, **k))
        yield faults


def file_points(faults: FileFaults) -> list[FilePoint]:
    """Return every way in which what was counted can fail."""
    ends = [FilePoint(number, 0, done) for number in range(len(faults.calls)) for done in (False, True)]
    return ends + [FilePoint(number, error) for number in range(len(faults.calls)) for error in ERRORS]
