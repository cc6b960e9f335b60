# SPDX-License-Identifier: Apache-2.0
"""What was accepted; this file is about submissions, their refused records and the nonces of their signatures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, bindparam, delete, insert, select, tuple_

from gateway.errors import Replayed
from gateway.storage.bulk import insert_new
from gateway.storage.engine import Tx, WriteConflict
from gateway.storage.tables import nonce, refused_record, submission
from gateway.trip import Permit, RefusedRecord, ValidSubmission

PAGE_MAX = 1000
# Not the id: it is a value of the record, and hash and id together would let the other few be guessed.
_KEPT_OF_REFUSED = ("line", "pointer", "code", "leaf_hash", "en", "es")


@dataclass(frozen=True, slots=True)
class StoredSubmission:
    """A submission as it was accepted; it never changes."""

    partner_id: str
    id: str
    idempotency_key: str
    path: str
    content_digest: bytes
    decoded_digest: bytes
    body_bytes: int
    product: str
    version: str
    contract_digest: str
    nil_period: str | None
    received_at: datetime
    received_count: int
    accepted_count: int
    duplicate_count: int
    refused_count: int
    quarantined_count: int
    root_received: bytes
    root_accepted: bytes
    policies: tuple[str, ...]
    policy_set_digest: str
    event_id: str
    keyid: str
    algorithm: str
    signature_base: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SpentNonce:
    """A nonce as it is spent: by which signature, and until when that could come back."""

    partner_id: str
    nonce: str
    signature_sha256: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What the write transaction decided about a submission, on its way into its row."""

    valid: ValidSubmission
    permit: Permit
    submission_id: str
    event_id: str
    accepted_count: int
    duplicate_count: int
    refused: Sequence[RefusedRecord]
    root_accepted: bytes


def claim_nonces(tx: Tx, spent: Sequence[SpentNonce]) -> None:
    """Spend nonces; on PostgreSQL a second claim waits for the first transaction's end.

    Raises:
        Replayed: when one of them was spent before.
    """
    if _insert_new(tx, nonce, spent) < len(spent):
        raise Replayed


def forget_nonces(tx: Tx, *, before: datetime) -> int:
    """Delete the nonces of signatures whose window is over, and return how many there were."""
    return tx.connection.execute(delete(nonce).where(nonce.c.expires_at < before)).rowcount


def insert_submissions(tx: Tx, kept: Sequence[Kept]) -> list[StoredSubmission]:
    """Insert accepted submissions with their refused records, and return each as a repeat will find it.

    Raises:
        WriteConflict: when a key was accepted while this transaction ran: run again, it is found as a repeat.
    """
    stored = [_stored(each) for each in kept]
    if _insert_new(tx, submission, stored) < len(stored):
        raise WriteConflict
    refused = [
        {
            "partner_id": of.partner_id,
            "submission_id": of.id,
            **{name: getattr(record, name) for name in _KEPT_OF_REFUSED},
        }
        for of, each in zip(stored, kept, strict=True)
        for record in each.refused
    ]
    if refused:
        tx.connection.execute(insert(refused_record), refused)
    return stored


def find_by_idempotency(tx: Tx, partner_id: str, key: str) -> StoredSubmission | None:
    """Return what a partner's idempotency key was accepted for, or None."""
    row = tx.connection.execute(_BY_KEY, {"partner": partner_id, "key": key}).first()
    return None if row is None else StoredSubmission(*row)


def keys_that_stand(tx: Tx, keys: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of some (partner, idempotency key) that something was accepted for."""
    rows = tx.connection.execute(_STANDING, {"keys": list(keys)})
    return [(row[0], row[1]) for row in rows]


def get_submission(tx: Tx, partner_id: str, submission_id: str) -> StoredSubmission | None:
    """Return a partner's own submission, or None: another partner's looks like none at all."""
    c = submission.c
    return _one(tx, _submissions().where(c.partner_id == partner_id, c.id == submission_id))


def list_submissions(tx: Tx, partner_id: str, *, after: str = "", limit: int = 100) -> list[StoredSubmission]:
    """Return a page of a partner's submissions, oldest first, from behind the id `after`."""
    c = submission.c
    statement = _submissions().where(c.partner_id == partner_id, c.id > after).order_by(c.id)
    return [StoredSubmission(*row) for row in tx.connection.execute(statement.limit(min(limit, PAGE_MAX)))]


def refused_of(
    tx: Tx, partner_id: str, submission_id: str, *, after_line: int = -1, limit: int | None = None
) -> tuple[RefusedRecord, ...]:
    """Return the refused records of a submission in the order sent, from behind the line `after_line`."""
    c = refused_record.c
    statement = (
        select(*(c[name] for name in _KEPT_OF_REFUSED))
        .where(c.partner_id == partner_id, c.submission_id == submission_id, c.line > after_line)
        .order_by(c.line)
        .limit(limit)
    )
    return tuple(RefusedRecord(record_id=None, **row) for row in tx.connection.execute(statement).mappings())


def _insert_new(tx: Tx, table: Table, rows: Sequence[StoredSubmission | SpentNonce]) -> int:
    """Insert rows whose keys are new and return how many those were."""
    return insert_new(tx, table, [{name: getattr(row, name) for name in row.__slots__} for row in rows])


def _stored(kept: Kept) -> StoredSubmission:
    valid, permit, envelope = kept.valid, kept.permit, kept.valid.envelope
    return StoredSubmission(
        partner_id=envelope.partner.id,
        id=kept.submission_id,
        idempotency_key=envelope.idempotency_key,
        path=envelope.path,
        content_digest=envelope.content_digest,
        decoded_digest=envelope.decoded_digest,
        body_bytes=envelope.body_bytes,
        product=valid.contract.product,
        version=valid.contract.version,
        contract_digest=valid.contract.digest,
        nil_period=valid.nil_period,
        received_at=envelope.received_at,
        received_count=valid.received_count,
        accepted_count=kept.accepted_count,
        duplicate_count=kept.duplicate_count,
        refused_count=len(kept.refused),
        quarantined_count=0,
        root_received=valid.root,
        root_accepted=kept.root_accepted,
        policies=permit.policies,
        policy_set_digest=permit.policy_set_digest,
        event_id=kept.event_id,
        keyid=envelope.keyid,
        algorithm=envelope.algorithm,
        signature_base=envelope.signature_base,
        signature=envelope.signature,
    )


def _submissions() -> Select[*tuple[Any, ...]]:
    return select(*(submission.c[name] for name in StoredSubmission.__slots__))


_BY_KEY = _submissions().where(
    submission.c.partner_id == bindparam("partner"), submission.c.idempotency_key == bindparam("key")
)

_STANDING = select(submission.c.partner_id, submission.c.idempotency_key).where(
    tuple_(submission.c.partner_id, submission.c.idempotency_key).in_(bindparam("keys", expanding=True))
)


def _one(tx: Tx, statement: Select[*tuple[Any, ...]]) -> StoredSubmission | None:
    row = tx.connection.execute(statement).first()
    return None if row is None else StoredSubmission(*row)
