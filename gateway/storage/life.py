# SPDX-License-Identifier: Apache-2.0
"""What changes in a partner's life; this file is about invitations, ends of keys and warnings, as rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, or_, select, update

from gateway.storage.engine import Tx
from gateway.storage.life_tables import invitation
from gateway.storage.tables import partner_key


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
