# SPDX-License-Identifier: Apache-2.0
"""What is stored, save the records themselves; this file is about tables, the same on both engines.

Instants are text in the six-decimal UTC form of `clock.format_instant` on both engines: it sorts as time does, and no
session setting can shift it. `partner_id` comes first in every key of a table of partners, so that one's rows can live
on one node. Tables of data products are generated, see `products.py` and `publication.py`.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import BigInteger, Dialect, Index, String, Table, Text, UniqueConstraint, text
from sqlalchemy.orm import declared_attr
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from gateway.clock import format_instant

IS_READ = "kind = 'aggregate.read'"
IS_FLOW = "product = 'flow'"


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, stored as text with six decimals."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else format_instant(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        del dialect
        # Not parse_instant: strptime is ten times slower, and what is read here was written above.
        return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


class Texts(TypeDecorator[tuple[str, ...]]):
    """Some texts, stored as a JSON list."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else json.dumps(list(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        del dialect
        return None if value is None else tuple(json.loads(value))


class TextSet(TypeDecorator[frozenset[str]]):
    """Some texts in no order, stored as a sorted JSON list."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: frozenset[str] | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else json.dumps(sorted(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> frozenset[str] | None:
        del dialect
        return None if value is None else frozenset(json.loads(value))


class Stored(SQLModel):
    """What all tables share: their names in SQL are those of their classes, `PartnerKeyTable` is `partner_key`."""

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805 -- SQLAlchemy hands in the class
        """Return the name of the table."""
        return re.sub(r"\B(?=[A-Z])", "_", cls.__name__.removesuffix("Table")).lower()


class PartnerTable(Stored, table=True):
    """A government body."""

    id: str = Field(primary_key=True)
    country: str
    name: str
    status: str
    roles: frozenset[str] = Field(sa_type=TextSet)
    since: datetime = Field(sa_type=Instant)


class PartnerKeyTable(Stored, table=True):
    """A partner's public signing key."""

    partner_id: str = Field(primary_key=True, foreign_key="partner.id")
    keyid: str = Field(primary_key=True)
    algorithm: str
    public: bytes
    not_before: datetime = Field(sa_type=Instant)
    not_after: datetime | None = Field(sa_type=Instant)


class OfficerTable(Stored, table=True):
    """A person of a government."""

    id: str = Field(primary_key=True)
    country: str
    name: str
    roles: frozenset[str] = Field(sa_type=TextSet)
    status: str
    approval_keyid: str
    approval_public: bytes


class CertificatePinTable(Stored, table=True):
    """A client certificate that names a partner or an officer."""

    sha256: bytes = Field(primary_key=True)
    partner_id: str | None = Field(foreign_key="partner.id")
    officer_id: str | None = Field(foreign_key="officer.id")
    der: bytes
    not_after: datetime = Field(sa_type=Instant)
    status: str


class ApprovalTable(Stored, table=True):
    """One officer's signature under the digest of a contract, an agreement or rules, which stands in a change."""

    subject_kind: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    keyid: str = Field(primary_key=True)
    subject_id: str
    change_id: str
    at: datetime = Field(sa_type=Instant)


class LifecycleTable(Stored, table=True):
    """A step in the life of a contract version; the newest one counts."""

    product: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    at: datetime = Field(primary_key=True, sa_type=Instant)
    state: str
    sunset: datetime | None = Field(sa_type=Instant)


class SubmissionTable(Stored, table=True):
    """One accepted push: what was signed, what came of it, and the event that proves it."""

    __table_args__ = (
        UniqueConstraint("partner_id", "idempotency_key", name="submission_idempotency"),
        Index("submission_flow", "partner_id", "id", sqlite_where=text(IS_FLOW), postgresql_where=text(IS_FLOW)),
    )

    partner_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    idempotency_key: str
    path: str
    content_digest: bytes
    decoded_digest: bytes
    body_bytes: int = Field(sa_type=BigInteger)
    product: str
    version: str
    contract_digest: str
    nil_period: str | None
    received_at: datetime = Field(sa_type=Instant)
    received_count: int
    accepted_count: int
    duplicate_count: int
    refused_count: int
    quarantined_count: int
    root_received: bytes
    root_accepted: bytes
    policies: tuple[str, ...] = Field(sa_type=Texts)
    policy_set_digest: str
    event_id: str
    keyid: str
    algorithm: str
    signature_base: bytes
    signature: bytes


class NonceTable(Stored, table=True):
    """A nonce of a signature whose window is open, and which signature used it."""

    partner_id: str = Field(primary_key=True)
    nonce: str = Field(primary_key=True)
    signature_sha256: bytes
    expires_at: datetime = Field(sa_type=Instant, index=True)


class RefusedRecordTable(Stored, table=True):
    """A record that was not kept: which line, why, and its leaf hash; never its id or a value."""

    partner_id: str = Field(primary_key=True)
    submission_id: str = Field(primary_key=True)
    line: int = Field(primary_key=True)
    pointer: str
    code: str
    leaf_hash: bytes
    en: str
    es: str


class TombstoneTable(Stored, table=True):
    """What stays of a deleted record: its place and leaf hash, never its id."""

    partner_id: str = Field(primary_key=True)
    submission_id: str = Field(primary_key=True)
    line: int = Field(primary_key=True)
    product: str
    leaf_hash: bytes
    deleted_at: datetime = Field(sa_type=Instant)
    event_id: str


