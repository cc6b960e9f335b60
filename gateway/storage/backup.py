# SPDX-License-Identifier: Apache-2.0
"""A backup is one file that only its recipients open; this file is about its form: numbered parts in tar in age.

The database goes through memory in parts of 16 MiB, encrypted as it is read; the manifest comes last, with the SHA-256
of each part. Standard programs undo it: `age --decrypt -i KEY FILE | tar -x`, then `cat database.*`. The
file is written under another name, synced and renamed, so that what bears the name is whole.
"""

from __future__ import annotations

import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyrage

from gateway.clock import format_instant
from gateway.errors import Fault
from gateway.storage import snapshot
from gateway.storage.snapshot import Facts

FORMAT = "gateway-backup/1"
PART_BYTES = 16 << 20
PARTS_MAX = 1_000_000
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 200 << 20
_BLOCK = tarfile.BLOCKSIZE

Sink = Callable[[bytes], object]


class BackupInvalid(Fault):
    """The backup cannot be opened, or is not what was written."""


class Progress(Protocol):
    """Called with what is being counted and how many there were."""

    def __call__(self, what: str, count: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the database's bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself: where the log stood, and what the parts are."""

    format: str
    made_at: str
    facts: Facts
    parts: tuple[Part, ...]

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


def back_up(
    url: str, file: Path, recipients: Sequence[str], *, programs: Path | None, at: datetime, progress: Progress
) -> Manifest:
    """Write an encrypted backup of a database that may be in use, and return its manifest.

    A crash leaves a file `.<name>.part`, which the next run overwrites; what is there under the name stays.

    Raises:
        BackupInvalid: when a recipient is no age public key, or something stands under the file's name.
        StorageUnavailable, SnapshotFailed: when the database cannot be read.
    """
    try:
        keys = [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    except pyrage.RecipientError as error:
        raise BackupInvalid(f"a recipient is an age public key, age1…: {error}") from error
    if file.exists():
        raise BackupInvalid(f"{file} exists; a backup is never overwritten")
    part = file.with_name(f".{file.name}.part")
    try:
        with snapshot.taken(url, programs) as (facts, source):
            pulled = _Pulled(_archive(facts, source, at, progress))
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                pyrage.encrypt_io(pulled, out, keys)
                out.flush()
                os.fsync(out.fileno())
    except pyrage.EncryptError as error:
        part.unlink(missing_ok=True)
        raise BackupInvalid(f"{file} could not be written: {error}") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.rename(file)
    _sync_folder(file.parent)
    assert pulled.manifest is not None
    return pulled.manifest


def unpack(file: Path, identity: str, sink: Sink, *, progress: Progress) -> Manifest:
    """Give the bytes of the database to `sink`, the last piece only when all are shown to be as written.

    Raises:
        BackupInvalid: when the identity does not open it, or it is cut, changed or of another form.
    """
    seen: list[Part] = []
    held = b""
    with _opened(file, identity) as archive:
        for member in archive:
            if member.name == MANIFEST and member.size <= MANIFEST_BYTES_MAX:
                manifest = _parse(_content(archive, member))
                break
            if member.name != _name(len(seen)) or member.size > PART_BYTES or not member.isfile():
                raise BackupInvalid(f"{file}: unexpected {member.name}")
            if held:
                sink(held)
            held = _content(archive, member)
            seen.append(_part(len(seen), held))
            progress("MiB", sum(part.size for part in seen) >> 20)
        else:
            raise BackupInvalid(f"{file}: the manifest is missing")
    if tuple(seen) != manifest.parts:
        raise BackupInvalid(f"{file}: the parts are not those of the manifest")
    sink(held)
    return manifest


def restore(
    file: Path,
    identity: str,
    url: str,
    *,
    programs: Path | None,
    at: datetime,
    progress: Progress,
    owners: bool = True,
) -> Manifest:
    """Restore a backup into an empty database, and mark it so that its log is not signed before a confirmation.

    Raises:
        NotEmpty: when the database has anything in it; nothing there is touched.
        BackupInvalid, SnapshotFailed: when it cannot be restored whole.
    """
    with snapshot.filled(url, programs, at=at, owners=owners) as sink:
        manifest = unpack(file, identity, sink, progress=progress)
    if snapshot.facts_in(url) != manifest.facts:
        raise BackupInvalid(f"{file}: the restored log is not at the size and root that the manifest names")
    return manifest


class _Pulled:
    """The archive as something to read from; the manifest is known when it is at its end."""

    def __init__(self, chunks: Iterator[bytes | Manifest]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.manifest: Manifest | None = None

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, b"")
            if isinstance(chunk, Manifest):
                self.manifest = chunk
            elif not chunk:
                return b""
            else:
                self._rest = memoryview(chunk)
        end = len(self._rest) if size < 0 else size
        taken, self._rest = bytes(self._rest[:end]), self._rest[end:]
        return taken


def _archive(facts: Facts, source: BinaryIO, at: datetime, progress: Progress) -> Iterator[bytes | Manifest]:
    parts: list[Part] = []
    while chunk := source.read(PART_BYTES):
        assert len(parts) < PARTS_MAX
        parts.append(_part(len(parts), chunk))
        yield from _member(parts[-1].name, chunk)
        progress("MiB", sum(part.size for part in parts) >> 20)
    manifest = Manifest(FORMAT, format_instant(at), facts, tuple(parts))
    yield from _member(MANIFEST, manifest.to_bytes())
    yield bytes(2 * _BLOCK)
    yield manifest


def _name(number: int) -> str:
    return f"database.{number:06}"


def _part(number: int, chunk: bytes) -> Part:
    return Part(_name(number), len(chunk), sha256(chunk).hexdigest())


def _member(name: str, content: bytes) -> Iterator[bytes]:
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(content), 0o600
    yield header.tobuf()
    yield content
    if padding := -len(content) % _BLOCK:
        yield bytes(padding)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader = archive.extractfile(member)
    return reader.read() if reader else b""


def _parse(data: bytes) -> Manifest:
    try:
        document: dict[str, Any] = json.loads(data)
        parts = tuple(Part(**part) for part in document.pop("parts"))
        manifest = Manifest(facts=Facts(**document.pop("facts")), parts=parts, **document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackupInvalid("the manifest cannot be read") from error
    if manifest.format != FORMAT:
        raise BackupInvalid(f"the form is {manifest.format}, this program knows {FORMAT}")
    return manifest


@contextmanager
def _opened(file: Path, identity: str) -> Iterator[tarfile.TarFile]:
    """Decrypt on a thread beside the reader; age proves each 64 KiB before it is read, and the end at the end."""
    try:
        keys = [pyrage.x25519.Identity.from_str(identity)]
    except pyrage.IdentityError as error:
        raise BackupInvalid("the identity is no age private key, AGE-SECRET-KEY-1…") from error
    read_end, write_end = os.pipe()
    trouble: list[BaseException] = []
    thread = threading.Thread(target=partial(_decrypt, file, keys, write_end, trouble))
    thread.start()
    try:
        with os.fdopen(read_end, "rb") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            yield archive
            while plain.read(1 << 20):  # To the end, which alone shows that nothing was cut off.
                pass
    except tarfile.TarError as error:
        thread.join()
        raise BackupInvalid(f"{file} cannot be opened: {trouble[0] if trouble else error}") from error
    finally:
        thread.join()
    if trouble:
        raise BackupInvalid(f"{file} cannot be opened: {trouble[0]}") from trouble[0]


def _decrypt(file: Path, keys: list[Any], write_end: int, trouble: list[BaseException]) -> None:
    try:
        with file.open("rb") as sealed, os.fdopen(write_end, "wb") as plain:
            pyrage.decrypt_io(sealed, plain, keys)
    except (pyrage.DecryptError, OSError) as error:
        trouble.append(error)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
