# SPDX-License-Identifier: Apache-2.0
"""Nearly right; this file is about documents that were valid before somebody cut, doubled or overwrote a few places."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def damaged(draw: st.DrawFn, seed: bytes) -> bytes:
    """Return a document with some places cut, doubled, or written over."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 8, 64])))
        piece = draw(
            st.sampled_from([b"", bytes(data[start:end]) * 2, b"\n", b"\x00", b'"', b"\xff"]) | st.binary(max_size=4)
        )
        data[start:end] = piece
    return bytes(data)
