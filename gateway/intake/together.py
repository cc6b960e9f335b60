# SPDX-License-Identifier: Apache-2.0
"""Small submissions that meet; this file is about their way through the gates, side by side and kept at once.

Who comes while some are under way waits, and then all who wait go together: one thread, one look at the registry and
one transaction for all of them. What is plainly new and right is settled so. Nothing is refused here: whatever is not,
goes by itself (`accept.py`), with its body in hand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import anyio
import anyio.to_thread
import structlog

from gateway.contracting.judge import judge
from gateway.errors import Refusal, StorageUnavailable
from gateway.identity.identify import PinnedPartner, identify_partner
from gateway.intake.desk import Accepted, IntakeDesk, Permitted
from gateway.intake.keep import Apart, keep_together
from gateway.policy.requests import SUBMIT, push
from gateway.signing.envelope import receive_body
from gateway.signing.head import verify_signature
from gateway.trip import SignedRequest

TOGETHER_MAX = 64
# As sent, and decoded. Beyond this a submission has work enough for a transaction of its own.
SENT_BYTES_MAX = 65_536
DECODED_BYTES_MAX = 4 * SENT_BYTES_MAX
RECORDS_MAX = 100

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """A submission with its whole body, and the contract that it is for."""

    request: SignedRequest
    product: str
    version: str


class Together:
    """Where small submissions meet; used on the server's event loop only."""

    def __init__(self, desk: IntakeDesk) -> None:
        self._desk = desk
        self._waiting: deque[tuple[Asked, asyncio.Future[Accepted | None]]] = deque()
        self._at_work: asyncio.Task[None] | None = None
        self._thread = anyio.CapacityLimiter(1)

    async def accept(self, asked: Asked) -> Accepted | None:
        """Return what a submission became, or None when it must go by itself; then nothing of it was kept.

        Raises:
            StorageUnavailable: when the database cannot be reached.
        """
        future: asyncio.Future[Accepted | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]
            outcomes = await self._outcomes([asked for asked, _ in some])
            for (_, future), outcome in zip(some, outcomes, strict=True):
                if future.done():  # Its caller is gone; what was kept stays kept.
                    continue
                if isinstance(outcome, StorageUnavailable):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        self._at_work = None

    async def _outcomes(self, some: Sequence[Asked]) -> Sequence[Accepted | StorageUnavailable | None]:
        try:
            return await anyio.to_thread.run_sync(accept_together, self._desk, some, limiter=self._thread)
        except StorageUnavailable as error:
            return [StorageUnavailable(retry_after_seconds=error.retry_after_seconds) for _ in some]
        except Exception:  # Whose fault it was shows when each goes by itself; its neighbours do not pay for it.
            log.exception("fault among submissions that went together")
            return [None] * len(some)


def accept_together(desk: IntakeDesk, some: Sequence[Asked]) -> list[Accepted | None]:
    """Take submissions through every gate and keep those that are new and right; None for each of the others.

    The gates are those of `accept`. When one cannot be kept beside the others, each partner's are tried by themselves,
    so that whoever repeats or corrects holds up nobody else.

    Raises:
        StorageUnavailable: when the database cannot be reached.
    """
    try:
        desk.check_log()
        pins = {asked.request.peer.sha256 for asked in some}
        pinned = _Pinned(desk.directory.pinned_partners(pins))
    except StorageUnavailable:
        raise
    except Refusal:
        return [None] * len(some)
    now = desk.clock.now()
    permitted = {at: found for at, asked in enumerate(some) if (found := _permitted(desk, pinned, asked, at=now))}
    kept = _keep(desk, permitted)
    if not kept:
        by_partner: dict[str, dict[int, Permitted]] = {}
        for at, each in permitted.items():
            by_partner.setdefault(each.submission.envelope.partner.id, {})[at] = each
        for own in by_partner.values() if len(by_partner) > 1 else ():
            kept |= _keep(desk, own)
    return [kept.get(at) for at in range(len(some))]


def _permitted(desk: IntakeDesk, pinned: _Pinned, asked: Asked, *, at: datetime) -> Permitted | None:
    """Take one submission through the gates (1) to (5) of `accept`, or return None when one of them says no."""
    request = asked.request
    limits = replace(desk.limits, decoded_bytes_max=DECODED_BYTES_MAX)
    try:
        partner = identify_partner(request.peer, pinned, desk.anchors, at=request.received_at)
        head = verify_signature(request, partner, at=request.received_at)
        envelope = receive_body(request, head, limits=limits)
        contract = desk.contracts.get(asked.product, asked.version)
        submission = judge(envelope, contract, at=at, sandbox=desk.sandbox)
        if submission.received_count > RECORDS_MAX or submission.refused:
            return None
        return Permitted(request, submission, desk.policy.decide(push(submission, SUBMIT)))
    except Refusal:
        return None


def _keep(desk: IntakeDesk, permitted: Mapping[int, Permitted]) -> dict[int, Accepted]:
    """Keep all that are no repeats in one transaction, or nothing."""
    if not permitted:
        return {}
    try:
        kept = desk.storage.write(lambda tx: keep_together(tx, desk, list(permitted.values())))
    except StorageUnavailable:
        raise
    except (Refusal, Apart):
        return {}
    return {at: accepted for at, accepted in zip(permitted, kept, strict=True) if accepted}


@dataclass(frozen=True, slots=True)
class _Pinned:
    """The directory as one look showed it, later than any of these requests came."""

    by_pin: Mapping[bytes, PinnedPartner | None]

    def pinned_partner(self, sha256: bytes) -> PinnedPartner | None:
        return self.by_pin[sha256]
