# SPDX-License-Identifier: Apache-2.0
"""How a deployment begins, on both engines; this file is about a founding that holds and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auditlog.create import create_log
from gateway.contracting.load import packaged_root
from gateway.onboarding import pki
from gateway.onboarding.approvals import offered_in, stored_approvals
from gateway.onboarding.founding import FirstOfficer, found, founding
from gateway.onboarding.in_force import load_in_force
from gateway.onboarding.life import LifeRefused
from gateway.storage import log, registry
from gateway.storage.engine import Storage, Tx
from gateway.wire.change import PAYLOAD_TYPE, Change, ChangeMalformed
from gateway.wire.dsse import sign_envelope
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PARTIES = ("GTM", "MEX", "USA")
ORIGIN = "https://gateway.example"
ROOT = packaged_root()
OFFERED = offered_in(ROOT, PARTIES)


@dataclass(frozen=True)
class First:
    officer: FirstOfficer
    signer: FileSigner


def first(named: str, role: str = "approver") -> First:
    authority = pki.create_authority(f"{named[:3]} CA", named[:3], pki.Validity.days(NOW, 90))
    issued = pki.issue_client(authority, named, named[:3], pki.Validity.days(NOW, 90))
    signer = FileSigner.of(Ed25519PrivateKey.generate())
    pem = issued.certificate.public_bytes(Encoding.PEM).decode()
    return First(FirstOfficer(named, named, frozenset({role}), pem, pki.pem_of_public(signer.public_der)), signer)


APPROVERS = [first(f"{country}.OFFICER.APPROVER") for country in PARTIES]
DPO = first("USA.OFFICER.DPO", "data-protection-officer")


def document(*people: First, change: Callable[[Change], Change] = lambda change: change) -> dict[str, Any]:
    """Return a founding signed by all its approvers, bent before they sign."""
    everyone = [one.officer for one in (*APPROVERS, DPO)]
    whole = founding(everyone, OFFERED, gateway=ORIGIN, parties=PARTIES, at=NOW)
    left_out = {one.id for one in everyone} - {one.officer.id for one in people}
    words = {word: said for word, said in whole.words.items() if word.partition(" ")[2] not in left_out}
    written = change(replace(whole, words=words))
    signers = [one.signer for one in people if "approver" in one.officer.roles]
    return sign_envelope(PAYLOAD_TYPE, written.payload, signers)


def execute(storage: Storage, envelope: dict[str, Any]) -> None:
    def work(tx: Tx) -> None:
        create_log(tx, "localhost/log/2026", NOW, audience=frozenset(PARTIES))
        found(tx, envelope, ROOT, gateway=ORIGIN, parties=PARTIES, at=NOW)

    storage.write(work)


def test_a_founding_makes_officers_and_puts_the_folder_in_force(storage: Storage) -> None:
    execute(storage, document(*APPROVERS, DPO))

    assert [one.id for one in storage.read(registry.officers)] == sorted(one.officer.id for one in (*APPROVERS, DPO))
    in_force = load_in_force(storage, ROOT, parties=PARTIES, at=NOW)
    assert {one.ref.product for one in in_force.contracts.contracts} == {"border-event", "flow"}
    assert len(in_force.policies.agreements) == 3
    kinds = [event.kind for event in storage.read(lambda tx: log.list_events(tx, "USA", log.EventQuery(limit=1000)))]
    assert {"deployment.founded", "officer.enrolled", "contract.published", "policy.activated"} <= set(kinds)


def test_nobody_founds_twice(storage: Storage) -> None:
    execute(storage, document(*APPROVERS))

    with pytest.raises(LifeRefused, match="founded already"):
        storage.write(lambda tx: found(tx, document(*APPROVERS), ROOT, gateway=ORIGIN, parties=PARTIES, at=NOW))


def test_a_draft_that_could_found_nothing_is_not_written() -> None:
    """Before anybody is asked to sign: a party without an approver, a role or a key that does not hold."""
    wrong = (
        [one.officer for one in APPROVERS[:2]],
        [replace(one.officer, roles=frozenset({"king"})) for one in APPROVERS],
        [replace(one.officer, signing_key=APPROVERS[0].officer.signing_key) for one in APPROVERS],
    )
    for officers in wrong:
        with pytest.raises(LifeRefused):
            founding(officers, OFFERED, gateway=ORIGIN, parties=PARTIES, at=NOW)
    private = replace(APPROVERS[0].officer, signing_key="-----BEGIN PRIVATE KEY-----")
    with pytest.raises(ChangeMalformed, match="its owner"):
        founding([private, *(one.officer for one in APPROVERS[1:])], OFFERED, gateway=ORIGIN, parties=PARTIES, at=NOW)


def test_a_founding_that_nobody_signed_names_who_is_to(storage: Storage) -> None:
    envelope = {**document(*APPROVERS), "signatures": []}

    with pytest.raises(LifeRefused, match="not signed by GTM"):
        execute(storage, envelope)


def other_word(word: str, digest: str) -> Callable[[Change], Change]:
    return lambda change: replace(change, words={**change.words, word: digest})


@pytest.mark.parametrize(
    ("envelope", "why"),
    [
        (document(*APPROVERS[:2]), "no approver of USA"),
        (document(DPO), "no approver of GTM, MEX, USA"),
        (document(*APPROVERS, change=lambda one: replace(one, act="put-in-force")), "no founding of"),
        (document(*APPROVERS, change=lambda one: replace(one, gateway="https://other.example")), "no founding of"),
        (document(*APPROVERS, change=other_word("contract flow/1.0.0", "0" * 64)), "another digest"),
        (document(*APPROVERS, change=other_word("contract rain/1.0.0", "0" * 64)), "not in the contracts folder"),
        (document(*APPROVERS, change=other_word("officer CAN.OFFICER", "approver")), "no founding"),
    ],
)
def test_a_founding_that_does_not_hold_leaves_nothing(storage: Storage, envelope: dict[str, Any], why: str) -> None:
    with pytest.raises(LifeRefused, match=why):
        execute(storage, envelope)

    assert storage.read(registry.officers) == []
    assert storage.read(stored_approvals) == {}


def test_an_approver_who_did_not_sign_is_named(storage: Storage) -> None:
    envelope = document(*APPROVERS)
    envelope["signatures"] = envelope["signatures"][:2]

    with pytest.raises(LifeRefused, match=r"not signed by USA\.OFFICER\.APPROVER"):
        execute(storage, envelope)
