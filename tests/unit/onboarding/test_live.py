# SPDX-License-Identifier: Apache-2.0
"""The registry followed without a restart, on both engines; this file is about stops and sunsets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.auditlog.create import create_log
from gateway.clock import format_instant
from gateway.contracting.load import packaged_root
from gateway.errors import ContractRetired, DeniedByPolicy
from gateway.identifiers import new_id
from gateway.onboarding.approvals import PUT_IN_FORCE, approvals_of, offered_in
from gateway.onboarding.life import LifeRefused
from gateway.onboarding.live import Live
from gateway.onboarding.stops import lift, stop
from gateway.policy.requests import read_flow
from gateway.storage import log, registry
from gateway.storage.changes import StoredChange, insert_change
from gateway.storage.engine import Storage, Tx
from gateway.storage.registry import LifecycleEntry, OfficerEntry
from gateway.trip import Partner
from gateway.wire.change import PAYLOAD_TYPE, Change
from gateway.wire.dsse import sign_envelope
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PARTIES = ("GTM", "MEX", "USA")
READER = Partner("MEX.SEGOB.UPMRIP", "MEX", "active", frozenset({"reader"}), ())


@dataclass
class Hand:
    """A clock that the test moves."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def live(storage: Storage, clock: Hand) -> Live:
    root = packaged_root()

    def found(tx: Tx) -> None:
        create_log(tx, "localhost/log/2026", NOW)
        subjects = offered_in(root, PARTIES)
        officers = {country: FileSigner.of(Ed25519PrivateKey.generate()) for country in PARTIES}
        entries = [entry_of(country, signer) for country, signer in officers.items()]
        for entry in entries:
            registry.add_officer(tx, entry)
        words = {word: subject.digest for word, subject in subjects.items()}
        change = Change(PUT_IN_FORCE, format_instant(NOW), "https://localhost", new_id(NOW), words)
        text = json.dumps(sign_envelope(PAYLOAD_TYPE, change.payload, list(officers.values())))
        insert_change(tx, StoredChange(change.id, PUT_IN_FORCE, "-", "in-force", text, NOW, change.expires_at, "-"))
        for approval in approvals_of(change.id, subjects.values(), entries, at=NOW):
            registry.add_approval(tx, approval)

    storage.write(found)
    return Live(storage, root, parties=PARTIES, clock=clock)


def entry_of(country: str, signer: FileSigner) -> OfficerEntry:
    key = signer.keyid, signer.public_der
    return OfficerEntry(f"{country}.OFFICER.ONE", country, "-", frozenset({"approver"}), "active", *key)


def may_read(live: Live, owner: str = "USA") -> bool:
    try:
        live.policy.decide(read_flow(READER, owner=owner, purpose="STATISTICS", at=NOW))
    except DeniedByPolicy:
        return False
    return True


@pytest.mark.parametrize(("kind", "subject"), [("agreement", "mex-usa"), ("product", "flow"), ("direction", "USA>MEX")])
def test_a_stop_holds_with_the_next_look_and_so_does_its_end(
    storage: Storage, live: Live, kind: str, subject: str
) -> None:
    assert may_read(live)

    storage.write(lambda tx: stop(tx, kind, subject, parties=PARTIES, at=NOW))
    live.look(storage)
    assert not may_read(live)

    storage.write(lambda tx: lift(tx, kind, subject, parties=PARTIES, at=NOW))
    live.look(storage)
    assert may_read(live)
    events = storage.read(lambda tx: log.list_events(tx, "MEX", log.EventQuery()))
    assert {event.kind for event in events} >= {"exchange.stopped", "exchange.resumed"}


def test_what_does_not_move_the_registry_is_not_read_again(storage: Storage, live: Live) -> None:
    before = live.policy.now

    live.look(storage)
    storage.write(registry.move)
    live.look(storage)

    assert live.policy.now is before


def test_a_sunset_comes_without_an_act(storage: Storage, live: Live, clock: Hand) -> None:
    step = LifecycleEntry("border-event", "1.0.0", NOW, "active", NOW + timedelta(days=1))
    storage.write(lambda tx: registry.add_lifecycle(tx, step))
    live.look(storage)
    assert live.contracts.get("border-event", "1.0.0")

    clock.at += timedelta(days=1)
    live.look(storage)

    with pytest.raises(ContractRetired):
        live.contracts.get("border-event", "1.0.0")


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("agreement", "../x"),
        ("agreement", "mex-us"),
        ("product", "flwo"),
        ("direction", "USA>FRA"),
        ("direction", "USA"),
        ("partner", "USA.DHS"),
    ],
)
def test_what_there_cannot_be_is_not_stopped(storage: Storage, live: Live, kind: str, subject: str) -> None:
    with pytest.raises(LifeRefused):
        storage.write(lambda tx: stop(tx, kind, subject, parties=PARTIES, at=NOW))
    assert may_read(live)


def test_nothing_is_stopped_twice_nor_lifted_unstopped(storage: Storage, live: Live) -> None:
    with pytest.raises(LifeRefused):
        storage.write(lambda tx: lift(tx, "product", "flow", parties=PARTIES, at=NOW))
    storage.write(lambda tx: stop(tx, "product", "flow", parties=PARTIES, at=NOW))
    with pytest.raises(LifeRefused):
        storage.write(lambda tx: stop(tx, "product", "flow", parties=PARTIES, at=NOW))
    live.look(storage)
    assert not may_read(live)
