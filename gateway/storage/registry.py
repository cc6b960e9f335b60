# SPDX-License-Identifier: Apache-2.0
"""Who is known; this file is about partners, officers, their keys, pins and approvals as rows.

It stores and finds. Who may enrol or suspend, and which event that leaves, is decided in `onboarding`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, bindparam, delete, insert, select, update

from gateway.storage.engine import Tx
from gateway.storage.governance_tables import registry_version, stopped
from gateway.storage.tables import approval, certificate_pin, lifecycle, officer, partner, partner_key
from gateway.trip import SigningKey


@dataclass(frozen=True, slots=True)
class PartnerEntry:
    """A partner as the registry has it."""

    id: str
    country: str
    name: str
    status: str
    roles: frozenset[str]
    since: datetime


@dataclass(frozen=True, slots=True)
class OfficerEntry:
    """An officer as the registry has them; the approval key signs contracts and agreements."""

    id: str
    country: str
    name: str
    roles: frozenset[str]
    status: str
    approval_keyid: str
    approval_public: bytes


@dataclass(frozen=True, slots=True)
class Pin:
    """A certificate that names exactly one partner or one officer."""

    sha256: bytes
    partner_id: str | None
    officer_id: str | None
    der: bytes
    not_after: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One officer's signature under a digest; it is in the change that names the digest."""

    subject_kind: str
    digest: str
    keyid: str
    subject_id: str
    change_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LifecycleEntry:
    """A step in the life of a contract version."""

    product: str
    version: str
    at: datetime
    state: str
    sunset: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    """What moves no longer: an agreement, a data product, or a direction, which reads `GTM>USA`, owner first."""

    kind: str
    subject: str
    since: datetime
    actor: str


_PIN, _PARTNER, _KEY = certificate_pin.c, partner.c, partner_key.c
# What every request asks first, in one statement that is built once: pin, partner, how far the
# registry is, and a row for each key.
PINNED = (
    select(_PIN.status, _PARTNER.id, _PARTNER.country, _PARTNER.status, _PARTNER.roles)
    .add_columns(select(registry_version.c.version).scalar_subquery())
    .add_columns(_KEY.keyid, _KEY.algorithm, _KEY.public, _KEY.not_before, _KEY.not_after)
    .join_from(certificate_pin, partner, _PIN.partner_id == _PARTNER.id)
    .outerjoin(partner_key, _KEY.partner_id == _PARTNER.id)
    .where(_PIN.sha256 == bindparam("sha256"))
    .order_by(_KEY.not_before, _KEY.keyid)
)


def add_partner(tx: Tx, entry: PartnerEntry) -> None:
    """Insert a partner."""
    _add(tx, partner, entry)


def get_partner(tx: Tx, partner_id: str) -> PartnerEntry:
    """Return a partner.

    Raises:
        LookupError: when there is none of that id.
    """
    return PartnerEntry(**_get(tx, partner, id=partner_id))


def partners(tx: Tx) -> list[PartnerEntry]:
    """Return every partner, by id."""
    rows = tx.connection.execute(select(partner).order_by(partner.c.id)).mappings()
    return [PartnerEntry(**row) for row in rows]


def set_partner_status(tx: Tx, partner_id: str, status: str) -> None:
    """Change a partner's status.

    Raises:
        LookupError: when there is none of that id.
    """
    _set_status(tx, partner, status, id=partner_id)


def add_signing_key(tx: Tx, partner_id: str, key: SigningKey) -> None:
    """Insert a partner's signing key."""
    tx.connection.execute(insert(partner_key).values(asdict(key) | {"partner_id": partner_id}))
    move(tx)


def signing_keys(tx: Tx, partner_id: str) -> tuple[SigningKey, ...]:
    """Return all signing keys that a partner ever had, oldest first; which one counts is a question of time."""
    c = partner_key.c
    statement = select(c.keyid, c.algorithm, c.public, c.not_before, c.not_after).where(c.partner_id == partner_id)
    rows = tx.connection.execute(statement.order_by(c.not_before, c.keyid)).mappings()
    return tuple(SigningKey(**row) for row in rows)


def add_officer(tx: Tx, entry: OfficerEntry) -> None:
    """Insert an officer."""
    _add(tx, officer, entry)


def get_officer(tx: Tx, officer_id: str) -> OfficerEntry:
    """Return an officer.

    Raises:
        LookupError: when there is none of that id.
    """
    return OfficerEntry(**_get(tx, officer, id=officer_id))


