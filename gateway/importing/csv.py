# SPDX-License-Identifier: Apache-2.0
"""A table with the contract's own column names; this file is about making canonical lines of CSV, typed by contract.

Nothing is guessed: an unknown column, a number with a comma, or an empty required cell stops with row and column.
Whether a record is right is judged by the contract later; here it is only written down.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gateway.contracting.contract import Contract, Field
from gateway.wire.canonical import JSON, canonical_bytes

CELL_CHARACTERS_MAX = 4_096
_INTEGER = re.compile(r"^-?(0|[1-9][0-9]{0,14})$")
_BOOLEANS = {"true": True, "false": False}


class InputUnreadable(Exception):
    """A file cannot be made into records; row counts from 1 with the header, column is its name."""

    def __init__(self, row: int, column: str, en: str, es: str) -> None:
        super().__init__(f"row {row}, column {column}: {en}" if column else f"row {row}: {en}")
        self.row = row
        self.column = column
        self.en = en
        self.es = es


def lines_of_csv(path: Path, contract: Contract, *, new_id: Callable[[], str]) -> Iterator[bytes]:
    """Yield one canonical line for each row of a file; a record without id gets a new one.

    Raises:
        InputUnreadable: when the file is not such a table, naming row and column.
        OSError: when it cannot be read.
    """
    csv.field_size_limit(CELL_CHARACTERS_MAX)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        row = 1
        try:
            fields = _fields_of(next(reader, []), contract)
            for row, cells in enumerate(reader, 2):
                if cells:
                    yield _line(_record(fields, cells, row), contract, row, new_id)
        except UnicodeDecodeError as error:
            raise InputUnreadable(row, "", "the file is not UTF-8", "el archivo no es UTF-8") from error
        except csv.Error as error:
            raise InputUnreadable(row, "", f"this is no CSV: {error}", f"esto no es CSV: {error}") from error


def _fields_of(header: list[str], contract: Contract) -> list[Field]:
    known = {field.name: field for field in contract.fields}
    names = [name.strip() for name in header]
    for name in names:
        if name not in known:
            raise InputUnreadable(1, name, "the contract has no such column", "el contrato no tiene esa columna")
        if names.count(name) > 1:
            raise InputUnreadable(1, name, "the column stands twice", "la columna aparece dos veces")
    needed = {field.name for field in contract.fields if field.required} - {contract.shape.id_column}
    if missing := sorted(needed - set(names)):
        raise InputUnreadable(1, missing[0], "the column is missing", "falta la columna")
    return [known[name] for name in names]


def _record(fields: list[Field], cells: list[str], row: int) -> dict[str, JSON]:
    if len(cells) != len(fields):
        en, es = f"{len(cells)} cells under {len(fields)} columns", f"{len(cells)} celdas bajo {len(fields)} columnas"
        raise InputUnreadable(row, "", en, es)
    pairs = zip(fields, (cell.strip() for cell in cells), strict=True)
    return {field.name: _typed(field, cell, row) for field, cell in pairs if cell}


def _typed(field: Field, cell: str, row: int) -> JSON:
    if field.type == "integer":
        if not _INTEGER.match(cell):
            raise InputUnreadable(row, field.name, "not a plain whole number", "no es un número entero simple")
        return int(cell)
    if field.type == "boolean":
        if cell not in _BOOLEANS:
            raise InputUnreadable(row, field.name, "neither true nor false", "no es true ni false")
        return _BOOLEANS[cell]
    return cell


def _line(record: Mapping[str, JSON], contract: Contract, row: int, new_id: Callable[[], str]) -> bytes:
    id_column = contract.shape.id_column
    whole = record if id_column in record else {id_column: new_id(), **record}
    for field in contract.fields:
        if field.required and field.name not in whole:
            raise InputUnreadable(row, field.name, "the cell is empty", "la celda está vacía")
    return canonical_bytes(whole)
