# SPDX-License-Identifier: Apache-2.0
"""What changes in a partner's life; this file is about the ends of keys and who holds which, as rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select, update

from gateway.storage.engine import Tx
from gateway.storage.tables import partner_key


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
