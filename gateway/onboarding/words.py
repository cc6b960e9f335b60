# SPDX-License-Identifier: Apache-2.0
"""What acts are done to; this file is about reading the words of an act, each into a value that holds.

An officer writes them into a change, an operator gives them to a command; whoever is wrong is told how it reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gateway.clock import parse_instant
from gateway.identifiers import PARTNER_ID, country_of
from gateway.onboarding.life import LifeRefused
from gateway.wire.keys import KeyUnsupported, SigningPublic, public_of_der

NAME_CHARS_MAX = 200
PARTNER_ROLES = frozenset({"provider", "reader"})
OFFICER_ROLES = frozenset({"approver", "auditor", "data-protection-officer", "security-officer"})

Words: TypeAlias = Mapping[str, str]


def party_id(words: Words, parties: Collection[str]) -> str:
    """Return the id of a partner or officer of one of the parties, or raise LifeRefused."""
    named = words["id"]
    if not PARTNER_ID.fullmatch(named) or country_of(named) not in parties:
        raise LifeRefused(f"{named}: an id reads like USA.DHS.CBP and begins with one of {sorted(parties)}")
    return named


def roles_and_name(words: Words, known: Collection[str]) -> tuple[frozenset[str], str]:
    """Return roles, all of them known, and a name, or raise LifeRefused."""
    roles = frozenset(words["roles"].split(",")) - {""}
    if not roles or not roles <= set(known):
        raise LifeRefused(f"roles are some of {', '.join(sorted(known))}")
    name = words["name"].strip()
    if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
        raise LifeRefused(f"a name has 1 to {NAME_CHARS_MAX} printable characters")
    return roles, name


def certificate(words: Words, *, at: datetime) -> x509.Certificate:
    """Return a client certificate that has not ended, or raise LifeRefused."""
    try:
        leaf = x509.load_pem_x509_certificate(words["certificate"].encode())
    except ValueError as error:
        raise LifeRefused("the certificate is not PEM") from error
    if leaf.not_valid_after_utc <= at:
        raise LifeRefused("the certificate is past its end")
    return leaf


def signing_key(words: Words) -> SigningPublic:
    """Return a public key; LifeRefused for a private one, because it should never have left its owner."""
    try:
        public = load_pem_public_key(words["signing_key"].encode())
        return public_of_der(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except (ValueError, UnsupportedAlgorithm, KeyUnsupported) as error:
        raise LifeRefused("the signing key is not a public key in PEM of a kind that signs here") from error


def sha256_hex(words: Words, name: str) -> bytes:
    """Return a SHA-256, or raise LifeRefused."""
    try:
        digest = bytes.fromhex(words[name])
    except ValueError as error:
        raise LifeRefused("a SHA-256 is 64 hexadecimal digits") from error
    return digest


def instant(words: Words, name: str) -> datetime | None:
    """Return an instant, None where there is none, or raise LifeRefused."""
    try:
        return parse_instant(words[name]) if words.get(name) else None
    except ValueError as error:
        raise LifeRefused(f"{name} reads like 2026-11-24T12:00:00.000000Z") from error
