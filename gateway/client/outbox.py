# SPDX-License-Identifier: Apache-2.0
"""What waits to be sent; this file is about the outbox: a folder of plain files that outlives crash and power.

`waiting/<id>/`, `done/<id>/` and `failed/<id>/` hold `entry.json` and the folder `files` with a copy of the input and
all that `submit_file` keeps beside one. The id is the digest of contract and content, so that nothing stands there
twice; an entry is made aside and renamed into `waiting`, and changes its state by one more rename. A crash leaves an
entry where it was, and the next run sends it again: its journal knows what was accepted. The copy goes when all is.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.client.failures import BodyTooLarge, ClientFailure, InputUnusable, Refused
from gateway.client.journal import held, put, sync_folder
from gateway.client.outcome import RecordCounts
from gateway.client.records import local_contract
from gateway.client.sdk import GatewayClient
from gateway.client.submit import submit_file
from gateway.clock import format_instant, parse_instant

WAITING: Final = "waiting"
DONE: Final = "done"
FAILED: Final = "failed"
ATTEMPTS_MAX: Final = 100  # With waits of up to an hour, some four days.
_STATES: Final = (WAITING, DONE, FAILED)
_CHUNK_BYTES: Final = 1 << 20
_FIRST_SECONDS: Final = 15.0
_WAIT_SECONDS_MAX: Final = 3600.0
_DOUBLINGS_MAX: Final = 10
_CHANCE: Final = random.SystemRandom()
_ID_CHARACTERS: Final = 16
# Refusals of what is sent. Others (suspended, a wrong clock, a certificate to renew) pass once somebody mends them.
_FINAL: Final = frozenset({400, 409, 410, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file on its way: how often it was tried, when it is tried next, and why it is not done."""

    id: str
    state: str
    name: str
    contract: str
    added_at: str
    attempts: int = 0
    next_at: str = ""
    problem: str = ""
    records: RecordCounts = field(default_factory=RecordCounts)

    def is_due(self, at: datetime) -> bool:
        """Say whether it waits, and has waited long enough."""
        return self.state == WAITING and (not self.next_at or parse_instant(self.next_at) <= at)


