# SPDX-License-Identifier: Apache-2.0
"""A whole deployment; this file is about what a sandbox contains, and that each of its parts does what it is for."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.contracting.load import load_contracts, packaged_root
from gateway.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRevoked,
    CertificateUntrusted,
    PartnerSuspended,
    Refusal,
    UnknownPartner,
)
from gateway.identity.anchors import load_anchors
from gateway.identity.identify import identify_officer, identify_partner
from gateway.onboarding.in_force import load_in_force
from gateway.onboarding.sandbox import create_sandbox
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.settings import load_settings
from gateway.storage import log
from gateway.storage.directory import RegistryDirectory
from gateway.storage.engine import Storage, open_storage
from gateway.trip import PeerCertificate
from gateway.wire.keys import FileSigner, public_of_jwk
from gateway.wire.policy_file import parse_policy

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class FixedClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> SandboxFiles:
    return create_sandbox(tmp_path_factory.mktemp("sandbox"), port=8443, clock=FixedClock())


@pytest.fixture
def opened(sandbox: SandboxFiles) -> Iterator[Storage]:
    storage = open_storage(sandbox.database_url, read_only=True)
    yield storage
    storage.close()


def peer_of(path: Path) -> PeerCertificate:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return PeerCertificate(certificate.public_bytes(Encoding.DER), certificate.fingerprint(SHA256()))


def test_its_settings_hold_and_name_files_that_exist(sandbox: SandboxFiles) -> None:
    settings = load_settings(sandbox.settings)

    assert settings.sandbox
    assert settings.public_origin == "https://localhost:8443"
    assert settings.log_origin == "localhost:8443/log/2026"
    assert settings.database_url == sandbox.database_url
    assert set(settings.anchors) == set(settings.revocation_lists) == set(settings.parties) == {"GTM", "MEX", "USA"}


def test_every_private_key_is_for_its_owner_only(sandbox: SandboxFiles) -> None:
    keys = list(sandbox.folder.rglob("*.key"))

    assert len(keys) > 30
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_every_tls_key_is_on_p256_and_both_signing_algorithms_are_in_use(sandbox: SandboxFiles) -> None:
    for path in (path for path in sandbox.folder.rglob("*.pem") if path.name != "crl.pem"):
        key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
        assert isinstance(key, EllipticCurvePublicKey)
        assert isinstance(key.curve, SECP256R1)
    algorithms = {party.id: FileSigner.load(party.signing_key).algorithm for party in sandbox.partners.values()}

    assert algorithms["MEX.SEGOB.UPMRIP"] == "ecdsa-p256-sha256"
    assert algorithms["USA.DHS.CBP"] == "ed25519"


def test_its_description_has_the_stable_form(sandbox: SandboxFiles) -> None:
    document = json.loads(sandbox.description.read_text("utf-8"))

    assert list(document) == [
        "gateway", "public_origin", "server_ca", "answer_keys", "log", "partners", "officers",
    ]  # fmt: skip
    assert list(document["gateway"]) == ["api", "log", "sdmx", "web"]
    assert list(document["log"]) == ["origin", "vkey", "policy_file"]
    for partner in document["partners"]:
        assert list(partner) == ["id", "country", "roles", "tls_cert", "tls_key", "signing_key", "keyid"]
        assert FileSigner.load(partner["signing_key"]).keyid == partner["keyid"]
    for officer in document["officers"]:
        assert list(officer) == ["id", "country", "role", "tls_cert", "tls_key", "signing_key"]
    assert [partner["id"] for partner in document["partners"]] == [
        "USA.DHS.CBP", "MEX.SEGOB.UPMRIP", "GTM.IGM", "GTM.SEGEPLAN",
    ]  # fmt: skip
    assert {(o["country"], o["role"]) for o in document["officers"]} == {
        (country, role)
        for country in ("GTM", "MEX", "USA")
        for role in ("security-officer", "approver", "data-protection-officer")
    }


def test_others_pin_the_gateways_own_keys(sandbox: SandboxFiles) -> None:
    settings = load_settings(sandbox.settings)
    (jwk,) = json.loads(sandbox.answer_keys.read_text("utf-8"))["keys"]
    policy = parse_policy(sandbox.log_policy.read_text("utf-8"))

    assert public_of_jwk(jwk).keyid == FileSigner.load(settings.answer_key).keyid
    assert policy.quorum == "none"
    assert [key.verifier.name for key in policy.logs] == [settings.log_origin]
    assert sandbox.log_vkey in sandbox.log_policy.read_text("utf-8")


def test_every_party_is_identified_by_its_certificate(sandbox: SandboxFiles, opened: Storage) -> None:
    settings = load_settings(sandbox.settings)
    anchors = load_anchors(settings.anchors, settings.revocation_lists)
    directory = RegistryDirectory(opened.read)
    active = [party for party in sandbox.partners.values() if party.active]

    for party in active:
        partner = identify_partner(peer_of(party.tls_cert), directory, anchors, at=NOW)
        assert (partner.id, partner.country, partner.roles) == (party.id, party.country, frozenset(party.roles))
        assert [key.keyid for key in partner.signing_keys] == [party.keyid]
    for party in sandbox.officers.values():
        officer = identify_officer(peer_of(party.tls_cert), directory, anchors, at=NOW)
        assert (officer.id, officer.country, officer.roles) == (party.id, party.country, frozenset(party.roles))


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("unpinned", UnknownPartner),
        ("withdrawn", UnknownPartner),
        ("revoked", CertificateRevoked),
        ("expired", CertificateExpired),
        ("not-yet-valid", CertificateNotYetValid),
        ("foreign", CertificateUntrusted),
    ],
)
def test_each_specimen_is_refused_for_its_own_reason(
    sandbox: SandboxFiles, opened: Storage, name: str, refusal: type[Refusal]
) -> None:
    settings = load_settings(sandbox.settings)
    anchors = load_anchors(settings.anchors, settings.revocation_lists)
    peer = peer_of(sandbox.specimens[name].tls_cert)

    with pytest.raises(refusal):
        identify_partner(peer, RegistryDirectory(opened.read), anchors, at=NOW)


def test_its_suspended_partner_is_refused(sandbox: SandboxFiles, opened: Storage) -> None:
    settings = load_settings(sandbox.settings)
    anchors = load_anchors(settings.anchors, settings.revocation_lists)

    specimen = peer_of(sandbox.partners["MEX.SPECIMEN"].tls_cert)
    with pytest.raises(PartnerSuspended):
        identify_partner(specimen, RegistryDirectory(opened.read), anchors, at=NOW)


def test_everything_is_in_force_because_every_party_signed_it(sandbox: SandboxFiles, opened: Storage) -> None:
    in_force = load_in_force(opened, packaged_root(), parties=("GTM", "MEX", "USA"), at=NOW)

    assert {c.ref for c in in_force.contracts.contracts} == {c.ref for c in load_contracts(packaged_root()).contracts}
    assert {agreement.id for agreement in in_force.policies.agreements} == {"gtm-mex", "gtm-usa", "mex-usa"}


def test_every_act_of_its_making_is_an_event_for_the_country_it_concerns(opened: Storage) -> None:
    kinds = {
        country: Counter(
            event.kind for event in opened.read(partial(log.list_events, country=country, query=log.EventQuery()))
        )
        for country in ("GTM", "MEX", "USA")
    }

    assert [kinds[country]["partner.enrolled"] for country in ("GTM", "MEX", "USA")] == [2, 2, 1]
    assert [kinds[country]["partner.suspended"] for country in ("GTM", "MEX", "USA")] == [0, 1, 0]
    for seen in kinds.values():
        assert seen["key.added"] == seen["partner.enrolled"]
        assert seen["officer.enrolled"] == 3
        assert seen["log.started"] == seen["policy.activated"] == 1
        assert seen["contract.published"] == len(load_contracts(packaged_root()).contracts)


def test_it_is_not_made_over_another_one(sandbox: SandboxFiles) -> None:
    """A key is never overwritten, nor anything else that is there."""
    before = {path: path.stat().st_mtime_ns for path in sandbox.folder.rglob("*.pem")}

    with pytest.raises(FileExistsError):
        create_sandbox(sandbox.folder, port=8443, clock=FixedClock())
    assert {path: path.stat().st_mtime_ns for path in sandbox.folder.rglob("*.pem")} == before
