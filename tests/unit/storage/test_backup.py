# SPDX-License-Identifier: Apache-2.0
"""Backups on both engines; this file is about one file that is whole or not there, and a restore into nothing only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import text

from gateway.auditlog.restored import confirm_restore
from gateway.errors import StorageUnavailable
from gateway.review.findings import silent
from gateway.storage import backup, log, snapshot
from gateway.storage.backup import BackupInvalid, Manifest, back_up, restore
from gateway.storage.engine import Storage, StorageInUse, open_storage, sqlite_file
from gateway.storage.snapshot import NotEmpty, SnapshotFailed, scratch
from gateway.wire.digests import b64
from tests.engines import PostgresServer, postgres_programs
from tests.programs import program
from tests.unit.auditlog.world import POLICY, World

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def programs() -> Path:
    return postgres_programs()


@pytest.fixture
def empty_url(database_url: str, postgresql_server: PostgresServer, tmp_path: Path) -> str:
    """An empty database on the engine of the test."""
    if sqlite_file(database_url) is None:
        return postgresql_server.fresh()
    return f"sqlite:///{tmp_path / 'restored.db'}"


@pytest.fixture
def world(database_url: str) -> World:
    """A log of three entries, two signed and one waiting."""
    storage = open_storage(database_url)
    world = World(storage)
    world.record_many(1)
    world.settle()
    world.record()
    return world


@pytest.fixture
def make(world: World, database_url: str, tmp_path: Path, programs: Path) -> Callable[[], tuple[Path, Manifest]]:
    def run() -> tuple[Path, Manifest]:
        file = tmp_path / "b.age"
        return file, back_up(database_url, file, [RECIPIENT], programs=programs, at=AT, progress=silent)

    return run


def put_back(file: Path, url: str, programs: Path, identity: str = str(IDENTITY)) -> Manifest:
    return restore(file, identity, url, programs=programs, at=AT, progress=silent)


def test_what_was_backed_up_is_restored_marked_and_goes_on_when_confirmed(
    world: World, make: Callable[[], tuple[Path, Manifest]], empty_url: str, programs: Path
) -> None:
    file, made = make()
    world.storage.close()

    assert put_back(file, empty_url, programs) == made
    head = (made.facts.tree_size, made.facts.schema)
    assert head == (2, "0007")
    storage = open_storage(empty_url)
    again = World.__new__(World)
    again.storage, again.clock = storage, world.clock
    assert storage.read(log.get_head).size == 2
    with pytest.raises(log.LogRestored):
        again.new_publisher().publish(again=True)
    assert made.facts.checkpoint
    newest = made.facts.checkpoint.encode()
    verifiers = [key.verifier for key in POLICY.logs]
    storage.write(lambda tx: confirm_restore(tx, newest, verifiers, audience=frozenset(), at=AT))
    again.publisher = again.new_publisher()
    again.settle()
    assert storage.read(log.standing).tree_size == 4
    storage.close()


def test_a_backup_is_of_one_moment_while_others_write(
    world: World,
    make: Callable[[], tuple[Path, Manifest]],
    empty_url: str,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is committed after the first page was read is not in it, on either engine."""
    whole = backup._archive

    def writing(*words: object) -> object:
        world.record_many(50)
        world.settle()
        return whole(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(backup, "_archive", writing)
    file, made = make()
    put_back(file, empty_url, programs)

    assert made.facts.tree_size == 2
    assert world.storage.read(log.get_head).size > 50
    world.storage.close()
    restored = open_storage(empty_url, read_only=True)
    assert restored.read(log.get_head).size == 2
    restored.close()


def test_the_file_tells_nothing_and_nothing_plain_is_left(
    world: World, make: Callable[[], tuple[Path, Manifest]], tmp_path: Path
) -> None:
    file, _ = make()
    world.storage.close()

    assert b"gateway.test" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    left = {path.name for path in tmp_path.iterdir()} - {"gateway.db", "gateway.db.lock", "gateway.db.backup.lock"}
    assert left == {"b.age"}


def test_nothing_is_restored_over_anything(
    world: World, database_url: str, make: Callable[[], tuple[Path, Manifest]], programs: Path
) -> None:
    file, _ = make()

    with pytest.raises(NotEmpty, match="empty"):
        put_back(file, database_url, programs)
    with pytest.raises(BackupInvalid, match="never overwritten"):
        make()

    assert world.storage.read(log.get_head).size == 2
    assert world.storage.read(log.restored_at) is None
    world.storage.close()


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "key", "no key", "empty", "noise"])
def test_a_backup_that_is_damaged_or_not_ours_leaves_the_database_empty(
    world: World, make: Callable[[], tuple[Path, Manifest]], empty_url: str, programs: Path, damage: str
) -> None:
    """And the right one can be restored into it then."""
    file, made = make()
    world.storage.close()
    good = file.read_bytes()
    changed = {
        "cut": good[: len(good) // 2],
        "flipped": good[:-40] + bytes([good[-40] ^ 1]) + good[-39:],
        "longer": good + b"x",
        "empty": b"",
        "noise": b"noise" * 100,
    }
    file.write_bytes(changed.get(damage, good))
    identity = {"key": str(pyrage.x25519.Identity.generate()), "no key": "secret"}.get(damage, str(IDENTITY))

    with pytest.raises(BackupInvalid):
        put_back(file, empty_url, programs, identity)

    file.write_bytes(good)
    assert put_back(file, empty_url, programs) == made


def test_the_other_engines_backup_is_refused(
    sqlite_url: str, postgresql_server: PostgresServer, tmp_path: Path, programs: Path
) -> None:
    world = World(open_storage(sqlite_url))
    file = tmp_path / "b.age"
    back_up(sqlite_url, file, [RECIPIENT], programs=None, at=AT, progress=silent)
    world.storage.close()

    with pytest.raises(SnapshotFailed, match="other engine"):
        put_back(file, postgresql_server.fresh(), programs)


def test_a_program_that_fails_leaves_no_backup_and_its_words(postgresql_url: str, tmp_path: Path) -> None:
    world = World(open_storage(postgresql_url))
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pg_dump").write_text("#!/bin/sh\nprintf PGDMP\necho disk is gone >&2\nexit 1\n")
    (folder / "pg_dump").chmod(0o755)

    for found, words in ((folder, "disk is gone"), (tmp_path, "install the PostgreSQL client")):
        with pytest.raises(SnapshotFailed, match=words):
            back_up(postgresql_url, tmp_path / "b.age", [RECIPIENT], programs=found, at=AT, progress=silent)
    world.storage.close()

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_recipient_that_is_none_and_two_at_once_are_refused(sqlite_url: str, tmp_path: Path) -> None:
    World(open_storage(sqlite_url)).storage.close()

    with pytest.raises(BackupInvalid, match="age public key"):
        back_up(sqlite_url, tmp_path / "b.age", ["age1x"], programs=None, at=AT, progress=silent)
    with snapshot.taken(sqlite_url, None), pytest.raises(StorageInUse):
        back_up(sqlite_url, tmp_path / "b.age", [RECIPIENT], programs=None, at=AT, progress=silent)


def test_parts_that_differ_from_the_manifest_are_refused(
    world: World,
    make: Callable[[], tuple[Path, Manifest]],
    empty_url: str,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that encrypts for the same recipient could leave a part out; the manifest names every one."""
    monkeypatch.setattr(backup, "PART_BYTES", 1 << 12)
    member = backup._member
    monkeypatch.setattr(backup, "_member", lambda name, content: () if name.endswith("3") else member(name, content))
    file, _ = make()
    world.storage.close()

    with pytest.raises(BackupInvalid, match=r"unexpected database\.000004"):
        put_back(file, empty_url, programs)


def test_a_scratch_database_is_gone_afterwards(database_url: str) -> None:
    with scratch(database_url) as url:
        place = sqlite_file(url)
        assert url != database_url
        if place is None:
            storage: Storage = open_storage(url)
            assert storage.read(lambda tx: tx.connection.execute(text("SELECT 1")).scalar_one()) == 1
            storage.close()
        else:
            place.write_bytes(b"")

    if place is None:
        with pytest.raises(StorageUnavailable):
            open_storage(url)
    else:
        assert not place.parent.exists()


@pytest.mark.conformance
def test_the_age_program_opens_it_and_tar_and_cat_make_the_database(sqlite_url: str, tmp_path: Path) -> None:
    """Debian's age, tar and cat are enough: a backup does not need the program that made it."""
    age = program("age")
    world = World(open_storage(sqlite_url))
    file, key, folder = tmp_path / "b.age", tmp_path / "key", tmp_path / "out"
    made = back_up(sqlite_url, file, [RECIPIENT], programs=None, at=AT, progress=silent)
    world.storage.close()
    key.write_text(f"# a comment\n{IDENTITY}\n")
    folder.mkdir()

    plain = subprocess.run([age, "--decrypt", "-i", key, file], check=True, capture_output=True).stdout
    subprocess.run([shutil.which("tar") or "tar", "-x", "-C", folder], input=plain, check=True)
    database = tmp_path / "again.db"
    database.write_bytes(b"".join((folder / part.name).read_bytes() for part in made.parts))

    opened = open_storage(f"sqlite:///{database}", read_only=True)
    head = opened.read(log.get_head)
    opened.close()
    assert (head.size, b64(head.root)) == (made.facts.tree_size, made.facts.root)
    assert (folder / "manifest.json").read_bytes() == made.to_bytes()
