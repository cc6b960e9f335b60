# SPDX-License-Identifier: Apache-2.0
"""The stop; this file is about stopping an agreement, a data product or a direction, and letting it move again.

To stop narrows: one person does it, and it holds at the commit. Every process sees it with its next request, and
decides what is under way again before it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from gateway.auditlog.event_kinds_governance import ExchangeResumed, ExchangeStopped
from gateway.onboarding import enrol
from gateway.onboarding.approvals import SubjectKind
from gateway.onboarding.enrol import THE_OPERATOR, By
from gateway.onboarding.in_force import StopKind
from gateway.onboarding.life import LifeRefused
from gateway.storage import registry
from gateway.storage.engine import Tx
from gateway.storage.registry import Stop

_SUBJECT = {
    StopKind.AGREEMENT: re.compile(r"[a-z0-9-]{1,64}"),
    StopKind.PRODUCT: re.compile(r"[a-z0-9-]{1,64}"),
    StopKind.DIRECTION: re.compile(r"[A-Z]{3}>[A-Z]{3}"),
}

_APPROVED_AS = {StopKind.AGREEMENT: SubjectKind.AGREEMENT, StopKind.PRODUCT: SubjectKind.CONTRACT}


def stop(tx: Tx, kind: str, subject: str, *, parties: Collection[str], at: datetime, by: By = THE_OPERATOR) -> None:
    """Let something move no longer, from the commit on.

    Raises:
        LifeRefused: when there can be no such thing, or it is stopped already.
    """
    what = _known(kind, subject, parties)
    # A stop that names nothing would be believed in.
    approved = [row for row in registry.approvals(tx) if row.subject_kind == _APPROVED_AS.get(what)]
    there = {row.subject_id.partition("/")[0] for row in approved}
    if what in _APPROVED_AS and subject not in there:
        raise LifeRefused(f"there is no {what} {subject}, but {', '.join(sorted(there))}")
    if any((one.kind, one.subject) == (what, subject) for one in registry.stops(tx)):
        raise LifeRefused(f"{what} {subject} is stopped already")
    registry.add_stop(tx, Stop(what, subject, at, by.actor))
    enrol.record(tx, ExchangeStopped(what=what, subject=subject), parties, at=at, by=by)


def lift(tx: Tx, kind: str, subject: str, *, parties: Collection[str], at: datetime, by: By = THE_OPERATOR) -> None:
    """Let something move again.

    Raises:
        LifeRefused: when it is not stopped.
    """
    what = _known(kind, subject, parties)
    try:
        registry.lift_stop(tx, what, subject)
    except LookupError as error:
        raise LifeRefused(f"{what} {subject} is not stopped") from error
    enrol.record(tx, ExchangeResumed(what=what, subject=subject), parties, at=at, by=by)


def _known(kind: str, subject: str, parties: Collection[str]) -> StopKind:
    if kind not in set(StopKind) or not _SUBJECT[StopKind(kind)].fullmatch(subject):
        raise LifeRefused("what stops is an agreement mex-usa, a product flow, or a direction GTM>USA, owner first")
    if kind == StopKind.DIRECTION and not {subject[:3], subject[4:]} <= set(parties):
        raise LifeRefused(f"directions are between {', '.join(sorted(parties))}")
    return StopKind(kind)
