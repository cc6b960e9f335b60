# SPDX-License-Identifier: Apache-2.0
"""fsck on both engines; this file is about a clean database being clean and every planted corruption being found."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.intake.retention import delete_expired
from gateway.review.findings import Defect
from gateway.review.fsck import fsck
from gateway.storage import log, tables
from gateway.storage.engine import Storage
from gateway.wire.note import sign_note
from tests.unit.auditlog.world import ORIGIN, SIGNER, VERIFIER, World
from tests.unit.review.archive import contracts, fill, found, found_after, submit
from tests.unit.storage.samples import BORDER_EVENT, CBP, row

FIRST_EVENT = "(SELECT event_id FROM leaf WHERE leaf_index = 3)"
LAST_SIGNED = "signed AND tree_size = (SELECT max(tree_size) FROM checkpoint)"


@pytest.fixture
def world(storage: Storage) -> World:
    return World(storage)


@pytest.fixture
def filled(world: World) -> World:
    world.submissions = fill(world)
    assert found(world.storage) == []
    return world


def test_a_database_without_a_log_is_told(storage: Storage) -> None:
    assert [finding.defect for finding in found(storage)] == [Defect.NO_LOG]


def test_a_running_gateway_is_clean_at_every_moment(world: World) -> None:
    """Pending and unsigned events are no defects."""
    assert found(world.storage) == []
    submit(world, BORDER_EVENT, [row(BORDER_EVENT)])
    assert found(world.storage) == []
    world.settle()
    assert found(world.storage) == []


def test_a_repeat_of_records_is_clean(world: World) -> None:
    record = row(BORDER_EVENT)
    submit(world, BORDER_EVENT, [record])
    submit(world, BORDER_EVENT, [record, row(BORDER_EVENT)])
    world.settle()

    assert found(world.storage) == []


def test_progress_is_told(filled: World) -> None:
    told: list[tuple[str, int]] = []

    assert list(fsck(filled.storage, contracts(), VERIFIER, progress=lambda *step: told.append(step))) == []
    assert ("leaves", 300) in told


def test_deleted_records_leave_a_clean_database(filled: World) -> None:
    """A tombstone keeps the leaf hash, and with it the submission's root."""
    filled.clock.at += timedelta(days=365)

    assert delete_expired(filled.storage, contracts().shapes, clock=filled.clock) == 6
    filled.settle()
    assert found(filled.storage) == []

    flipped = found_after(filled.storage, "UPDATE tombstone SET leaf_hash = :hash WHERE line = 3", {"hash": bytes(32)})
    assert {finding.defect for finding in flipped} == {Defect.SUBMISSION_ROOT}


