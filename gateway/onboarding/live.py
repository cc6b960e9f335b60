# SPDX-License-Identifier: Apache-2.0
"""What counts from now on; this file is about following the registry without a restart.

Every request reads the registry's version along with its pin. Who sees a newer one than the one it read contracts,
policies and stops at reads them again, in the same transaction and on the same thread, before it decides. What is read
takes the place of what was as a whole: a question is answered by one set, never by parts of two.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.contracting.contract import Contract, ContractSet
from gateway.errors import RulesNotInForce
from gateway.onboarding.in_force import InForce, next_change, read_in_force
from gateway.policy.decide import DecisionPoint, Weighed
from gateway.policy.load import PolicySet
from gateway.storage import registry
from gateway.storage.engine import Storage, Tx
from gateway.trip import Permit, PolicyRequest, TableShape
from gateway.wire.canonical import JSON

NEVER = datetime.max.replace(tzinfo=UTC)
NEVER_YET = datetime.min.replace(tzinfo=UTC)
AGAIN_SECONDS = 2

log = structlog.get_logger()


class LiveDecisions:
    """The decision point in force; each question goes to one that never changes."""

    def __init__(self, point: DecisionPoint) -> None:
        self.now = point

    @property
    def policies(self) -> PolicySet:
        """Return the set that decides now."""
        return self.now.policies

    def decide(self, request: PolicyRequest) -> Permit:
        """Return a permit under the set that decides now, or raise `DeniedByPolicy`."""
        return self.now.decide(request)

    def weigh(self, request: PolicyRequest) -> Weighed:
        """Return what Cedar says under the set that decides now."""
        return self.now.weigh(request)

    def holding(self, parts: Mapping[str, Mapping[str, JSON]], request: PolicyRequest) -> frozenset[str]:
        """Return which conditions hold."""
        return self.now.holding(parts, request)


class LiveContracts:
    """The contract versions in force."""

    def __init__(self, contracts: ContractSet) -> None:
        self.now = contracts

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """Return the contract versions in force now."""
        return self.now.contracts

    @property
    def states(self) -> Mapping[tuple[str, str], str]:
        """Return their lifecycle states."""
        return self.now.states

    @property
    def shapes(self) -> tuple[TableShape, ...]:
        """Return the tables of those in force now."""
        return self.now.shapes

    def get(self, product: str, version: str) -> Contract:
        """Return the contract that takes submissions now, as `ContractSet.get` does."""
        return self.now.get(product, version)

    def knows(self, product: str, version: str) -> bool:
        """Say whether there is such a contract now, in whatever state."""
        return self.now.knows(product, version)


class Live:
    """The contracts and the decision point of one process, as the registry has them."""

    def __init__(self, storage: Storage, root: Path, *, parties: tuple[str, ...], clock: Clock) -> None:
        self._root, self._parties, self._clock = root, parties, clock
        self._reading = threading.Lock()
        self._again = NEVER_YET
        read, self._version, self._until = storage.read(self._read)
        self.contracts = LiveContracts(read.contracts)
        self.policy = LiveDecisions(DecisionPoint(read.policies))

    def follow(self, tx: Tx, version: int) -> None:
        """Read everything again when the registry is further than we are, or the next sunset has come.

        Raises:
            RulesNotInForce: when what the registry names cannot be put in force; nothing is decided then.
        """
        if version <= self._version and self._clock.now() < self._until:
            return
        self.check()
        with self._reading:
            if version <= self._version and self._clock.now() < self._until:
                return
            self.check()
            try:
                read, seen, until = self._read(tx)
            except (ValueError, OSError) as error:
                raise self._refusal(error) from error
            self._again = NEVER_YET
            before = self.policy.policies
            if (read.policies.digest, read.policies.products) != (before.digest, before.products):
                self.policy.now = DecisionPoint(read.policies)
            self.contracts.now = read.contracts
            self._version, self._until = seen, until

    def check(self) -> None:
        """Return when what the registry names was in force at the last look.

        Raises:
            RulesNotInForce: until the next look, some seconds after one that failed.
        """
        if (wait := self._again - self._clock.now()) > timedelta():
            raise RulesNotInForce(retry_after_seconds=math.ceil(wait.total_seconds()))

    def _refusal(self, error: Exception) -> RulesNotInForce:
        log.error("rules not in force", cause=str(error))
        # To read it all costs too much to be tried with every request.
        self._again = self._clock.now() + timedelta(seconds=AGAIN_SECONDS)
        return RulesNotInForce(retry_after_seconds=AGAIN_SECONDS)

    def look(self, storage: Storage) -> None:
        """Follow without a request: a submission under way is decided again when the set has changed."""
        storage.read(lambda tx: self.follow(tx, registry.version(tx)))

    def _read(self, tx: Tx) -> tuple[InForce, int, datetime]:
        # The version first: what changes in between is read again, never missed.
        seen, at = registry.version(tx), self._clock.now()
        read = read_in_force(tx, self._root, parties=self._parties, at=at)
        return read, seen, next_change(tx, at=at) or NEVER
