# SPDX-License-Identifier: Apache-2.0
"""A filled database; this file is about submissions with real leaf hashes, kept by the real write transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
from sqlalchemy import text

from gateway.contracting.contract import ContractSet
from gateway.contracting.load import load_contracts
from gateway.contracting.rows import canonical_line
from gateway.intake.desk import IntakeDesk, Permitted
from gateway.intake.keep import keep
from gateway.review.findings import Finding
from gateway.review.fsck import fsck
from gateway.storage.engine import Storage, Tx
from gateway.trip import PeerCertificate, RecordChunk, RefusedRecord, Row, SignedRequest, TableShape
from gateway.wire.merkle import leaf_hash, root_of
from tests.unit.auditlog.world import VERIFIER, World
from tests.unit.storage.samples import BORDER_EVENT, CBP, FLOW, NOW, PERMIT, row, valid_submission

T = TypeVar("T")
PATH = "/v1/submissions/border-event/1.0.0"


@cache
def contracts() -> ContractSet:
    return load_contracts(Path(__file__).parents[3] / "contracts")


def submit(
    world: World, shape: TableShape, rows: Sequence[Row], *, partner_id: str = CBP, refused_lines: Sequence[int] = ()
) -> str:
    """Keep rows as one submission and return its id; `refused_lines` stand among them, refused."""
    lines = [number for number in range(1, len(rows) + len(refused_lines) + 1) if number not in refused_lines]
    hashes = [leaf_hash(canonical_line(each, shape)) for each in rows]
    refused = tuple(
        RefusedRecord(line=line, record_id=None, pointer="/x", code="type", leaf_hash=leaf_hash(b"%d" % line))
        for line in refused_lines
    )
    by_line = dict(zip(lines, hashes, strict=True)) | {record.line: record.leaf_hash for record in refused}
    sample = valid_submission(key=f"key-{len(world.kept):016d}", partner_id=partner_id, body=b"%d" % len(world.kept))
    submission = replace(
        sample,
        envelope=replace(sample.envelope, nonce=f"nonce-{len(world.kept):016d}", path=PATH),
        shape=shape,
        received_count=len(by_line),
        root=root_of(by_line[line] for line in sorted(by_line)),
        refused=refused,
        refused_max=len(refused),
        records=(RecordChunk(lines, list(rows), hashes),),
    )
    peer = PeerCertificate(der=b"", sha256=bytes(32))
    request = SignedRequest(submission.envelope.request_id, "POST", "", PATH, (), peer, iter(()), NOW)
    desk = cast("IntakeDesk", SimpleNamespace(clock=world.clock, anchors=None))
    with pytest.MonkeyPatch.context() as patch:
        # Whether the partner was stopped meanwhile is not asked here: these rows need no certificate.
        patch.setattr("gateway.intake.keep._require_standing", lambda *_: None)
        accepted = world.storage.write(lambda tx: keep(tx, desk, Permitted(request, submission, PERMIT)))
    world.kept.append(accepted.submission_id)
    return accepted.submission_id


def fill(world: World) -> list[str]:
    """Three submissions with a refused line, an amendment and a second partner, and a log of 300 leaves."""
    first = [row(BORDER_EVENT, place_code=f"{2400 + number}") for number in range(5)]
    head = str(first[0][BORDER_EVENT.column_names.index(BORDER_EVENT.id_column)])
    ids = [submit(world, BORDER_EVENT, first, refused_lines=(2,))]
    ids.append(submit(world, BORDER_EVENT, [row(BORDER_EVENT, action="amend", supersedes=head, person_count=3)]))
    other = "GTM.IGM"
    cells = [row(FLOW, provider=other, citizenship=code) for code in ("HND", "SLV")]
    ids.append(submit(world, FLOW, cells, partner_id=other))
    world.record_many(296)
    world.settle()
    return ids


def found(storage: Storage) -> list[Finding]:
    return list(fsck(storage, contracts(), VERIFIER))


class _RollBack(Exception):
    """Ends a transaction that was only tried."""


class _Inside:
    """A storage whose reads see what one open transaction sees."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def read(self, work: Callable[[Tx], T]) -> T:
        return work(self._tx)


def found_after(storage: Storage, statement: str, values: Mapping[str, Any]) -> list[Finding]:
    """Return what fsck finds once rows were changed behind the gateway's back, and undo the change."""
    findings: list[Finding] = []

    def work(tx: Tx) -> None:
        # As somebody with the database's password could.
        if tx.dialect == "postgresql":
            tx.connection.execute(text("SET LOCAL session_replication_role = replica"))
        tx.connection.execute(text(statement), dict(values))
        findings.extend(found(_Inside(tx)))
        raise _RollBack

    with without_foreign_keys(storage), pytest.raises(_RollBack):
        storage.write(work)
    return findings


@contextmanager
def without_foreign_keys(storage: Storage) -> Iterator[None]:
    """Let changes through that SQLite itself would refuse; it heeds the pragma outside of transactions only."""
    if storage.dialect == "sqlite":
        _pragma(storage, "foreign_keys=OFF")
    yield
    if storage.dialect == "sqlite":
        _pragma(storage, "foreign_keys=ON")


def _pragma(storage: Storage, pragma: str) -> None:
    raw = storage._writer.raw_connection()
    raw.cursor().execute(f"PRAGMA {pragma}")
    raw.close()
