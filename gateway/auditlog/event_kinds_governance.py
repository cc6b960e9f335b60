# SPDX-License-Identifier: Apache-2.0
"""More that can stand in the audit log; this file is about what governments decide: in force, stopped, changed.

They follow the rules of `event_kinds.py`, which takes them into its closed list.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auditlog.events import OPERATOR, AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractChange(AuditEvent):
    """What all changes of a contract version's state say."""

    product: str
    version: str
    contract_digest: str
    approved_by: tuple[str, ...]
    sunset: str | None = None
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractPublished(ContractChange):
    """A contract version that all parties approved came into force."""

    kind = "contract.published"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractDeprecated(ContractChange):
    """A contract version has a day after which it is not accepted."""

    kind = "contract.deprecated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRetired(ContractChange):
    """A contract version is not accepted any more."""

    kind = "contract.retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyActivated(AuditEvent):
    """A set of policies and agreements decides from now on."""

    kind = "policy.activated"
    policy_set: str
    agreements: tuple[str, ...]
    approved_by: tuple[str, ...]
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStopped(AuditEvent):
    """An agreement, a data product or a direction was stopped; nothing of it is permitted until it is resumed."""

    kind = "exchange.stopped"
    what: str
    subject: str
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeResumed(ExchangeStopped):
    """What was stopped is permitted again, as far as rules and agreements permit it."""

    kind = "exchange.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProposed(AuditEvent):
    """An officer signed a change that widens; it waits for others."""

    kind = "change.proposed"
    path: str
    source: str
    change_id: str
    act: str
    change_digest: str
    policy_set: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeApproved(ChangeProposed):
    """Another officer signed a change that waits."""

    kind = "change.approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEnacted(ChangeProposed):
    """A change is in force: at once when it narrows, else under the checkpoint that shows its approvals."""

    kind = "change.enacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEnded(AuditEvent):
    """A change that waited does so no longer: its time was over, or it could not be done any more."""

    kind = "change.ended"
    outcome = "failure"
    path: str
    source: str
    change_id: str
    act: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRefused(AuditEvent):
    """What an officer signed was not taken: no such document, not theirs to say, or too late."""

    kind = "change.refused"
    outcome = "failure"
    path: str
    source: str
    reason: str
    change_id: str | None = None
    act: str | None = None
    policy_set: str | None = None
    policies: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFounded(AuditEvent):
    """The first officers and the first rules, under the signatures of an approver of every party."""

    kind = "deployment.founded"
    change_id: str
    change_digest: str
    signers: tuple[str, ...]
    source: str = OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalWithdrawn(AuditEvent):
    """A government stands by an agreement or contract no longer, which is then nobody's any more."""

    kind = "approval.withdrawn"
    what: str
    subject: str
    country: str
    source: str = OPERATOR


KINDS = (
    ContractPublished,
    ContractDeprecated,
    ContractRetired,
    PolicyActivated,
    ExchangeStopped,
    ExchangeResumed,
    ChangeProposed,
    ChangeApproved,
    ChangeEnacted,
    ChangeEnded,
    ChangeRefused,
    DeploymentFounded,
    ApprovalWithdrawn,
)
