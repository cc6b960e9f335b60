# SPDX-License-Identifier: Apache-2.0
"""The first gate; this file is about certificates that name a partner, and all those that must not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from gateway.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRevoked,
    CertificateUntrusted,
    PartnerSuspended,
    Refusal,
    UnknownPartner,
)
from gateway.identity.anchors import AnchorsInvalid, CountryAnchors, load_anchors
from gateway.identity.identify import PinnedOfficer, PinnedPartner, identify_officer, identify_partner
from gateway.onboarding.pki import (
    Issued,
    Validity,
    create_authority,
    issue_client,
    issue_server,
    revocation_list,
    write_certificate,
    write_public,
)
from gateway.trip import PeerCertificate

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
YEAR = Validity.days(NOW - timedelta(days=1), 365)
PARTNER = PinnedPartner("active", "MEX.SEGOB.UPMRIP", "MEX", "active", frozenset({"provider"}), ())
OFFICER = PinnedOfficer("active", "MEX.OFFICER.SECURITY", "MEX", "active", frozenset({"security-officer"}))


@dataclass
class FakeDirectory:
    """Pins in memory; it fails the test when it is asked before the certificate was proven."""

    partners: dict[bytes, PinnedPartner] = field(default_factory=dict)
    officers: dict[bytes, PinnedOfficer] = field(default_factory=dict)
    closed: bool = False

    def pinned_partner(self, sha256: bytes) -> PinnedPartner | None:
        assert not self.closed, "a certificate that does not hold was looked up"
        return self.partners.get(sha256)

    def pinned_officer(self, sha256: bytes) -> PinnedOfficer | None:
        assert not self.closed, "a certificate that does not hold was looked up"
        return self.officers.get(sha256)


@dataclass(frozen=True)
class World:
    mex: Issued
    usa: Issued
    folder: Path

    def anchors(self, *revoked: Issued) -> CountryAnchors:
        ca = {c: write_certificate(self.folder / f"{c}.pem", a.certificate) for c, a in self._all().items()}
        return load_anchors(ca, {c: self.revoke(c, *revoked) for c in self._all()})

    def revoke(self, country: str, *revoked: Issued) -> Path:
        crl = revocation_list(self._all()[country], [item.certificate for item in revoked], YEAR)
        return write_public(self.folder / f"{country}.crl", crl)

    def _all(self) -> dict[str, Issued]:
        return {"MEX": self.mex, "USA": self.usa}


@pytest.fixture
def world(tmp_path: Path) -> World:
    ten_years = Validity.days(NOW - timedelta(days=10), 3650)
    return World(create_authority("MEX CA", "MEX", ten_years), create_authority("USA CA", "USA", ten_years), tmp_path)


def peer_of(issued: Issued) -> PeerCertificate:
    return PeerCertificate(issued.certificate.public_bytes(Encoding.DER), issued.certificate.fingerprint(SHA256()))


def directory_of(issued: Issued, pinned: PinnedPartner = PARTNER) -> FakeDirectory:
    return FakeDirectory(partners={peer_of(issued).sha256: pinned})


def test_a_pinned_certificate_of_the_own_country_names_its_partner(world: World) -> None:
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)

    partner = identify_partner(peer_of(cert), directory_of(cert), world.anchors(), at=NOW)

    assert (partner.id, partner.country, partner.roles) == ("MEX.SEGOB.UPMRIP", "MEX", frozenset({"provider"}))


def test_a_certificate_without_a_pin_names_nobody(world: World) -> None:
    """Issued by a trusted authority is not enough."""
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)

    with pytest.raises(UnknownPartner):
        identify_partner(peer_of(cert), FakeDirectory(), world.anchors(), at=NOW)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [({"pin_status": "revoked"}, UnknownPartner), ({"status": "suspended"}, PartnerSuspended)],
)
def test_a_withdrawn_pin_and_a_suspended_partner_are_refused(
    world: World, change: dict[str, str], refusal: type[Refusal]
) -> None:
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)

    with pytest.raises(refusal):
        identify_partner(peer_of(cert), directory_of(cert, replace(PARTNER, **change)), world.anchors(), at=NOW)


def test_another_countrys_authority_cannot_speak_for_a_partner(world: World) -> None:
    """A pin cannot be used with a certificate that another government issued."""
    cert = issue_client(world.usa, PARTNER.id, "USA", YEAR)

    with pytest.raises(CertificateUntrusted):
        identify_partner(peer_of(cert), directory_of(cert), world.anchors(), at=NOW)


@pytest.mark.parametrize(
    ("at", "refusal"),
    [
        (YEAR.not_before - timedelta(seconds=1), CertificateNotYetValid),
        (YEAR.not_after + timedelta(seconds=1), CertificateExpired),
    ],
)
def test_outside_its_validity_a_certificate_is_not_even_looked_up(
    world: World, at: datetime, refusal: type[Refusal]
) -> None:
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)

    with pytest.raises(refusal):
        identify_partner(peer_of(cert), FakeDirectory(closed=True), world.anchors(), at=at)


@pytest.mark.parametrize("at", [YEAR.not_before, YEAR.not_after])
def test_the_first_and_last_second_of_a_certificate_count(world: World, at: datetime) -> None:
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)

    assert identify_partner(peer_of(cert), directory_of(cert), world.anchors(), at=at).id == PARTNER.id


def test_a_chain_proven_once_still_expires(world: World) -> None:
    """Only the chain is kept; time is looked at for every request."""
    cert, anchors = issue_client(world.mex, PARTNER.id, "MEX", YEAR), world.anchors()
    identify_partner(peer_of(cert), directory_of(cert), anchors, at=NOW)

    with pytest.raises(CertificateExpired):
        identify_partner(peer_of(cert), directory_of(cert), anchors, at=YEAR.not_after + timedelta(seconds=1))


def test_a_revoked_certificate_names_no_partner(world: World) -> None:
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)

    with pytest.raises(CertificateRevoked):
        identify_partner(peer_of(cert), FakeDirectory(closed=True), world.anchors(cert), at=NOW)


def test_an_authority_with_a_trusted_name_and_another_key_is_untrusted(world: World) -> None:
    impostor = create_authority("MEX CA", "MEX", YEAR)
    cert = issue_client(impostor, PARTNER.id, "MEX", YEAR)

    with pytest.raises(CertificateUntrusted):
        identify_partner(peer_of(cert), FakeDirectory(closed=True), world.anchors(), at=NOW)


def test_a_server_certificate_is_not_for_clients(world: World) -> None:
    cert = issue_server(world.mex, ["localhost"], "MEX", YEAR)

    with pytest.raises(CertificateUntrusted):
        identify_partner(peer_of(cert), FakeDirectory(closed=True), world.anchors(), at=NOW)


def test_bytes_that_are_no_certificate_are_untrusted(world: World) -> None:
    with pytest.raises(CertificateUntrusted):
        identify_partner(PeerCertificate(b"\x30\x00", b"x"), FakeDirectory(closed=True), world.anchors(), at=NOW)


def test_partners_and_officers_do_not_stand_in_for_each_other(world: World) -> None:
    cert = issue_client(world.mex, OFFICER.id, "MEX", YEAR)
    directory = FakeDirectory(officers={peer_of(cert).sha256: OFFICER})

    assert identify_officer(peer_of(cert), directory, world.anchors(), at=NOW).id == OFFICER.id
    with pytest.raises(UnknownPartner):
        identify_partner(peer_of(cert), directory, world.anchors(), at=NOW)


def test_a_suspended_officer_is_refused(world: World) -> None:
    cert = issue_client(world.mex, OFFICER.id, "MEX", YEAR)
    directory = FakeDirectory(officers={peer_of(cert).sha256: replace(OFFICER, status="suspended")})

    with pytest.raises(PartnerSuspended):
        identify_officer(peer_of(cert), directory, world.anchors(), at=NOW)


def test_a_list_that_the_anchor_did_not_sign_stops_the_start(world: World) -> None:
    """Who can write the list's file must not be able to empty it."""
    ca = write_certificate(world.folder / "mex.pem", world.mex.certificate)
    impostor = create_authority("MEX CA", "MEX", YEAR)
    crl = write_public(world.folder / "mex.crl", revocation_list(impostor, [], YEAR))

    with pytest.raises(AnchorsInvalid):
        load_anchors({"MEX": ca}, {"MEX": crl})


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(AnchorsInvalid):
        load_anchors({"MEX": tmp_path / "none.pem"}, {})