RECORDS = {
    "text column": ("UPDATE border_event_1 SET place_code = '9999' WHERE line = 3", {Defect.RECORD_LINE}),
    "integer column": ("UPDATE border_event_1 SET person_count = 9 WHERE line = 3", {Defect.RECORD_LINE}),
    "optional column": ("UPDATE border_event_1 SET outcome = 'OTHER' WHERE line = 3", {Defect.RECORD_LINE}),
    "cell": ("UPDATE flow_1 SET count = count + 1 WHERE line = 1", {Defect.RECORD_LINE}),
    "leaf hash": (
        "UPDATE border_event_1 SET leaf_hash = :hash WHERE line = 3",
        {Defect.RECORD_LINE, Defect.SUBMISSION_ROOT},
    ),
    "record gone": ("DELETE FROM border_event_1 WHERE line = 3", {Defect.SUBMISSION_COUNT, Defect.SUBMISSION_ROOT}),
    "records swapped": (
        "UPDATE border_event_1 SET line = CASE line WHEN 3 THEN 4 WHEN 4 THEN 3 ELSE line END",
        {Defect.SUBMISSION_ROOT},
    ),
    "line doubled": ("UPDATE border_event_1 SET line = 4 WHERE line = 3", {Defect.RECORD_DOUBLE}),
    "another submission": (
        "UPDATE flow_1 SET submission_id = '00000000-0000-7000-8000-000000000000'",
        {Defect.RECORD_WITHOUT_SUBMISSION, Defect.SUBMISSION_COUNT, Defect.SUBMISSION_ROOT},
    ),
    "submission gone": ("DELETE FROM submission WHERE partner_id = 'GTM.IGM'", {Defect.RECORD_WITHOUT_SUBMISSION}),
    "refused gone": ("DELETE FROM refused_record", {Defect.SUBMISSION_COUNT, Defect.SUBMISSION_ROOT}),
    "count": (
        "UPDATE submission SET accepted_count = accepted_count + 1 WHERE partner_id = 'GTM.IGM'",
        {Defect.SUBMISSION_COUNT, Defect.SUBMISSION_EVENT},
    ),
    "root": (
        "UPDATE submission SET root_accepted = :hash WHERE partner_id = 'GTM.IGM'",
        {Defect.SUBMISSION_ROOT, Defect.SUBMISSION_EVENT},
    ),
    "root of all": (
        "UPDATE submission SET root_received = :hash WHERE partner_id = 'GTM.IGM'",
        {Defect.SUBMISSION_ROOT, Defect.SUBMISSION_EVENT},
    ),
    "signature": ("UPDATE submission SET signature = :hash WHERE partner_id = 'GTM.IGM'", {Defect.SUBMISSION_EVENT}),
    "superseded by a stranger": (
        "UPDATE border_event_1 SET superseded_by = (SELECT event_id FROM border_event_1 WHERE line = 3) WHERE line = 4",
        {Defect.CORRECTION},
    ),
}
LOG = {
    "entry": ("UPDATE leaf SET entry = :entry WHERE leaf_index = 3", {Defect.LEAF_HASH, Defect.LEAF_ENTRY}),
    "leaf hash": ("UPDATE leaf SET leaf_hash = :hash WHERE leaf_index = 3", {Defect.LEAF_HASH}),
    "leaf gone": ("DELETE FROM leaf WHERE leaf_index = 3", {Defect.LEAF_MISSING, Defect.EVENT_WITHOUT_PLACE}),
    "last leaf gone": ("DELETE FROM leaf WHERE leaf_index = 299", {Defect.LEAF_MISSING, Defect.EVENT_WITHOUT_PLACE}),
    "leaf doubled": (
        "INSERT INTO leaf SELECT 300, 'other', entry, leaf_hash FROM leaf WHERE leaf_index = 3",
        {Defect.LEAF_BEYOND_HEAD, Defect.LEAF_WITHOUT_EVENT},
    ),
    "event gone": (f"DELETE FROM event WHERE id = {FIRST_EVENT}", {Defect.LEAF_WITHOUT_EVENT, Defect.SUBMISSION_EVENT}),
    "event pending again": (
        f"INSERT INTO pending_event SELECT partner_id, id FROM event WHERE id = {FIRST_EVENT}",
        {Defect.EVENT_PLACED_AND_PENDING},
    ),
    "event rewritten": (
        f"UPDATE event SET entry = :entry WHERE id = {FIRST_EVENT}",
        {Defect.LEAF_ENTRY, Defect.EVENT_CONTENT},
    ),
    "field rewritten": (
        f"UPDATE event SET fields = replace(fields, 'GTM.IGM', 'MEX.INM') WHERE id = {FIRST_EVENT}",
        {Defect.EVENT_CONTENT, Defect.SUBMISSION_EVENT},
    ),
    "field cut": (
        f"UPDATE event SET fields = '[' WHERE id = {FIRST_EVENT}",
        {Defect.EVENT_CONTENT, Defect.SUBMISSION_EVENT},
    ),
    "partner rewritten": (f"UPDATE event SET partner_id = 'MEX.INM' WHERE id = {FIRST_EVENT}", {Defect.EVENT_COLUMNS}),
    "kind rewritten": (
        f"UPDATE event SET kind = 'search.run' WHERE id = {FIRST_EVENT}",
        {Defect.EVENT_COLUMNS, Defect.SUBMISSION_EVENT},
    ),
    "time rewritten": (
        f"UPDATE event SET at = '2020-01-01T00:00:00.000000Z' WHERE id = {FIRST_EVENT}",
        {Defect.EVENT_COLUMNS},
    ),
    "hidden from its country": (f"DELETE FROM event_audience WHERE event_id = {FIRST_EVENT}", {Defect.EVENT_AUDIENCE}),
    "shown to another country": (
        f"INSERT INTO event_audience (country, event_id) SELECT 'MEX', id FROM event WHERE id = {FIRST_EVENT}",
        {Defect.EVENT_AUDIENCE},
    ),
    "tile gone": ("DELETE FROM tile", {Defect.TILE_MISSING}),
    "tile flipped": ("UPDATE tile SET hashes = :tile", {Defect.TILE_CONTENT}),
    "tile too many": ("INSERT INTO tile (level, tile_index, hashes) VALUES (0, 1, :tile)", {Defect.TILE_EXTRA}),
    "head root": ("UPDATE log_head SET root = :hash", {Defect.HEAD}),
    "head edge": ("UPDATE log_head SET edge = :tile", {Defect.HEAD}),
    "checkpoint root": (f"UPDATE checkpoint SET root = :hash WHERE {LAST_SIGNED}", {Defect.CHECKPOINT_ROOT}),
    "old checkpoint root": ("UPDATE checkpoint SET root = :hash WHERE NOT signed", {Defect.CHECKPOINT_ROOT}),
    "checkpoint unsigned": (
        f"UPDATE checkpoint SET note = replace(note, '— ', '— x') WHERE {LAST_SIGNED}",
        {Defect.CHECKPOINT_SIGNATURE},
    ),
    "checkpoint of another tree": (f"UPDATE checkpoint SET note = :note WHERE {LAST_SIGNED}", {Defect.CHECKPOINT_ROOT}),
    "checkpoint ahead": (f"UPDATE checkpoint SET tree_size = 999 WHERE {LAST_SIGNED}", {Defect.CHECKPOINT_SIZE}),
}
VALUES = {
    "hash": bytes(32),
    "tile": bytes(8192),
    "entry": b'{"at":"2026-11-24T02:00:00.123456Z"}',
    "note": sign_note(f"{ORIGIN}\n300\n{'A' * 43}=\n", SIGNER, ORIGIN).decode(),
}


