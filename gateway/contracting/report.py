# SPDX-License-Identifier: Apache-2.0
"""What a sender is told of records that were not accepted; this file is about refused records as reports show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gateway.errors import ContractViolated
from gateway.trip import RefusedRecord
from gateway.wire.canonical import JSON

REFUSED_INLINE_MAX = 100


def error_of(record: RefusedRecord) -> dict[str, JSON]:
    """Return one refused record, its text in both languages; the submitted value is never in it."""
    identified: dict[str, JSON] = {"record_id": record.record_id} if record.record_id else {}
    return {
        "line": record.line,
        **identified,
        "pointer": record.pointer,
        "code": str(record.code),
        "detail": {"en": record.en, "es": record.es},
    }


def violated(
    refused: Sequence[RefusedRecord],
    *,
    received_count: int,
    refused_count: int | None = None,
    counts: Mapping[str, int] | None = None,
) -> ContractViolated:
    """Return the refusal of a whole submission for its records: the first of them, and all codes counted.

    `refused_count` and `counts` are given where not every refused record was kept.
    """
    counted = Counter(str(record.code) for record in refused) if counts is None else Counter(counts)
    return ContractViolated(
        refused=len(refused) if refused_count is None else refused_count,
        received=received_count,
        extra={
            "errors": [error_of(record) for record in refused[:REFUSED_INLINE_MAX]],
            "counts": dict(counted.most_common()),
        },
    )
