# SPDX-License-Identifier: Apache-2.0
"""What was accepted; this file is about submissions, their refused records and the nonces of their signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, Table, bindparam, delete, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.errors import Replayed
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


def claim_nonce(tx: Tx, partner_id: str, value: str, signature: bytes, expires_at: datetime) -> None:
    """Spend a nonce; on PostgreSQL a second claim waits for the first transaction's end.

    Raises:
        Replayed: when it was spent before.
    """
    values = {
        "partner_id": partner_id,
        "nonce": value,
        "signature_sha256": hashlib.sha256(signature).digest(),
        "expires_at": expires_at,
    }
    if tx.connection.execute(_insert_new(tx.dialect, nonce), values).first() is None:
        raise Replayed


def forget_nonces(tx: Tx, *, before: datetime) -> int:
    """Delete the nonces of signatures whose window is over, and return how many there were."""
    return tx.connection.execute(delete(nonce).where(nonce.c.expires_at < before)).rowcount


def insert_submission(  # noqa: PLR0913 - each is one fact that only the transaction knows
    tx: Tx,
    valid: ValidSubmission,
    permit: Permit,
    *,
    submission_id: str,
    event_id: str,
    accepted_count: int,
    duplicate_count: int,
    refused: Sequence[RefusedRecord],
    root_accepted: bytes,
) -> StoredSubmission:
    """Insert an accepted submission with its refused records, and return it as a repeat will find it."""
    envelope = valid.envelope
    stored = StoredSubmission(
        partner_id=envelope.partner.id,
        id=submission_id,
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
        accepted_count=accepted_count,
        duplicate_count=duplicate_count,
        refused_count=len(refused),
        quarantined_count=0,
        root_received=valid.root,
        root_accepted=root_accepted,
        policies=permit.policies,
        policy_set_digest=permit.policy_set_digest,
        event_id=event_id,
        keyid=envelope.keyid,
        algorithm=envelope.algorithm,
        signature_base=envelope.signature_base,
        signature=envelope.signature,
    )
    values = {name: getattr(stored, name) for name in StoredSubmission.__slots__}
    if tx.connection.execute(_insert_new(tx.dialect, submission), values).first() is None:
        # The same key was accepted while this transaction ran: run again, and find it as a repeat.
        raise WriteConflict
    if refused:
        of = {"partner_id": stored.partner_id, "submission_id": stored.id}
        kept = [{name: getattr(record, name) for name in _KEPT_OF_REFUSED} for record in refused]
        tx.connection.execute(insert(refused_record), [values | of for values in kept])
    return stored


def find_by_idempotency(tx: Tx, partner_id: str, key: str) -> StoredSubmission | None:
    """Return what a partner's idempotency key was accepted for, or None."""
    row = tx.connection.execute(_BY_KEY, {"partner": partner_id, "key": key}).first()
    return None if row is None else StoredSubmission(*row)


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


@cache
def _insert_new(dialect: str, table: Table) -> Any:
    """Return the statement that inserts a row unless its key stands, and returns a row if it did; built once."""
    statement: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_nothing().returning(literal(1))


def _submissions() -> Select[*tuple[Any, ...]]:
    return select(*(submission.c[name] for name in StoredSubmission.__slots__))


_BY_KEY = _submissions().where(
    submission.c.partner_id == bindparam("partner"), submission.c.idempotency_key == bindparam("key")
)


def _one(tx: Tx, statement: Select[*tuple[Any, ...]]) -> StoredSubmission | None:
    row = tx.connection.execute(statement).first()
    return None if row is None else StoredSubmission(*row)
