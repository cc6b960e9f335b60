# SPDX-License-Identifier: Apache-2.0
"""What the routes need around them; this file is about the edge's desk, which `app.py` composes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from gateway.aggregates.desk import AggregatesDesk
from gateway.api.limits import Admission, Bursts, Turns
from gateway.api.peer import PeerMode
from gateway.auditlog.keeper import LogKeeper
from gateway.intake.desk import IntakeDesk
from gateway.intake.together import Together
from gateway.onboarding.changes import ChangesDesk
from gateway.tokens.desk import TokensDesk
from gateway.wire.keys import Signer
from gateway.wire.policy_file import LogPolicy

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the edge. `answer_keys` are public JWKs, the signer's own among them; `log_policy` is served."""

    intake: IntakeDesk
    together: Together
    aggregates: AggregatesDesk
    changes: ChangesDesk
    keeper: LogKeeper
    answer_signer: Signer
    answer_keys: tuple[dict[str, str], ...]
    log_policy: LogPolicy
    public_origin: str
    peer_mode: PeerMode
    body_bytes_max: int
    body_seconds: float
    receipt_wait_seconds: float
    rate: Admission
    turns: Turns
    # Threads that submissions may hold; reads have as many of their own, so that a slow upload hides no health page.
    submitting: anyio.CapacityLimiter
    reading: anyio.CapacityLimiter
    bursts: Bursts = field(default_factory=Bursts)
    tokens: TokensDesk | None = None

    async def read(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work on a thread for reads: no database call and no parsing of certificates on the event loop."""
        return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self.reading)

    async def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a submission on a thread of its own kind."""
        return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self.submitting)
