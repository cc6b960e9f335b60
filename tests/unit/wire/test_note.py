# SPDX-License-Identifier: Apache-2.0
"""Notes of others and our own; this file is about signed notes, verifier keys and checkpoints."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.wire.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from gateway.wire.digests import b64
from gateway.wire.keys import FileSigner
from gateway.wire.merkle import EMPTY_ROOT
from gateway.wire.note import (
    TYPE_COSIGNATURE,
    NoteInvalid,
    Verifier,
    format_vkey,
    open_note,
    parse_vkey,
    read_note,
    sign_note,
    signature_line,
    verifier_of,
)

# A note and key from the documentation of the Go package golang.org/x/mod/sumdb/note.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The key of the Go checksum database, published in the go command.
SUMDB_VKEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

LOG = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WITNESS = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NAME = "gateway.example/log/2026"
TEXT = format_checkpoint(NAME, 0, EMPTY_ROOT)
VERIFIER = verifier_of(LOG, NAME)
STRANGER = Verifier(NAME, 1, WITNESS.public_key().public_bytes_raw())


def cosignature(time: int, text: str, signed_time: int | None = None) -> tuple[Verifier, str]:
    verifier = Verifier("witness.example", TYPE_COSIGNATURE, WITNESS.public_key().public_bytes_raw())
    stated = time if signed_time is None else signed_time
    signature = WITNESS.sign(f"cosignature/v1\ntime {stated}\n{text}".encode())
    return verifier, signature_line(verifier.name, verifier.key_hash, time.to_bytes(8, "big") + signature)


def test_a_note_of_the_go_package_opens() -> None:
    note = f"{GO_TEXT}\n{GO_LINE}".encode()

    verifier = parse_vkey(GO_VKEY)
    assert verifier.name == "PeterNeumann"
    assert open_note(note, [verifier]) == (GO_TEXT, (verifier,))


def test_published_verifier_keys_are_read_and_written_back() -> None:
    for vkey in (GO_VKEY, SUMDB_VKEY):
        assert format_vkey(parse_vkey(vkey)) == vkey


def test_a_note_that_we_sign_opens_with_its_key_only() -> None:
    note = sign_note(TEXT, LOG, NAME)

    assert note.decode() == f"{TEXT}\n— {NAME} {b64(VERIFIER.key_hash + LOG.sign(TEXT.encode()))}\n"
    assert open_note(note, [VERIFIER, STRANGER]) == (TEXT, (VERIFIER,))
    for verifiers in ([], [STRANGER]):
        with pytest.raises(NoteInvalid, match="no known key"):
            open_note(note, verifiers)


def test_a_witness_cosigns_the_text_with_its_time() -> None:
    verifier, line = cosignature(1_700_000_000, TEXT)
    note = sign_note(TEXT, LOG, NAME) + line.encode()

    assert open_note(note, [VERIFIER, verifier])[1] == (VERIFIER, verifier)


@pytest.mark.parametrize(("time", "signed_time"), [(1_700_000_001, 1_700_000_000), (2**63, None)])
def test_a_cosignature_of_another_time_spoils_the_note(time: int, signed_time: int | None) -> None:
    verifier, line = cosignature(time, TEXT, signed_time)

    with pytest.raises(NoteInvalid, match="does not hold"):
        open_note(sign_note(TEXT, LOG, NAME) + line.encode(), [VERIFIER, verifier])


def test_the_bad_signature_of_a_known_key_spoils_the_note_and_of_an_unknown_key_does_not() -> None:
    bad = signature_line(NAME, STRANGER.key_hash, bytes(64)).encode()
    note = sign_note(TEXT, LOG, NAME) + bad

    assert open_note(note, [VERIFIER])[1] == (VERIFIER,)
    with pytest.raises(NoteInvalid, match="does not hold"):
        open_note(note, [VERIFIER, STRANGER])
    short = signature_line(NAME, STRANGER.key_hash, b"x").encode()
    with pytest.raises(NoteInvalid, match="does not hold"):
        open_note(sign_note(TEXT, LOG, NAME) + short, [VERIFIER, STRANGER])


def test_one_key_that_signs_twice_counts_once() -> None:
    note = sign_note(TEXT, LOG, NAME)
    twice = note + note.split(b"\n\n")[1]

    assert open_note(twice, [VERIFIER])[1] == (VERIFIER,)


def test_the_text_ends_at_the_last_blank_line() -> None:
    text = "a\n\nb\n"

    assert open_note(sign_note(text, LOG, NAME), [VERIFIER])[0] == text


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "return\r\n", "nul\x00\n"])
def test_a_text_that_cannot_stand_in_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(NoteInvalid):
        sign_note(text, LOG, NAME)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00"])
def test_a_name_with_spaces_or_plus_signs_is_not_a_key_name(name: str) -> None:
    with pytest.raises(NoteInvalid):
        verifier_of(LOG, name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        "text\n\n— a AAAAAA==".encode(),
        "text\n\n— a\n".encode(),
        "text\n\n— a AAAA\n".encode(),
        "text\n\n— a AAAAAAB=\n".encode(),
        "text\n\n— a  AAAAAAA=\n".encode(),
        "text\n\n—  AAAAAAA=\n".encode(),
        "te\txt\n\n— a AAAAAAA=\n".encode(),
        ("text\n\n" + "— a AAAAAAA=\n" * 65).encode(),
        ("x" * 70_000 + "\n\n— a AAAAAAA=\n").encode(),
    ],
)
def test_malformed_notes_are_refused(data: bytes) -> None:
    with pytest.raises(NoteInvalid):
        read_note(data)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a",
        "a+b",
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        GO_VKEY.replace("PeterNeumann", "Peter"),
        GO_VKEY + "=",
        "a+00000000+AhpcAAA=",
        "a b" + GO_VKEY[12:],
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_vkey(vkey)


def test_only_ed25519_keys_sign_notes() -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        sign_note(TEXT, FileSigner.of(ec.derive_private_key(7, ec.SECP256R1())), NAME)


def test_the_checkpoint_of_the_specification_is_read() -> None:
    """C2SP tlog-checkpoint, its example."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_checkpoint(text)

    assert (checkpoint.origin, checkpoint.tree_size) == ("example.com/behind-the-sofa", 20_852_163)
    assert format_checkpoint(checkpoint.origin, checkpoint.tree_size, checkpoint.root) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        f"o\n1\n{b64(bytes(32))}",
        f"\n1\n{b64(bytes(32))}\n",
        f"o\n01\n{b64(bytes(32))}\n",
        f"o\n-1\n{b64(bytes(32))}\n",
        f"o\n+1\n{b64(bytes(32))}\n",
        f"o\n١\n{b64(bytes(32))}\n",
        f"o\n{2**63}\n{b64(bytes(32))}\n",
        f"o\n{10**40}\n{b64(bytes(32))}\n",
        f"o\n0\n{b64(bytes(32))}\n",
        f"o\n1\n{b64(bytes(31))}\n",
        f"o\n1\n{b64(bytes(32))}\nextension\n",
        f"o\n1 \n{b64(bytes(32))}\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_checkpoint(text)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert parse_checkpoint(TEXT) == Checkpoint(NAME, 0, EMPTY_ROOT)
