# SPDX-License-Identifier: Apache-2.0
"""The privacy inventory on both engines; this file is about every table being explained and counted."""

from __future__ import annotations

from gateway.review.inventory import PERSONS, inventory
from gateway.storage.engine import Storage
from tests.unit.auditlog.world import World
from tests.unit.review.archive import contracts, fill


def test_the_inventory_counts_what_is_kept_and_says_why(storage: Storage) -> None:
    fill(World(storage))

    kept = {entry.table: entry for entry in inventory(storage, contracts().shapes)}
    assert (kept["border_event_1"].count, kept["border_event_1"].why) == (6, PERSONS)
    assert kept["border_event_1"].oldest is not None
    assert (kept["flow_1"].count, kept["refused_record"].count, kept["submission"].count) == (2, 1, 3)
    assert kept["event"].count == 300
    assert all(entry.why for entry in kept.values())


def test_an_empty_database_has_an_inventory_too(storage: Storage) -> None:
    assert {entry.count for entry in inventory(storage, contracts().shapes)} == {0}
