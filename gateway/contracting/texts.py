# SPDX-License-Identifier: Apache-2.0
"""Record codes in words; this file is about the sentence that each code has in English and Spanish."""

from __future__ import annotations

from gateway.contracting.contract import Text
from gateway.errors import RecordCode

CODE_TEXTS: dict[RecordCode, Text] = {
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
    RecordCode.RECORD_CONFLICT: Text(
        "Another record stands under this id or for this cell.",
        "Ya existe otro registro con este id o para esta celda.",
    ),
    RecordCode.SUPERSEDES_UNKNOWN: Text(
        "The record to supersede is not a current record of yours.",
        "El registro que se sustituye no es un registro vigente suyo.",
    ),
}
