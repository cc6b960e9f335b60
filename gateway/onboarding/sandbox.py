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
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auditlog.create import create_log
from gateway.clock import Clock, SystemClock
from gateway.contracting.load import packaged_root
from gateway.identity.identify import ACTIVE
from gateway.onboarding import enrol, pki
from gateway.onboarding.approvals import APPROVER, offered_in
from gateway.onboarding.founding import FirstOfficer, found, founding
from gateway.onboarding.sandbox_files import (
    CertificateFiles,
    PartyFiles,
    SandboxFiles,
    write_client_configuration,
    write_description,
    write_settings,
)
from gateway.onboarding.sandbox_parties import COUNTRIES, OFFICERS, PARTNERS, SPECIMEN_PARTNER, SandboxParty
from gateway.storage.engine import Tx, open_storage
from gateway.storage.migrate import upgrade
from gateway.storage.registry import PartnerEntry
from gateway.trip import SigningKey
from gateway.wire.change import PAYLOAD_TYPE
from gateway.wire.dsse import sign_envelope
from gateway.wire.keys import FileSigner, published_jwk
from gateway.wire.note import format_vkey, verifier_of
from gateway.wire.policy_file import LogPolicy, PolicyKey, format_policy

OPERATOR_NAME = "Sandbox operator"


@dataclass(frozen=True, slots=True)
class _Made:
    """A partner or officer while the sandbox is made."""

    party: SandboxParty
    certificate: x509.Certificate
    signer: FileSigner
    files: PartyFiles


@dataclass(frozen=True, slots=True)
class _Times:
    """`start` is from when certificates and keys hold; a test that sets the clock back needs an early one."""

    start: datetime
    at: datetime

    def days(self, count: int) -> pki.Validity:
        return pki.Validity(self.start, self.at + timedelta(days=count))


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
    with its log; (4) the founding, signed by every approver, and the partners; (5) the files that programs start from.

    Raises:
        FileExistsError: when the folder has something in it; nothing there is touched.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(folder)
    at = (clock or SystemClock()).now()
    times = _Times(valid_from or at - timedelta(days=1), at)
    sandbox = SandboxFiles(folder.resolve(), port or _free_port(), at.year, engine_url)
    root = contracts_root or packaged_root()
    authorities = {name: _authority(f"{name} sandbox CA", name, times) for name in COUNTRIES}  # (1)
    partners = [_made(sandbox, "partners", party, authorities[party.country], times) for party in PARTNERS]
    officers = [_made(sandbox, "officers", party, authorities[party.country], times) for party in OFFICERS]
    specimens = _specimens(authorities["USA"], times)
    _write_authorities(sandbox, authorities, specimens["revoked"], times)
    sandbox = replace(  # (2)
        sandbox,
        log_vkey=_write_gateway_keys(sandbox, times),
        partners={made.party.id: made.files for made in partners},
        officers={made.party.id: made.files for made in officers},
        specimens={name: _write_pair(sandbox.folder / "specimens", name, issued) for name, issued in specimens.items()},
    )
    upgrade(sandbox.database_url)  # (3)
    envelope = _founding(sandbox, root, officers, at=at)
    storage = open_storage(sandbox.database_url)

    def fill(tx: Tx) -> None:
        create_log(tx, sandbox.log_origin, at, audience=frozenset(COUNTRIES))
        found(tx, envelope, root, gateway=sandbox.public_origin, parties=COUNTRIES, at=at)  # (4)
        _enrol(tx, partners, specimens, at=at)

    try:
        storage.write(fill)
    finally:
        storage.close()
    write_settings(sandbox, COUNTRIES, contracts_root)  # (5)
    write_description(sandbox)
    return sandbox


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


def _authority(name: str, organization: str, times: _Times) -> pki.Issued:
    return pki.create_authority(name, organization, times.days(pki.AUTHORITY_DAYS))


def _made(sandbox: SandboxFiles, kind: str, party: SandboxParty, authority: pki.Issued, times: _Times) -> _Made:
    folder = sandbox.folder / kind / party.id
    issued = pki.issue_client(authority, party.id, party.country, times.days(pki.LEAF_DAYS))
    pair = _write_pair(folder, "tls", issued)
    key = pki.new_tls_key() if party.curve else ed25519.Ed25519PrivateKey.generate()
    signer = FileSigner.of(key)
    files = PartyFiles(
        tls_cert=pair.tls_cert,
        tls_key=pair.tls_key,
        id=party.id,
        country=party.country,
        roles=tuple(sorted(party.roles)),
        signing_key=pki.write_key(folder / "signing.key", key),
        keyid=signer.keyid,
        client=write_client_configuration(sandbox, folder, partner=party.id if kind == "partners" else None),
        active=not party.suspended,
    )
    return _Made(party, issued.certificate, signer, files)


