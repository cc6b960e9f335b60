# SPDX-License-Identifier: Apache-2.0
"""Names for things; this file is about identifiers: UUID version 7 (RFC 9562, section 5.7) and partner ids."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from uuid import UUID

PARTNER_ID = re.compile(r"[A-Z]{3}(\.[A-Z0-9]{2,12}){1,4}")
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_UUID7 = re.compile(UUID7)


def new_id(at: datetime) -> str:
    """Return a new UUID version 7 for an instant: 48 bits of milliseconds, 74 bits of randomness."""
    milliseconds = int(at.timestamp() * 1000)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=value))


def is_id(text: str) -> bool:
    """Say whether a text is a UUID version 7 in its canonical lower-case form."""
    return _UUID7.fullmatch(text) is not None


def id_instant(identifier: str) -> datetime:
    """Return the instant inside a UUID version 7, to the millisecond."""
    return datetime.fromtimestamp((UUID(identifier).int >> 80) / 1000, UTC)


def first_id(at: datetime) -> str:
    """Return the least UUID version 7 of an instant's millisecond: ids sort as time does."""
    return str(UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62))


def country_of(partner_id: str) -> str:
    """Return the ISO 3166-1 alpha-3 code that a partner or officer id begins with."""
    return partner_id[:3]