def test_a_list_past_its_time_is_named_before_it_locks_anyone_out(world: World) -> None:
    anchors = world.anchors()

    assert anchors.stale(at=YEAR.not_after - timedelta(seconds=1)) == ()
    assert anchors.stale(at=YEAR.not_after) == ("MEX", "USA")


def test_a_new_revocation_list_is_heard_on_the_next_request(world: World) -> None:
    """A chain that was proven before the list changed must not outlive it."""
    cert = issue_client(world.mex, PARTNER.id, "MEX", YEAR)
    anchors, directory = world.anchors(), directory_of(cert)
    identify_partner(peer_of(cert), directory, anchors, at=NOW)

    world.revoke("MEX", cert)
    anchors.refresh()

    with pytest.raises(CertificateRevoked):
        identify_partner(peer_of(cert), directory, anchors, at=NOW)


def test_a_new_anchor_is_trusted_and_one_that_went_no_more(world: World) -> None:
    """A country that changes its authority needs no restart of ours."""
    old = issue_client(world.mex, PARTNER.id, "MEX", YEAR)
    anchors = world.anchors()
    successor = create_authority("MEX CA", "MEX", YEAR)
    new = issue_client(successor, PARTNER.id, "MEX", YEAR)

    write_certificate(world.folder / "MEX.pem", successor.certificate)
    write_public(world.folder / "MEX.crl", revocation_list(successor, [], YEAR))
    anchors.refresh()

    assert identify_partner(peer_of(new), directory_of(new), anchors, at=NOW).id == PARTNER.id
    with pytest.raises(CertificateUntrusted):
        identify_partner(peer_of(old), directory_of(old), anchors, at=NOW)


