# SPDX-License-Identifier: Apache-2.0
"""Pushing records; this file is about the routes that take submissions and show a partner its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.api.desk import Desk
from gateway.api.language import localized
from gateway.api.requests import signed_request, with_small_body
from gateway.api.turns import in_turn
from gateway.api.visit import Visit, partner_of, visit_of
from gateway.auditlog.receipts import ReceiptPending, receipt_of, receipt_under
from gateway.contracting.report import error_of
from gateway.errors import NotFound
from gateway.identifiers import UUID7, is_id
from gateway.intake.accept import accept
from gateway.intake.answer import answer_of
from gateway.intake.desk import Accepted
from gateway.intake.dry_run import dry_run
from gateway.intake.together import SENT_BYTES_MAX, Asked
from gateway.storage import submissions
from gateway.storage.engine import Tx
from gateway.trip import Partner, RefusedRecord

PAGE_MAX = 100
REPORT_PAGE = 1000
REFUSED_INLINE_MAX = 100
RETRY_AFTER_SECONDS = 1
WAIT_SECONDS_MAX = 30
NDJSON = "application/x-ndjson"
_ID_OR_NONE = rf"^({UUID7})?$"
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")


def submission_routes(desk: Desk) -> APIRouter:
    """Return the routes of submissions."""
    router = APIRouter(tags=["submissions"])

    @router.post("/v1/submissions/{product}/{version}", status_code=201, summary="Submit signed records")
    async def submit(request: Request, product: str, version: str) -> Response:
        visit = visit_of(request.scope)
        signed = signed_request(request.scope, request.receive, desk, visit)
        accepted = await _accept(desk, visit, request, Asked(signed, product, version))
        return await _answer(desk, visit, accepted, wait_seconds=_wait(request, desk.receipt_wait_seconds))

    @router.post("/v1/submissions/{product}/{version}/validate", summary="Try a submission; nothing is kept")
    async def validate(request: Request, product: str, version: str) -> Response:
        visit = visit_of(request.scope)
        signed = signed_request(request.scope, request.receive, desk, visit)
        outcome = await in_turn(desk, visit, dry_run, desk.intake, signed, product=product, version=version)
        event_id = str(outcome["audit_event"])
        return JSONResponse(localized(outcome, visit.language), headers={"audit-event": event_id})

    @router.get("/v1/submissions", summary="List the caller's submissions, oldest first")
    async def list_own(
        request: Request,
        after: Annotated[str, Query(pattern=_ID_OR_NONE)] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    ) -> Response:
        visit = visit_of(request.scope)
        return JSONResponse(await desk.read(_list, desk, visit, after, limit))

    @router.get("/v1/submissions/{submission_id}", summary="Show one of the caller's submissions")
    async def show(request: Request, submission_id: str) -> Response:
        visit = visit_of(request.scope)
        return JSONResponse(await desk.read(_show, desk, visit, submission_id))

    @router.get("/v1/submissions/{submission_id}/report", summary="Every refused record, one JSON line each")
    async def report(request: Request, submission_id: str) -> Response:
        visit = visit_of(request.scope)
        partner_id = await desk.read(_owner, desk, visit, submission_id)
        return StreamingResponse(_report(desk, partner_id, submission_id, visit.language), media_type=NDJSON)

    return router


async def _accept(desk: Desk, visit: Visit, request: Request, asked: Asked) -> Accepted:
    """Accept a submission: a small one of a known caller together with others, when it is new and right."""
    if desk.rate.name_of(visit.source):
        signed, whole = await with_small_body(
            asked.request, request.scope, request.receive, desk, bytes_max=SENT_BYTES_MAX
        )
        asked = replace(asked, request=signed)
        if whole and (accepted := await desk.together.accept(asked)):
            return accepted
    return await in_turn(desk, visit, accept, desk.intake, asked.request, product=asked.product, version=asked.version)


async def _answer(desk: Desk, visit: Visit, accepted: Accepted, *, wait_seconds: float) -> Response:
    """Answer with the receipt when it is published in time: 201, or 200 for a repeat; else 202 and where it will be."""
    receipt = await _receipt(desk, accepted, wait_seconds)
    document: dict[str, Any] = localized(accepted.answer, visit.language)
    headers = {"audit-event": accepted.event_id, "location": f"/v1/submissions/{accepted.submission_id}"}
    if accepted.event is None:
        headers["idempotent-replay"] = "true"
    if receipt is not None:
        document["receipt"] = receipt
        # Not by the standard library's json, which takes as long for a receipt as the signature under it.
        body = orjson.dumps(document)
        return Response(body, 200 if accepted.event is None else 201, headers, "application/json")
    headers |= {"location": f"/v1/receipts/{accepted.event_id}", "retry-after": str(RETRY_AFTER_SECONDS)}
    return JSONResponse(document, 200 if accepted.event is None else 202, headers)


async def _receipt(desk: Desk, accepted: Accepted, wait_seconds: float) -> dict[str, Any] | None:
    event_id, policy = accepted.event_id, desk.log_policy
    try:
        proof = await desk.keeper.published(event_id, timeout_seconds=wait_seconds)
        if proof is not None and accepted.event is not None:
            return receipt_under(proof, accepted.event, policy=policy)
        return await desk.read(desk.intake.storage.read, lambda tx: receipt_of(tx, event_id, policy=policy))
    except (TimeoutError, ReceiptPending):
        return None


def _wait(request: Request, default: float) -> float:
    """Return for how long the caller wants to wait for its receipt (RFC 7240, `Prefer: wait=N`)."""
    asked = _WAIT.search(request.headers.get("prefer", ""))
    return float(min(int(asked.group(1)), WAIT_SECONDS_MAX)) if asked else default


def _list(desk: Desk, visit: Visit, after: str, limit: int) -> dict[str, Any]:
    partner = partner_of(visit, desk)
    stored = desk.intake.storage.read(lambda tx: submissions.list_submissions(tx, partner.id, after=after, limit=limit))
    following = {"next": f"/v1/submissions?after={stored[-1].id}&limit={limit}"} if len(stored) == limit else {}
    return {"submissions": [answer_of(one, ()) for one in stored], **following}


def _show(desk: Desk, visit: Visit, submission_id: str) -> dict[str, Any]:
    partner = partner_of(visit, desk)

    def work(tx: Tx) -> dict[str, Any]:
        stored = _own(tx, partner, submission_id)
        refused = submissions.refused_of(tx, partner.id, submission_id, limit=REFUSED_INLINE_MAX)
        document = localized(answer_of(stored, refused), visit.language)
        return {**document, "audit_event": stored.event_id, "receipt_url": f"/v1/receipts/{stored.event_id}"}

    return desk.intake.storage.read(work)


def _owner(desk: Desk, visit: Visit, submission_id: str) -> str:
    """Return the caller's id when the submission is the caller's."""
    partner = partner_of(visit, desk)
    return desk.intake.storage.read(lambda tx: _own(tx, partner, submission_id)).partner_id


def _own(tx: Tx, partner: Partner, submission_id: str) -> submissions.StoredSubmission:
    """Return a submission of a partner.

    Raises:
        NotFound: when it is another's or does not exist, which look the same.
    """
    stored = submissions.get_submission(tx, partner.id, submission_id) if is_id(submission_id) else None
    if stored is None:
        raise NotFound
    return stored


def _report(desk: Desk, partner_id: str, submission_id: str, language: str) -> Iterator[bytes]:
    after_line = 0
    while page := _report_page(desk, partner_id, submission_id, after_line):
        for record in page:
            yield json.dumps(localized(error_of(record), language), ensure_ascii=False).encode() + b"\n"
        after_line = page[-1].line


def _report_page(desk: Desk, partner_id: str, submission_id: str, after_line: int) -> Sequence[RefusedRecord]:
    return desk.intake.storage.read(
        lambda tx: submissions.refused_of(tx, partner_id, submission_id, after_line=after_line, limit=REPORT_PAGE)
    )
