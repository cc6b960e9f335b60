# SPDX-License-Identifier: Apache-2.0
"""The registry as the first gate sees it; this file is about looking up pins for every request.

Nothing is kept between requests: a suspension or a withdrawn pin holds from the next request on, on every replica.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.identity.identify import PinnedOfficer, PinnedPartner
from gateway.storage import registry
from gateway.storage.engine import Tx
from gateway.trip import SigningKey

T = TypeVar("T")
# Called with the transaction of a look-up and the registry's version in it, before anything is decided.
Follow = Callable[[Tx, int], None]


class _Read(Protocol):
    def __call__(self, work: Callable[[Tx], T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class RegistryDirectory:
    """The pins, partners and officers of the database; a `PinDirectory`. `read` is `Storage.read`."""

    read: _Read
    follow: Follow | None = None

    @classmethod
    def within(cls, tx: Tx) -> RegistryDirectory:
        """Return the directory as an open transaction sees it."""

        def read(work: Callable[[Tx], T], /) -> T:
            return work(tx)

        return cls(read)

    def pinned_partner(self, sha256: bytes) -> PinnedPartner | None:
        """Return the partner behind a pin, or None when the certificate is not pinned for a partner."""
        return self.read(lambda tx: _pinned_partner(tx, sha256, self.follow))

    def pinned_partners(self, pins: Collection[bytes]) -> dict[bytes, PinnedPartner | None]:
        """Return who is behind each of some pins, all seen at one moment."""
        return self.read(lambda tx: {sha256: _pinned_partner(tx, sha256, self.follow) for sha256 in pins})

    def pinned_officer(self, sha256: bytes) -> PinnedOfficer | None:
        """Return the officer behind a pin, or None when the certificate is not pinned for an officer."""
        return self.read(lambda tx: _pinned_officer(tx, sha256, self.follow))


def _pinned_partner(tx: Tx, sha256: bytes, follow: Follow | None) -> PinnedPartner | None:
    rows = tx.connection.execute(registry.PINNED, {"sha256": sha256}).all()
    if not rows:
        return None
    keys = tuple(SigningKey(*row[6:]) for row in rows if row[6] is not None)
    pin_status, partner_id, country, status, roles, version = rows[0][:6]
    if follow:
        follow(tx, version)
    return PinnedPartner(pin_status, partner_id, country, status, roles, keys)


def _pinned_officer(tx: Tx, sha256: bytes, follow: Follow | None) -> PinnedOfficer | None:
    pin = registry.find_pin(tx, sha256)
    if pin is None or pin.officer_id is None:
        return None
    entry = registry.get_officer(tx, pin.officer_id)
    if follow:
        follow(tx, registry.version(tx))
    return PinnedOfficer(pin.status, entry.id, entry.country, entry.status, entry.roles)
