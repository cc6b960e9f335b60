# SPDX-License-Identifier: Apache-2.0
"""Statistics and their structures; this file is about the SDMX routes: REST 2 and REST 1.5, two spellings of one thing.

A refusal is an SDMX error message where the client would read SDMX-ML or SDMX-JSON, and a problem document elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response, StreamingResponse

from gateway.aggregates.desk import AggregatesDesk, DataRequest, Pulled, Question
from gateway.aggregates.formats.artefacts import Catalogue, catalogue_of, written
from gateway.aggregates.formats.failures import error_message
from gateway.aggregates.formats.forms import DATA_FORMS, STRUCTURE_FORMS, V1, V2, Form, negotiated
from gateway.aggregates.formats.structures import (
    StructureQuery,
    available,
    parse_structures,
    references_of,
    select,
)
from gateway.aggregates.formats.write import Message
from gateway.aggregates.query import ANY, parameters, parse_query
from gateway.aggregates.serve import pull
from gateway.api.desk import Desk
from gateway.api.edge import refused
from gateway.api.visit import Visit, known_caller, partner_of, visit_of
from gateway.clock import format_instant, parse_instant
from gateway.errors import NotFound, Refusal, RequestMalformed
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.problem import PROBLEM_JSON

RENDERED_MAX = 64
_CONTEXTS = frozenset({"dataflow", "datastructure", "*"})
_DATA, _DATA_1 = "/sdmx/v2/data/{context}/{agency}/{dataflow}/{version}", "/sdmx/v1/data/{flow}"
_OPEN, _OPEN_1 = "/sdmx/v2/availability/{context}/{agency}/{dataflow}/{version}", "/sdmx/v1/availableconstraint/{flow}"
_KEY = "/{key:path}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which dataflow and key a request names, in whatever spelling; what the key has beyond it stands in `rest`."""

    interface: str
    agency: str
    dataflow: str
    version: str
    key: str
    rest: tuple[str, ...]
    query: str
    accept: str
    language: str

    @property
    def form_named(self) -> str:
        """Return what the parameter `format` says."""
        return dict(parameters(self.query)).get("format", "")


def sdmx_routes(desk: Desk) -> APIRouter:
    """Return the routes of statistics and structures."""
    router = APIRouter(tags=["statistics"], route_class=_route_class(desk))
    shelf = _Shelf(desk)

    async def data(request: Request) -> Response:
        return await _data(desk, request)

    async def availability(request: Request) -> Response:
        return await shelf.availability(request)

    async def structures(request: Request) -> Response:
        return await shelf.structures(request)

    def serve(path: str, endpoint: Callable[[Request], Coroutine[Any, Any, Response]], summary: str) -> None:
        router.add_api_route(path, endpoint, methods=["GET"], summary=summary)

    for path, interface in ((_DATA, "2"), (_DATA_1, "1.5")):
        serve(path, data, f"All cells of a dataflow that the caller may see (SDMX REST {interface})")
        serve(path + _KEY, data, f"The cells that a key and filters select (SDMX REST {interface})")
    for path, interface in ((_OPEN, "2"), (_OPEN_1, "1.5")):
        serve(path, availability, f"The codes that a dataflow takes (SDMX REST {interface})")
        serve(path + _KEY, availability, f"The codes that a key and filters leave (SDMX REST {interface})")
    serve("/sdmx/v2/schema/{structure:path}", structures, "A dataflow with all that describes it (REST 2)")
    serve("/sdmx/v2/structure/{structure:path}", structures, "Dataflows, structures, concepts, code lists (REST 2)")
    serve("/sdmx/v1/{structure:path}", structures, "Dataflows, structures, concepts, code lists (REST 1.5)")
    return router


