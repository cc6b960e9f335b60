# SPDX-License-Identifier: Apache-2.0
"""Where personal data may lie, and how long already; this file is about the privacy inventory.

It prints counts and oldest dates, never a row. What is not in the database is named in `ELSEWHERE`, so that the
list is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.storage.engine import Storage
from gateway.storage.holdings import holdings
from gateway.trip import TableShape


@dataclass(frozen=True, slots=True)
class Kept:
    """What one table holds: `why` says what may be personal in it, and when it goes."""

    table: str
    why: str
    count: int
    oldest: str | None


WHY: Mapping[str, str] = {
    "submission": "who sent what and when; signature and key of an agency, no record",
    "event": "who acted; officers are persons, and their id lies under the event's erasable key",
    "tombstone": "leaf hash and place of a deleted record, without its id",
    "nonce": "a partner's nonces until their signature's window is over",
    "partner": "government bodies, not persons",
    "refused_record": "line, code and leaf hash of records that were not kept; no value",
    "officer": "persons with a role of their government, by name",
}
AGGREGATES = "published counts; small cells may concern few people"
PERSONS = "one administrative act each: personal data until the record's retention_until, then a tombstone"
ELSEWHERE: Mapping[str, str] = {
    "spool files": "bodies over 8 MiB, unlinked when opened, gone with the answer",
    "outbox of the sender": "on the agency's side, until the receipt",
    "backups": "at most 35 days",
}


def inventory(storage: Storage, shapes: tuple[TableShape, ...]) -> list[Kept]:
    """Return what each table holds that may concern a person."""
    held = storage.read(lambda tx: holdings(tx, shapes))
    products = {shape.table_name: PERSONS if shape.retention_column else AGGREGATES for shape in shapes}
    return [Kept(entry.table, {**products, **WHY}[entry.table], entry.rows, entry.oldest) for entry in held]
