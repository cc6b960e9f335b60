# SPDX-License-Identifier: Apache-2.0
"""Where a decoded body waits; this file is about its lines: first in memory, then in a file without a name.

At a crash nothing is durable and nothing has to be cleaned up: the file has no name.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import Final

from gateway.errors import StorageUnavailable

RETRY_AFTER_SECONDS: Final = 5
_BLOCK_BYTES: Final = 1 << 18


class SpooledLines:
    """A decoded body that is written once and read, line by line, as often as wanted; a `RecordLines`."""

    def __init__(self, *, memory_bytes_max: int) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._memory = bytearray()
        self._file: int | None = None

    def write(self, data: bytes) -> None:
        """Add to the body.

        Raises:
            StorageUnavailable: when the disk takes no more; nothing was kept, and the sender may come back.
        """
        try:
            self._write(data)
        except OSError as error:
            raise StorageUnavailable(retry_after_seconds=RETRY_AFTER_SECONDS) from error

    def __iter__(self) -> Iterator[bytes]:
        offset, rest = 0, b""
        while block := self._read(offset):
            offset += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
        if rest:  # The last line may lack its LF; behind a last LF there is no line.
            yield rest

    def _write(self, data: bytes) -> None:
        if self._file is None and len(self._memory) + len(data) <= self._memory_bytes_max:
            self._memory += data
            return
        if self._file is None:
            with tempfile.TemporaryFile() as unnamed:
                self._file = os.dup(unnamed.fileno())
            weakref.finalize(self, os.close, self._file)
            self._write_file(self._memory)
            self._memory = bytearray()
        self._write_file(data)

    def _read(self, offset: int) -> bytes:
        if self._file is None:
            return bytes(self._memory[offset : offset + _BLOCK_BYTES])
        return os.pread(self._file, _BLOCK_BYTES, offset)

    def _write_file(self, data: bytes | bytearray) -> None:
        assert self._file is not None
        with memoryview(data) as view:
            written = 0
            while written < len(view):
                written += os.write(self._file, view[written:])