def test_every_single_corruption_is_found(filled: World, subtests: pytest.Subtests) -> None:
    """Each is planted alone, in a transaction that is undone."""
    for name, (statement, defects) in (RECORDS | LOG).items():
        used = {key: value for key, value in VALUES.items() if f":{key}" in statement}
        with subtests.test(name):
            assert defects <= {finding.defect for finding in found_after(filled.storage, statement, used)}
    assert found(filled.storage) == []


def test_a_finding_names_the_place_and_no_value(filled: World) -> None:
    findings = found_after(filled.storage, "UPDATE border_event_1 SET place_code = 'SECRETVALUE' WHERE line = 3", {})

    assert [str(finding) for finding in findings] == [
        f"record-line at submission {CBP} {filled.submissions[0]} line 3: in border_event_1"
    ]


def test_an_erased_event_is_clean(filled: World) -> None:
    """Erasure takes values and key; the log holds without them."""
    assert found_after(filled.storage, "UPDATE event SET personal = NULL, personal_key = NULL", {}) == []


def test_fsck_changes_nothing(filled: World) -> None:
    before = filled.storage.read(lambda tx: tx.connection.execute(tables.event.select()).all())
    size = filled.storage.read(log.get_head).size
    found(filled.storage)

    assert filled.storage.read(lambda tx: tx.connection.execute(tables.event.select()).all()) == before
    assert filled.storage.read(log.get_head).size == size
