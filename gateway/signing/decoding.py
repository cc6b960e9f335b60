# SPDX-License-Identifier: Apache-2.0
"""Content codings; this file is about decoding gzip and zstd piece by piece, so that a bomb cannot fill the memory.

A piece of 256 compressed bytes can become at most 8 MiB (zstd: 64 run-length blocks of 128 KiB); the caller counts
and stops after each piece. Nor can it waste time: members that hold nothing are counted, and so are bytes that say
nothing (empty blocks, skippable frames).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import zstandard

_PIECE_BYTES: Final = 256
_GZIP_WINDOW: Final = 31  # zlib: 16 for the gzip format, 15 for the largest window
MEMBERS_MAX: Final = 4096
SILENT_BYTES_MAX: Final = 1 << 18  # twice the largest block of zstd (RFC 8878, section 3.1.1.2.4)
_ZSTD_WINDOW_BYTES_MAX: Final = 8 << 20  # RFC 9659, section 3


class BodyBroken(Exception):
    """Encoded content that is damaged, ends early, or goes on and on without content."""


class _Member(Protocol):
    """One gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class Decoder:
    """Content as sent becomes decoded content, a sequence of members (RFC 1952, section 2.2; RFC 8878, section 3)."""

    def __init__(self, encoding: str) -> None:
        """Begin with `zstd`, `gzip` or `identity`, which has no members."""
        self._new_member = _NEW_MEMBER.get(encoding)
        self._member: _Member | None = None
        self._member_count = 0
        self._silent_bytes = 0

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes decode to, in bounded pieces; BodyBroken when they are damaged."""
        if self._new_member is None:
            yield chunk
            return
        for at in range(0, len(chunk), _PIECE_BYTES):
            piece = chunk[at : at + _PIECE_BYTES]
            while piece:
                member = self._member = self._member or self._next_member()
                try:
                    decoded = member.decompress(piece)
                except (zlib.error, zstandard.ZstdError) as error:
                    raise BodyBroken from error
                rest = member.unused_data if member.eof else b""
                self._silent_bytes = 0 if decoded else self._silent_bytes + len(piece) - len(rest)
                if self._silent_bytes > SILENT_BYTES_MAX:
                    raise BodyBroken
                yield decoded
                piece = rest
                if member.eof:
                    self._member = None

    def finish(self) -> None:
        """Check that the content is complete; BodyBroken otherwise."""
        if self._new_member is not None and (self._member is not None or not self._member_count):
            raise BodyBroken

    def _next_member(self) -> _Member:
        assert self._new_member is not None
        self._member_count += 1
        if self._member_count > MEMBERS_MAX:
            raise BodyBroken
        return self._new_member()


_NEW_MEMBER: Final[dict[str, Callable[[], _Member]]] = {
    "gzip": lambda: zlib.decompressobj(_GZIP_WINDOW),
    "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj(),
}
