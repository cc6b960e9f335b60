# SPDX-License-Identifier: Apache-2.0
"""One act of governance; this file is about the document that officers sign: what shall change, here, and since when.

It is one DSSE envelope. Who proposes signs first; who approves signs the very same payload, so that the envelope in
the end shows one document and everyone who stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.clock import parse_instant
from gateway.identifiers import is_id
from gateway.wire.canonical import canonical_bytes, parse_canonical
from gateway.wire.digests import unb64
from gateway.wire.dsse import EnvelopeInvalid, sign_envelope, verify_envelope
from gateway.wire.keys import Signer, SigningPublic

PAYLOAD_TYPE: Final = "application/vnd.gateway.change+json"
WORDS_MAX: Final = 500
WORD_CHARS_MAX: Final = 16_384
VALID: Final = timedelta(days=7)


class ChangeMalformed(ValueError):
    """It is no such document, or nobody's whose key is known."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is signed: `gateway` is its public origin, `at` when it was written, `words` what the act is done to."""

    act: str
    at: str
    gateway: str
    id: str
    words: Mapping[str, str]

    def __post_init__(self) -> None:
        if any("PRIVATE KEY" in str(value) for value in self.words.values()):
            raise ChangeMalformed("a private key belongs to its owner alone")

    @property
    def payload(self) -> bytes:
        """Return the bytes that every officer signs."""
        return canonical_bytes({**asdict(self), "words": dict(self.words)})

    @property
    def written_at(self) -> datetime:
        """Return when its proposer wrote it."""
        return parse_instant(self.at)

    @property
    def expires_at(self) -> datetime:
        """Return until when it can be approved."""
        return self.written_at + VALID


def sign_change(change: Change, signer: Signer) -> dict[str, Any]:
    """Return the document in an envelope with its first signature."""
    return sign_envelope(PAYLOAD_TYPE, change.payload, [signer])


def countersign(envelope: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Return the same document in an envelope with one signature, the signer's."""
    return sign_envelope(PAYLOAD_TYPE, unb64(envelope["payload"]), [signer])


def joined(envelope: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return an envelope with the signatures of both, which are about one payload."""
    return {**envelope, "signatures": [*envelope["signatures"], *other["signatures"]]}


def written_in(envelope: Mapping[str, Any]) -> Change:
    """Return the document in an envelope, whoever signed it: what it says is not believed yet.

    Raises:
        ChangeMalformed: when it has another form.
    """
    try:
        said: Any = parse_canonical(unb64(envelope["payload"]))
        change = Change(**said)
        texts = [change.act, change.gateway, *change.words, *change.words.values()]
        parse_instant(change.at)
        fits = len(change.words) <= WORDS_MAX and all(isinstance(one, str) for one in texts) and is_id(change.id)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ChangeMalformed("no document of a change") from error
    if not fits or any(len(text) > WORD_CHARS_MAX for text in texts):
        raise ChangeMalformed("not the document's form")
    return change


def read_change(envelope: Mapping[str, Any], keys: Mapping[str, SigningPublic]) -> tuple[Change, frozenset[str]]:
    """Return a document and the ids of those known keys that signed it.

    Raises:
        ChangeMalformed: when it has another form, or none of the keys signed it.
    """
    try:
        _, signers = verify_envelope(envelope, keys, payload_type=PAYLOAD_TYPE)
    except EnvelopeInvalid as error:
        raise ChangeMalformed(str(error)) from error
    return written_in(envelope), signers