class RollupTable(Stored, table=True):
    """One cell of a small cube for own totals; the measure `` counts records, another sums that field."""

    partner_id: str = Field(primary_key=True)
    product: str = Field(primary_key=True)
    cube: str = Field(primary_key=True)
    cell: str = Field(primary_key=True)
    measure: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


class RollupDeltaTable(Stored, table=True):
    """A change of a cell that is not folded into its cube yet; `part` is the first line of the chunk."""

    partner_id: str = Field(primary_key=True)
    product: str = Field(primary_key=True)
    submission_id: str = Field(primary_key=True)
    part: int = Field(primary_key=True)
    cube: str = Field(primary_key=True)
    cell: str = Field(primary_key=True)
    measure: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


class EventTable(Stored, table=True):
    """An audit event with its values and the keys that salt them; erasing `personal_key` erases the values."""

    # Of reads there are few beside all else; the recall of a contested number asks for them alone.
    __table_args__ = (
        Index("event_request", "request_id"),
        Index("event_reads", "id", sqlite_where=text(IS_READ), postgresql_where=text(IS_READ)),
    )

    id: str = Field(primary_key=True)
    partner_id: str
    at: datetime = Field(sa_type=Instant)
    kind: str
    outcome: str
    request_id: str
    actor: str
    entry: bytes
    payload: bytes
    fields: str = Field(sa_type=Text)
    key: bytes
    personal: str | None = Field(sa_type=Text)
    personal_key: bytes | None


class EventAudienceTable(Stored, table=True):
    """Which country's officers may see an event."""

    country: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True, foreign_key="event.id")


class PendingEventTable(Stored, table=True):
    """An event that the sequencer has not appended yet."""

    partner_id: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True, index=True, foreign_key="event.id")


class LeafTable(Stored, table=True):
    """A leaf of the log, in order and without gaps."""

    leaf_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(unique=True, foreign_key="event.id")
    entry: bytes
    leaf_hash: bytes


class TileTable(Stored, table=True):
    """A full tile: 256 hashes of 32 bytes; never changed."""

    level: int = Field(primary_key=True)
    tile_index: int = Field(primary_key=True, sa_type=BigInteger)
    hashes: bytes


class LogHeadTable(Stored, table=True):
    """The one row that fences the sequencers: size, right edge and root of the tree."""

    origin: str = Field(primary_key=True)
    size: int = Field(sa_type=BigInteger)
    edge: bytes
    root: bytes
    created_at: datetime = Field(sa_type=Instant)


class CheckpointTable(Stored, table=True):
    """A size and root of the log; the sequencer's row has no note, the publisher adds a signed one of its own."""

    tree_size: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    signed: bool = Field(primary_key=True)
    at: datetime = Field(primary_key=True, sa_type=Instant)
    root: bytes
    note: str | None = Field(sa_type=Text)


class LogRestoreTable(Stored, table=True):
    """Has a row as long as this database comes from a backup and nobody has made sure that its log does not fork."""

    restored_at: datetime = Field(primary_key=True, sa_type=Instant)


class ContestTable(Stored, table=True):
    """A provider, or an officer of its country, says that published numbers of its own are wrong."""

    __table_args__ = (UniqueConstraint("partner_id", "idempotency_key", name="contest_idempotency"),)

    partner_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    idempotency_key: str
    digest: bytes
    subject: str
    cause: str
    first_period: str
    last_period: str
    since: datetime = Field(sa_type=Instant)
    opened_at: datetime = Field(sa_type=Instant)
    record_count: int
    event_id: str
    withdrawn_at: datetime | None = Field(sa_type=Instant)


class ContestedRecordTable(Stored, table=True):
    """A record whose number is contested now."""

    partner_id: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)
    contest_id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Instant)


class SubscriberTable(Stored, table=True):
    """How far a partner's notices have come: the last one made, and the last one that its webhook took."""

    partner_id: str = Field(primary_key=True)
    url: str | None
    last_number: int = Field(sa_type=BigInteger)
    delivered_number: int = Field(sa_type=BigInteger)
    attempts: int
    next_at: datetime = Field(sa_type=Instant)


class NoticeTable(Stored, table=True):
    """What a partner is told, numbered without gaps; it never changes."""

    partner_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    contest_id: str = Field(index=True)
    body: str = Field(sa_type=Text)


def _table(model: type[SQLModel]) -> Table:
    return cast("Table", model.__dict__["__table__"])


METADATA = SQLModel.metadata
partner = _table(PartnerTable)
partner_key = _table(PartnerKeyTable)
officer = _table(OfficerTable)
certificate_pin = _table(CertificatePinTable)
approval = _table(ApprovalTable)
lifecycle = _table(LifecycleTable)
submission = _table(SubmissionTable)
nonce = _table(NonceTable)
refused_record = _table(RefusedRecordTable)
tombstone = _table(TombstoneTable)
rollup = _table(RollupTable)
rollup_delta = _table(RollupDeltaTable)
event = _table(EventTable)
event_audience = _table(EventAudienceTable)
pending_event = _table(PendingEventTable)
leaf = _table(LeafTable)
tile = _table(TileTable)
log_head = _table(LogHeadTable)
checkpoint = _table(CheckpointTable)
log_restore = _table(LogRestoreTable)
contest = _table(ContestTable)
contested_record = _table(ContestedRecordTable)
subscriber = _table(SubscriberTable)
notice = _table(NoticeTable)
