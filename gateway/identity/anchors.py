# SPDX-License-Identifier: Apache-2.0
"""Whom each country vouches for; this file is about trust anchors and revocation lists by country.

A certificate leads to the anchors of exactly one country, and a partner of another country cannot use it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from gateway.identity.watched import Watched

ANCHORS_PER_COUNTRY_MAX = 16
# What the library raises for broken certificates. It reads one only as far as it is used, so that any use may raise.
UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, UnsupportedAlgorithm)
STALE_WARNING = timedelta(days=3)

log = structlog.get_logger()


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
class Trust:
    """The anchors of all countries, by alpha-3 code, and the chains that they have proven so far.

    Anchors loaded anew start with no proven chains: what was revoked meanwhile is refused on its next request.
    """

    by_country: Mapping[str, CountryAnchor]
    chains: OrderedDict[bytes, Chain] = field(default_factory=OrderedDict, repr=False, compare=False)


class CountryAnchors:
    """The anchors in force, which follow their files; one country's broken file holds up no other country."""

    def __init__(self, countries: Mapping[str, Watched[CountryAnchor]]) -> None:
        self._countries = countries
        self.current = self._joined()

    def refresh(self, *, asked: bool = False) -> None:
        """Read again what has changed, or everything if somebody asked for it."""
        for country in self._countries.values():
            country.refresh(asked=asked)
        joined = self._joined()
        if any(joined.by_country[name] is not anchor for name, anchor in self.current.by_country.items()):
            self.current = joined

    @property
    def by_country(self) -> Mapping[str, CountryAnchor]:
        """Return each country's anchors as they are now."""
        return self.current.by_country

    def _joined(self) -> Trust:
        return Trust({name: watched.current for name, watched in self._countries.items()})

    def stale(self, *, at: datetime) -> tuple[str, ...]:
        """Return the countries whose revocation list is past its time, for the alarm before it locks anyone out."""
        return tuple(sorted(c for c, a in self.by_country.items() if a.crl_until is not None and a.crl_until <= at))

    def warn_of_stale_lists(self, *, at: datetime) -> None:
        """Warn while a revocation list still holds: once it is past, its whole country is locked out."""
        for country in self.stale(at=at + STALE_WARNING):
            log.warning("revocation list is due", country=country)


def load_anchors(anchors: Mapping[str, Path], revocation_lists: Mapping[str, Path]) -> CountryAnchors:
    """Read every country's anchors and revocation lists, from files by alpha-3 code.

    A country without a list revokes by withdrawing pins only.

    Raises:
        AnchorsInvalid: when a file is missing or broken, or a list was not signed by the anchor it speaks for.
    """
    return CountryAnchors(
        {name: _watch_country(name, path, revocation_lists.get(name)) for name, path in anchors.items()}
    )


def _watch_country(country: str, anchors: Path, revocation_list: Path | None) -> Watched[CountryAnchor]:
    files = (anchors,) if revocation_list is None else (anchors, revocation_list)
    return Watched(f"anchors of {country}", files, lambda: _load_country(country, anchors, revocation_list))


def _load_country(country: str, anchors: Path, revocation_list: Path | None) -> CountryAnchor:
    try:
        certificates = tuple(x509.load_pem_x509_certificates(anchors.read_bytes()))
        if revocation_list is None:
            return CountryAnchor(country, certificates, frozenset(), None)
        lists = _revocation_lists(revocation_list.read_bytes())
        # Where there are lists, an anchor without one would be an anchor that cannot revoke.
        signed = [_signed_by(anchor, lists) for anchor in certificates[:ANCHORS_PER_COUNTRY_MAX]]
        revoked = frozenset((crl.issuer.public_bytes(), entry.serial_number) for crl, _ in signed for entry in crl)
    except (OSError, *UNREADABLE) as error:
        raise AnchorsInvalid(f"anchors of {country}: {error}") from error
    if len(certificates) > ANCHORS_PER_COUNTRY_MAX:
        raise AnchorsInvalid(f"anchors of {country}: more than {ANCHORS_PER_COUNTRY_MAX}")
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
