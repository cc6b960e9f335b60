# SPDX-License-Identifier: Apache-2.0
"""What will end; this file is about warnings 30, 7 and 1 days before a certificate, key, agreement or anchor ends.

Of a partner's certificates and keys the one that lasts longest counts: who has the next one beside it is not warned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from gateway.auditlog.event_kinds_life import ExpiryWarned
from gateway.clock import format_instant
from gateway.identifiers import country_of
from gateway.identity.anchors import CountryAnchor
from gateway.onboarding import enrol
from gateway.policy.agreements import Agreement
from gateway.storage import life
from gateway.storage.engine import Storage, Tx

DAYS: Final = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends: what it is, whose, when, and which countries it concerns."""

    what: str
    subject: str
    ends_at: datetime
    countries: frozenset[str]

    def warning(self, at: datetime) -> int | None:
        """Return the tightest span of days in which it ends, or None when it is far or over."""
        left = self.ends_at - at
        return next((days for days in DAYS if timedelta() < left <= timedelta(days=days)), None)


def endings(tx: Tx, anchors: Iterable[CountryAnchor], agreements: Iterable[Agreement]) -> Iterator[Ending]:
    """Yield everything in force that has an end."""
    for what, ends in (("certificate", life.last_certificates(tx)), ("signing-key", life.last_keys(tx))):
        for partner, end in ends.items():
            yield Ending(what, partner, end, frozenset({country_of(partner)}))
    # A person is named by key, as in every event's plain part.
    for (keyid, country), end in life.last_certificates_of_officers(tx).items():
        yield Ending("officer-certificate", keyid, end, frozenset({country}))
    for agreement in agreements:
        end = datetime.combine(agreement.valid_until + timedelta(days=1), time(), UTC)
        yield Ending("agreement", agreement.reference, end, frozenset(agreement.parties))
    for anchor in anchors:
        last = max(one.not_valid_after_utc for one in anchor.certificates)
        yield Ending("anchors", anchor.country, last, frozenset({anchor.country}))


def warn(storage: Storage, ending: Iterable[Ending], *, at: datetime) -> int:
    """Record a warning for each thing that came within 30, 7 or 1 days of its end, each once in all processes."""
    due = [(one, days) for one in ending if (days := one.warning(at)) is not None]
    return storage.write(lambda tx: sum(_warned(tx, one, days, at=at) for one, days in due)) if due else 0


def first_ends(ending: Iterable[Ending], *, at: datetime) -> Mapping[str, datetime]:
    """Return when the first of each kind ends that has not ended, for the metric; it names nobody."""
    ends: dict[str, datetime] = {}
    for one in ending:
        if one.ends_at > at:
            ends[one.what] = min(one.ends_at, ends.get(one.what, one.ends_at))
    return ends


def _warned(tx: Tx, one: Ending, days: int, *, at: datetime) -> bool:
    if not life.note_warning(tx, one.what, one.subject, one.ends_at, days):
        return False
    event = ExpiryWarned(subject=one.subject, what=one.what, not_after=format_instant(one.ends_at), days=days)
    enrol.record(tx, event, one.countries, at=at)
    return True
