# SPDX-License-Identifier: Apache-2.0
"""What the gateway said, kept; this file is about the `.sig.json` beside a pulled file, and checking both offline.

A `.csv` is what was signed, byte for byte. Beside a table of another form the signed CSV is kept, because a
signature over a form of our own would be ours and not the gateway's: the table is read and compared cell by cell.
Keys in the file say which were pinned then; whoever checks brings their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.client.answers import signed
from gateway.client.channel import Answer
from gateway.client.failures import AnswerNotTrusted, InputUnusable
from gateway.client.tables import CSV, same_table
from gateway.wire.keys import SigningPublic

FORMAT: Final = "gateway-answer/1"
PURPOSE: Final = "gateway-purpose"
SIGNATURE_SUFFIX: Final = ".sig.json"
_SIGNED_SUFFIX: Final = ".signed.csv"


@dataclass(frozen=True, slots=True)
class Said:
    """What is proven of a file: when the gateway answered with it, to what, for which purpose, under which event."""

    at: datetime
    target_uri: str
    purpose: str
    event_id: str
    keyid: str


def signature_path(file: Path) -> Path:
    """Return where the signature of a pulled file lies."""
    return file.with_name(file.name + SIGNATURE_SUFFIX)


def signed_path(file: Path) -> Path:
    """Return where the bytes lie that were signed: the file itself when it is the CSV."""
    return file if file.suffix == CSV else file.with_name(file.name + _SIGNED_SUFFIX)


def request_of(target_uri: str, purpose: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Return the request that a signature of an answer binds."""
    return "GET", target_uri, [(PURPOSE, purpose)] if purpose else []


def document_of(answer: Answer, *, target_uri: str, purpose: str, keys: Path) -> bytes:
    """Return the contents of a `.sig.json`."""
    document = {
        "format": FORMAT,
        "request": {"method": "GET", "target_uri": target_uri, "purpose": purpose},
        "answer": {"status": answer.status, "headers": answer.headers},
        "audit_event": answer.header("audit-event"),
        "keys": json.loads(keys.read_bytes()),
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def verify_saved(file: Path, keys: Mapping[str, SigningPublic]) -> Said:
    """Return what is proven of a pulled file, with keys that the reader already had.

    Raises:
        InputUnusable: when something is missing beside it, or cannot be read.
        AnswerNotTrusted: when the gateway did not say exactly this.
    """
    target_uri, purpose, answer = _read(signature_path(file))
    kept = signed_path(file)
    try:
        with kept.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").digest()
    except OSError as error:
        raise InputUnusable(f"{kept}: {error.strerror}") from error
    parsed = signed(answer, digest, request_of(target_uri, purpose), keys)
    if kept != file and not same_table(kept, file):
        raise AnswerNotTrusted(f"{file}: its cells are not those of the signed {kept.name}")
    at = datetime.fromtimestamp(parsed.created or 0, UTC)
    return Said(at, target_uri, purpose, answer.header("audit-event") or "", parsed.keyid or "")


def _read(path: Path) -> tuple[str, str, Answer]:
    try:
        document: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputUnusable(f"{path}: {error}") from error
    match document:
        case {
            "format": "gateway-answer/1",
            "request": {"method": "GET", "target_uri": str(target_uri), "purpose": str(purpose)},
            "answer": {"status": int(status), "headers": [*lines]},
        } if all(isinstance(line, list) and [type(part) for part in line] == [str, str] for line in lines):
            return target_uri, purpose, Answer(status, tuple((name, value) for name, value in lines), b"")
    raise InputUnusable(f"{path}: not in the form of {FORMAT}")
