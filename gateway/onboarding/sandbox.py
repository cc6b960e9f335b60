# SPDX-License-Identifier: Apache-2.0
"""A whole deployment in a folder; this file is about the sandbox: three countries, their agencies and officers.

Every key in it is a test key and lies in the folder, which no real deployment would do.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.auditlog.create import create_log
from gateway.clock import Clock, SystemClock
from gateway.contracting.contract import ContractSet
from gateway.contracting.load import load_contracts, packaged_root
from gateway.contracting.strict_yaml import read_yaml
from gateway.identity.identify import ACTIVE
from gateway.onboarding import enrol, pki
from gateway.onboarding.approvals import APPROVER, sign_approval, subjects_of
from gateway.onboarding.in_force import load_in_force
from gateway.onboarding.sandbox_files import (
    CertificateFiles,
    PartyFiles,
    SandboxFiles,
    SandboxPlan,
    write_client_configuration,
    write_description,
    write_settings,
)
from gateway.onboarding.sandbox_parties import (
    COUNTRIES,
    OFFICERS,
    PARTNERS,
    SPECIMEN_PARTNER,
    SandboxOfficer,
    SandboxPartner,
)
from gateway.policy.agreements import load_agreements
from gateway.policy.load import load_rules
from gateway.storage import registry
from gateway.storage.engine import Storage, Tx, open_storage
from gateway.storage.migrate import upgrade
from gateway.storage.registry import OfficerEntry, PartnerEntry
from gateway.trip import SigningKey
from gateway.wire.keys import FileSigner, published_jwk
from gateway.wire.note import format_vkey, verifier_of
from gateway.wire.policy_file import LogPolicy, PolicyKey, format_policy

OPERATOR_NAME = "Sandbox operator"


@dataclass(frozen=True, slots=True)
class _Party:
    """A partner or officer while the sandbox is made: its entry, certificate and signing key."""

    entry: PartnerEntry | OfficerEntry
    issued: pki.Issued
    signer: FileSigner
    files: PartyFiles


@dataclass(frozen=True, slots=True)
class _Times:
    """`start` is from when certificates and keys hold; a test that sets the clock back needs an early one."""

    start: datetime
    at: datetime

    @property
    def authority(self) -> pki.Validity:
        return pki.Validity(self.start, self.at + timedelta(days=pki.AUTHORITY_DAYS))

    @property
    def leaf(self) -> pki.Validity:
        return pki.Validity(self.start, self.at + timedelta(days=pki.LEAF_DAYS))

    @property
    def revocation_list(self) -> pki.Validity:
        return pki.Validity(self.start, self.at + timedelta(days=pki.REVOCATION_LIST_DAYS))


def create_sandbox(
    folder: Path,
    *,
    port: int = 0,
    engine_url: str | None = None,
    clock: Clock | None = None,
    contracts_root: Path | None = None,
    valid_from: datetime | None = None,
) -> SandboxFiles:
    """Make a sandbox in a new or empty folder; port 0 takes one that is free now.

    (1) authorities and certificates; (2) the gateway's own keys and what others pin of them; (3) the database
    with its log, the registry and every officer's approvals; (4) what was approved is put in force; (5) the
    files that programs start from.

    Raises:
        FileExistsError: when the folder has something in it; nothing there is touched.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(folder)
    at = (clock or SystemClock()).now()
    times = _Times(valid_from or at - timedelta(days=1), at)
    plan = SandboxPlan(folder.resolve(), port or _free_port(), at.year, engine_url, contracts_root)
    root = contracts_root or packaged_root()
    authorities = {
        country: pki.create_authority(f"{country} sandbox CA", country, times.authority) for country in COUNTRIES
    }
    partners = [_partner(plan, partner, authorities[partner.country], times) for partner in PARTNERS]  # (1)
    officers = [_officer(plan, officer, authorities[officer.country], times) for officer in OFFICERS]
    specimens = _specimens(authorities["USA"], times)
    _write_authorities(plan, authorities, specimens["revoked"], times)
    vkey = _write_gateway_keys(plan, times)  # (2)
    upgrade(plan.database_url)  # (3)
    contracts = load_contracts(root)
    storage = open_storage(plan.database_url)
    try:
        storage.write(lambda tx: _fill(tx, plan, partners, officers, specimens, at=at))
        storage.write(lambda tx: _approve(tx, root, contracts, officers, at=at))
        _put_in_force(storage, root, at=at)  # (4)
    finally:
        storage.close()
    files = SandboxFiles(  # (5)
        folder=plan.folder,
        settings=write_settings(plan, COUNTRIES),
        description=plan.file("sandbox.json"),
        port=plan.port,
        public_origin=plan.public_origin,
        database_url=plan.database_url,
        server_ca=plan.file("server-ca.pem"),
        answer_keys=plan.file("answer-keys.json"),
        log_policy=plan.file("log.policy"),
        log_origin=plan.log_origin,
        log_vkey=vkey,
        partners={party.entry.id: party.files for party in partners},
        officers={party.entry.id: party.files for party in officers},
        specimens={name: _write_pair(plan.file("specimens"), name, issued) for name, issued in specimens.items()},
    )
    write_description(files)
    return files


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _write_pair(folder: Path, name: str, issued: pki.Issued) -> CertificateFiles:
    return CertificateFiles(
        pki.write_certificate(folder / f"{name}.pem", issued.certificate),
        pki.write_key(folder / f"{name}.key", issued.key),
    )


