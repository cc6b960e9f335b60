# SPDX-License-Identifier: Apache-2.0
"""Who is calling; this file is about the way from a client certificate to a partner or an officer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.x509 import verification

from gateway.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRevoked,
    CertificateUntrusted,
    PartnerSuspended,
    UnknownPartner,
)
from gateway.identity.anchors import UNREADABLE, Chain, CountryAnchor, CountryAnchors, Trust
from gateway.trip import Officer, Partner, PeerCertificate, SigningKey

ACTIVE = "active"
PROVEN_CHAINS_MAX = 4096


@dataclass(frozen=True, slots=True)
class PinnedOfficer:
    """What the registry says about the officer behind a pinned certificate."""

    pin_status: str
    id: str
    country: str
    status: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class PinnedPartner(PinnedOfficer):
    """What it says about a partner, who has signing keys as well."""

    signing_keys: tuple[SigningKey, ...]


_Pinned = TypeVar("_Pinned", bound=PinnedOfficer)


class PartnerDirectory(Protocol):
    """Where partners' pins are looked up, by the SHA-256 of the certificate, anew for every request."""

    def pinned_partner(self, sha256: bytes) -> PinnedPartner | None: ...


class PinDirectory(PartnerDirectory, Protocol):
    """Where officers' pins are looked up as well, and those of several partners at one moment."""

    def pinned_partners(self, pins: Collection[bytes]) -> Mapping[bytes, PinnedPartner | None]: ...

    def pinned_officer(self, sha256: bytes) -> PinnedOfficer | None: ...


def identify_partner(
    peer: PeerCertificate, directory: PartnerDirectory, anchors: CountryAnchors, *, at: datetime
) -> Partner:
    """Return the partner whose pinned certificate this is.

    Raises:
        CertificateRefused: when the certificate does not hold, or not for the partner's country.
        UnknownPartner: when it is not pinned, or its pin was withdrawn.
        PartnerSuspended: when the partner is not active.
    """
    pinned = _admitted(peer, directory.pinned_partner, anchors, at=at)
    return Partner(pinned.id, pinned.country, pinned.status, pinned.roles, pinned.signing_keys)


def identify_officer(
    peer: PeerCertificate, directory: PinDirectory, anchors: CountryAnchors, *, at: datetime
) -> Officer:
    """Return the officer whose pinned certificate this is; it is refused as a partner's is."""
    pinned = _admitted(peer, directory.pinned_officer, anchors, at=at)
    return Officer(pinned.id, pinned.country, pinned.roles)


def identify_newcomer(peer: PeerCertificate, anchors: CountryAnchors, *, at: datetime) -> str:
    """Return the country that vouches for a certificate that need not be pinned, or refuse it as a partner's is."""
    return _hold(peer, anchors, at=at)


def _admitted(
    peer: PeerCertificate, look_up: Callable[[bytes], _Pinned | None], anchors: CountryAnchors, *, at: datetime
) -> _Pinned:
    """Return who is behind a certificate.

    Steps: (1) the certificate holds, (2) it is pinned, (3) for somebody of the country that issued it,
    (4) who is active.
    """
    country = _hold(peer, anchors, at=at)  # (1)
    pinned = look_up(peer.sha256)  # (2)
    if pinned is None or pinned.pin_status != ACTIVE:
        raise UnknownPartner
    if pinned.country != country:  # (3)
        raise CertificateUntrusted
    if pinned.status != ACTIVE:  # (4)
        raise PartnerSuspended(partner=pinned.id, status=pinned.status)
    return pinned


def _hold(peer: PeerCertificate, anchors: CountryAnchors, *, at: datetime) -> str:
    """Return the country whose anchor stands behind a certificate that holds now."""
    trust = anchors.current  # One look: a chain is kept beside the anchors that proved it, and no others.
    chain = trust.chains.get(peer.sha256)
    if chain is None:
        chain = trust.chains[peer.sha256] = _build_chain(peer.der, trust, at=at)
        if len(trust.chains) > PROVEN_CHAINS_MAX:
            trust.chains.popitem(last=False)
    _within(chain.not_before, chain.not_after, at=at)
    if (chain.issuer, chain.serial) in chain.anchor.revoked:
        raise CertificateRevoked
    return chain.anchor.country


def _within(not_before: datetime, not_after: datetime, *, at: datetime) -> None:
    if at > not_after:
        raise CertificateExpired
    if at < not_before:
        raise CertificateNotYetValid


def _build_chain(der: bytes, trust: Trust, *, at: datetime) -> Chain:
    try:
        leaf = x509.load_der_x509_certificate(der)
        anchor = _issuing_anchor(leaf, trust)
    except UNREADABLE as error:
        raise CertificateUntrusted from error
    _within(leaf.not_valid_before_utc, leaf.not_valid_after_utc, at=at)
    verifier = verification.PolicyBuilder().store(verification.Store(list(anchor.certificates))).time(at)
    try:
        verified = verifier.build_client_verifier().verify(leaf, [])
    except (verification.VerificationError, *UNREADABLE) as error:
        raise CertificateUntrusted from error
    return Chain(
        anchor=anchor,
        issuer=leaf.issuer.public_bytes(),
        serial=leaf.serial_number,
        not_before=max(certificate.not_valid_before_utc for certificate in verified.chain),
        not_after=min(certificate.not_valid_after_utc for certificate in verified.chain),
    )


def _issuing_anchor(leaf: x509.Certificate, trust: Trust) -> CountryAnchor:
    """Return the country of the anchor whose name the issuer has; the verifier then proves the signature."""
    for anchor in trust.by_country.values():
        if any(certificate.subject == leaf.issuer for certificate in anchor.certificates):
            return anchor
    raise ValueError("no anchor has the name of the issuer")
