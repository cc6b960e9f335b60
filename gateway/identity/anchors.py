# SPDX-License-Identifier: Apache-2.0
"""Whom each country vouches for; this file is about trust anchors and revocation lists by country.

A certificate leads to the anchors of exactly one country, and a partner of another country cannot use it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

ANCHORS_PER_COUNTRY_MAX = 16


class AnchorsInvalid(ValueError):
    """The files of a country's anchors cannot be used; the gateway keeps what it had or does not start."""


@dataclass(frozen=True, slots=True)
class CountryAnchor:
    """One country's anchors and what they have revoked; `crl_until` is when the oldest list goes stale."""

    country: str
    certificates: tuple[x509.Certificate, ...]
    revoked: frozenset[tuple[bytes, int]]
    crl_until: datetime | None


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate's way to its anchor, proven once; validity and revocation are looked at for every request."""

    anchor: CountryAnchor
    issuer: bytes
    serial: int
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CountryAnchors:
    """The anchors of all countries, by alpha-3 code, and the chains that they have proven so far.

    Anchors loaded anew start with no proven chains.
    """

    by_country: Mapping[str, CountryAnchor]
    chains: OrderedDict[bytes, Chain] = field(default_factory=OrderedDict, repr=False, compare=False)

    def stale(self, *, at: datetime) -> tuple[str, ...]:
        """Return the countries whose revocation list is past its time, for the alarm before it locks anyone out."""
        return tuple(sorted(c for c, a in self.by_country.items() if a.crl_until is not None and a.crl_until <= at))


def load_anchors(anchors: Mapping[str, Path], revocation_lists: Mapping[str, Path]) -> CountryAnchors:
    """Read every country's anchors and revocation lists, from files by alpha-3 code.

    A country without a list revokes by withdrawing pins only.

    Raises:
        AnchorsInvalid: when a file is missing or broken, or a list was not signed by the anchor it speaks for.
    """
    return CountryAnchors(
        {country: _load_country(country, path, revocation_lists.get(country)) for country, path in anchors.items()}
    )


def _load_country(country: str, anchors: Path, revocation_list: Path | None) -> CountryAnchor:
    try:
        certificates = tuple(x509.load_pem_x509_certificates(anchors.read_bytes()))
        if revocation_list is None:
            return CountryAnchor(country, certificates, frozenset(), None)
        lists = _revocation_lists(revocation_list.read_bytes())
    except (OSError, ValueError) as error:
        raise AnchorsInvalid(f"anchors of {country}: {error}") from error
    if len(certificates) > ANCHORS_PER_COUNTRY_MAX:
        raise AnchorsInvalid(f"anchors of {country}: more than {ANCHORS_PER_COUNTRY_MAX}")
    # Where there are lists, an anchor without one would be an anchor that cannot revoke.
    signed = [_signed_by(anchor, lists) for anchor in certificates]
    revoked = frozenset((crl.issuer.public_bytes(), entry.serial_number) for crl, _ in signed for entry in crl)
    return CountryAnchor(country, certificates, revoked, min(until for _, until in signed))


def _revocation_lists(pem: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    end = b"-----END X509 CRL-----"
    blocks = [block + end for block in pem.split(end)[:-1]]
    return tuple(x509.load_pem_x509_crl(block) for block in blocks)


def _signed_by(
    anchor: x509.Certificate, lists: tuple[x509.CertificateRevocationList, ...]
) -> tuple[x509.CertificateRevocationList, datetime]:
    key = anchor.public_key()
    if not isinstance(key, EllipticCurvePublicKey):
        raise AnchorsInvalid(f"the key of {anchor.subject.rfc4514_string()} is not on an elliptic curve")
    for crl in lists:
        until = crl.next_update_utc
        if until is not None and crl.issuer == anchor.subject and crl.is_signature_valid(key):
            return crl, until
    raise AnchorsInvalid(f"no signed revocation list of {anchor.subject.rfc4514_string()}")