def _partner(plan: SandboxPlan, partner: SandboxPartner, authority: pki.Issued, times: _Times) -> _Party:
    roles = frozenset(partner.roles)
    entry = PartnerEntry(partner.id, partner.country, partner.name, ACTIVE, roles, times.at)
    party = _party(plan, "partners", entry, authority, times, curve=partner.curve)
    return replace(party, files=replace(party.files, active=not partner.suspended))


def _officer(plan: SandboxPlan, officer: SandboxOfficer, authority: pki.Issued, times: _Times) -> _Party:
    entry = OfficerEntry(officer.id, officer.country, officer.id, frozenset({officer.role}), ACTIVE, "", b"")
    party = _party(plan, "officers", entry, authority, times, curve=officer.country == "MEX")
    known = replace(entry, approval_keyid=party.signer.keyid, approval_public=party.signer.public_der)
    return replace(party, entry=known)


def _party(
    plan: SandboxPlan,
    kind: str,
    entry: PartnerEntry | OfficerEntry,
    authority: pki.Issued,
    times: _Times,
    *,
    curve: bool,
) -> _Party:
    folder = plan.file(kind, entry.id)
    issued = pki.issue_client(authority, entry.id, entry.country, times.leaf)
    pair = _write_pair(folder, "tls", issued)
    key = pki.new_tls_key() if curve else ed25519.Ed25519PrivateKey.generate()
    signer = FileSigner.of(key)
    files = PartyFiles(
        id=entry.id,
        country=entry.country,
        roles=tuple(sorted(entry.roles)),
        tls_cert=pair.tls_cert,
        tls_key=pair.tls_key,
        signing_key=pki.write_key(folder / "signing.key", key),
        keyid=signer.keyid,
        client=write_client_configuration(plan, folder, partner=entry.id if kind == "partners" else None),
    )
    return _Party(entry, issued, signer, files)


def _specimens(authority: pki.Issued, times: _Times) -> dict[str, pki.Issued]:
    """Return certificates that must be refused, each for one reason of its own."""
    past = pki.Validity(times.start - timedelta(days=400), times.start)
    future = pki.Validity(times.at + timedelta(days=30), times.at + timedelta(days=60))
    foreign = pki.create_authority("CAN sandbox CA", "CAN", times.authority)
    issuers = {
        "unpinned": (authority, times.leaf),
        "withdrawn": (authority, times.leaf),
        "revoked": (authority, times.leaf),
        "expired": (authority, past),
        "not-yet-valid": (authority, future),
        "foreign": (foreign, times.leaf),
    }
    return {
        name: pki.issue_client(issuer, SPECIMEN_PARTNER, "USA", validity)
        for name, (issuer, validity) in issuers.items()
    }


def _write_authorities(
    plan: SandboxPlan, authorities: Mapping[str, pki.Issued], revoked: pki.Issued, times: _Times
) -> None:
    for country, authority in authorities.items():
        folder = plan.file("authorities", country)
        _write_pair(folder, "ca", authority)
        ours = [revoked.certificate] if revoked.certificate.issuer == authority.certificate.subject else []
        pki.write_public(folder / "crl.pem", pki.revocation_list(authority, ours, times.revocation_list))


