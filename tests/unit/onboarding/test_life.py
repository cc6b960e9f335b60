# SPDX-License-Identifier: Apache-2.0
"""Keys that follow each other, on both engines; this file is about overlap and end, each within its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.auditlog.create import create_log
from gateway.onboarding import enrol, life
from gateway.onboarding.pki import Validity, create_authority, issue_client
from gateway.storage import log, registry
from gateway.storage.engine import Storage
from gateway.storage.registry import PartnerEntry
from gateway.trip import SigningKey
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARTNER = PartnerEntry("MEX.INM", "MEX", "Instituto", "active", frozenset({"provider"}), NOW)
OTHER = PartnerEntry("GTM.IGM", "GTM", "Instituto", "active", frozenset({"provider"}), NOW)


@pytest.fixture
def enrolled(storage: Storage) -> SigningKey:
    key = new_key()
    storage.write(lambda tx: create_log(tx, "localhost/log/2026", NOW))
    storage.write(lambda tx: enrol.enrol_partner(tx, PARTNER, at=NOW))
    storage.write(lambda tx: enrol.enrol_partner(tx, OTHER, at=NOW))
    storage.write(lambda tx: life.add_key(tx, PARTNER.id, key, at=NOW))
    return key


def new_key(start: datetime = NOW, end: datetime | None = None) -> SigningKey:
    signer = FileSigner.of(ed25519.Ed25519PrivateKey.generate())
    return SigningKey(signer.keyid, signer.algorithm, signer.public_der, start, end)


def ends(storage: Storage) -> dict[str, datetime | None]:
    return {key.keyid: key.not_after for key in storage.read(lambda tx: registry.signing_keys(tx, PARTNER.id))}


def kinds(storage: Storage) -> list[str]:
    return [event.kind for event in storage.read(lambda tx: log.list_events(tx, "MEX", log.EventQuery()))]


def test_a_key_that_is_ended_keeps_its_time_and_the_next_one_is_untouched(
    storage: Storage, enrolled: SigningKey
) -> None:
    following = new_key()
    storage.write(lambda tx: life.add_key(tx, PARTNER.id, following, at=NOW))
    storage.write(lambda tx: life.end_key(tx, PARTNER.id, enrolled.keyid, until=NOW + HOUR, at=NOW + HOUR / 2))

    assert ends(storage) == {enrolled.keyid: NOW + HOUR, following.keyid: None}
    assert kinds(storage)[-1] == "key.ended"


def test_an_end_lies_never_before_the_act(storage: Storage, enrolled: SigningKey) -> None:
    """What was accepted an hour ago was signed by a key that held."""
    storage.write(lambda tx: life.end_key(tx, PARTNER.id, enrolled.keyid, until=NOW - HOUR, at=NOW + HOUR))

    assert ends(storage) == {enrolled.keyid: NOW + HOUR}


def test_an_end_is_never_moved_back(storage: Storage, enrolled: SigningKey) -> None:
    """To let a key hold for longer would widen, and is a new key's business."""
    storage.write(lambda tx: life.end_key(tx, PARTNER.id, enrolled.keyid, until=NOW + HOUR, at=NOW))

    with pytest.raises(life.LifeRefused):
        storage.write(lambda tx: life.end_key(tx, PARTNER.id, enrolled.keyid, until=NOW + 2 * HOUR, at=NOW))
    assert ends(storage) == {enrolled.keyid: NOW + HOUR}


@pytest.mark.parametrize("partner", [PARTNER.id, OTHER.id])
def test_a_key_has_one_holder_for_ever(storage: Storage, enrolled: SigningKey, partner: str) -> None:
    with pytest.raises(life.LifeRefused, match="already"):
        storage.write(lambda tx: life.add_key(tx, partner, enrolled, at=NOW))


def test_a_key_that_ends_before_it_begins_is_none(storage: Storage, enrolled: SigningKey) -> None:
    with pytest.raises(life.LifeRefused):
        storage.write(lambda tx: life.add_key(tx, PARTNER.id, new_key(NOW + HOUR, NOW + HOUR), at=NOW))


def test_a_partner_has_no_more_keys_than_the_bound_and_ended_ones_make_room(
    storage: Storage, enrolled: SigningKey
) -> None:
    for _ in range(life.KEYS_MAX - 1):
        storage.write(lambda tx: life.add_key(tx, PARTNER.id, new_key(), at=NOW))

    with pytest.raises(life.LifeRefused, match="end one first"):
        storage.write(lambda tx: life.add_key(tx, PARTNER.id, new_key(), at=NOW))
    storage.write(lambda tx: life.end_key(tx, PARTNER.id, enrolled.keyid, until=NOW, at=NOW))
    storage.write(lambda tx: life.add_key(tx, PARTNER.id, new_key(), at=NOW))


def test_only_a_partners_own_pin_is_withdrawn_and_only_once(storage: Storage, enrolled: SigningKey) -> None:
    year = Validity.days(NOW, 365)
    certificate = issue_client(create_authority("MEX CA", "MEX", year), PARTNER.id, "MEX", year).certificate
    sha256 = certificate.fingerprint(SHA256())
    storage.write(lambda tx: enrol.pin_certificate(tx, PARTNER, certificate, at=NOW))

    with pytest.raises(life.LifeRefused):
        storage.write(lambda tx: life.withdraw_pin(tx, OTHER.id, sha256, at=NOW))
    storage.write(lambda tx: life.withdraw_pin(tx, PARTNER.id, sha256, at=NOW + HOUR))
    with pytest.raises(life.LifeRefused):
        storage.write(lambda tx: life.withdraw_pin(tx, PARTNER.id, sha256, at=NOW))
    assert kinds(storage)[-1] == "certificate.revoked"
