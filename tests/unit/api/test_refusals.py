# SPDX-License-Identifier: Apache-2.0
"""What refusals leave in the log; this file is about strangers, who share the few events that they may leave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import select

from gateway.api.desk import Desk
from gateway.api.limits import BURST_SPAN, Admission, Bursts
from gateway.api.refusals import record_bursts, record_handshake, record_refusal
from gateway.api.visit import Visit
from gateway.auditlog.receipts import fields_of
from gateway.errors import NotFound, Reason, UnknownPartner
from gateway.storage import tables
from gateway.storage.engine import Storage
from gateway.trip import PeerCertificate

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
EVENTS = 3


@pytest.fixture
def desk(sqlite_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The parts of a desk that a refusal touches; strangers may leave three events."""
    monkeypatch.setattr("gateway.api.limits.STRANGER_EVENTS_BURST", EVENTS)
    ticks = count()  # Ids of one millisecond have no order.
    clock = SimpleNamespace(now=lambda: AT + timedelta(milliseconds=next(ticks)))
    parts = SimpleNamespace(
        intake=SimpleNamespace(clock=clock, storage=sqlite_storage),
        rate=Admission(per_second=1000, burst=1000), bursts=Bursts(), keeper=SimpleNamespace(wake=lambda: None),
    )  # fmt: skip
    return cast("Desk", parts)


def visit(number: int) -> Visit:
    return Visit("r", AT, "en", "/juan-perez", PeerCertificate(b"", bytes([number] * 32)))


def kept(desk: Desk) -> list[dict[str, object]]:
    rows = select(tables.event.c.kind, tables.event.c.fields).order_by(tables.event.c.id)
    found = desk.intake.storage.read(lambda tx: tx.connection.execute(rows).all())
    return [{"kind": row.kind, **fields_of(row.fields)} for row in found]


def test_the_refusals_of_many_strangers_become_one_count(desk: Desk) -> None:
    """Behind a proxy anyone can make a thousand certificates; the log must not grow by one event for each."""
    told = [record_refusal(desk, visit(number), UnknownPartner()) for number in range(10)]

    record_bursts(desk, at=AT + BURST_SPAN)

    assert [event is not None for event in told] == [True] * (EVENTS + 1) + [False] * (9 - EVENTS)
    events = kept(desk)
    assert [event["kind"] for event in events] == ["request.refused"] * EVENTS + ["requests.limited"] * 2
    assert [(event["source"], event["reason"], event["count"]) for event in events[EVENTS:]] == [
        (visit(EVENTS).source, "unknown-partner", 1),
        ("-", "unknown-partner", 9 - EVENTS),
    ]


def test_a_partner_keeps_its_evidence_whatever_strangers_do(desk: Desk) -> None:
    """Each refusal of a pinned caller is an event, however many of strangers there were."""
    for number in range(10):
        record_refusal(desk, visit(number), NotFound())
    partner = visit(200)
    desk.rate.know(partner.source, "MEX.SEGOB.UPMRIP")

    told = [record_refusal(desk, partner, NotFound()) for _ in range(10)]

    assert None not in told
    assert all("perez" not in str(event) for event in kept(desk))


@pytest.mark.parametrize(
    ("address", "events"),
    [(lambda n: f"2001:db8:0:1::{n:x}:443", 1), (lambda n: f"2001:db8:0:{n:x}::1:443", EVENTS + 1)],
    ids=["one network", "many networks"],
)
def test_handshakes_from_many_addresses_become_few_events(
    desk: Desk, address: Callable[[int], str], events: int
) -> None:
    """The first of each network, as long as there are events; then one count for all."""
    for number in range(1, 21):
        record_handshake(desk, Reason.CERTIFICATE_REQUIRED, address(number), at=AT)

    assert len(kept(desk)) == events
    record_bursts(desk, at=AT + BURST_SPAN)
    record_bursts(desk, at=AT + BURST_SPAN + timedelta(minutes=5))
    *_, last = kept(desk)
    assert (len(kept(desk)), last["count"]) == (events + 1, 20 - events)