def _write_gateway_keys(plan: SandboxPlan, times: _Times) -> str:
    """Write the gateway's own keys and what others pin of them, and return the log's verifier key."""
    operator = pki.create_authority("Sandbox operator CA", OPERATOR_NAME, times.authority)
    pki.write_certificate(plan.file("server-ca.pem"), operator.certificate)
    _write_pair(plan.file("authorities", "operator"), "ca", operator)
    server = pki.issue_server(operator, ["localhost", "127.0.0.1"], OPERATOR_NAME, times.leaf)
    _write_pair(plan.file("gateway"), "server", server)
    answer, log = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    pki.write_key(plan.file("gateway", "answer.key"), answer)
    pki.write_key(plan.file("gateway", "log.key"), log)
    keys = [published_jwk(FileSigner.of(answer))]
    pki.write_public(plan.file("answer-keys.json"), json.dumps({"keys": keys}, indent=2).encode() + b"\n")
    verifier = verifier_of(FileSigner.of(log), plan.log_origin)
    # No witness exists yet, so that the quorum is none and receipts say unwitnessed; only a sandbox may do this.
    policy = LogPolicy(logs=(PolicyKey(verifier, f"https://{plan.log_origin}"),))
    pki.write_public(plan.file("log.policy"), format_policy(policy).encode())
    return format_vkey(verifier)


def _fill(
    tx: Tx,
    plan: SandboxPlan,
    partners: list[_Party],
    officers: list[_Party],
    specimens: Mapping[str, pki.Issued],
    *,
    at: datetime,
) -> None:
    """Create the log and enter everyone; what is created first is the log, which records the rest."""
    create_log(tx, plan.log_origin, at, audience=frozenset(COUNTRIES))
    for party in officers:
        assert isinstance(party.entry, OfficerEntry)
        enrol.enrol_officer(tx, party.entry, at=at)
        enrol.pin_certificate(tx, party.entry, party.issued.certificate, at=at)
    for party in partners:
        assert isinstance(party.entry, PartnerEntry)
        enrol.enrol_partner(tx, party.entry, at=at)
        enrol.pin_certificate(tx, party.entry, party.issued.certificate, at=at)
        since = party.issued.certificate.not_valid_before_utc
        key = SigningKey(party.signer.keyid, party.signer.algorithm, party.signer.public_der, since, None)
        enrol.add_key(tx, party.entry, key, at=at)
        if party.entry.id == SPECIMEN_PARTNER:
            _pin_specimens(tx, party.entry, specimens, at=at)
        if not party.files.active:
            enrol.suspend_partner(tx, party.entry.id, at=at)


def _pin_specimens(tx: Tx, owner: PartnerEntry, specimens: Mapping[str, pki.Issued], *, at: datetime) -> None:
    """Pin all but the unpinned one, so that a pin alone is seen not to be enough."""
    for name, issued in specimens.items():
        if name != "unpinned":
            enrol.pin_certificate(tx, owner, issued.certificate, at=at)
    withdrawn = specimens["withdrawn"].certificate.fingerprint(pki.FINGERPRINT)
    enrol.withdraw_pin(tx, owner, withdrawn, at=at)


def _approve(tx: Tx, root: Path, contracts: ContractSet, officers: list[_Party], *, at: datetime) -> None:
    """Let the approver of every party sign what concerns it."""
    approvers = [party for party in officers if APPROVER in party.entry.roles]
    agreements = load_agreements(root / "agreements", read_yaml)
    for subject in subjects_of(contracts, load_rules(root), agreements, COUNTRIES):
        for party in approvers:
            if party.entry.country in subject.parties:
                registry.add_approval(tx, sign_approval(subject, party.signer, at=at))


def _put_in_force(storage: Storage, root: Path, *, at: datetime) -> None:
    """Publish what the stored approvals cover, read back as the gateway will read it when it starts."""
    in_force = load_in_force(storage, root, parties=COUNTRIES, at=at)

    def act(tx: Tx) -> None:
        for contract in in_force.contracts.contracts:
            enrol.publish_contract(tx, contract.ref, approved_by=COUNTRIES, at=at)
        enrol.activate_policies(tx, in_force.policies, at=at)

    storage.write(act)