class _Shelf:
    """The structures and what was already written of them: all comes from the contracts, which stay while we run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._flows = desk.aggregates.structures
        self._catalogue: Catalogue = catalogue_of(self._flows)
        self._prepared = desk.aggregates.clock.now()
        self._selected = lru_cache(maxsize=RENDERED_MAX)(self._select)

    async def structures(self, request: Request) -> Response:
        """Answer a structure request, or one for a schema: a dataflow with its descendants and what constrains it."""
        asked = _asked(request)
        path = [part for part in request.path_params["structure"].split("/") if part]
        query = asked.query
        if "/schema/" in request.url.path:
            query, path = "references=all", path[asked.interface == V1 :]

        def work(form: Form) -> bytes:
            return self._selected(parse_structures(path, query), form, asked.language)

        return await self._answer(request, asked, work)

    async def availability(self, request: Request) -> Response:
        """Answer an availability request."""
        asked = _asked(request)
        component = asked.rest[-1] if asked.rest else ""

        def work(form: Form) -> bytes:
            mine = ("references", "mode", "format")
            kept = "&".join(part for part in asked.query.split("&") if not part.startswith(mine))
            structure, query = parse_query(self._flows, **_named(asked), query=kept)
            references = references_of(asked.query)
            models = available(self._catalogue, structure, query, component=component, references=references)
            return written(self._catalogue, models, form, prepared=self._prepared, language=asked.language)

        return await self._answer(request, asked, work)

    def _select(self, query: StructureQuery, form: Form, language: str) -> bytes:
        models = select(self._catalogue, query)
        return written(self._catalogue, models, form, prepared=self._prepared, language=language)

    async def _answer(self, request: Request, asked: _Asked, work: Callable[[Form], bytes]) -> Response:
        await self._desk.read(known_caller, visit_of(request.scope), self._desk)
        form, media_type = negotiated(
            STRUCTURE_FORMS, interface=asked.interface, accept=asked.accept, named=asked.form_named
        )
        body = await self._desk.read(work, form)
        headers = {**_cached(f'"{sha256(body).hex()[:32]}"'), "last-modified": _http_date(self._prepared)}
        if _unchanged(request, headers["etag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(body, media_type=media_type, headers=headers)


async def _data(desk: Desk, request: Request) -> Response:
    visit = visit_of(request.scope)
    asked = _asked(request)
    written_by: list[Message] = []

    def understand(aggregates: AggregatesDesk) -> Question:
        form, media_type = negotiated(
            DATA_FORMS, interface=asked.interface, accept=asked.accept, named=asked.form_named
        )
        structure, query = parse_query(aggregates.structures, **_named(asked), query=_with_provider(asked))
        prepared = format_instant(visit.at)
        message = Message(structure, query, form, prepared, f"R{visit.request_id}", asked.language)
        written_by.append(message)
        return Question(structure, query, media_type, message.write)

    wanted = DataRequest(
        request_id=visit.request_id,
        source=visit.source,
        # The pattern: a key may name several owners, whose officers each see the path.
        path=visit.place,
        purpose=request.headers.get("gateway-purpose", ""),
        understand=understand,
    )
    pulled = await desk.read(_pull, desk, visit, wanted)
    visit.allowances.extend(pulled.allowances)
    [message] = written_by
    headers = {**_cached(message.tag), "audit-event": pulled.event_id}
    if pulled.newest:
        headers["last-modified"] = _http_date(parse_instant(pulled.newest))
    if _unchanged(request, message.tag):
        pulled.body.close()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers |= {"content-length": str(pulled.body_bytes), "content-digest": format_content_digest(message.digest)}
    return StreamingResponse(pulled.chunks(), media_type=pulled.media_type, headers=headers)


def _pull(desk: Desk, visit: Visit, wanted: DataRequest) -> Pulled:
    return pull(desk.aggregates, partner_of(visit, desk), wanted)


def _asked(request: Request) -> _Asked:
    """Read what both spellings have in common; what is wrong with it is refused where the refusal leaves an event."""
    path = request.path_params
    interface = V1 if request.url.path.startswith("/sdmx/v1/") else V2
    agency, dataflow, version = path.get("agency", "*"), path.get("dataflow", "*"), path.get("version", "*")
    if flow := path.get("flow", ""):
        parts = flow.split(",")
        agency, dataflow, version = {1: ("*", *parts, "*"), 2: (*parts, "*")}.get(len(parts), (*parts, "", "")[:3])
    key, *rest = path.get("key", "").split("/")
    return _Asked(
        interface,
        agency,
        dataflow if path.get("context", "*") in _CONTEXTS else "-",
        version,
        key,
        tuple(part for part in rest if part),
        # `+` is AND in SDMX: the query is parsed raw, never as a form.
        request.scope["query_string"].decode("ascii"),
        request.headers.get("accept", ""),
        visit_of(request.scope).language,
    )


def _named(asked: _Asked) -> dict[str, str]:
    return {"agency": asked.agency, "dataflow": asked.dataflow, "version": asked.version, "key": asked.key}


def _with_provider(asked: _Asked) -> str:
    """Return the query with what REST 1.5 says in a third part of the path: whose numbers."""
    if not asked.rest or (asked.interface == V1 and asked.rest[0] in ANY):
        return asked.query
    if asked.interface == V2 or len(asked.rest) > 1:
        raise NotFound
    return f"c[PROVIDER]={asked.rest[0].rpartition(',')[2]}&{asked.query}"


def _cached(tag: str) -> dict[str, str]:
    """Return what lets the caller, and nobody between, keep an answer and ask whether it still holds."""
    return {
        "etag": tag,
        "cache-control": "private, no-cache",
        "vary": "accept, accept-language, gateway-purpose",
    }


def _unchanged(request: Request, tag: str) -> bool:
    """Say whether the caller has this answer already (RFC 9110, section 13.1.2: the comparison is weak)."""
    held = request.headers.get("if-none-match", "").split(",")
    return bool({one.strip().removeprefix("W/") for one in held} & {tag.removeprefix("W/"), "*"})


def _http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def _route_class(desk: Desk) -> type[APIRoute]:
    class SdmxRoute(APIRoute):
        """A route whose refusals are SDMX messages where its client reads those."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    return await inner(request)
                except Refusal as refusal:
                    return await _refusal(desk, request, refusal)

            return handle

    return SdmxRoute


async def _refusal(desk: Desk, request: Request, refusal: Refusal) -> Response:
    visit = visit_of(request.scope)
    response = await refused(desk, visit, refusal)
    asked = _asked(request)
    try:
        forms = (*DATA_FORMS, *STRUCTURE_FORMS)
        form, _ = negotiated(forms, interface=asked.interface, accept=asked.accept, named=asked.form_named)
    except RequestMalformed:
        return response
    if "csv" in form.media_type or PROBLEM_JSON in asked.accept:
        return response
    problem = orjson.loads(response.body)
    body = error_message(
        status=response.status_code,
        title=problem["title"],
        detail=problem["detail"],
        language=visit.language,
        xml=form.is_xml,
        about=(f"E{visit.request_id}", format_instant(visit.at)),
    )
    headers = {k: v for k, v in response.headers.items() if k not in {"content-type", "content-length"}}
    return Response(body, response.status_code, headers, "application/xml" if form.is_xml else "application/json")
