# SPDX-License-Identifier: Apache-2.0
"""A partner's life on both engines; this file is about acts that hold from the next request on, and their events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.auditlog.create import create_log
from gateway.onboarding import enrol
from gateway.onboarding.in_force import contract_states
from gateway.onboarding.pki import Issued, Validity, create_authority, issue_client
from gateway.storage import log, registry
from gateway.storage.directory import RegistryDirectory
from gateway.storage.engine import Storage
from gateway.storage.registry import LifecycleEntry, OfficerEntry, PartnerEntry

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
# Events of one instant have no order among them; what is done here is done after the enrolment, in steps.
THEN, LATER = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
YEAR = Validity.days(NOW, 365)
PARTNER = PartnerEntry("MEX.INM", "MEX", "Instituto", "active", frozenset({"provider"}), NOW)
OFFICER = OfficerEntry("MEX.OFFICER.DPO", "MEX", "Persona", frozenset({"approver"}), "active", "k", b"k")


@pytest.fixture
def certificate(storage: Storage) -> Issued:
    issued = issue_client(create_authority("MEX CA", "MEX", YEAR), PARTNER.id, "MEX", YEAR)
    storage.write(lambda tx: create_log(tx, "localhost/log/2026", NOW))
    storage.write(lambda tx: enrol.enrol_partner(tx, PARTNER, at=NOW))
    storage.write(lambda tx: enrol.pin_certificate(tx, PARTNER, issued.certificate, at=NOW))
    return issued


def kinds(storage: Storage) -> list[str]:
    return [event.kind for event in storage.read(lambda tx: log.list_events(tx, "MEX", log.EventQuery()))]


def test_suspension_and_resumption_hold_with_the_next_look(storage: Storage, certificate: Issued) -> None:
    """The directory keeps nothing, so that the kill switch works on every replica at once."""
    sha256, directory = certificate.certificate.fingerprint(SHA256()), RegistryDirectory(storage.read)

    storage.write(lambda tx: enrol.suspend(tx, PARTNER.id, at=THEN, by=enrol.By("MEX.OFFICER.DPO")))
    suspended = directory.pinned_partner(sha256)
    storage.write(lambda tx: enrol.resume(tx, PARTNER.id, at=LATER))
    resumed = directory.pinned_partner(sha256)

    assert suspended is not None
    assert suspended.status == "suspended"
    assert resumed is not None
    assert resumed.status == "active"
    assert kinds(storage)[-2:] == ["partner.suspended", "partner.resumed"]


def test_a_revoked_partner_stays_revoked(storage: Storage, certificate: Issued) -> None:
    storage.write(lambda tx: enrol.revoke(tx, PARTNER.id, at=THEN))

    with pytest.raises(enrol.PartyEnded):
        storage.write(lambda tx: enrol.resume(tx, PARTNER.id, at=LATER))
    assert kinds(storage)[-1] == "partner.revoked"


def test_a_withdrawn_pin_holds_with_the_next_look(storage: Storage, certificate: Issued) -> None:
    sha256 = certificate.certificate.fingerprint(SHA256())

    storage.write(lambda tx: enrol.withdraw_pin(tx, PARTNER, sha256, at=NOW))

    pinned = RegistryDirectory(storage.read).pinned_partner(sha256)
    assert pinned is not None
    assert pinned.pin_status == "revoked"


def test_a_partners_pin_is_not_an_officers(storage: Storage, certificate: Issued) -> None:
    sha256 = certificate.certificate.fingerprint(SHA256())

    assert RegistryDirectory(storage.read).pinned_officer(sha256) is None


def test_an_act_that_fails_leaves_neither_row_nor_event(storage: Storage, certificate: Issued) -> None:
    before = kinds(storage)

    with pytest.raises(LookupError):
        storage.write(lambda tx: enrol.suspend(tx, "MEX.NOBODY", at=NOW))
    assert kinds(storage) == before


def test_an_officers_name_is_under_the_erasable_key_only(storage: Storage, certificate: Issued) -> None:
    storage.write(lambda tx: enrol.enrol_officer(tx, OFFICER, at=THEN))
    own = issue_client(create_authority("MEX CA", "MEX", YEAR), OFFICER.id, "MEX", YEAR).certificate
    storage.write(lambda tx: enrol.pin_certificate(tx, OFFICER, own, at=LATER))

    enrolled, pinned = storage.read(lambda tx: log.list_events(tx, "MEX", log.EventQuery()))[-2:]
    assert OFFICER.id not in enrolled.fields + pinned.fields
    assert enrolled.personal is not None
    assert OFFICER.id in enrolled.personal


@pytest.mark.parametrize(("day", "state"), [(0, "deprecated"), (9, "deprecated"), (10, "retired")])
def test_a_sunset_retires_a_contract_when_its_time_has_come(storage: Storage, day: int, state: str) -> None:
    sunset = NOW + timedelta(days=10)
    for at, name, end in ((NOW - timedelta(days=1), "active", None), (NOW, "deprecated", sunset)):
        entry = LifecycleEntry("flow", "1.0.0", at, name, end)
        storage.write(lambda tx, entry=entry: registry.add_lifecycle(tx, entry))

    states = storage.read(lambda tx: contract_states(tx, at=NOW + timedelta(days=day)))
    assert states == {("flow", "1.0.0"): state}
