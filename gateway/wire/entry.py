# SPDX-License-Identifier: Apache-2.0
"""One event as a leaf; this file is about audit entries: leaf, payload of salted digests, and disclosures (RFC 9901).

The leaf names neither party nor kind. It commits to a payload of digests, each of one salted field. Salts come
from a key of the event, and from a second key for personal fields: when key and values are deleted, leaf, tree
and receipts stay valid and the value can no longer be guessed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.clock import format_instant, parse_instant
from gateway.identifiers import is_id
from gateway.wire.canonical import JSON, canonical_bytes, parse_canonical
from gateway.wire.digests import SHA256_BYTES, b64url, sha256, unb64url

KEY_BYTES_MIN: Final = 16
FIELDS_MAX: Final = 256
_VERSION: Final = 1
_SALT_BYTES: Final = 16  # RFC 9901, section 9.3: at least 128 bits.
_RESERVED: Final = frozenset({"_sd", "_sd_alg", "..."})


class EntryInvalid(ValueError):
    """An entry, payload or disclosure that is malformed or does not belong to the others."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event ready to be kept: `entry` is the exact leaf, `disclosures` open the fields of the payload."""

    entry: bytes
    payload: bytes
    disclosures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a leaf says: which event, when, and the digest of its payload."""

    event_id: str
    at: datetime
    payload_digest: bytes


def build_event(
    *,
    event_id: str,
    at: datetime,
    fields: Mapping[str, JSON],
    key: bytes,
    personal: Mapping[str, JSON] | None = None,
    personal_key: bytes = b"",
) -> Event:
    """Return an event; ValueError when a field's name is reserved or given twice, or a key is too short."""
    personal = personal or {}
    if len(key) < KEY_BYTES_MIN or (personal and len(personal_key) < KEY_BYTES_MIN):
        raise ValueError("a salt key has at least 16 bytes")
    if personal and personal_key == key:
        raise ValueError("personal fields have a key of their own")
    if personal.keys() & fields.keys() or (personal.keys() | fields.keys()) & _RESERVED:
        raise ValueError("a field's name is reserved or given twice")
    disclosures = disclose(fields, key) + disclose(personal, personal_key)
    if len(disclosures) > FIELDS_MAX:
        raise ValueError("too many fields")
    payload = canonical_bytes({"_sd": sorted(map(_digest, disclosures)), "_sd_alg": "sha-256"})
    return Event(format_entry(event_id, at, payload), payload, disclosures)


def format_entry(event_id: str, at: datetime, payload: bytes) -> bytes:
    """Return the exact bytes of a leaf."""
    return _leaf(Entry(event_id, at, sha256(payload)))


def disclose(fields: Mapping[str, JSON], key: bytes) -> tuple[str, ...]:
    """Return the disclosures of some fields, in the order of their names: base64url of `[salt, name, value]`."""
    return tuple(
        b64url(canonical_bytes([_salt(key, name), name, value]))  # RFC 9901, section 4.2.1
        for name, value in sorted(fields.items())
    )


def parse_entry(entry: bytes) -> Entry:
    """Read a leaf; EntryInvalid when it is not exactly a leaf of this form."""
    try:
        match parse_canonical(entry):
            case {"at": str(at), "id": str(event_id), "sd": str(sd)}:
                leaf = Entry(event_id, parse_instant(at), unb64url(sd))
            case _:
                raise EntryInvalid("not a leaf")
    except ValueError as error:
        raise EntryInvalid("malformed leaf") from error
    # Written again it must be the same: another version, spelling of the time or member is not.
    if _leaf(leaf) != entry or len(leaf.payload_digest) != SHA256_BYTES or not is_id(event_id):
        raise EntryInvalid("malformed leaf")
    return leaf


def open_event(entry: bytes, payload: bytes, disclosures: Iterable[str]) -> dict[str, JSON]:
    """Return the fields that the disclosures open, each proven to belong to the leaf, or raise EntryInvalid."""
    if sha256(payload) != parse_entry(entry).payload_digest:
        raise EntryInvalid("the payload is not that of the leaf")
    digests = _payload_digests(payload)
    fields: dict[str, JSON] = {}
    for disclosure in disclosures:
        if not disclosure.isascii() or _digest(disclosure) not in digests:
            raise EntryInvalid("a disclosure is not of this payload")
        name, value = _open(disclosure)
        if name in fields:
            raise EntryInvalid("a field is disclosed twice")
        fields[name] = value
    return fields


def _leaf(entry: Entry) -> bytes:
    leaf: JSON = {
        "at": format_instant(entry.at),
        "id": entry.event_id,
        "sd": b64url(entry.payload_digest),
        "v": _VERSION,
    }
    return canonical_bytes(leaf)


def _payload_digests(payload: bytes) -> frozenset[str]:
    try:
        content = parse_canonical(payload)
    except ValueError as error:
        raise EntryInvalid("malformed payload") from error
    match content:
        case {"_sd": [*digests], "_sd_alg": "sha-256", **others} if not others and len(digests) <= FIELDS_MAX:
            # Sorted, as RFC 9901 recommends, so that their order tells nothing; and none twice.
            if all(isinstance(one, str) for one in digests) and digests == sorted(set(digests)):
                return frozenset(digests)
    raise EntryInvalid("malformed payload")


def _open(disclosure: str) -> tuple[str, JSON]:
    try:
        content = parse_canonical(unb64url(disclosure))
    except ValueError as error:
        raise EntryInvalid("malformed disclosure") from error
    match content:
        case [str(), str(name), value] if name not in _RESERVED:
            return name, value
    raise EntryInvalid("malformed disclosure, or of a reserved name")


def _digest(disclosure: str) -> str:
    return b64url(sha256(disclosure.encode()))  # over the encoded text: RFC 9901, section 4.2.3


def _salt(key: bytes, name: str) -> str:
    return b64url(hmac.digest(key, name.encode(), "sha256")[:_SALT_BYTES])
