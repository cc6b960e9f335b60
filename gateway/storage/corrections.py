# SPDX-License-Identifier: Apache-2.0
"""What each record of a chunk becomes; this file is about repeats, conflicts and corrections, decided in order.

It is pure: `records.py` looks up what is known and carries out what is settled here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from gateway.trip import RecordChunk, RefusedRecord, Row, TableShape
from gateway.wire.record_code import RecordCode

RETRACT = "retract"
CELL_KEY_BYTES = 16


@dataclass(slots=True)
class Standing:
    """A record that is stored, or will be when the chunk is through; `superseded_by` is None while it is a head."""

    id: str
    row: Row
    leaf_hash: bytes
    revision: int
    cell_key: bytes | None
    superseded_by: str | None = None
    position: int | None = None


@dataclass(slots=True)
class Settlement:
    """What is to be done with a chunk; positions point into it, `superseded` are rows that stood before."""

    accepted: list[Standing] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    refused: list[RefusedRecord] = field(default_factory=list)
    superseded: list[Standing] = field(default_factory=list)
    # Rows whose counts leave the cubes.
    withdrawn: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a row of some shape keeps what decides; -1 where the shape has no such column."""

    id: int
    action: int
    supersedes: int
    natural_key: tuple[int, ...]

    def action_of(self, row: Row) -> str:
        """Return `add`, `amend` or `retract`."""
        return str(row[self.action] or "add") if self.action >= 0 else "add"

    def cell_key_of(self, row: Row) -> bytes | None:
        """Return the digest of a row's natural key, or None where the shape has none."""
        if not self.natural_key:
            return None
        return hashlib.sha256(orjson.dumps([row[place] for place in self.natural_key])).digest()[:CELL_KEY_BYTES]


def places_of(shape: TableShape) -> Places:
    """Return where the rows of a shape keep what decides."""
    names = shape.column_names
    return Places(
        id=names.index(shape.id_column),
        action=names.index("action") if "action" in names else -1,
        supersedes=names.index("supersedes") if "supersedes" in names else -1,
        natural_key=tuple(names.index(name) for name in shape.natural_key),
    )


def settle(shape: TableShape, chunk: RecordChunk, known: Iterable[Standing]) -> Settlement:
    """Judge the records of a chunk in the order sent against what is known of the same partner.

    `known` holds the stored records with an id of the chunk, those that it supersedes, and the heads of its cells.
    """
    return _Settling(shape, known).settle(chunk)


class _Settling:
    def __init__(self, shape: TableShape, known: Iterable[Standing]) -> None:
        self._places = places_of(shape)
        self._id_pointer = f"/{shape.id_column}"
        self._by_id = {standing.id: standing for standing in known}
        self._heads = {s.cell_key: s for s in self._by_id.values() if s.cell_key and self._is_live(s)}
        self._done = Settlement()

    def settle(self, chunk: RecordChunk) -> Settlement:
        for position, row in enumerate(chunk.rows):
            self._record(chunk, position, row)
        return self._done

    def _record(self, chunk: RecordChunk, position: int, row: Row) -> None:
        identifier = str(row[self._places.id])
        stored = self._by_id.get(identifier)
        if stored is not None:
            if stored.leaf_hash == chunk.leaf_hashes[position]:
                self._done.duplicates.append(position)
            else:
                self._refuse(chunk, position, RecordCode.RECORD_CONFLICT, self._id_pointer)
            return
        cell_key = self._places.cell_key_of(row)
        action = self._places.action_of(row)
        new = Standing(identifier, row, chunk.leaf_hashes[position], 0, cell_key, position=position)
        if action == "add":
            if cell_key in self._heads:
                # The cell has a live value: a second one would count twice, so it takes an amendment.
                self._refuse(chunk, position, RecordCode.RECORD_CONFLICT, "")
                return
        else:
            target = self._by_id.get(str(row[self._places.supersedes]))
            if target is None or not self._is_live(target) or target.cell_key != cell_key:
                self._refuse(chunk, position, RecordCode.SUPERSEDES_UNKNOWN, "/supersedes")
                return
            self._supersede(target, new)
        self._accept(new, retracts=action == RETRACT)

    def _supersede(self, target: Standing, new: Standing) -> None:
        target.superseded_by = new.id
        new.revision = target.revision + 1
        self._done.withdrawn.append(target.row)
        if target.position is None:
            self._done.superseded.append(target)
        if target.cell_key is not None:
            del self._heads[target.cell_key]

    def _accept(self, new: Standing, *, retracts: bool) -> None:
        if retracts:
            # A retraction holds no cell, so that the cell can be filled again.
            new.cell_key = None
        elif new.cell_key is not None:
            self._heads[new.cell_key] = new
        self._by_id[new.id] = new
        self._done.accepted.append(new)

    def _is_live(self, standing: Standing) -> bool:
        return standing.superseded_by is None and self._places.action_of(standing.row) != RETRACT

    def _refuse(self, chunk: RecordChunk, position: int, code: RecordCode, pointer: str) -> None:
        en, es = _TEXTS[code]
        self._done.refused.append(
            RefusedRecord(
                line=chunk.lines[position],
                record_id=str(chunk.rows[position][self._places.id]),
                pointer=pointer,
                code=code.value,
                leaf_hash=chunk.leaf_hashes[position],
                en=en,
                es=es,
            )
        )


_TEXTS = {
    RecordCode.RECORD_CONFLICT: (
        "Another record is accepted under this id or for this cell; correct it with an amendment.",
        "Ya se aceptó otro registro con este identificador o para esta celda; corríjalo con una enmienda.",
    ),
    RecordCode.SUPERSEDES_UNKNOWN: (
        "The record to be superseded is not a current record of yours for the same cell.",
        "El registro que se sustituye no es un registro vigente suyo para la misma celda.",
    ),
}
