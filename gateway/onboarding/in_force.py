# SPDX-License-Identifier: Apache-2.0
"""What counts in this deployment now; this file is about contracts and policies that their parties approved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.contracting.contract import ContractSet, approved
from gateway.contracting.load import load_contracts
from gateway.contracting.strict_yaml import read_yaml
from gateway.onboarding.approvals import stored_approvals
from gateway.policy.load import PolicySet, load_policies
from gateway.storage import registry
from gateway.storage.engine import Storage, Tx

_RETIRED = "retired"


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
    signed = storage.read(stored_approvals)
    states = storage.read(lambda tx: contract_states(tx, at=at))
    contracts = approved(load_contracts(root), signed, frozenset(parties)).with_states(states)
    products = {contract.ref.product for contract in contracts.contracts}
    policies = load_policies(root, parties=parties, products=products, approved=signed, read=read_yaml)
    return InForce(contracts, policies)


def contract_states(tx: Tx, *, at: datetime) -> dict[tuple[str, str], str]:
    """Return the state of each contract version: its newest entry's, and retired once a sunset has passed."""
    states: dict[tuple[str, str], str] = {}
    for entry in registry.lifecycle_entries(tx):
        if entry.at <= at:
            over = entry.sunset is not None and entry.sunset <= at
            states[entry.product, entry.version] = _RETIRED if over else entry.state
    return states