@pytest.mark.parametrize("broken", [b"", b"no list", None])
def test_a_broken_file_keeps_the_old_list_of_its_country_and_no_other_s(world: World, broken: bytes | None) -> None:
    """One country's accident neither opens its door nor keeps another country from revoking."""
    mexican, american = issue_client(world.mex, PARTNER.id, "MEX", YEAR), issue_client(world.usa, "USA.X", "USA", YEAR)
    anchors = world.anchors(mexican)

    if broken is None:
        (world.folder / "MEX.crl").unlink()
    else:
        (world.folder / "MEX.crl").write_bytes(broken)
    world.revoke("USA", american)
    with capture_logs() as told:
        anchors.refresh()
        anchors.refresh()

    for cert in (mexican, american):
        with pytest.raises(CertificateRevoked):
            identify_partner(peer_of(cert), directory_of(cert), anchors, at=NOW)
    assert [entry["cause"] for entry in told if entry["event"] == "files not reloaded"] == ["anchors of MEX"]


def test_who_asks_has_the_files_read_again_though_none_seems_to_have_changed(world: World) -> None:
    """A signal from the operator is an order, not a hint."""
    anchors = world.anchors()
    before = anchors.current

    anchors.refresh()
    assert anchors.current is before
    anchors.refresh(asked=True)

    assert anchors.current is not before


def test_a_list_that_is_due_is_told_while_it_still_holds(world: World) -> None:
    """Days before its country is locked out, and not from the first day."""
    anchors = world.anchors()

    with capture_logs() as told:
        anchors.warn_of_stale_lists(at=YEAR.not_after - timedelta(days=4))
        assert told == []
        anchors.warn_of_stale_lists(at=YEAR.not_after - timedelta(days=2))

    assert [entry["country"] for entry in told] == ["MEX", "USA"]
