# SPDX-License-Identifier: Apache-2.0
"""Bodies whole, cut, bent and blown up; this file is about receiving what was signed."""

from __future__ import annotations

import gc
import gzip
import os
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha512

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.signing.decoding import MEMBERS_MAX, SILENT_BYTES_MAX, BodyBroken, Decoder
from gateway.signing.envelope import BodyLimits, receive_body
from gateway.signing.head import VerifiedHead
from gateway.signing.spool import SpooledLines
from gateway.trip import Partner, PeerCertificate, SignedRequest, VerifiedEnvelope
from gateway.wire.digests import sha256

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PARTNER = Partner("MEX.SEGOB.UPMRIP", "MEX", "active", frozenset(), ())
LINES = [b'{"n":%d}' % number for number in range(1000)]
PLAIN = b"\n".join(LINES) + b"\n"
LIMITS = BodyLimits()
ENCODERS = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def head_of(body: bytes, encoding: str = "identity") -> VerifiedHead:
    return VerifiedHead(
        partner=PARTNER,
        keyid="k",
        algorithm="ed25519",
        nonce="n",
        created=NOW,
        signature_base=b"base",
        signature=b"signature",
        media_type="application/x-ndjson",
        encoding=encoding,
        digests={"sha-256": sha256(body)},
        idempotency_key="i",
        claimed_records=None,
    )


def request_of(chunks: Iterator[bytes], headers: tuple[tuple[str, str], ...] = ()) -> SignedRequest:
    return SignedRequest("r", "POST", "https://g/x", "/x", headers, PeerCertificate(b"", b""), chunks, NOW)


def receive(
    body: bytes, encoding: str = "identity", *, limits: BodyLimits = LIMITS, size: int = 1000
) -> VerifiedEnvelope:
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return receive_body(request_of(chunks), head_of(body, encoding), limits=limits)


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_body_is_received_in_pieces_of_any_size(encoding: str, size: int) -> None:
    body = ENCODERS[encoding](PLAIN)
    envelope = receive(body, encoding, size=size)

    assert list(envelope.lines) == list(envelope.lines) == LINES
    assert (envelope.content_digest, envelope.decoded_digest) == (sha256(body), sha256(PLAIN))
    assert (envelope.body_bytes, envelope.path, envelope.received_at) == (len(body), "/x", NOW)


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_body_over_the_memory_bound_is_read_from_a_file_as_often_as_wanted(encoding: str) -> None:
    limits = replace(LIMITS, memory_bytes_max=100)
    envelope = receive(ENCODERS[encoding](PLAIN), encoding, limits=limits)

    first, second = iter(envelope.lines), iter(envelope.lines)
    assert [next(first), next(second), next(first)] == [LINES[0], LINES[0], LINES[1]]
    assert list(envelope.lines) == LINES


def test_the_file_goes_with_the_body() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 only names are counted

    gc.collect()
    before = open_files()
    envelope = receive(PLAIN, limits=replace(LIMITS, memory_bytes_max=10))
    assert open_files() == before + 1

    del envelope
    gc.collect()
    assert open_files() == before


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=20), st.booleans())
def test_lines_come_back_as_they_were(lines: list[bytes], in_file: bool) -> None:
    spooled = SpooledLines(memory_bytes_max=0 if in_file else 1000)
    for line in lines:
        spooled.write(line + b"\n")

    assert list(spooled) == lines


def test_the_last_line_may_lack_its_newline_and_an_empty_body_has_no_line() -> None:
    assert list(receive(b"a\nb").lines) == [b"a", b"b"]
    assert list(receive(b"a\n\nb\n").lines) == [b"a", b"", b"b"]
    assert list(receive(b"").lines) == []


def test_members_that_follow_each_other_are_one_body() -> None:
    for encoding, compress in ENCODERS.items():
        assert list(receive(compress(b"a\n") + compress(b"b\n"), encoding).lines) == [b"a", b"b"]


def test_a_body_with_another_digest_is_refused() -> None:
    for digests in ({"sha-256": sha256(b"x")}, {"sha-512": sha512(b"x").digest()}):
        head = replace(head_of(PLAIN), digests=digests)
        with pytest.raises(errors.DigestMismatch):
            receive_body(request_of(iter([PLAIN])), head, limits=LIMITS)
    both = {"sha-256": sha256(PLAIN), "sha-512": sha512(b"x").digest()}
    with pytest.raises(errors.DigestMismatch):
        receive_body(request_of(iter([PLAIN])), replace(head_of(PLAIN), digests=both), limits=LIMITS)


