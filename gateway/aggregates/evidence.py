# SPDX-License-Identifier: Apache-2.0
"""What a pull leaves behind; this file is about its audit events, committed before the answer, given or refused.

Each owner has an event of its own: no country learns from another's evidence who else was asked, or answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.aggregates.desk import AggregatesDesk, DataRequest, Question
from gateway.aggregates.quota import Allowance
from gateway.auditlog.event_kinds import AggregateRead, AggregateRefused
from gateway.auditlog.events import AuditEvent, new_event, query_digest, record_events
from gateway.errors import RateLimited, Refusal, StorageUnavailable
from gateway.storage.engine import Tx
from gateway.trip import Partner, Permit


@dataclass(slots=True)
class Reading:
    """One pull while it goes on: who asks for what, and how far it came; what belongs to an owner stands by owner."""

    desk: AggregatesDesk
    reader: Partner
    request: DataRequest
    question: Question | None = None
    purpose: str = ""
    named_owners: frozenset[str] = frozenset()
    permits: dict[str, Permit] = field(default_factory=dict)
    denials: dict[str, Refusal] = field(default_factory=dict)
    cells: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    newest: str = ""
    allowances: list[Allowance] = field(default_factory=list)

    @property
    def dataflow(self) -> str:
        """Return the dataflow that was asked; before that is understood, the one that there always is."""
        return (self.question.structure if self.question else self.desk.flow.structure).reference


@contextmanager
def refusals_recorded(reading: Reading) -> Iterator[None]:
    """Give every refusal inside the block its audit events in a transaction of their own, and let it go on.

    Raises:
        StorageUnavailable: in the refusal's place when they cannot be written: no answer without evidence.
    """
    try:
        yield
    except (StorageUnavailable, RateLimited):
        # There is nothing to write the event into, or many of them are one event, which the edge counts.
        raise
    except Refusal as refusal:
        # Who was asked by name may know of it; a wildcard asks nobody in particular.
        owners: list[str | None] = [*sorted(reading.named_owners)] or [None]
        refusal.audit_event = _record(reading, {owner: _refused(reading, refusal, owner) for owner in owners})
        raise


def record_read(reading: Reading) -> str:
    """Write down that the cells of each permitting owner were read, and return the first event's id."""
    assert reading.question is not None
    query = reading.question.query.as_json()
    return _record(
        reading,
        {
            owner: AggregateRead(
                path=reading.request.path,
                source=reading.request.source,
                dataflow=reading.dataflow,
                # The owner is part of it: a digest that all owners shared would tell who else was asked.
                query_digest=query_digest({**query, "owner": owner}),
                purpose=reading.purpose,
                owner=owner,
                policy_set=permit.policy_set_digest,
                policies=permit.policies,
                cell_count=reading.cells[owner],
                suppressed_count=reading.suppressed[owner],
            )
            for owner, permit in reading.permits.items()
        },
    )


def _refused(reading: Reading, refusal: Refusal, owner: str | None) -> AggregateRefused:
    # A denial carries the decision about one owner, which is no other's to see.
    decided = _decision(reading.denials.get(owner) if owner and reading.denials else refusal)
    return AggregateRefused(
        path=reading.request.path,
        source=reading.request.source,
        reason=refusal.reason.value,
        dataflow=reading.dataflow,
        query_digest=query_digest({**reading.question.query.as_json(), "owner": owner or ""})
        if reading.question
        else None,
        purpose=reading.purpose or None,
        owner=owner,
        policy_set=decided.get("policy_set"),
        policies=tuple(decided.get("policies", ())) or None,
    )


def _decision(refusal: Refusal | None) -> Mapping[str, Any]:
    decision = refusal.extra.get("decision") if refusal else None
    return decision if isinstance(decision, dict) else {}


def _record(reading: Reading, events: Mapping[str | None, AuditEvent]) -> str:
    """Write one event for each owner, for the eyes of that owner and the reader, and return the first one's id."""
    desk, reader = reading.desk, reading.reader

    def work(tx: Tx) -> str:
        now = desk.clock.now()
        reading.allowances = desk.quota.take(tx, reader.id, _per_hour(reading), at=now)
        made = [
            new_event(
                event,
                at=now,
                partner_id=reader.id,
                audience=frozenset({owner or reader.country, reader.country}),
                actor=reader.id,
                request_id=reading.request.request_id,
            )
            for owner, event in events.items()
        ]
        record_events(tx, made)
        return made[0].row.id

    return desk.storage.write(work)


def _per_hour(reading: Reading) -> dict[str, int]:
    """Return how many requests an hour each agreement gives that permitted this one, whatever came of it, by owner."""
    given = {owner: permit.obligations.get("requests_per_hour") for owner, permit in reading.permits.items()}
    return {owner: cast("int", per_hour) for owner, per_hour in given.items() if per_hour}
