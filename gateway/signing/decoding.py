# SPDX-License-Identifier: Apache-2.0
"""Content codings; this file is about decoding gzip and zstd piece by piece, so that a bomb cannot fill the memory.

A piece of 256 compressed bytes can become at most 8 MiB (zstd: 64 run-length blocks of 128 KiB); the caller counts
and stops after each piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import zstandard

_PIECE_BYTES: Final = 256
_GZIP_WINDOW: Final = 31  # zlib: 16 for the gzip format, 15 for the largest window
_ZSTD_WINDOW_BYTES_MAX: Final = 8 << 20  # RFC 9659, section 3


class BodyBroken(Exception):
    """Encoded content that is damaged or ends early."""


class Decoder(Protocol):
    """Turns content as sent into decoded content."""

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes decode to, in bounded pieces; BodyBroken when they are damaged."""
        ...

    def finish(self) -> None:
        """Check that the content is complete; BodyBroken otherwise."""
        ...


class _Member(Protocol):
    """One gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def decoder_of(encoding: str) -> Decoder:
    """Return a decoder for `zstd`, `gzip` or `identity`."""
    if encoding == "identity":
        return _Identity()
    return _Members(_new_zstd if encoding == "zstd" else _new_gzip)


class _Identity:
    def decode(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        """Nothing is ever open."""


class _Members:
    """Content that is a sequence of members, each complete in itself (RFC 1952, section 2.2; RFC 8878, section 3)."""

    def __init__(self, new_member: Callable[[], _Member]) -> None:
        self._new_member = new_member
        self._member = new_member()
        self._started = False
        self._empty = True

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        for at in range(0, len(chunk), _PIECE_BYTES):
            piece = chunk[at : at + _PIECE_BYTES]
            while piece:
                self._started, self._empty = True, False
                try:
                    yield self._member.decompress(piece)
                except (zlib.error, zstandard.ZstdError) as error:
                    raise BodyBroken from error
                piece = b""
                if self._member.eof:
                    piece = self._member.unused_data
                    self._member, self._started = self._new_member(), False

    def finish(self) -> None:
        if self._started or self._empty:
            raise BodyBroken


def _new_gzip() -> _Member:
    return zlib.decompressobj(_GZIP_WINDOW)


def _new_zstd() -> _Member:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj()