def test_a_sha_512_digest_is_enough_and_the_envelope_still_has_sha_256() -> None:
    head = replace(head_of(PLAIN), digests={"sha-512": sha512(PLAIN).digest()})

    assert receive_body(request_of(iter([PLAIN])), head, limits=LIMITS).content_digest == sha256(PLAIN)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_broken_encoding_is_incomplete_when_that_is_what_was_signed(encoding: str) -> None:
    whole = ENCODERS[encoding](PLAIN)
    for body in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"trailing", b"not encoded at all", whole[:4]):
        with pytest.raises(errors.BodyIncomplete):
            receive(body, encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_damaged_on_its_way_has_another_digest_whatever_its_encoding_says(encoding: str) -> None:
    whole = ENCODERS[encoding](PLAIN)
    with pytest.raises(errors.DigestMismatch):
        receive_body(request_of(iter([whole[:10], b"damage"])), head_of(whole, encoding), limits=LIMITS)


def test_a_peer_that_goes_away_is_passed_on() -> None:
    def cut() -> Iterator[bytes]:
        yield b"a\n"
        raise errors.BodyIncomplete

    with pytest.raises(errors.BodyIncomplete):
        receive_body(request_of(cut()), head_of(b"a\n"), limits=LIMITS)


def test_a_body_as_large_as_allowed_passes_and_one_byte_more_does_not() -> None:
    limits = replace(LIMITS, sent_bytes_max=len(PLAIN), decoded_bytes_max=len(PLAIN))
    receive(PLAIN, limits=limits)

    for smaller in (
        replace(limits, sent_bytes_max=len(PLAIN) - 1),
        replace(limits, decoded_bytes_max=len(PLAIN) - 1),
    ):
        with pytest.raises(errors.BodyTooLarge) as caught:
            receive(PLAIN, limits=smaller)
        assert caught.value.detail("en")


def test_an_announced_length_is_refused_before_a_byte_is_read() -> None:
    def never() -> Iterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    for announced in (str(LIMITS.sent_bytes_max + 1), "9" * 5000):
        with pytest.raises(errors.BodyTooLarge):
            receive_body(request_of(never(), (("content-length", announced),)), head_of(b""), limits=LIMITS)


def test_a_line_as_long_as_allowed_passes_and_one_byte_more_does_not() -> None:
    limits = replace(LIMITS, line_bytes_max=10)
    for size in (1, 3, 1000):
        receive(b"1234567890\nab\n1234567890", limits=limits, size=size)
        for body in (b"12345678901\n", b"a\n12345678901", b"a\n12345678901\nb\n"):
            with pytest.raises(errors.RequestMalformed):
                receive(body, limits=limits, size=size)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_fills_the_memory(encoding: str) -> None:
    """512 MiB of newlines shrink to well under a mebibyte; in zstd to run-length blocks of four bytes."""
    piece = b"\n" * (1 << 20)
    if encoding == "gzip":
        import io

        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb") as file:
            for _ in range(64):
                file.write(piece)
        bomb = packed.getvalue()
    else:
        compressor = zstandard.ZstdCompressor().compressobj()
        bomb = b"".join(compressor.compress(piece) for _ in range(512)) + compressor.flush()

    tracemalloc.start()
    try:
        with pytest.raises(errors.BodyTooLarge) as caught:
            receive(bomb, encoding, size=1 << 16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert caught.value.facts["what"] == "decoded"
    assert peak < 100 << 20


def test_a_small_body_may_compress_well() -> None:
    body = gzip.compress(b"x\n" * 100_000)

    assert len(list(receive(body, "gzip").lines)) == 100_000


def test_a_zstd_window_over_eight_mebibytes_is_refused() -> None:
    """RFC 9659: a decoder need not keep more, and ours will not."""
    parameters = zstandard.ZstdCompressionParameters(window_log=24, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = compressor.compress(os.urandom(1 << 16)) + compressor.flush()

    with pytest.raises(errors.BodyIncomplete):
        receive(body, "zstd")


def test_as_many_members_as_allowed_pass_and_one_more_does_not() -> None:
    """Each member costs a new decoder; a body of nothing but members would keep a thread for minutes."""
    assert len(list(receive(gzip.compress(b"x\n") * MEMBERS_MAX, "gzip", size=1 << 16).lines)) == MEMBERS_MAX

    with pytest.raises(errors.BodyIncomplete):
        receive(gzip.compress(b"x\n") * (MEMBERS_MAX + 1), "gzip", size=1 << 16)


def skippable(size: int) -> bytes:
    return struct.pack("<II", 0x184D2A50, size - 8) + bytes(size - 8)


def empty_blocks(size: int) -> bytes:
    return gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * (size // 5)


@pytest.mark.parametrize(("encoding", "silence"), [("zstd", skippable), ("gzip", empty_blocks)])
def test_bytes_that_hold_nothing_do_not_go_on_for_ever(encoding: str, silence: Callable[[int], bytes]) -> None:
    """No bound on what is decoded ever sees them; the ratio only gets better."""
    decoder, sent = Decoder(encoding), silence(SILENT_BYTES_MAX + 1000)
    assert b"".join(decoder.decode(sent[:SILENT_BYTES_MAX])) == b""

    with pytest.raises(BodyBroken):
        list(decoder.decode(sent[SILENT_BYTES_MAX:]))


def test_a_body_that_does_not_compress_is_never_taken_for_silence() -> None:
    """The largest block of zstd says nothing until its end: noise that shrinks a little, so that it is no raw block."""
    noise = bytes(byte % 200 for byte in os.urandom(1 << 20))

    for encoding, encode in (("zstd", zstandard.ZstdCompressor(level=19).compress), ("gzip", gzip.compress)):
        assert b"".join(Decoder(encoding).decode(encode(noise))) == noise
