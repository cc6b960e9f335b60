# SPDX-License-Identifier: Apache-2.0
"""Event to signed checkpoint on both engines; this file is about the life of the log, audited after every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.auditlog import tiles
from gateway.auditlog.create import create_log
from gateway.auditlog.publisher import TreeInconsistent
from gateway.auditlog.receipts import ReceiptPending, receipt_of
from gateway.auditlog.sequencer import BATCH_EVENTS_MAX, append_pending, sequence
from gateway.errors import NotFound
from gateway.storage import log, tables
from gateway.storage.engine import Storage
from gateway.wire.receipt import verify_receipt
from tests.unit.auditlog.auditor import Auditor
from tests.unit.auditlog.world import ORIGIN, POLICY, START, VERIFIER, World


@pytest.fixture
def world(storage: Storage) -> World:
    return World(storage)


def test_a_log_begins_once_and_its_first_entry_names_it(world: World) -> None:
    """A second log under the same name would be a fork."""
    world.settle()
    first = world.storage.read(lambda tx: log.leaves(tx, 0, 1))[0]
    receipt = world.storage.read(lambda tx: receipt_of(tx, first.event_id, policy=POLICY))

    assert Auditor(world.storage, VERIFIER).audit().origin == ORIGIN
    verified = verify_receipt(receipt, policy=POLICY)
    assert (verified.fields["kind"], verified.fields["origin"]) == ("log.started", ORIGIN)
    with pytest.raises(log.LogExists):
        world.storage.write(lambda tx: create_log(tx, ORIGIN, START))


def test_a_database_without_a_log_starts_none(storage: Storage) -> None:
    with pytest.raises(log.LogMissing):
        storage.write(lambda tx: append_pending(tx, at=START))
    with pytest.raises(NotFound):
        storage.read(tiles.checkpoint_bytes)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (254, 1, 1, 1), (300, 212, 1, 260)])
def test_every_step_extends_the_step_before(world: World, sizes: tuple[int, ...]) -> None:
    auditor = Auditor(world.storage, VERIFIER)
    seen: list[object] = []
    for count in sizes:
        world.record_many(count)
        world.settle()
        auditor.audit()

        rows = auditor.untouched_rows()
        assert [row for row in seen if row not in rows] == []
        seen = rows
    assert auditor.audit().tree_size == 1 + sum(sizes)


def test_a_batch_has_a_bound_and_the_next_pass_takes_the_rest(world: World) -> None:
    world.record_many(BATCH_EVENTS_MAX + 5)

    assert sequence(world.storage, world.clock) == BATCH_EVENTS_MAX
    assert sequence(world.storage, world.clock) == 6
    assert sequence(world.storage, world.clock) == 0


def test_an_event_that_rolls_back_leaves_nothing(world: World) -> None:
    world.settle()

    def fail(tx: object) -> None:
        world.record_in(tx)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        world.storage.write(fail)

    world.settle()
    assert Auditor(world.storage, VERIFIER).audit().tree_size == 1


def test_every_event_has_a_receipt_that_verifies_and_says_what_was_recorded(world: World) -> None:
    ids = world.record_many(300)
    pending = world.record()
    with pytest.raises(ReceiptPending):
        world.storage.read(lambda tx: receipt_of(tx, pending, policy=POLICY))

    world.settle()
    for event_id in [*ids[::29], ids[-1], pending]:
        verified = verify_receipt(
            world.storage.read(lambda tx, i=event_id: receipt_of(tx, i, policy=POLICY)), policy=POLICY
        )
        assert verified.event_id == event_id
        assert verified.fields["reason"] == "unknown-partner"
        assert verified.fields["audience"] == ["MEX"]
        assert verified.tree_size == 302
        assert verified.status == "unwitnessed"


def test_a_sequenced_event_that_is_not_signed_yet_has_no_receipt(world: World) -> None:
    event_id = world.record()
    sequence(world.storage, world.clock)

    with pytest.raises(ReceiptPending):
        world.storage.read(lambda tx: receipt_of(tx, event_id, policy=POLICY))


def test_only_what_the_newest_checkpoint_covers_is_served(world: World) -> None:
    world.record_many(299)
    world.settle()
    world.record_many(300)
    sequence(world.storage, world.clock)  # unsigned

    read = world.storage.read
    assert len(read(lambda tx: tiles.tile_bytes(tx, level=0, index=0))) == 256 * 32
    assert len(read(lambda tx: tiles.tile_bytes(tx, level=0, index=1, width=44))) == 44 * 32
    assert len(read(lambda tx: tiles.tile_bytes(tx, level=1, index=0, width=1))) == 32
    for level, index, width in [
        (0, 1, 45),
        (0, 1, 256),
        (0, 2, 1),
        (1, 0, 2),
        (2, 0, 1),
        (0, 0, 0),
        (0, -1, 1),
        (64, 0, 1),
    ]:
        with pytest.raises(NotFound):
            read(lambda tx, k=(level, index, width): tiles.tile_bytes(tx, level=k[0], index=k[1], width=k[2]))
    with pytest.raises(NotFound):
        read(lambda tx: tiles.entries_bytes(tx, index=1, width=45))


def test_an_idle_log_is_signed_again_only_when_asked(world: World) -> None:
    world.settle()

    assert world.publisher.publish() is None
    again = world.publisher.publish(again=True)
    assert again is not None
    assert again.proofs == {}
    assert Auditor(world.storage, VERIFIER).audit().tree_size == 1


def test_a_restarted_publisher_goes_on_from_what_it_signed(world: World) -> None:
    auditor = Auditor(world.storage, VERIFIER)
    for count in (255, 1, 1, 700):
        world.record_many(count)
        world.settle()
        auditor.audit()
        world.publisher = world.new_publisher()

    assert auditor.audit().tree_size == 958


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("corruption", ["entry", "hash", "gap", "root", "edge", "shrunk"])
def test_a_tree_that_does_not_hold_is_not_signed(world: World, corruption: str, restarted: bool) -> None:
    """A bit flip in a stored leaf once killed a public log."""
    world.record_many(300)
    world.settle()
    before = Auditor(world.storage, VERIFIER).audit()
    world.record_many(20)
    sequence(world.storage, world.clock)
    new = tables.leaf.c.leaf_index == 310
    statements = {
        "entry": tables.leaf.update().where(new).values(entry=b"{}"),
        "hash": tables.leaf.update().where(new).values(leaf_hash=bytes(32)),
        "gap": tables.leaf.delete().where(new),
        "root": tables.log_head.update().values(root=bytes(32)),
        "edge": tables.log_head.update().values(edge=bytes(32 * (321 - 256 + 1)), size=321),
        "shrunk": tables.log_head.update().values(size=256 + 1, edge=bytes(64)),
    }
    world.storage.write(lambda tx: tx.connection.execute(statements[corruption]))
    publisher = world.new_publisher() if restarted else world.publisher

    if corruption == "edge" and not restarted:
        # The edge is not what is signed; but the next append would build on it, and its root will not be ours.
        publisher.publish()
        world.record()
        sequence(world.storage, world.clock)
    with pytest.raises(TreeInconsistent):
        publisher.publish()
    with pytest.raises(TreeInconsistent):
        world.new_publisher().publish()
    newest = world.storage.read(log.latest_checkpoint)
    assert newest is not None
    assert newest.tree_size == (321 if corruption == "edge" and not restarted else before.tree_size)


def test_a_checkpoint_that_another_key_signed_is_no_ground_to_go_on(world: World) -> None:
    world.settle()
    world.storage.write(
        lambda tx: tx.connection.execute(
            tables.checkpoint.update().where(tables.checkpoint.c.signed).values(note="gateway.test/log/2026\n1\n\n\n")
        )
    )
    world.record()
    sequence(world.storage, world.clock)

    with pytest.raises(TreeInconsistent):
        world.new_publisher().publish()


def test_a_key_of_another_origin_signs_nothing(world: World) -> None:
    world.settle()
    world.publisher = world.new_publisher()
    world.publisher._origin = "other.test/log/2026"
    world.record()
    sequence(world.storage, world.clock)

    with pytest.raises(TreeInconsistent):
        world.publisher.publish()


def test_nothing_of_a_value_is_in_the_tree(world: World) -> None:
    """The immutable part names no party and no kind."""
    world.record(partner_id="GTM.IGM")
    world.settle()

    entries = b"".join(Auditor(world.storage, VERIFIER).entries(2))
    assert b"GTM" not in entries
    assert b"refused" not in entries


def test_the_modules_of_the_log_have_no_sql() -> None:
    for path in Path("gateway/auditlog").glob("*.py"):
        assert "sqlalchemy" not in path.read_text()
