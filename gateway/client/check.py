# SPDX-License-Identifier: Apache-2.0
"""Would it pass; this file is about judging a file by its contract on the sender's side, before anything leaves.

It cuts the file as `submit_file` does and judges each part as the gateway does. What only the gateway can know (a
record that is there already, who may send) is not asked here; `GatewayClient.validate` asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import cast

import orjson

from gateway.client.outcome import RefusedLine, refused_lines
from gateway.client.records import RECORDS_PER_PART, lines_of, local_contract
from gateway.client.sending import NDJSON
from gateway.contracting.contract import Contract
from gateway.contracting.judge import judge
from gateway.contracting.report import error_of
from gateway.errors import ContractViolated, ForbiddenField, WrongProvider
from gateway.importing.periods import Part, cuts_of, part_of
from gateway.trip import VerifiedEnvelope


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with the records of a file: how many would be refused, and of the first of them why."""

    received_count: int
    refused_count: int
    refused: tuple[RefusedLine, ...]


@dataclass(frozen=True, slots=True)
class _Sender:
    id: str
    country: str


@dataclass(frozen=True, slots=True)
class _Unsent:
    """As much of an envelope as judging asks for."""

    partner: _Sender
    lines: Sequence[bytes]
    media_type: str = NDJSON
    claimed_records: None = None


def check_file(
    path: Path, product: str, version: str, *, at: datetime, language: str = "en", contracts: Path | None = None
) -> Found:
    """Judge the records of a file in the name of the provider of the first of them.

    Raises:
        InputUnusable: when the file cannot be read as records.
        ForbiddenField, WrongProvider: for what refuses a whole submission.
    """
    contract = local_contract(product, version, contracts)
    received_count, refused_count, refused = 0, 0, list[RefusedLine]()
    provider = ""
    with TemporaryFile() as file:
        file.writelines(line + b"\n" for line in lines_of(path, contract))
        file.seek(0)
        for cut in cuts_of(file, contract, records_max=RECORDS_PER_PART):
            part = part_of(file, cut)
            provider = provider or _provider(part.lines, contract)
            count, lines = _judged(part, contract, provider, at=at, language=language)
            received_count += len(part.lines)
            refused_count += count
            refused += lines
    return Found(received_count, refused_count, tuple(sorted(refused, key=lambda entry: entry.line)))


def _judged(
    part: Part, contract: Contract, provider: str, *, at: datetime, language: str
) -> tuple[int, Iterable[RefusedLine]]:
    # A VerifiedEnvelope is a proven one, and nothing is signed here yet; nothing that is made of it leaves this file.
    unsent = cast("VerifiedEnvelope", _Unsent(_Sender(provider, provider[:3]), part.lines))
    try:
        submission = judge(unsent, contract, at=at, sandbox=True)
    except ContractViolated as violated:
        count, errors = violated.facts["refused"], violated.extra["errors"]
    except (ForbiddenField, WrongProvider) as refusal:
        refusal.facts["line"] = part.numbers[cast("int", refusal.facts["line"]) - 1]
        raise
    else:
        count, errors = len(submission.refused), [error_of(record) for record in submission.refused]
    lines = refused_lines(cast("Iterable[dict[str, object]]", errors), language)
    return cast("int", count), [replace(entry, line=part.numbers[entry.line - 1]) for entry in lines]


def _provider(lines: Iterable[bytes], contract: Contract) -> str:
    for line in lines:
        try:
            return str(orjson.loads(line)[contract.provider_field])
        except (ValueError, KeyError, TypeError):
            continue
    return ""
