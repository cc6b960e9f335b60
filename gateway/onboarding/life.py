# SPDX-License-Identifier: Apache-2.0
"""Keys that follow each other; this file is about rotation: the next key beside the last, then the last one's end.

A new key or certificate widens, an end narrows. Between the two both hold, so that a partner changes over in its own
time; what was signed with the old ones stays proven, because receipts rest on the log and not on a partner's key.
"""

from __future__ import annotations

from datetime import datetime

from gateway.auditlog.event_kinds_life import KeyEnded
from gateway.clock import format_instant
from gateway.identity.identify import ACTIVE
from gateway.onboarding import enrol
from gateway.onboarding.enrol import THE_OPERATOR, By
from gateway.storage import life, registry
from gateway.storage.engine import Tx
from gateway.trip import SigningKey

KEYS_MAX = 8


class LifeRefused(ValueError):
    """An act on a partner that its state does not allow; the text says why."""


def add_key(tx: Tx, partner_id: str, key: SigningKey, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Give a partner a further signing key, which holds beside the ones it has.

    Raises:
        LookupError: when there is no such partner.
        LifeRefused: when the key is somebody's already, ends before it begins, or is one too many.
    """
    entry = registry.get_partner(tx, partner_id)
    if holder := life.holder_of_key(tx, key.keyid):
        raise LifeRefused(f"the signing key is registered already, for {holder}")
    if key.not_after is not None and key.not_after <= max(key.not_before, at):
        raise LifeRefused("the signing key would end before it begins")
    held = [one for one in registry.signing_keys(tx, partner_id) if one.not_after is None or one.not_after > at]
    if len(held) >= KEYS_MAX:
        raise LifeRefused(f"{partner_id} has {KEYS_MAX} signing keys that have not ended; end one first")
    enrol.add_key(tx, entry, key, at=at, by=by)


def end_key(tx: Tx, partner_id: str, keyid: str, *, until: datetime, at: datetime, by: By = THE_OPERATOR) -> None:
    """Let a signing key end; a time that is past means now, so that nothing accepted loses its key backwards.

    Raises:
        LookupError: when there is no such partner.
        LifeRefused: when it has no such key, or the key ends by then already.
    """
    entry = registry.get_partner(tx, partner_id)
    end = max(until, at)
    try:
        life.end_signing_key(tx, partner_id, keyid, end)
    except LookupError as error:
        raise LifeRefused(f"{partner_id} has no signing key {keyid} that lasts longer") from error
    enrol.record(tx, KeyEnded(subject=partner_id, keyid=keyid, not_after=format_instant(end)), entry, at=at, by=by)


def withdraw_pin(tx: Tx, party_id: str, sha256: bytes, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Let one certificate of a partner or officer open nothing any more, and leave the others.

    Raises:
        LookupError: when there is no such partner or officer.
        LifeRefused: when the certificate is somebody else's, or was withdrawn before.
    """
    entry, pin = enrol.party_of(tx, party_id), registry.find_pin(tx, sha256)
    if pin is None or party_id not in {pin.partner_id, pin.officer_id} or pin.status != ACTIVE:
        raise LifeRefused(f"{party_id} has no such certificate pinned")
    enrol.withdraw_pin(tx, entry, sha256, at=at, by=by)
