# SPDX-License-Identifier: Apache-2.0
"""How a log begins; this file is about its creation, which only a command does.

Starting up against an empty database must never begin a second log under the old name: a fork would look like one.
"""

from __future__ import annotations

from datetime import datetime

from gateway.auditlog.edge import Edge
from gateway.auditlog.event_kinds import LogStarted
from gateway.auditlog.events import NO_PARTNER, OPERATOR, record_event
from gateway.storage import log
from gateway.storage.engine import Tx


def create_log(tx: Tx, origin: str, at: datetime, *, audience: frozenset[str] = frozenset()) -> str:
    """Create the log of an origin and return the id of its first event, which names the origin.

    Raises:
        LogExists: when the database has a log.
    """
    log.create_head(tx, origin=origin, root=Edge().root(), at=at)
    return record_event(
        tx,
        LogStarted(origin=origin),
        at=at,
        partner_id=NO_PARTNER,
        audience=audience,
        actor=OPERATOR,
        request_id=NO_PARTNER,
    )
