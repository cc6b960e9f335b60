# SPDX-License-Identifier: Apache-2.0
"""A partner's life; this file is about acts on the registry, each with its audit event in the same transaction.

The audience of an act is the country it concerns, and every party where it concerns what all have signed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auditlog.event_kinds_exchange import WebhookRegistered
from gateway.auditlog.event_kinds_governance import ContractPublished, PolicyActivated
from gateway.auditlog.event_kinds_life import (
    CertificatePinned,
    CertificateRevoked,
    KeyAdded,
    OfficerEnrolled,
    OfficerResumed,
    OfficerRevoked,
    OfficerSuspended,
    PartnerEnrolled,
    PartnerResumed,
    PartnerRevoked,
    PartnerSuspended,
)
from gateway.auditlog.events import NO_PARTNER, OPERATOR, AuditEvent, record_event
from gateway.clock import format_instant
from gateway.identity.identify import ACTIVE
from gateway.policy.load import PolicySet
from gateway.storage import notices, registry
from gateway.storage.engine import Tx
from gateway.storage.registry import LifecycleEntry, OfficerEntry, PartnerEntry, Pin
from gateway.trip import ContractRef, SigningKey
from gateway.wire.digests import sha256

SUSPENDED, REVOKED = "suspended", "revoked"


class PartyEnded(ValueError):
    """A revoked partner or officer stays revoked."""


@dataclass(frozen=True, slots=True)
class By:
    """Who acts; `source` is where it came from: the change that officers signed, or the operator."""

    actor: str = OPERATOR
    source: str = OPERATOR
    request_id: str = NO_PARTNER


THE_OPERATOR = By()


def enrol_partner(tx: Tx, entry: PartnerEntry, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Enter a government body into the registry."""
    registry.add_partner(tx, entry)
    roles = tuple(sorted(entry.roles))
    event = PartnerEnrolled(subject=entry.id, country=entry.country, status=entry.status, roles=roles)
    record(tx, event, entry, at=at, by=by)


