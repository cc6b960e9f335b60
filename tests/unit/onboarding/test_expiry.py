# SPDX-License-Identifier: Apache-2.0
"""Told in time, and once; this file is about warnings before certificates, keys, agreements and anchors end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.auditlog.create import create_log
from gateway.auditlog.receipts import fields_of
from gateway.contracting.load import packaged_root
from gateway.contracting.strict_yaml import read_yaml
from gateway.identity.anchors import CountryAnchor
from gateway.onboarding import enrol, life
from gateway.onboarding.expiry import Ending, endings, first_ends, warn
from gateway.onboarding.pki import Validity, create_authority, issue_client
from gateway.policy.agreements import load_agreements
from gateway.storage import log
from gateway.storage.engine import Storage
from gateway.storage.registry import PartnerEntry
from gateway.trip import SigningKey
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MEX = frozenset({"MEX"})
PARTNER = PartnerEntry("MEX.INM", "MEX", "Instituto", "active", frozenset({"provider"}), NOW)
AUTHORITY = create_authority("MEX CA", "MEX", Validity.days(NOW - DAY, 400))


def ending(at: datetime, what: str = "certificate") -> Ending:
    return Ending(what, "MEX.INM", at, MEX)


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (30 * DAY + SECOND, None),
        (30 * DAY, 30),
        (7 * DAY + SECOND, 30),
        (7 * DAY, 7),
        (DAY + SECOND, 7),
        (DAY, 1),
        (SECOND, 1),
        (timedelta(), None),
    ],
)
def test_the_warning_is_of_the_tightest_span(left: timedelta, days: int | None) -> None:
    assert ending(NOW + left).warning(NOW) == days


@pytest.fixture
def enrolled(storage: Storage) -> None:
    storage.write(lambda tx: create_log(tx, "localhost/log/2026", NOW - DAY))
    storage.write(lambda tx: enrol.enrol_partner(tx, PARTNER, at=NOW - DAY))


def pin(storage: Storage, days: int) -> None:
    certificate = issue_client(AUTHORITY, PARTNER.id, "MEX", Validity.days(NOW - DAY, days + 1)).certificate
    storage.write(lambda tx: enrol.pin_certificate(tx, PARTNER, certificate, at=NOW - DAY))


def key(storage: Storage, end: datetime | None) -> None:
    signer = FileSigner.of(ed25519.Ed25519PrivateKey.generate())
    new = SigningKey(signer.keyid, signer.algorithm, signer.public_der, NOW - DAY, end)
    storage.write(lambda tx: life.add_key(tx, PARTNER.id, new, at=NOW - DAY))


def found(storage: Storage) -> dict[str, datetime]:
    return {one.what: one.ends_at for one in storage.read(lambda tx: list(endings(tx, (), ())))}


def warned(storage: Storage) -> list[tuple[str, str, int]]:
    query = log.EventQuery(kind="expiry.warned")
    events = [fields_of(event.fields) for event in storage.read(lambda tx: log.list_events(tx, "MEX", query))]
    return [(str(one["what"]), str(one["subject"]), int(str(one["days"]))) for one in events]


@pytest.mark.usefixtures("enrolled")
def test_of_certificates_and_keys_the_last_one_counts(storage: Storage) -> None:
    """Whoever has the next one beside it needs no warning, and a key without an end has none."""
    pin(storage, 5)
    key(storage, NOW + 5 * DAY)
    alone = found(storage)
    pin(storage, 90)
    key(storage, NOW + 60 * DAY)
    beside = found(storage)
    key(storage, None)
    endless = found(storage)

    assert alone == {"certificate": NOW + 5 * DAY, "signing-key": NOW + 5 * DAY}
    assert beside == {"certificate": NOW + 90 * DAY, "signing-key": NOW + 60 * DAY}
    assert endless == {"certificate": NOW + 90 * DAY}


@pytest.mark.usefixtures("enrolled")
def test_a_suspended_partner_is_not_warned_of(storage: Storage) -> None:
    pin(storage, 5)
    storage.write(lambda tx: enrol.suspend(tx, PARTNER.id, at=NOW))

    assert found(storage) == {}


@pytest.mark.usefixtures("enrolled")
def test_each_span_is_warned_of_once_whoever_looks(storage: Storage) -> None:
    """Several processes look each hour; a renewed thing is told of anew."""
    ends = [ending(NOW + 20 * DAY), ending(NOW + 90 * DAY, "agreement")]

    counts = [warn(storage, ends, at=NOW + days * DAY) for days in (0, 0, 12, 14, 19, 19, 21)]
    renewed = warn(storage, [ending(NOW + 40 * DAY)], at=NOW + 20 * DAY)

    assert counts == [1, 0, 0, 1, 1, 0, 0]
    assert renewed == 1
    assert [days for _, _, days in warned(storage)] == [30, 7, 1, 30]
    assert {(what, subject) for what, subject, _ in warned(storage)} == {("certificate", "MEX.INM")}


@pytest.mark.usefixtures("enrolled")
def test_agreements_and_anchors_are_looked_at_too(storage: Storage) -> None:
    agreements = load_agreements(packaged_root() / "agreements", read_yaml)[:1]
    anchor = CountryAnchor("MEX", (AUTHORITY.certificate,), frozenset(), None)

    seen = {one.what: one for one in storage.read(lambda tx: list(endings(tx, [anchor], agreements)))}

    last = agreements[0].valid_until
    assert seen["agreement"].ends_at.date() == date.fromordinal(last.toordinal() + 1)
    assert seen["agreement"].countries == frozenset(agreements[0].parties)
    assert seen["anchors"].ends_at == AUTHORITY.certificate.not_valid_after_utc


def test_the_metric_has_the_first_of_a_kind_that_has_not_ended() -> None:
    ends = [ending(NOW - DAY), ending(NOW + 5 * DAY), ending(NOW + 3 * DAY), ending(NOW, "anchors")]

    assert first_ends(ends, at=NOW) == MappingProxyType({"certificate": NOW + 3 * DAY})
