# SPDX-License-Identifier: Apache-2.0
"""What every operation may answer, in one place; this file is about the responses that /openapi.json declares.

Routes answer with bytes that they made themselves, so that FastAPI knows no more of an answer than its status. A
test holds a running gateway against these declarations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI

from gateway.aggregates.formats.forms import DATA_FORMS, STRUCTURE_FORMS
from gateway.api.problems import ROWS
from gateway.signing.head import MEDIA_TYPES as SUBMISSION_MEDIA_TYPES
from gateway.tokens.desk import TOKEN_PATH
from gateway.wire.problem import PROBLEM_JSON

_JSON: Final = ("application/json",)
_TEXT: Final = ("text/plain",)
_XML: Final = ("application/xml", "text/xml")
_TABLE: Final = (*dict.fromkeys(form.media_type.partition(";")[0] for form in DATA_FORMS), "text/csv", *_JSON, *_XML)
_STRUCTURES: Final = (*dict.fromkeys(form.media_type.partition(";")[0] for form in STRUCTURE_FORMS), *_JSON, *_XML)
_SDMX: Final = "/sdmx/"
# What an operation answers when it does not refuse; the others answer 200 with JSON.
_ANSWERS: Final[dict[str, Mapping[int, tuple[str, ...]]]] = {
    "/v1/submissions/{product}/{version}": {201: _JSON, 200: _JSON, 202: _JSON},
    "/v1/submissions/{submission_id}/report": {200: ("application/x-ndjson",)},
    "/v1/receipts/{event_id}": {200: _JSON + _TEXT, 202: _JSON},
    "/v1/contracts/{product}/{version}/schema.json": {200: ("application/schema+json",)},
    "/v1/contracts/{product}/{version}/template.csv": {200: ("text/csv",)},
    "/log/keys": {200: _TEXT},
    "/log/policy": {200: _TEXT},
    "/log/{shard}/checkpoint": {200: _TEXT},
    "/log/{shard}/tile/{path}": {200: ("application/octet-stream",)},
    "POST /v1/corrections": {201: _JSON, 200: _JSON},
    "/v1/invitations/{partner_id}": {201: _JSON},
    "/oauth/keys": {200: ("application/jwk-set+json",)},
    "/.well-known/gateway-keys": {200: ("application/jwk-set+json",)},
    "/problems/{reason}": {200: ("text/html",)},
    "/readyz": {200: _JSON, 503: _JSON},
}
_REFUSED_ALWAYS: Final[tuple[int, ...]] = (400, 401, 403, 404, 429, 503)
# What an operation takes in its body; the others take a submission.
_BODIES: Final[dict[str, tuple[str, ...]]] = {
    TOKEN_PATH: ("application/x-www-form-urlencoded",),
    "/v1/corrections": _JSON,
    "/v1/invitations/{partner_id}": _JSON,
}


class DescribedApplication(FastAPI):
    """FastAPI with a description that says what is answered."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _described(super().openapi())
        return self.openapi_schema


def _described(document: dict[str, Any]) -> dict[str, Any]:
    reasons = defaultdict(list)
    for reason, row in ROWS.items():
        reasons[row.status].append(reason.value)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            refused = _REFUSED_ALWAYS
            if method == "post":
                taken = _BODIES.get(path, SUBMISSION_MEDIA_TYPES)
                operation["requestBody"] = {"required": True, "content": {media_type: {} for media_type in taken}}
                refused = tuple(reasons)
            elif path.startswith((_SDMX, "/v1/own/")):
                refused = (*_REFUSED_ALWAYS, 422)
            answers = _ANSWERS.get(f"{method.upper()} {path}") or _ANSWERS.get(path, {200: _JSON})
            if path.startswith(_SDMX):
                answers = {200: _TABLE if "/data/" in path else _STRUCTURES, 304: ()}
            operation["responses"] = {
                **{str(status): _refused(path, status) for status in refused},
                **{str(status): _answer(media_types) for status, media_types in answers.items()},
            }
    problems = {str(status): _problem(status, of_status) for status, of_status in sorted(reasons.items())}
    document["components"] = {"responses": problems}
    return document


def _refused(path: str, status: int) -> dict[str, Any]:
    if path.startswith(_SDMX):
        return _answer((PROBLEM_JSON, *_JSON, *_XML[:1]))
    # The token endpoint says no in the words of OAuth.
    return _answer(_JSON) if path == TOKEN_PATH else {"$ref": f"#/components/responses/{status}"}


def _answer(media_types: tuple[str, ...]) -> dict[str, Any]:
    return {"description": "Answered", "content": {media_type: {} for media_type in media_types}}


def _problem(status: int, reasons: list[str]) -> dict[str, Any]:
    """Return how a problem document of a status looks (RFC 9457, and the closed list of reasons)."""
    text = {"type": "string"}
    schema = {
        "type": "object",
        "required": ["type", "title", "status", "detail", "reason"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"const": status},
            "detail": text,
            "reason": {"enum": reasons},
            "audit_event": text,
            "hint": text,
        },
    }
    return {"description": "Refused: " + ", ".join(reasons), "content": {PROBLEM_JSON: {"schema": schema}}}