def _specimens(authority: pki.Issued, times: _Times) -> dict[str, pki.Issued]:
    """Return certificates that must be refused, each for one reason of its own."""
    past = pki.Validity(times.start - timedelta(days=400), times.start)
    future = pki.Validity(times.at + timedelta(days=30), times.at + timedelta(days=60))
    now = times.days(pki.LEAF_DAYS)
    issuers = {
        "unpinned": (authority, now),
        "withdrawn": (authority, now),
        "revoked": (authority, now),
        "expired": (authority, past),
        "not-yet-valid": (authority, future),
        "foreign": (_authority("CAN sandbox CA", "CAN", times), now),
    }
    return {
        name: pki.issue_client(issuer, SPECIMEN_PARTNER, "USA", validity)
        for name, (issuer, validity) in issuers.items()
    }


def _write_authorities(
    sandbox: SandboxFiles, authorities: Mapping[str, pki.Issued], revoked: pki.Issued, times: _Times
) -> None:
    for country, authority in authorities.items():
        folder = sandbox.folder / "authorities" / country
        _write_pair(folder, "ca", authority)
        ours = [revoked.certificate] if revoked.certificate.issuer == authority.certificate.subject else []
        pki.write_public(folder / "crl.pem", pki.revocation_list(authority, ours, times.days(pki.REVOCATION_LIST_DAYS)))


def _write_gateway_keys(sandbox: SandboxFiles, times: _Times) -> str:
    """Write the gateway's own keys and what others pin of them, and return the log's verifier key."""
    own = sandbox.folder / "gateway"
    operator = _authority("Sandbox operator CA", OPERATOR_NAME, times)
    pki.write_certificate(sandbox.server_ca, operator.certificate)
    _write_pair(sandbox.folder / "authorities" / "operator", "ca", operator)
    leaf = times.days(pki.LEAF_DAYS)
    _write_pair(own, "server", pki.issue_server(operator, ["localhost", "127.0.0.1"], OPERATOR_NAME, leaf))
    answer, log = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    pki.write_key(own / "answer.key", answer)
    pki.write_key(own / "token.key", pki.new_tls_key())
    pki.write_key(own / "log.key", log)
    keys = [published_jwk(FileSigner.of(answer))]
    pki.write_public(sandbox.answer_keys, json.dumps({"keys": keys}, indent=2).encode() + b"\n")
    verifier = verifier_of(FileSigner.of(log), sandbox.log_origin)
    # No witness exists yet, so that the quorum is none and receipts say unwitnessed; only a sandbox may do this.
    policy = LogPolicy(logs=(PolicyKey(verifier, f"https://{sandbox.log_origin}"),))
    pki.write_public(sandbox.log_policy, format_policy(policy).encode())
    return format_vkey(verifier)


def _founding(sandbox: SandboxFiles, root: Path, officers: list[_Made], *, at: datetime) -> dict[str, Any]:
    """Return the founding, signed by the approver of every country."""
    named = [
        FirstOfficer(
            id=made.party.id,
            name=made.party.name,
            roles=frozenset(made.party.roles),
            certificate=made.certificate.public_bytes(Encoding.PEM).decode(),
            signing_key=pki.pem_of_public(made.signer.public_der),
        )
        for made in officers
    ]
    change = founding(named, offered_in(root, COUNTRIES), gateway=sandbox.public_origin, parties=COUNTRIES, at=at)
    signers = [made.signer for made in officers if APPROVER in made.party.roles]
    return sign_envelope(PAYLOAD_TYPE, change.payload, signers)


def _enrol(tx: Tx, partners: list[_Made], specimens: Mapping[str, pki.Issued], *, at: datetime) -> None:
    """Enter every agency, as if the founders had done it one by one."""
    for made in partners:
        party, signer = made.party, made.signer
        partner = PartnerEntry(party.id, party.country, party.name, ACTIVE, frozenset(party.roles), at)
        enrol.enrol_partner(tx, partner, at=at)
        enrol.pin_certificate(tx, partner, made.certificate, at=at)
        since = made.certificate.not_valid_before_utc
        enrol.add_key(tx, partner, SigningKey(signer.keyid, signer.algorithm, signer.public_der, since, None), at=at)
        if party.id == SPECIMEN_PARTNER:
            _pin_specimens(tx, partner, specimens, at=at)
        if party.suspended:
            enrol.suspend(tx, party.id, at=at)


def _pin_specimens(tx: Tx, owner: PartnerEntry, specimens: Mapping[str, pki.Issued], *, at: datetime) -> None:
    """Pin all but the unpinned one, so that a pin alone is seen not to be enough."""
    for name, issued in specimens.items():
        if name != "unpinned":
            enrol.pin_certificate(tx, owner, issued.certificate, at=at)
    withdrawn = specimens["withdrawn"].certificate.fingerprint(pki.FINGERPRINT)
    enrol.withdraw_pin(tx, owner, withdrawn, at=at)
