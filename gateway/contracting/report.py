# SPDX-License-Identifier: Apache-2.0
"""What a sender is told of records that were not accepted; this file is about problems, in words and as reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gateway.contracting.contract import Rule, Text
from gateway.errors import ContractViolated
from gateway.trip import RefusedRecord
from gateway.wire.canonical import JSON
from gateway.wire.record_code import RecordCode

REFUSED_INLINE_MAX = 100
_TEXTS: dict[RecordCode, Text] = {
    RecordCode.NOT_UTF8: Text("The line is not UTF-8.", "La línea no es UTF-8."),
    RecordCode.NOT_CANONICAL: Text(
        "The line is not its own canonical JSON (RFC 8785): keys sorted, no spaces, whole numbers, no extra escapes.",
        "La línea no es su propio JSON canónico (RFC 8785): claves ordenadas, sin espacios, números enteros, sin "
        "escapes de más.",
    ),
    RecordCode.DUPLICATE_KEY: Text("A property stands twice.", "Una propiedad aparece dos veces."),
    RecordCode.UNKNOWN_FIELD: Text("The contract has no such field.", "El contrato no tiene ese campo."),
    RecordCode.REQUIRED: Text("The field is required.", "El campo es obligatorio."),
    RecordCode.TYPE: Text("The value has another type.", "El valor es de otro tipo."),
    RecordCode.CODE_NOT_IN_LIST: Text(
        "The code is not in the list, or not valid for that time.",
        "El código no está en la lista o no es válido en esa fecha.",
    ),
    RecordCode.RANGE: Text("The value is outside its bounds.", "El valor está fuera de sus límites."),
    RecordCode.PATTERN: Text("The value has another form.", "El valor tiene otra forma."),
}


class NotAsAgreed(Exception):
    """One thing about one record that breaks the contract: where, under which code, in which words."""

    def __init__(self, pointer: str, code: str, text: Text) -> None:
        super().__init__(code)
        self.pointer = pointer
        self.code = code
        self.text = text

    def about(self, line: int, record_id: str | None, leaf_hash: bytes) -> RefusedRecord:
        """Return the record that is refused for it."""
        return RefusedRecord(line, record_id, self.pointer, self.code, leaf_hash, self.text.en, self.text.es)


def broken_code(pointer: str, code: RecordCode) -> NotAsAgreed:
    """Return what is wrong with a line or one of its fields, in the words of its code."""
    return NotAsAgreed(pointer, code.value, _TEXTS[code])


def broken_rule(rule: Rule) -> NotAsAgreed:
    """Return what is wrong with a record that breaks a rule, in the contract's words."""
    return NotAsAgreed(rule.pointer, f"rule:{rule.id}", rule.message)


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