def officers(tx: Tx) -> list[OfficerEntry]:
    """Return every officer, by id."""
    rows = tx.connection.execute(select(officer).order_by(officer.c.id)).mappings()
    return [OfficerEntry(**row) for row in rows]


def set_officer_status(tx: Tx, officer_id: str, status: str) -> None:
    """Change an officer's status.

    Raises:
        LookupError: when there is none of that id.
    """
    _set_status(tx, officer, status, id=officer_id)


def add_pin(tx: Tx, pin: Pin) -> None:
    """Insert a pin, for a partner or for an officer."""
    assert (pin.partner_id is None) != (pin.officer_id is None)
    _add(tx, certificate_pin, pin)


def find_pin(tx: Tx, sha256: bytes) -> Pin | None:
    """Return the pin of a certificate, or None when it is not pinned."""
    row = tx.connection.execute(select(certificate_pin).where(certificate_pin.c.sha256 == sha256)).mappings().first()
    return None if row is None else Pin(**row)


def pins_of(tx: Tx, partner_id: str) -> list[Pin]:
    """Return every certificate that was ever pinned for a partner, the one that lasts longest first."""
    c = certificate_pin.c
    statement = select(certificate_pin).where(c.partner_id == partner_id).order_by(c.not_after.desc(), c.sha256)
    return [Pin(**row) for row in tx.connection.execute(statement).mappings()]


def set_pin_status(tx: Tx, sha256: bytes, status: str) -> None:
    """Change a pin's status.

    Raises:
        LookupError: when the certificate is not pinned.
    """
    _set_status(tx, certificate_pin, status, sha256=sha256)


def add_approval(tx: Tx, entry: Approval) -> None:
    """Insert an approval; the key refuses a second one by the same officer for the same digest."""
    _add(tx, approval, entry)


def withdraw_approvals(tx: Tx, digest: str, keyids: Collection[str]) -> int:
    """Delete the approvals of a digest under some keys, and return how many there were."""
    c = approval.c
    count = tx.connection.execute(delete(approval).where(c.digest == digest, c.keyid.in_(sorted(keyids)))).rowcount
    move(tx)
    return count


def approvals(tx: Tx) -> list[Approval]:
    """Return every approval, oldest first."""
    c = approval.c
    statement = select(approval).order_by(c.at, c.digest, c.keyid)
    return [Approval(**row) for row in tx.connection.execute(statement).mappings()]


def add_lifecycle(tx: Tx, entry: LifecycleEntry) -> None:
    """Insert a step in the life of a contract version."""
    _add(tx, lifecycle, entry)


def lifecycle_entries(tx: Tx) -> list[LifecycleEntry]:
    """Return every step of every contract version, oldest first; the newest of a version counts."""
    c = lifecycle.c
    rows = tx.connection.execute(select(lifecycle).order_by(c.at, c.product, c.version)).mappings()
    return [LifecycleEntry(**row) for row in rows]


def version(tx: Tx) -> int:
    """Return how far the registry is; every act moves it."""
    return int(tx.connection.execute(select(registry_version.c.version)).scalar_one())


def move(tx: Tx) -> None:
    """Tell every process, with its next request, that the registry is another than the one it read."""
    tx.connection.execute(update(registry_version).values(version=registry_version.c.version + 1))


def add_stop(tx: Tx, stop: Stop) -> None:
    """Insert a stop; the key refuses a second one of the same."""
    _add(tx, stopped, stop)


def stops(tx: Tx) -> list[Stop]:
    """Return the stops in force, by kind and subject."""
    rows = tx.connection.execute(select(stopped).order_by(stopped.c.kind, stopped.c.subject)).mappings()
    return [Stop(**row) for row in rows]


def lift_stop(tx: Tx, kind: str, subject: str) -> None:
    """Delete a stop.

    Raises:
        LookupError: when there is none.
    """
    if tx.connection.execute(delete(stopped).filter_by(kind=kind, subject=subject)).rowcount != 1:
        raise LookupError(subject)
    move(tx)


def _add(tx: Tx, table: Table, entry: PartnerEntry | OfficerEntry | Pin | Approval | LifecycleEntry | Stop) -> None:
    tx.connection.execute(insert(table).values(asdict(entry)))
    move(tx)


def _get(tx: Tx, table: Table, **key: str) -> dict[str, Any]:
    row = tx.connection.execute(select(table).filter_by(**key)).mappings().first()
    if row is None:
        raise LookupError(key)
    return dict(row)


def _set_status(tx: Tx, table: Table, status: str, **key: str | bytes) -> None:
    if tx.connection.execute(update(table).filter_by(**key).values(status=status)).rowcount != 1:
        raise LookupError(key)
    move(tx)
