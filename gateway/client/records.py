# SPDX-License-Identifier: Apache-2.0
"""From a sender's file to canonical lines; this file is about reading CSV and NDJSON under a contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock
from gateway.contracting.contract import Contract
from gateway.contracting.load import load_contract, packaged_root
from gateway.contracting.strict_yaml import ContractInvalid
from gateway.identifiers import new_id
from gateway.importing.csv import InputUnreadable, lines_of_csv
from gateway.wire.canonical import canonical_bytes, parse_canonical

RECORDS_PER_PART: Final = 50_000
LINE_BYTES_MAX: Final = 64 * 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,40}/[0-9]+\.[0-9]+\.[0-9]+")


def local_contract(product: str, version: str, contracts: Path | None = None) -> Contract:
    """Return a contract of the installed package, or of another folder; InputUnusable when there is none."""
    name = f"{product}/{version}"
    if not _NAME.fullmatch(name):
        raise InputUnusable(f"contract {name}: not of the form flow/1.0.0", f"contrato {name}: no es como flow/1.0.0")
    try:
        return load_contract((contracts or packaged_root()) / product / version)
    except (ContractInvalid, OSError) as error:
        raise InputUnusable(f"contract {name}: {error}", f"contrato {name}: {error}") from error


def makes_ids(path: Path) -> bool:
    """Say whether reading the file makes record ids, so that reading it again would make other records."""
    return path.suffix.lower() == ".csv"


def lines_of(path: Path, contract: Contract) -> Iterator[bytes]:
    """Return the canonical lines of a file of records of a contract.

    Raises:
        InputUnusable: when the file cannot be read as records, naming row and column.
    """
    clock = SystemClock()
    try:
        if makes_ids(path):
            yield from lines_of_csv(path, contract, new_id=lambda: new_id(clock.now()))
        else:
            yield from _lines_of_ndjson(path)
    except InputUnreadable as error:
        where = f"fila {error.row}, columna {error.column}" if error.column else f"fila {error.row}"
        raise InputUnusable(f"{path}: {error}", f"{path}: {where}: {error.es}") from error
    except OSError as error:
        raise InputUnusable(f"{path}: {error.strerror or error}") from error


def _lines_of_ndjson(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if len(raw) > LINE_BYTES_MAX:
                raise InputUnusable(
                    f"{path}: line {number} is longer than {LINE_BYTES_MAX} bytes",
                    f"{path}: la línea {number} tiene más de {LINE_BYTES_MAX} bytes",
                )
            if line := raw.strip(b" \t\r\n"):
                yield _canonical(line)


def _canonical(line: bytes) -> bytes:
    """Return the canonical form of a line; what has none is sent as it is and refused alone, with its reason."""
    try:
        parse_canonical(line)
    except ValueError:
        try:
            return canonical_bytes(json.loads(line, object_pairs_hook=_without_duplicates))
        except ValueError:
            return line
    return line


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        # Readers differ on which of two equal keys counts, so the SDK must not decide it for the sender.
        raise ValueError("duplicate key")
    return document