class Outbox:
    """A folder of entries; one process at a time runs it, others may add, list and drop meanwhile."""

    def __init__(self, folder: Path, *, contracts: Path | None = None) -> None:
        self.folder = folder
        self._contracts = contracts
        for state in _STATES:
            (folder / state).mkdir(parents=True, exist_ok=True)

    def input_path(self, entry: Entry) -> Path:
        """Return where the copy of an entry's input is, and its receipts beside it."""
        return self._place(entry) / "files" / entry.name

    def entries(self) -> list[Entry]:
        """Return all entries, by when they were added."""
        found = (self._read(state, path) for state in _STATES for path in (self.folder / state).iterdir())
        return sorted((entry for entry in found if entry), key=lambda entry: (entry.added_at, entry.id))

    def add(self, path: Path, contract: str, *, at: datetime) -> Entry:
        """Copy a file into the outbox; what is there already stays as it is, and what failed waits again.

        Raises:
            InputUnusable: when the contract is unknown, the file cannot be read, or another process is adding one.
        """
        product, _, version = contract.partition("/")
        local_contract(product, version, self._contracts)
        with held(self.folder / WAITING):
            self._sweep()
            aside = self.folder / ".new"
            try:
                digest = _copied(path, aside / "files" / path.name, f"{contract}\n".encode())
            except OSError as error:
                raise InputUnusable(f"{path}: {error.strerror or error}") from error
            name = digest[:_ID_CHARACTERS]
            if there := next((entry for entry in self.entries() if entry.id == name), None):
                self._sweep()
                failed = there.state == FAILED
                return self._moved(replace(there, attempts=0, next_at=""), WAITING) if failed else there
            entry = Entry(name, WAITING, path.name, contract, format_instant(at))
            self._write(entry, aside)
            aside.replace(self._place(entry))  # From here on it is in the outbox, and not before.
            sync_folder(self.folder / WAITING)
            return entry

    def drop(self, name: str) -> Entry:
        """Remove an entry with all its files, receipts too; InputUnusable when there is none, or it is being sent."""
        entry = next((one for one in self.entries() if one.id == name), None)
        if entry is None:
            raise InputUnusable(f"{name}: not in the outbox", f"{name}: no está en la bandeja")
        with held(self.input_path(entry) if entry.state == WAITING else self._place(entry)):
            aside = self._place(entry).replace(self.folder / f".dropped-{name}")
        shutil.rmtree(aside)
        return entry

    def attempt(self, client: GatewayClient, entry: Entry, *, at: datetime) -> Entry:
        """Send an entry once and return it done: every part is accepted, and its receipt verified.

        Raises:
            ClientFailure: after it was written down that the entry failed, or when it is tried again.
        """
        product, _, version = entry.contract.partition("/")
        try:
            outcome = submit_file(client, self.input_path(entry), product, version, contracts=self._contracts)
        except ClientFailure as failure:
            attempts, next_at = entry.attempts + 1, at + timedelta(seconds=_seconds_after(entry.attempts))
            final = attempts >= ATTEMPTS_MAX or _is_final(failure)
            tried = replace(entry, attempts=attempts, problem=str(failure), next_at=format_instant(next_at))
            self._moved(tried, FAILED if final else WAITING)
            raise
        done = self._moved(replace(entry, records=outcome.records, problem="", next_at=""), DONE)
        self.input_path(done).unlink(missing_ok=True)
        return done

    def resume(self) -> None:
        """Finish what a crash left half done: the copies of files that were accepted."""
        for entry in self.entries():
            if entry.state == DONE:
                self.input_path(entry).unlink(missing_ok=True)

    def _place(self, entry: Entry) -> Path:
        return self.folder / entry.state / entry.id

    def _read(self, state: str, path: Path) -> Entry | None:
        try:
            document = json.loads((path / "entry.json").read_bytes())
        except FileNotFoundError:  # It was moved or dropped since the folder was listed.
            return None
        return Entry(**{**document, "id": path.name, "state": state, "records": RecordCounts(**document["records"])})

    def _write(self, entry: Entry, folder: Path) -> None:
        document = {name: value for name, value in asdict(entry).items() if name not in {"id", "state"}}
        put(folder / "entry.json", [json.dumps(document, indent=1).encode() + b"\n"])

    def _moved(self, entry: Entry, state: str) -> Entry:
        """Write an entry down, then move it; a crash between the two leaves the new facts in the old state."""
        place, changed = self._place(entry), replace(entry, state=state)
        if not place.is_dir():
            raise InputUnusable(f"{entry.id}: was dropped", f"{entry.id}: se quitó de la bandeja")
        self._write(entry, place)
        if state != entry.state:
            place.replace(self._place(changed))
            sync_folder(self.folder / state)
            sync_folder(place.parent)
        return changed

    def _sweep(self) -> None:
        for path in self.folder.glob(".*"):
            with suppress(FileNotFoundError):
                shutil.rmtree(path)


def _is_final(failure: ClientFailure) -> bool:
    if isinstance(failure, Refused):
        return failure.signed and failure.status in _FINAL
    return isinstance(failure, InputUnusable | BodyTooLarge)


def _copied(source: Path, target: Path, name: bytes) -> str:
    """Copy a file, durably, and return the digest of a name and the content."""
    digest = hashlib.sha256(name)

    def chunks() -> Iterator[bytes]:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                yield chunk

    put(target, chunks())
    return digest.hexdigest()


def _seconds_after(attempts: int) -> float:
    """Return how long to wait after so many attempts; at random, so that senders do not return together."""
    grown = _FIRST_SECONDS * 2.0 ** min(attempts, _DOUBLINGS_MAX)
    return min(_WAIT_SECONDS_MAX, grown) * (0.5 + _CHANCE.random() / 2)
