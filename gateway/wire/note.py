# SPDX-License-Identifier: Apache-2.0
"""Text with signatures under it; this file is about signed notes (C2SP signed-note) and verifier keys.

Two kinds of signature are known: Ed25519 over the text (0x01), and the timestamped cosignature of a witness
(0x04, C2SP tlog-cosignature). Unknown keys are passed over; a known key whose signature fails spoils the note.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wire.digests import b64, sha256, unb64
from gateway.wire.keys import ED25519, InvalidSignature, Signer, ed25519_der, public_raw, verify_bytes

TYPE_ED25519: Final = 0x01
TYPE_COSIGNATURE: Final = 0x04
NOTE_BYTES_MAX: Final = 65_536
SIGNATURES_MAX: Final = 64

_DASH: Final = "— "
_KEY_HASH_BYTES: Final = 4
_PUBLIC_BYTES: Final = 32
_TIME_BYTES: Final = 8
_TIME_LIMIT: Final = 2**63


class NoteInvalid(ValueError):
    """A note that is malformed, or that no trusted key signed."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that may sign notes: its name, kind of signature and 32 public bytes."""

    name: str
    type: int
    public: bytes

    @property
    def key_hash(self) -> bytes:
        """Return the four bytes that, with the name, say whose signature a line is."""
        return sha256(f"{self.name}\n".encode() + bytes([self.type]) + self.public)[:_KEY_HASH_BYTES]

    def verify(self, signature: bytes, text: str) -> None:
        """Check a signature over a note's text; InvalidSignature otherwise."""
        data = text.encode()
        if self.type == TYPE_COSIGNATURE:
            time, signature = int.from_bytes(signature[:_TIME_BYTES], "big"), signature[_TIME_BYTES:]
            if time >= _TIME_LIMIT:
                raise InvalidSignature
            data = f"cosignature/v1\ntime {time}\n".encode() + data
        verify_bytes(ED25519, ed25519_der(self.public), signature, data)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line under a note, not yet believed."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart, not yet believed."""

    text: str
    signatures: tuple[NoteSignature, ...]


def verifier_of(signer: Signer, name: str) -> Verifier:
    """Return the verifier of a log key; ValueError when it is not Ed25519, or the name cannot stand in a note."""
    _check_name(name)
    return Verifier(name, TYPE_ED25519, public_raw(signer.public_der))


def format_vkey(verifier: Verifier) -> str:
    """Write a verifier key, `<name>+<key hash>+<base64 of type and key>`."""
    key = b64(bytes([verifier.type]) + verifier.public)
    return f"{verifier.name}+{verifier.key_hash.hex()}+{key}"


def parse_vkey(vkey: str) -> Verifier:
    """Read a verifier key; ValueError when it is malformed, of an unknown type, or its hash is not that of its key."""
    name, key_hash, encoded = vkey.split("+", 2)
    key = unb64(encoded)
    _check_name(name)
    if len(key) != 1 + _PUBLIC_BYTES or key[0] not in {TYPE_ED25519, TYPE_COSIGNATURE}:
        raise ValueError("verifier key of an unknown type")
    verifier = Verifier(name, key[0], key[1:])
    if verifier.key_hash.hex() != key_hash:
        raise ValueError("verifier key with another hash")
    return verifier


def sign_note(text: str, signer: Signer, name: str) -> bytes:
    """Return a text as a note signed by an Ed25519 key; NoteInvalid when it cannot stand in a note."""
    _check_text(text)
    line = signature_line(name, verifier_of(signer, name).key_hash, signer.sign(text.encode()))
    return f"{text}\n{line}".encode()


def signature_line(name: str, key_hash: bytes, signature: bytes) -> str:
    """Write one line under a note."""
    return f"{_DASH}{name} {b64(key_hash + signature)}\n"


def read_note(data: bytes) -> Note:
    """Take a note apart, or raise NoteInvalid; nothing in it is trusted yet."""
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise NoteInvalid("not UTF-8") from error
    if len(data) > NOTE_BYTES_MAX:
        raise NoteInvalid("note is too long")
    # The text may have empty lines: the last one parts it from the signatures.
    text, blank, under = whole.rpartition("\n\n")
    text += "\n"
    if not blank or not under.endswith("\n"):
        raise NoteInvalid("no signatures under the text")
    _check_text(text)
    lines = under[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteInvalid("too many signatures")
    return Note(text, tuple(_read_line(line) for line in lines))


def open_note(data: bytes, verifiers: Sequence[Verifier]) -> tuple[str, tuple[Verifier, ...]]:
    """Return the text of a note and those verifiers whose signatures stand under it and hold.

    Raises:
        NoteInvalid: when it is malformed, none of them signed it, or the signature of one fails.
    """
    note = read_note(data)
    known = {(verifier.name, verifier.key_hash): verifier for verifier in verifiers}
    if len(known) != len(set(verifiers)):
        raise NoteInvalid("two known keys with one name and hash")
    verified: dict[Verifier, None] = {}
    for line in note.signatures:
        verifier = known.get((line.name, line.key_hash))
        if verifier is None:
            continue
        try:
            verifier.verify(line.signature, note.text)
        except (InvalidSignature, ValueError) as error:
            raise NoteInvalid(f"the signature of {line.name} does not hold") from error
        verified[verifier] = None
    if not verified:
        raise NoteInvalid("signed by no known key")
    return note.text, tuple(verified)


def _read_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        _check_name(name)
        signature = unb64(encoded)
    except ValueError as error:
        raise NoteInvalid("malformed signature line") from error
    if not line.startswith(_DASH) or not space or len(signature) <= _KEY_HASH_BYTES:
        raise NoteInvalid("malformed signature line")
    return NoteSignature(name, signature[:_KEY_HASH_BYTES], signature[_KEY_HASH_BYTES:])


def _check_name(name: str) -> None:
    if not name or "+" in name or any(char.isspace() or unicodedata.category(char) == "Cc" for char in name):
        raise NoteInvalid("a key name is not empty and has no space, control character or plus sign")


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise NoteInvalid("a note's text ends with a newline and has no other control character")
