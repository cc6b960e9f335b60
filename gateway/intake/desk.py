# SPDX-License-Identifier: Apache-2.0
"""What the trip needs around it; this file is about the intake desk and what a submission leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.contracting.contract import Contracts
from gateway.identity.anchors import CountryAnchors
from gateway.identity.identify import PinDirectory
from gateway.policy.decide import Decisions
from gateway.signing.envelope import BodyLimits
from gateway.storage.engine import Storage
from gateway.trip import Permit, SignedRequest, ValidSubmission
from gateway.wire.canonical import JSON
from gateway.wire.entry import Event


@dataclass(frozen=True, slots=True)
class Permitted:
    """A submission that passed every gate but the last."""

    request: SignedRequest
    submission: ValidSubmission
    permit: Permit


@dataclass(frozen=True, slots=True)
class IntakeDesk:
    """The parts that `app.py` composes for the trip.

    `check_log` raises `LogStalled` when nothing may be accepted, `check_rules` `RulesNotInForce` while there are none.
    """

    clock: Clock
    storage: Storage
    directory: PinDirectory
    anchors: CountryAnchors
    contracts: Contracts
    policy: Decisions
    limits: BodyLimits
    check_log: Callable[[], None]
    check_rules: Callable[[], None]
    sandbox: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that is durable: `answer` is its state without the receipt. A repeat has no event of its own."""

    submission_id: str
    event_id: str
    answer: dict[str, JSON]
    event: Event | None
