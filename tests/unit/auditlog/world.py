# SPDX-License-Identifier: Apache-2.0
"""A small log to play with; this file is about a clock that stands still, a key, and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.auditlog.create import create_log
from gateway.auditlog.event_kinds import RequestRefused
from gateway.auditlog.events import AuditEvent, record_event
from gateway.auditlog.publisher import Publisher
from gateway.auditlog.sequencer import sequence
from gateway.storage.engine import Storage, Tx
from gateway.wire.keys import FileSigner
from gateway.wire.note import Verifier, verifier_of
from gateway.wire.policy_file import LogPolicy, PolicyKey

ORIGIN = "gateway.test/log/2026"
SIGNER = FileSigner.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VERIFIER: Verifier = verifier_of(SIGNER, ORIGIN)
POLICY = LogPolicy(logs=(PolicyKey(VERIFIER),))
START = datetime(2026, 11, 24, 2, 0, 0, 123456, tzinfo=UTC)
REFUSED = RequestRefused(path="/v1/contracts", source="ab" * 32, reason="unknown-partner")


@dataclass(slots=True)
class StillClock:
    """A clock that moves when it is told to, and a millisecond each time it is read."""

    at: datetime = field(default=START)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


@dataclass(slots=True)
class World:
    """A storage with a log in it."""

    storage: Storage
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        self.storage.write(lambda tx: create_log(tx, ORIGIN, self.clock.now()))
        self.publisher = self.new_publisher()

    publisher: Publisher = field(init=False)
    kept: list[str] = field(default_factory=list)
    submissions: list[str] = field(default_factory=list)

    def new_publisher(self) -> Publisher:
        return Publisher(self.storage, SIGNER, ORIGIN, self.clock)

    def record(
        self,
        event: AuditEvent = REFUSED,
        *,
        partner_id: str = "MEX.SEGOB.UPMRIP",
        audience: frozenset[str] = frozenset({"MEX"}),
        actor: str | None = None,
    ) -> str:
        return self.storage.write(
            lambda tx: self.record_in(tx, event, partner_id=partner_id, audience=audience, actor=actor)
        )

    def record_in(
        self,
        tx: Tx,
        event: AuditEvent = REFUSED,
        *,
        partner_id: str = "MEX.SEGOB.UPMRIP",
        audience: frozenset[str] = frozenset({"MEX"}),
        actor: str | None = None,
    ) -> str:
        return record_event(
            tx,
            event,
            at=self.clock.now(),
            partner_id=partner_id,
            audience=audience,
            actor=actor or partner_id,
            request_id="request-1",
        )

    def record_many(self, count: int) -> list[str]:
        return self.storage.write(lambda tx: [self.record_in(tx) for _ in range(count)])

    def settle(self) -> None:
        """Sequence and publish all that waits."""
        while sequence(self.storage, self.clock):
            pass
        self.publisher.publish()
