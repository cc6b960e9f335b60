# SPDX-License-Identifier: Apache-2.0
"""Who read a number that is contested; this file is about the recall list, made from the audit log and nothing else.

The log keeps the digest of a query and not its text, so that the list errs on the safe side: on it is every partner
that read cells of the owner since the number was first accepted. It is for officers of the owner's country.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.auditlog.event_kinds_exchange import RecallRead
from gateway.auditlog.events import NO_PARTNER, record_event
from gateway.clock import format_instant
from gateway.corrections.desk import CorrectionsDesk
from gateway.errors import NotFound
from gateway.identifiers import country_of
from gateway.policy.requests import review_audit
from gateway.storage import contests, notices
from gateway.storage.contests import StoredContest
from gateway.storage.engine import Tx
from gateway.trip import Officer

EVENTS_SHOWN_MAX = 100


@dataclass(slots=True)
class Reader:
    """A partner that read, how often, from when until when, and the newest events that prove it."""

    first_at: datetime
    last_at: datetime
    count: int = 0
    events: list[str] = field(default_factory=list)


def readers_of(tx: Tx, provider: str, since: datetime) -> dict[str, Reader]:
    """Return who read cells of a provider's country since an instant, by partner id, in order."""
    owner, found = country_of(provider), dict[str, Reader]()
    for read in contests.reads_of(tx, owner, since):
        fields = json.loads(read.fields)
        # Its officers see what its own partners read of others, too; and a number stands in more than one dataflow.
        if fields["owner"] != owner or not fields["cell_count"]:
            continue
        reader = found.setdefault(read.partner_id, Reader(read.at, read.at))
        reader.last_at = read.at
        reader.count += 1
        reader.events = [*reader.events[1 - EVENTS_SHOWN_MAX :], read.event_id]
    return dict(sorted(found.items()))


def recall(
    desk: CorrectionsDesk, officer: Officer, contest_id: str, *, path: str, source: str, request_id: str
) -> dict[str, Any]:
    """Return the recall list of a contest of the officer's country, after the look's event is committed.

    Raises:
        DeniedByPolicy: when the officer may not review the audit log.
        NotFound: when there is no such contest, or it is another country's.
    """
    permit = desk.policy.decide(review_audit(officer, country=officer.country))

    def look(tx: Tx) -> tuple[StoredContest, dict[str, Reader], dict[str, bool]] | None:
        one = contests.get_contest(tx, contest_id, country=officer.country)
        if one is None:
            return None
        return one, readers_of(tx, one.partner_id, one.since), notices.told_of(tx, contest_id)

    seen = desk.storage.read(look)
    if seen is None:
        raise NotFound
    one, readers, told = seen
    event = RecallRead(
        path=path,
        source=source,
        correction_id=contest_id,
        reader_count=len(readers),
        policy_set=permit.policy_set_digest,
        policies=permit.policies,
    )
    event_id = desk.storage.write(
        lambda tx: record_event(
            tx,
            event,
            at=desk.clock.now(),
            partner_id=NO_PARTNER,
            audience=frozenset({officer.country}),
            actor=officer.id,
            request_id=request_id,
        )
    )
    listed = [_listed(name, reader, one, told) for name, reader in readers.items()]
    return {"correction_id": contest_id, "readers": listed, "audit_event": event_id}


def _listed(name: str, reader: Reader, one: StoredContest, told: dict[str, bool]) -> dict[str, Any]:
    notice = {True: "delivered", False: "pending", None: "none"}[told.get(name)]
    return {
        "partner": name,
        "first_read_at": format_instant(reader.first_at),
        "last_read_at": format_instant(reader.last_at),
        "read_count": reader.count,
        # Who read after that saw the mark.
        "read_before_contest": reader.first_at < one.opened_at,
        "notice": notice,
        "events": reader.events,
    }
