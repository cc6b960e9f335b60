# SPDX-License-Identifier: Apache-2.0
"""What changes in a partner's life; this file is about invitations, ends of keys and warnings, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.storage.engine import Tx
from gateway.storage.life_tables import expiry_warning, invitation, spent_request
from gateway.storage.tables import certificate_pin, officer, partner, partner_key

_ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A body that may answer once, until a time; `envelope` and `certificate` are its answer."""

    partner_id: str
    token_sha256: bytes
    name: str
    roles: frozenset[str]
    expires_at: datetime
    answered_at: datetime | None = None
    envelope: str | None = None
    certificate: bytes | None = None
    activated_at: datetime | None = None


def holder_of_key(tx: Tx, keyid: str) -> str | None:
    """Return a partner that has or had a signing key, or None when nobody did."""
    found = tx.connection.execute(select(partner_key.c.partner_id).where(partner_key.c.keyid == keyid)).first()
    return None if found is None else str(found.partner_id)


def end_signing_key(tx: Tx, partner_id: str, keyid: str, until: datetime) -> None:
    """Let a key end; an end is only ever moved forward in time to an earlier one.

    Raises:
        LookupError: when the partner has no such key, or it ends by then already.
    """
    c = partner_key.c
    which = (c.partner_id == partner_id, c.keyid == keyid, or_(c.not_after.is_(None), c.not_after > until))
    if tx.connection.execute(update(partner_key).where(*which).values(not_after=until)).rowcount != 1:
        raise LookupError(keyid)


def put_invitation(tx: Tx, entry: Invitation) -> None:
    """Insert an invitation in the place of the partner's last one, whose token is worth nothing any more."""
    tx.connection.execute(delete(invitation).where(invitation.c.partner_id == entry.partner_id))
    tx.connection.execute(insert(invitation).values(asdict(entry)))


def get_invitation(tx: Tx, partner_id: str) -> Invitation | None:
    """Return a partner's invitation, or None when it has none."""
    found = tx.connection.execute(select(invitation).where(invitation.c.partner_id == partner_id)).mappings().first()
    return None if found is None else Invitation(**found)


def note_answer(tx: Tx, partner_id: str, *, envelope: str, certificate: bytes, at: datetime) -> bool:
    """Keep the answer to an invitation; False when it has one already."""
    c = invitation.c
    answer = {"answered_at": at, "envelope": envelope, "certificate": certificate}
    statement = update(invitation).where(c.partner_id == partner_id, c.answered_at.is_(None)).values(answer)
    return tx.connection.execute(statement).rowcount == 1


def note_activation(tx: Tx, partner_id: str, *, at: datetime) -> None:
    """Note that what was answered counts from now on."""
    tx.connection.execute(update(invitation).where(invitation.c.partner_id == partner_id).values(activated_at=at))


def last_certificates(tx: Tx) -> dict[str, datetime]:
    """Return when the last pinned certificate of each active partner ends."""
    pin, c = certificate_pin.c, partner.c
    statement = (
        select(c.id, func.max(pin.not_after))
        .join_from(partner, certificate_pin, pin.partner_id == c.id)
        .where(c.status == _ACTIVE, pin.status == _ACTIVE)
        .group_by(c.id)
    )
    return {row[0]: row[1] for row in tx.connection.execute(statement)}


def last_certificates_of_officers(tx: Tx) -> dict[tuple[str, str], datetime]:
    """Return when the last pinned certificate of each active officer ends, by approval key and country."""
    pin, c = certificate_pin.c, officer.c
    statement = (
        select(c.approval_keyid, c.country, func.max(pin.not_after))
        .join_from(officer, certificate_pin, pin.officer_id == c.id)
        .where(c.status == _ACTIVE, pin.status == _ACTIVE)
        .group_by(c.id, c.approval_keyid, c.country)
    )
    return {(row[0], row[1]): row[2] for row in tx.connection.execute(statement)}


def last_keys(tx: Tx) -> dict[str, datetime]:
    """Return when the last signing key of each active partner ends; a key without an end leaves the partner out."""
    key, c = partner_key.c, partner.c
    statement = (
        select(c.id, func.max(key.not_after))
        .join_from(partner, partner_key, key.partner_id == c.id)
        .where(c.status == _ACTIVE)
        .group_by(c.id)
        .having(func.count() == func.count(key.not_after))
    )
    return {row[0]: row[1] for row in tx.connection.execute(statement)}


def note_warning(tx: Tx, what: str, subject: str, ends_at: datetime, days: int) -> bool:
    """Note that a warning was given; False when it was given before, by whichever process."""
    row = {"kind": what, "subject": subject, "ends_at": ends_at, "days": days}
    statement: Any = (postgresql if tx.dialect == "postgresql" else sqlite).insert(expiry_warning).values(row)
    noted = statement.on_conflict_do_nothing().returning(expiry_warning.c.days)
    return tx.connection.execute(noted).first() is not None


def spend_requests(
    tx: Tx, partner_id: str, owners: Sequence[str], *, minute: datetime, since: datetime
) -> dict[str, tuple[int, datetime]]:
    """Count a request for each owner in its minute; return how many there were since a minute, and the first one's."""
    c = spent_request.c
    # First, and in one order: whoever counts in the same minute waits for these rows, and then sees what is committed.
    rows = [{"partner_id": partner_id, "owner": owner, "minute": minute, "count": 1} for owner in sorted(owners)]
    if 1 in [tx.connection.execute(_count_request(tx.dialect), row).scalar_one() for row in rows]:
        # A minute begins, and with it others are past.
        tx.connection.execute(delete(spent_request).where(c.partner_id == partner_id, c.minute < since))
    pair = (c.partner_id == partner_id, c.owner.in_(sorted(owners)), c.minute >= since)
    found = select(c.owner, func.sum(c.count), func.min(c.minute)).where(*pair).group_by(c.owner)
    return {owner: (int(count), first) for owner, count, first in tx.connection.execute(found)}


@cache
def _count_request(dialect: str) -> Any:
    """Return the statement for one row, built once: SQLAlchemy compiles one for several rows anew each time."""
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(spent_request)
    counted = {"count": spent_request.c.count + 1}
    return statement.on_conflict_do_update(
        index_elements=list(spent_request.primary_key.columns), set_=counted
    ).returning(spent_request.c.count)
