# SPDX-License-Identifier: Apache-2.0
"""What the faults are injected into; this file is about the use cases, and what must hold after each of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from gateway.auditlog.events import NO_PARTNER, record_event
from gateway.auditlog.keeper import KeeperStatus
from gateway.errors import ForbiddenField, Refusal, StorageUnavailable
from gateway.identifiers import new_id
from tests.api.asking import line, signed
from tests.faults.office import Office
from tests.unit.auditlog.world import REFUSED

LEAVES_OF_A_TILE = 256
DAYS_LATER = 4
EXPIRED = 3


class Case(Protocol):
    """A use case. `before` sets the stage; `act` meets the fault; `after` runs on a gateway that was started anew.

    `outcome` is what `act` returned or raised, None when the process ended; `twin` says whether the client repeats
    its bytes or signs anew.
    """

    def before(self, office: Office) -> None: ...

    def act(self, office: Office) -> object: ...

    def after(self, office: Office, outcome: object, *, twin: bool) -> None: ...


class Submit:
    """A submission: two new records. Its client repeats it, byte for byte or signed anew, until it has a receipt."""

    grows: ClassVar = {
        "submission": 1,
        "submission.accepted": 1,
        "border_event_1": 2,
        "nonce": 1,
        "event": 1,
        "leaf": 1,
    }
    totals = 2

    def before(self, office: Office) -> None:
        self.lines = self._lines(office)
        self.asked = signed(office.callers, self.lines)
        self.key = dict(self.asked.headers)["idempotency-key"]
        self.counts = office.counts()

    def _lines(self, office: Office) -> list[bytes]:
        del office
        return [line(), line()]

    def act(self, office: Office) -> object:
        return office.accept(self.asked)

    def after(self, office: Office, outcome: object, *, twin: bool) -> None:
        before = office.counts()
        repeat = self.asked if twin else signed(office.callers, self.lines, key=self.key)

        again = office.accept(repeat)
        office.settle()

        stood = before.rows["submission"] > self.counts.rows["submission"]
        assert (again.event is None) == stood
        assert stood or not getattr(outcome, "event_id", None), "what was acknowledged is gone"
        assert getattr(outcome, "event_id", again.event_id) == again.event_id
        grown = office.counts().more_than(self.counts)
        assert grown == self.grows | {"totals": self.totals}, grown
        assert office.receipt(again.event_id).fields["submission_id"] == again.submission_id
        assert office.findings() == []


class Correct(Submit):
    """A submission of all outcomes: a new record, a repeat, an amendment, and one that breaks the contract."""

    grows: ClassVar = Submit.grows | {"refused_record": 1}
    totals = 1

    def _lines(self, office: Office) -> list[bytes]:
        amendment = line(action="amend", supersedes=office.ground.corrected)
        return [line(), office.ground.repeated, amendment, line(direction="UP")]


class Refuse:
    """A submission that must be refused, with its evidence: its nonce is spent with the event or not at all."""

    def before(self, office: Office) -> None:
        self.asked = signed(office.callers, [line(name="nobody")])
        self.counts = office.counts()

    def act(self, office: Office) -> object:
        return refusal_of(office, self.asked)

    def after(self, office: Office, outcome: object, *, twin: bool) -> None:
        del twin
        first = office.counts().more_than(self.counts)
        told = isinstance(outcome, ForbiddenField)
        assert first in ({}, {"nonce": 1, "event": 1, "leaf": 1, "submission.refused": 1}), first
        assert first or not told, "no answer without evidence"

        again = refusal_of(office, self.asked)
        office.settle()

        assert isinstance(again, ForbiddenField)
        grown = office.counts().more_than(self.counts)
        events = 2 if first else 1
        assert grown == {"nonce": 1, "event": events, "leaf": events, "submission.refused": events}
        assert again.audit_event
        assert office.receipt(again.audit_event).fields["reason"] == again.reason
        assert office.findings() == []


def refusal_of(office: Office, asked: Any) -> Refusal:
    """Return the refusal of a submission."""
    try:
        office.accept(asked)
    except StorageUnavailable:
        raise
    except Refusal as refusal:
        return refusal
    raise AssertionError("it was accepted")


class Log:
    """One pass of the log keeper, sequencer and publisher, over as many events as fill a tile."""

    def before(self, office: Office) -> None:
        self.counts = office.counts()
        missing = LEAVES_OF_A_TILE - self.counts.rows["leaf"]
        self.waiting = office.storage.write(lambda tx: [_event(tx) for _ in range(missing)])

    def act(self, office: Office) -> object:
        office.keeper._step()
        status = office.keeper.state.status
        if status is KeeperStatus.STORAGE_UNAVAILABLE:
            # The same process goes on, too: nothing half-grown may be left in its memory.
            office.settle()
        return status

    def after(self, office: Office, outcome: object, *, twin: bool) -> None:
        del twin
        # A fault of the database is never taken for a broken tree.
        assert outcome in {None, KeeperStatus.RUNNING, KeeperStatus.STORAGE_UNAVAILABLE}
        office.settle()

        grown = office.counts().more_than(self.counts)
        assert grown["leaf"] == grown["event"] == len(self.waiting)
        assert (grown["tile"], grown.get("pending_event")) == (1, None)
        for event_id in (self.waiting[0], self.waiting[-1]):
            office.receipt(event_id)
        assert office.findings() == []


def _event(tx: Any) -> str:
    now = datetime.now(UTC)
    usa = frozenset({"USA"})
    return record_event(
        tx, REFUSED, at=now, partner_id=NO_PARTNER, audience=usa, actor=NO_PARTNER, request_id=new_id(now)
    )


class Delete:
    """The daily deletion, when three records are past their day."""

    def before(self, office: Office) -> None:
        self.counts = office.counts()
        office.clock.days = DAYS_LATER

    def act(self, office: Office) -> object:
        return office.delete_expired()

    def after(self, office: Office, outcome: object, *, twin: bool) -> None:
        del twin, outcome
        first = office.counts().more_than(self.counts)
        assert first.get("tombstone", 0) in {0, EXPIRED}

        assert office.delete_expired() == EXPIRED - first.get("tombstone", 0)
        office.settle()

        grown = office.counts().more_than(self.counts)
        shrunk = {"border_event_1": -EXPIRED, "tombstone": EXPIRED, "records.deleted": 1, "event": 1, "leaf": 1}
        assert {name: grown.get(name) for name in shrunk} == shrunk
        assert grown.get("totals", 0) == 0
        assert office.findings() == []


CASES: dict[str, type[Case]] = {
    "submit": Submit,
    "correct": Correct,
    "refuse": Refuse,
    "log": Log,
    "delete": Delete,
}
