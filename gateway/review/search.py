# SPDX-License-Identifier: Apache-2.0
"""What an officer may look at; this file is about listing and showing the own country's audit events.

Other countries' events are neither shown nor counted: every query begins at the audience of the officer's country,
and an event of others looks like one that does not exist. Each search is an event itself, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.auditlog.event_kinds import EVENT_CLASSES, SearchRun
from gateway.auditlog.events import NO_PARTNER, query_digest, record_event
from gateway.auditlog.receipts import ReceiptPending, disclosures_of, fields_of, receipt_of
from gateway.clock import Clock, format_instant, parse_instant
from gateway.errors import NotFound, RequestMalformed
from gateway.identifiers import is_id
from gateway.policy.decide import Decisions
from gateway.policy.requests import review_audit
from gateway.storage import log
from gateway.storage.engine import Storage, Tx
from gateway.storage.log import EVENTS_PAGE_MAX, EventQuery
from gateway.trip import Officer, Permit
from gateway.wire.canonical import JSON
from gateway.wire.entry import open_event
from gateway.wire.policy_file import LogPolicy

TEXT_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """The parts that a review needs; `root` is the contracts folder."""

    storage: Storage
    policy: Decisions
    clock: Clock
    log_policy: LogPolicy
    root: Path


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Who looks, and from where; `source` is the SHA-256, hex, of the certificate."""

    officer: Officer
    path: str
    source: str
    request_id: str


def read_query(parameters: Mapping[str, str]) -> EventQuery:
    """Read the parameters of a search.

    Raises:
        RequestMalformed: when one is unknown or has a form of no event.
    """
    known = asdict(EventQuery())
    for name, value in parameters.items():
        if name not in known or len(value) > TEXT_CHARS_MAX:
            raise RequestMalformed(what="unknown search parameter, or too long")
        try:
            known[name] = _read(name, value)
        except ValueError as error:
            raise RequestMalformed(what=f"search parameter {name}") from error
    return EventQuery(**known)


def search_events(desk: ReviewDesk, request: ReviewRequest, query: EventQuery) -> dict[str, Any]:
    """Return a page of events that the officer's country may see, oldest first, and record the search.

    Without `after` it is the newest page.

    Raises:
        DeniedByPolicy: when the officer may not review.
    """
    permit = desk.policy.decide(review_audit(request.officer, country=request.officer.country))
    return desk.storage.write(lambda tx: _search(tx, desk, request, query, permit))


def show_event(desk: ReviewDesk, request: ReviewRequest, event_id: str) -> dict[str, Any]:
    """Return one event that the officer's country may see, with its fields and receipt, and record the look.

    Raises:
        DeniedByPolicy: when the officer may not review.
        NotFound: when there is no such event, or it is another country's: that looks the same, and is recorded too.
    """
    permit = desk.policy.decide(review_audit(request.officer, country=request.officer.country))
    shown = desk.storage.write(lambda tx: _show(tx, desk, request, event_id, permit))
    if shown is None:
        raise NotFound
    return shown


def _search(tx: Tx, desk: ReviewDesk, request: ReviewRequest, query: EventQuery, permit: Permit) -> dict[str, Any]:
    found = log.list_events(tx, request.officer.country, query)
    record_look(tx, desk, request, permit, asked=_json_of(query), result_count=len(found))
    events = [summary_of(event) for event in found]
    # A full page may have another behind it; nothing is counted to find out.
    following = found[-1].id if len(found) == query.limit else None
    return {"events": events} | ({"after": following} if following else {})


def _show(tx: Tx, desk: ReviewDesk, request: ReviewRequest, event_id: str, permit: Permit) -> dict[str, Any] | None:
    event = log.get_visible_event(tx, request.officer.country, event_id)
    record_look(tx, desk, request, permit, asked={"event": event_id}, result_count=0 if event is None else 1)
    if event is None:
        return None
    fields = open_event(event.entry, event.payload, disclosures_of(event))
    document = summary_of(event) | {"fields": fields}
    try:
        return document | {"receipt": receipt_of(tx, event.id, policy=desk.log_policy)}
    except ReceiptPending:
        return document


def summary_of(event: log.StoredEvent) -> dict[str, Any]:
    """Return what a list shows of an event."""
    fields = fields_of(event.fields)
    summary: dict[str, Any] = {
        "event_id": event.id,
        "at": format_instant(event.at),
        "kind": event.kind,
        "outcome": event.outcome,
        "partner": event.partner_id,
        "actor": event.actor,
        "request_id": event.request_id,
    }
    return summary | {name: fields[name] for name in ("reason", "product", "version") if name in fields}


def record_look(
    tx: Tx, desk: ReviewDesk, request: ReviewRequest, permit: Permit, *, asked: Mapping[str, JSON], result_count: int
) -> None:
    """Write down that an officer looked, in the transaction of the look."""
    record_event(
        tx,
        SearchRun(
            path=request.path,
            source=request.source,
            query_digest=query_digest(asked),
            result_count=result_count,
            policy_set=permit.policy_set_digest,
            policies=permit.policies,
        ),
        at=desk.clock.now(),
        partner_id=NO_PARTNER,
        audience=frozenset({request.officer.country}),
        actor=request.officer.id,
        request_id=request.request_id,
    )


def _read(name: str, value: str) -> str | int | datetime:
    if name in {"since", "until"}:
        return parse_instant(value)
    if name == "limit":
        return min(max(1, int(value)), EVENTS_PAGE_MAX)
    if (name == "kind" and value not in EVENT_CLASSES) or (name == "after" and not is_id(value)):
        raise ValueError(value)
    return value


def _json_of(query: EventQuery) -> dict[str, JSON]:
    asked = {name: value for name, value in asdict(query).items() if value not in {None, ""}}
    return {name: format_instant(value) if isinstance(value, datetime) else value for name, value in asked.items()}
