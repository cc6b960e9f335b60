# SPDX-License-Identifier: Apache-2.0
"""An invitation's time, on both engines; this file is about answers just within it and past it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auditlog.create import create_log
from gateway.contracting.load import load_contracts, packaged_root
from gateway.errors import InvitationInvalid
from gateway.onboarding.invitation import Answer, SignedFor, activate, answer, invite
from gateway.onboarding.life import LifeRefused
from gateway.onboarding.pki import Validity, create_authority, issue_client
from gateway.storage import log, registry
from gateway.storage.engine import Storage
from gateway.storage.life import Invitation
from gateway.trip import PeerCertificate
from gateway.wire.digests import sha256
from gateway.wire.joining import Joining, sign_joining
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
END, MOMENT = NOW + timedelta(days=7), timedelta(microseconds=1)
ORIGIN, TOKEN, BODY = "https://gateway.example", "a token", "MEX.INM"
CONTRACTS = load_contracts(packaged_root())
SIGNER = FileSigner.of(ed25519.Ed25519PrivateKey.generate())


@pytest.fixture
def given(storage: Storage) -> Answer:
    """An invited body's answer, its certificate good for ten days."""
    storage.write(lambda tx: create_log(tx, "localhost/log/2026", NOW))
    entry = Invitation(BODY, sha256(TOKEN.encode()), "Instituto", frozenset({"provider"}), END)
    storage.write(lambda tx: invite(tx, entry, at=NOW))
    validity = Validity.days(NOW, 10)
    leaf = issue_client(create_authority("MEX CA", "MEX", validity), BODY, "MEX", validity).certificate
    peer = PeerCertificate(leaf.public_bytes(Encoding.DER), leaf.fingerprint(SHA256()))
    refs = {f"{one.ref.product}/{one.ref.version}": one.ref.digest for one in CONTRACTS.contracts}
    said = Joining(BODY, ORIGIN, sha256(TOKEN.encode()).hex(), peer.sha256.hex(), refs)
    return Answer(BODY, "MEX", peer, TOKEN, sign_joining(said, SIGNER), "/v1/invitations", "r")


def answered(storage: Storage, given: Answer, at: datetime) -> str:
    return storage.write(lambda tx: answer(tx, given, CONTRACTS, origin=ORIGIN, at=at))[1]


def test_the_last_moment_counts_and_the_next_does_not(storage: Storage, given: Answer) -> None:
    with pytest.raises(InvitationInvalid):
        answered(storage, given, END)
    assert answered(storage, given, END - MOMENT) == SIGNER.keyid
    with pytest.raises(InvitationInvalid):
        answered(storage, given, END - MOMENT)


def said(given: Answer) -> SignedFor:
    """Return what officers sign for: what the body was invited as, and answered with."""
    return SignedFor("Instituto", frozenset({"provider"}), SIGNER.keyid, given.peer.sha256.hex())


def test_activation_is_of_the_key_and_certificate_that_officers_signed_for(storage: Storage, given: Answer) -> None:
    answered(storage, given, NOW)

    wrong = {"keyid": "another"}, {"certificate": "00" * 32}, {"name": "Other"}, {"roles": frozenset({"reader"})}
    for bent in wrong:
        with pytest.raises(LifeRefused, match=r"answered with the key|is invited as"):
            storage.write(lambda tx, bent=bent: activate(tx, BODY, replace(said(given), **bent), at=NOW))  # type: ignore[misc]
    assert storage.read(registry.partners) == []


def test_an_answer_makes_nobody_a_partner_and_activation_does(storage: Storage, given: Answer) -> None:
    answered(storage, given, NOW)
    before = storage.read(registry.partners)
    storage.write(lambda tx: activate(tx, BODY, said(given), at=NOW + timedelta(days=1)))
    after = storage.read(registry.partners)
    keys = storage.read(lambda tx: registry.signing_keys(tx, BODY))
    pins = storage.read(lambda tx: registry.pins_of(tx, BODY))

    assert before == []
    assert [(one.id, one.status, one.roles) for one in after] == [(BODY, "active", frozenset({"provider"}))]
    assert [key.keyid for key in keys] == [SIGNER.keyid]
    assert [pin.sha256 for pin in pins] == [given.peer.sha256]
    kinds = [event.kind for event in storage.read(lambda tx: log.list_events(tx, "MEX", log.EventQuery()))]
    assert set(kinds) == {
        "partner.invited", "invitation.answered", "partner.enrolled", "certificate.pinned", "key.added",
        "partner.activated",
    }  # fmt: skip


def test_a_certificate_that_ended_while_it_waited_is_not_activated(storage: Storage, given: Answer) -> None:
    answered(storage, given, NOW)

    with pytest.raises(LifeRefused, match="ended"):
        storage.write(lambda tx: activate(tx, BODY, said(given), at=NOW + timedelta(days=10)))
    assert storage.read(registry.partners) == []
