# SPDX-License-Identifier: Apache-2.0
"""What counts in this deployment now; this file is about contracts and policies that their parties approved."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from gateway.contracting.contract import ContractSet, approved
from gateway.contracting.load import load_contracts
from gateway.contracting.strict_yaml import read_yaml
from gateway.onboarding.approvals import SubjectKind, stored_approvals
from gateway.policy.agreements import load_agreements
from gateway.policy.load import PoliciesInvalid, PolicySet, Stops, load_policies, load_rules
from gateway.storage import registry
from gateway.storage.engine import Storage, Tx
from gateway.storage.registry import Stop

_RETIRED = "retired"


class StopKind(StrEnum):
    """What can be stopped beside a partner, which has a status of its own."""

    AGREEMENT = "agreement"
    PRODUCT = "product"
    DIRECTION = "direction"


@dataclass(frozen=True, slots=True)
class InForce:
    """Only what all parties signed, with the lifecycle states of the contract versions."""

    contracts: ContractSet
    policies: PolicySet


def load_in_force(storage: Storage, root: Path, *, parties: Collection[str], at: datetime) -> InForce:
    """Read the contracts folder and keep what the registry's approvals cover.

    Raises:
        ApprovalInvalid: when a stored approval does not hold.
        ContractInvalid, AgreementInvalid, PoliciesInvalid: when a file cannot be put in force.
    """
    return storage.read(lambda tx: read_in_force(tx, root, parties=parties, at=at))


def read_in_force(tx: Tx, root: Path, *, parties: Collection[str], at: datetime) -> InForce:
    """Read as `load_in_force` does, on one view of the registry."""
    signed = stored_approvals(tx)
    _check_whole(tx, root)
    contracts = approved(load_contracts(root), signed, frozenset(parties)).with_states(contract_states(tx, at=at))
    products = {contract.ref.product for contract in contracts.contracts}
    stops = stops_of(registry.stops(tx))
    policies = load_policies(root, parties=parties, products=products, approved=signed, read=read_yaml, stops=stops)
    return InForce(contracts, policies)


def _check_whole(tx: Tx, root: Path) -> None:
    """Return when the folder has all rules and agreements that were approved.

    Raises:
        PoliciesInvalid: else; without the newest revision an earlier one would decide, which had ended.
    """
    there = {rules.digest for rules in load_rules(root)}
    there |= {agreement.digest for agreement in load_agreements(root / "agreements", read_yaml)}
    approvals = [row for row in registry.approvals(tx) if row.subject_kind != SubjectKind.CONTRACT]
    if gone := sorted({f"{row.subject_kind} {row.subject_id}" for row in approvals if row.digest not in there}):
        raise PoliciesInvalid(f"approved, and not in the contracts folder: {', '.join(gone)}")


def stops_of(rows: Iterable[Stop]) -> Stops:
    """Return stops as the policies take them."""
    found: dict[str, set[str]] = {kind: set() for kind in StopKind}
    for row in rows:
        found[StopKind(row.kind)].add(row.subject)
    return Stops(
        agreements=frozenset(found[StopKind.AGREEMENT]),
        products=frozenset(found[StopKind.PRODUCT]),
        directions=frozenset((pair[:3], pair[4:]) for pair in found[StopKind.DIRECTION]),
    )


def next_change(tx: Tx, *, at: datetime) -> datetime | None:
    """Return when a contract version changes its state by itself next: an entry ahead, or a sunset."""
    entries = registry.lifecycle_entries(tx)
    times = [moment for entry in entries for moment in (entry.at, entry.sunset) if moment is not None and moment > at]
    return min(times, default=None)


def contract_states(tx: Tx, *, at: datetime) -> dict[tuple[str, str], str]:
    """Return the state of each contract version: its newest entry's, and retired once a sunset has passed."""
    states: dict[tuple[str, str], str] = {}
    for entry in registry.lifecycle_entries(tx):
        if entry.at <= at:
            over = entry.sunset is not None and entry.sunset <= at
            states[entry.product, entry.version] = _RETIRED if over else entry.state
    return states
