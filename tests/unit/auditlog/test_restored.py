# SPDX-License-Identifier: Apache-2.0
"""A log that comes from a backup; this file is about signing nothing until it is known not to fork."""

from __future__ import annotations

import json

import pytest

from gateway.auditlog.keeper import KeeperStatus, LogKeeper
from gateway.auditlog.receipts import receipt_of
from gateway.auditlog.restored import RestoreRefused, confirm_restore
from gateway.auditlog.tiles import checkpoint_bytes
from gateway.errors import LogStalled
from gateway.storage import log
from gateway.storage.engine import Storage
from gateway.wire.checkpoint import format_checkpoint
from gateway.wire.note import sign_note
from tests.unit.auditlog.auditor import Auditor
from tests.unit.auditlog.test_keeper import until, wait
from tests.unit.auditlog.world import ORIGIN, POLICY, SIGNER, VERIFIER, World


@pytest.fixture
def world(storage: Storage) -> World:
    """A log of three entries, published, then marked as a restore leaves it."""
    world = World(storage)
    world.kept = world.record_many(2)
    world.settle()
    storage.write(lambda tx: log.mark_restored(tx, world.clock.now()))
    return world


def confirm(world: World, newest: bytes | None) -> str:
    return world.storage.write(
        lambda tx: confirm_restore(tx, newest, [VERIFIER], audience=frozenset({"MEX"}), at=world.clock.now())
    )


def signed(world: World) -> int:
    return len([row for row in world.storage.read(lambda tx: log.checkpoints(tx, start=0, end=99)) if row.note])


def checkpoint(size: int, root: bytes = bytes(32), origin: str = ORIGIN) -> bytes:
    return sign_note(format_checkpoint(origin, size, root), SIGNER, origin)


def test_a_restored_log_is_neither_signed_nor_grown(world: World) -> None:
    """The publisher is the one that holds the key: it looks for itself, whoever runs it."""
    before = signed(world)
    world.record()

    with pytest.raises(log.LogRestored):
        world.new_publisher().publish(again=True)
    assert signed(world) == before


def test_a_keeper_over_a_restored_log_accepts_nothing_until_it_is_confirmed(world: World) -> None:
    keeper = LogKeeper(world.storage, SIGNER, ORIGIN, world.clock)
    keeper.start()
    try:
        # From the first moment, not from the first pass.
        assert keeper.state.status is KeeperStatus.RESTORED
        with pytest.raises(LogStalled):
            keeper.check()
        waiting = world.record()
        keeper.wake()
        assert world.storage.read(lambda tx: log.leaf_of_event(tx, waiting)) is None

        event_id = confirm(world, world.storage.read(checkpoint_bytes))
        wait(keeper, event_id)
        until(lambda: keeper.state.status is KeeperStatus.RUNNING)
        keeper.check()
        wait(keeper, waiting)
    finally:
        keeper.close()
    Auditor(world.storage, VERIFIER).audit()


@pytest.mark.parametrize("form", ["checkpoint", "proof", "receipt"])
def test_what_was_signed_last_confirms_in_every_form_that_someone_holds(world: World, form: str) -> None:
    receipt = world.storage.read(lambda tx: receipt_of(tx, world.kept[0], policy=POLICY))
    note = world.storage.read(checkpoint_bytes)
    shown = {"checkpoint": note, "proof": receipt["proof"].encode(), "receipt": json.dumps(receipt).encode()}[form]

    event_id = confirm(world, shown)

    event = world.storage.read(lambda tx: log.get_event(tx, event_id))
    assert event is not None
    assert event.kind == "log.restored"
    fields = json.loads(event.fields)
    assert (fields["tree_size"], fields["compared_size"]) == (3, 3)
    world.new_publisher().publish(again=True)


def test_the_operators_word_alone_stands_as_such_in_the_log(world: World) -> None:
    event_id = confirm(world, None)

    event = world.storage.read(lambda tx: log.get_event(tx, event_id))
    assert event is not None
    assert "compared_size" not in json.loads(event.fields)


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (checkpoint(4), "would fork"),
        (checkpoint(3), "another root"),
        (checkpoint(2, bytes(31) + b"x"), "another root"),
        (checkpoint(3, origin="other.test/log/2026"), "no checkpoint signed"),
        (checkpoint(3)[:-9] + b"AAAAAAA=\n", "no checkpoint signed"),
        (b"{}", "no checkpoint signed"),
        (b"c2sp.org/tlog-proof@v1\n", "no checkpoint signed"),
        (b"\xff", "no checkpoint signed"),
    ],
)
def test_a_checkpoint_that_is_ahead_or_forked_or_nobodys_confirms_nothing(world: World, shown: bytes, why: str) -> None:
    with pytest.raises(RestoreRefused, match=why):
        confirm(world, shown)

    with pytest.raises(log.LogRestored):
        world.new_publisher().publish(again=True)


def test_a_log_that_was_not_restored_needs_no_confirmation(sqlite_storage: Storage) -> None:
    world = World(sqlite_storage)

    with pytest.raises(RestoreRefused, match="waits for no confirmation"):
        confirm(world, None)
