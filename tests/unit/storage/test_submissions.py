# SPDX-License-Identifier: Apache-2.0
"""Submissions, nonces, partners and their keys; this file is about what the registry and the intake store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.errors import Replayed, StorageUnavailable
from gateway.identifiers import new_id
from gateway.storage import registry, submissions
from gateway.storage.engine import Storage
from gateway.storage.submissions import Kept, SpentNonce, StoredSubmission
from gateway.trip import RefusedRecord, SigningKey
from tests.unit.storage.samples import CBP, IGM, NOW, PERMIT, partner_entry, valid_submission

REFUSED = (
    RefusedRecord(2, None, "/count", "range", b"a" * 32, "Out of range.", "Fuera de rango."),
    RefusedRecord(3, new_id(NOW), "", "record-conflict", b"b" * 32),
)


def insert(storage: Storage, *, key: str = "key-0123456789abcdef", partner_id: str = CBP) -> StoredSubmission:
    return storage.write(lambda tx: submissions.insert_submissions(tx, [kept(key=key, partner_id=partner_id)]))[0]


def kept(*, key: str, partner_id: str = CBP) -> Kept:
    return Kept(
        valid=valid_submission(key=key, partner_id=partner_id),
        permit=PERMIT,
        submission_id=new_id(NOW),
        event_id=new_id(NOW),
        accepted_count=1,
        duplicate_count=0,
        refused=REFUSED,
        root_accepted=b"x" * 32,
    )


def claim(storage: Storage, partner_id: str, *signatures: bytes, until: datetime) -> None:
    """Spend one nonce of a partner once for each signature."""
    spent = [SpentNonce(partner_id, "n" * 16, signature, until) for signature in signatures]
    storage.write(lambda tx: submissions.claim_nonces(tx, spent))


def test_a_submission_reads_back_as_it_was_accepted(storage: Storage) -> None:
    stored = insert(storage)

    assert storage.read(lambda tx: submissions.get_submission(tx, CBP, stored.id)) == stored
    assert storage.read(lambda tx: submissions.find_by_idempotency(tx, CBP, stored.idempotency_key)) == stored
    kept = tuple(replace(record, record_id=None) for record in REFUSED)
    assert storage.read(lambda tx: submissions.refused_of(tx, CBP, stored.id)) == kept
    assert storage.read(lambda tx: submissions.refused_of(tx, CBP, stored.id, limit=1)) == kept[:1]
    assert storage.read(lambda tx: submissions.refused_of(tx, CBP, stored.id, after_line=2)) == kept[1:]


def test_another_partners_submission_looks_like_none(storage: Storage) -> None:
    stored = insert(storage)

    assert storage.read(lambda tx: submissions.get_submission(tx, IGM, stored.id)) is None
    assert storage.read(lambda tx: submissions.get_submission(tx, CBP, "not an id")) is None
    assert storage.read(lambda tx: submissions.find_by_idempotency(tx, IGM, stored.idempotency_key)) is None


def test_an_idempotency_key_is_accepted_once_for_each_partner(storage: Storage) -> None:
    insert(storage)

    with pytest.raises(StorageUnavailable):
        insert(storage)
    insert(storage, partner_id=IGM)


def test_submissions_are_listed_page_by_page(storage: Storage) -> None:
    ids = sorted(insert(storage, key=f"key-{n:016}").id for n in range(5))
    insert(storage, partner_id=IGM)

    first = storage.read(lambda tx: submissions.list_submissions(tx, CBP, limit=3))
    second = storage.read(lambda tx: submissions.list_submissions(tx, CBP, after=first[-1].id, limit=3))

    assert [each.id for each in (*first, *second)] == ids


def test_a_nonce_is_spent_once_for_each_partner(storage: Storage) -> None:
    until = NOW + timedelta(seconds=330)
    claim(storage, CBP, b"one", until=until)
    claim(storage, IGM, b"one", until=until)

    for signature in (b"one", b"two"):
        with pytest.raises(Replayed):
            claim(storage, CBP, signature, until=until)


def test_one_nonce_twice_in_one_statement_is_a_replay(storage: Storage) -> None:
    with pytest.raises(Replayed):
        claim(storage, CBP, b"one", b"two", until=NOW)
    claim(storage, CBP, b"one", until=NOW)


def test_several_submissions_go_in_together_or_not_at_all(storage: Storage) -> None:
    stands = insert(storage)
    both = [kept(key="key-0000000000000001"), kept(key="key-0000000000000002", partner_id=IGM)]

    stored = storage.write(lambda tx: submissions.insert_submissions(tx, both))

    assert [each.partner_id for each in stored] == [CBP, IGM]
    for each in stored:
        assert storage.read(lambda tx, e=each: submissions.get_submission(tx, e.partner_id, e.id)) == each
    again = [kept(key="key-0000000000000003"), kept(key=stands.idempotency_key)]
    with pytest.raises(StorageUnavailable):
        storage.write(lambda tx: submissions.insert_submissions(tx, again))
    assert storage.read(lambda tx: submissions.find_by_idempotency(tx, CBP, "key-0000000000000003")) is None


def test_nonces_are_forgotten_only_when_their_window_is_over(storage: Storage) -> None:
    claim(storage, CBP, b"one", until=NOW)

    assert storage.write(lambda tx: submissions.forget_nonces(tx, before=NOW)) == 0
    assert storage.write(lambda tx: submissions.forget_nonces(tx, before=NOW + timedelta(microseconds=1))) == 1


def test_partners_read_back_with_their_keys_and_status(storage: Storage) -> None:
    entry = partner_entry()
    key = SigningKey("keyid", "ed25519", b"der", NOW, None)
    storage.write(lambda tx: registry.add_partner(tx, entry))
    storage.write(lambda tx: registry.add_signing_key(tx, CBP, key))
    storage.write(lambda tx: registry.set_partner_status(tx, CBP, "suspended"))

    assert storage.read(lambda tx: registry.get_partner(tx, CBP)) == replace(entry, status="suspended")
    assert storage.read(lambda tx: registry.signing_keys(tx, CBP)) == (key,)


def test_what_nobody_knows_cannot_be_changed(storage: Storage) -> None:
    with pytest.raises(LookupError):
        storage.read(lambda tx: registry.get_partner(tx, CBP))
    with pytest.raises(LookupError):
        storage.write(lambda tx: registry.set_partner_status(tx, CBP, "active"))
    with pytest.raises(LookupError):
        storage.read(lambda tx: registry.get_officer(tx, "USA.O1"))
    with pytest.raises(LookupError):
        storage.write(lambda tx: registry.set_pin_status(tx, b"s" * 32, "withdrawn"))


def test_pins_name_one_partner_or_officer(storage: Storage) -> None:
    officer = registry.OfficerEntry("USA.O1", "USA", "A. Person", frozenset({"approver"}), "active", "k", b"der")
    of_partner = registry.Pin(b"p" * 32, CBP, None, b"der", NOW, "active")
    of_officer = registry.Pin(b"o" * 32, None, "USA.O1", b"der", NOW, "active")
    storage.write(lambda tx: registry.add_partner(tx, partner_entry()))
    storage.write(lambda tx: registry.add_officer(tx, officer))
    storage.write(lambda tx: registry.add_pin(tx, of_partner))
    storage.write(lambda tx: registry.add_pin(tx, of_officer))
    storage.write(lambda tx: registry.set_pin_status(tx, b"p" * 32, "withdrawn"))

    assert storage.read(lambda tx: registry.find_pin(tx, b"p" * 32)) == replace(of_partner, status="withdrawn")
    assert storage.read(lambda tx: registry.find_pin(tx, b"x" * 32)) is None
    assert storage.read(registry.officers) == [officer]
    assert storage.read(lambda tx: registry.get_officer(tx, "USA.O1")) == officer
    assert storage.read(lambda tx: registry.find_pin(tx, b"o" * 32)) == of_officer


def test_a_pin_of_an_unknown_partner_is_refused_by_the_database(storage: Storage) -> None:
    with pytest.raises(IntegrityError):
        storage.write(lambda tx: registry.add_pin(tx, registry.Pin(b"p" * 32, CBP, None, b"der", NOW, "active")))


def test_approvals_and_lifecycle_read_back_oldest_first(storage: Storage) -> None:
    later = registry.Approval("contract", "ab", "k1", "flow/1.0.0", "{}", NOW + timedelta(1))
    first = registry.Approval("contract", "ab", "k2", "flow/1.0.0", "{}", NOW)
    step = registry.LifecycleEntry("flow", "1.0.0", NOW, "active", None)
    storage.write(lambda tx: registry.add_approval(tx, later))
    storage.write(lambda tx: registry.add_approval(tx, first))
    storage.write(lambda tx: registry.add_lifecycle(tx, step))

    assert storage.read(registry.approvals) == [first, later]
    assert storage.write(lambda tx: registry.withdraw_approvals(tx, "ab", {"k1", "k3"})) == 1
    assert storage.read(registry.approvals) == [first]
    assert storage.read(registry.lifecycle_entries) == [step]