def enrol_officer(tx: Tx, entry: OfficerEntry, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Enter a person of a government into the registry."""
    registry.add_officer(tx, entry)
    event = OfficerEnrolled(
        subject=entry.id,
        country=entry.country,
        roles=tuple(sorted(entry.roles)),
        approval_keyid=entry.approval_keyid,
    )
    record(tx, event, entry, at=at, by=by)


def add_key(tx: Tx, entry: PartnerEntry, key: SigningKey, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Give a partner a signing key."""
    registry.add_signing_key(tx, entry.id, key)
    event = KeyAdded(
        subject=entry.id,
        keyid=key.keyid,
        algorithm=key.algorithm,
        not_before=format_instant(key.not_before),
        not_after=None if key.not_after is None else format_instant(key.not_after),
    )
    record(tx, event, entry, at=at, by=by)


def pin_certificate(
    tx: Tx, owner: PartnerEntry | OfficerEntry, certificate: x509.Certificate, *, at: datetime, by: By = THE_OPERATOR
) -> None:
    """Tie a client certificate to a partner or an officer."""
    partner = isinstance(owner, PartnerEntry)
    digest = certificate.fingerprint(SHA256())
    until = certificate.not_valid_after_utc
    registry.add_pin(
        tx,
        Pin(
            sha256=digest,
            partner_id=owner.id if partner else None,
            officer_id=None if partner else owner.id,
            der=certificate.public_bytes(Encoding.DER),
            not_after=until,
            status=ACTIVE,
        ),
    )
    event = CertificatePinned(subject=_subject(owner), certificate=digest.hex(), not_after=format_instant(until))
    record(tx, event, owner, at=at, by=by)


def withdraw_pin(
    tx: Tx, owner: PartnerEntry | OfficerEntry, sha256: bytes, *, at: datetime, by: By = THE_OPERATOR
) -> None:
    """Let a certificate open nothing any more, from the next request on.

    Raises:
        LookupError: when it is not pinned.
    """
    registry.set_pin_status(tx, sha256, REVOKED)
    event = CertificateRevoked(subject=_subject(owner), certificate=sha256.hex())
    record(tx, event, owner, at=at, by=by)


def register_webhook(tx: Tx, entry: PartnerEntry, url: str, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Tell where a partner's notices go from now on; empty means nowhere, and the partner asks for them."""
    notices.set_webhook(tx, entry.id, url or None, at=at)
    record(tx, WebhookRegistered(subject=entry.id, url_digest=sha256(url.encode()).hex()), entry, at=at, by=by)


def suspend(tx: Tx, party_id: str, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Stop a partner or officer with its next request; this narrows, so that one person may do it at once."""
    _change(tx, party_id, SUSPENDED, PartnerSuspended, OfficerSuspended, at=at, by=by)


def resume(tx: Tx, party_id: str, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Let a suspended partner or officer act again."""
    _change(tx, party_id, ACTIVE, PartnerResumed, OfficerResumed, at=at, by=by)


def revoke(tx: Tx, party_id: str, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """End a partner or officer for good."""
    _change(tx, party_id, REVOKED, PartnerRevoked, OfficerRevoked, at=at, by=by)


def publish_contract(
    tx: Tx, contract: ContractRef, *, approved_by: Collection[str], at: datetime, by: By = THE_OPERATOR
) -> None:
    """Put a contract version in force that all its parties approved."""
    registry.add_lifecycle(tx, LifecycleEntry(contract.product, contract.version, at, ACTIVE, None))
    parties = tuple(sorted(approved_by))
    event = ContractPublished(
        product=contract.product, version=contract.version, contract_digest=contract.digest, approved_by=parties
    )
    record(tx, event, parties, at=at, by=by)


def activate_policies(tx: Tx, policies: PolicySet, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Record that a set of policies decides from now on; its parts carry their own approvals."""
    parties = tuple(sorted(policies.parties))
    event = PolicyActivated(
        policy_set=policies.digest,
        agreements=tuple(agreement.reference for agreement in policies.agreements),
        approved_by=parties,
    )
    record(tx, event, parties, at=at, by=by)


def _subject(owner: PartnerEntry | OfficerEntry) -> str:
    # An officer is named in the plain part of an event by key, so that the name can be erased elsewhere.
    return owner.id if isinstance(owner, PartnerEntry) else owner.approval_keyid


def party_of(tx: Tx, party_id: str) -> PartnerEntry | OfficerEntry:
    """Return a partner or an officer.

    Raises:
        LookupError: when there is neither.
    """
    try:
        return registry.get_partner(tx, party_id)
    except LookupError:
        return registry.get_officer(tx, party_id)


def _change(
    tx: Tx,
    party_id: str,
    status: str,
    of_partner: type[PartnerSuspended | PartnerResumed | PartnerRevoked],
    of_officer: type[OfficerSuspended | OfficerResumed | OfficerRevoked],
    *,
    at: datetime,
    by: By,
) -> None:
    """Change the status of a partner or an officer.

    Raises:
        LookupError: when there is neither.
        PartyEnded: when it was revoked.
    """
    entry = party_of(tx, party_id)
    if entry.status == REVOKED:
        raise PartyEnded(f"{party_id} was revoked, which is for good; enrol it anew under another id")
    partner = isinstance(entry, PartnerEntry)
    (registry.set_partner_status if partner else registry.set_officer_status)(tx, party_id, status)
    kind = of_partner if partner else of_officer
    record(tx, kind(subject=party_id, country=entry.country, status=status), entry, at=at, by=by)


def record(
    tx: Tx,
    event: AuditEvent,
    about: PartnerEntry | OfficerEntry | Collection[str],
    *,
    at: datetime,
    by: By = THE_OPERATOR,
) -> str:
    """Record an act about somebody, for the eyes of their country, or about what several share; return its id."""
    source: dict[str, Any] = {"source": by.source}
    return record_event(
        tx,
        replace(event, **source),
        at=at,
        partner_id=about.id if isinstance(about, PartnerEntry) else NO_PARTNER,
        audience=frozenset({about.country} if isinstance(about, PartnerEntry | OfficerEntry) else about),
        actor=by.actor,
        request_id=by.request_id,
    )
