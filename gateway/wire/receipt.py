# SPDX-License-Identifier: Apache-2.0
"""What the sender keeps; this file is about receipts: one JSON file that anyone can check without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.wire.canonical import JSON
from gateway.wire.entry import FIELDS_MAX, EntryInvalid, open_event, parse_entry
from gateway.wire.merkle import ProofInvalid
from gateway.wire.note import format_vkey
from gateway.wire.policy_file import NO_QUORUM, LogPolicy
from gateway.wire.proof import parse_proof, verify_proof

UNWITNESSED: Final = "unwitnessed"
FINAL: Final = "final"


class ReceiptInvalid(Exception):
    """A receipt that does not prove what it says; the text names the step that failed."""


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """An event that is in the log; `fields` are those that the receipt discloses."""

    fields: dict[str, JSON]
    event_id: str
    at: datetime
    leaf_index: int
    tree_size: int
    origin: str
    status: str


def status_under(policy: LogPolicy) -> str:
    """Return what a proof that a policy's quorum holds may be called."""
    return UNWITNESSED if policy.quorum == NO_QUORUM else FINAL


def format_receipt(  # noqa: PLR0913 one argument for each member of the file
    *,
    entry: bytes,
    payload: bytes,
    disclosures: Sequence[str],
    proof: str,
    origin: str,
    vkey: str,
    policy_digest: str,
    status: str,
) -> dict[str, Any]:
    """Return a receipt as the JSON object that is stored and sent."""
    return {
        "event": {"entry": entry.decode(), "payload": payload.decode(), "disclosures": list(disclosures)},
        "proof": proof,
        "log": {"origin": origin, "vkey": vkey, "policy": policy_digest},
        "status": status,
    }


def verify_receipt(receipt: Mapping[str, Any], *, policy: LogPolicy) -> VerifiedReceipt:
    """Check a receipt against a policy that the reader already had, or raise ReceiptInvalid.

    Keys inside the receipt are never believed.
    """
    parts = _take_apart(receipt)
    try:
        # (1) Disclosures belong to the payload, and the payload to the leaf.
        leaf = parts.entry.encode()
        fields = open_event(leaf, parts.payload.encode(), parts.disclosures)
        entry = parse_entry(leaf)
        # (2) The leaf is in the tree, and the policy believes the tree's checkpoint.
        proof = parse_proof(parts.proof)
        checkpoint, log = verify_proof(proof, leaf, policy)
    except UnicodeEncodeError as error:  # JSON may carry a lone surrogate; no bytes were ever logged as that.
        raise ReceiptInvalid("event: not a text") from error
    except EntryInvalid as error:
        raise ReceiptInvalid(f"event: {error}") from error
    except ProofInvalid as error:
        raise ReceiptInvalid(f"proof: {error}") from error
    # (3) The receipt says of itself what it proves, no more.
    if parts.origin != checkpoint.origin:
        raise ReceiptInvalid("log: the origin is not that of the checkpoint")
    if parts.vkey != format_vkey(log):
        raise ReceiptInvalid("log: the key is not the one that signed the checkpoint")
    if parts.policy != policy.digest:
        raise ReceiptInvalid("log: it was made for another policy")
    if proof.extra is not None:
        raise ReceiptInvalid("proof: it carries what nothing here proves")
    status = status_under(policy)
    if parts.status != status:
        raise ReceiptInvalid("status: not what the policy says of this proof")
    return VerifiedReceipt(
        fields,
        entry.event_id,
        entry.at,
        proof.leaf_index,
        checkpoint.tree_size,
        checkpoint.origin,
        status,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    entry: str
    payload: str
    disclosures: list[str]
    proof: str
    origin: str
    vkey: str
    policy: str
    status: str


def _take_apart(receipt: Mapping[str, Any]) -> _Parts:
    match receipt:
        # Closed at each level: whatever else stood there would look as if it were proven, too.
        case {
            "event": {"entry": str(entry), "payload": str(payload), "disclosures": [*disclosures], **event_rest},
            "proof": str(proof),
            "log": {"origin": str(origin), "vkey": str(vkey), "policy": str(policy), **log_rest},
            "status": str(status),
            **rest,
        } if not (event_rest or log_rest or rest):
            if len(disclosures) > FIELDS_MAX or not all(isinstance(one, str) for one in disclosures):
                raise ReceiptInvalid("event: disclosures are too many, or no texts")
            return _Parts(entry, payload, disclosures, proof, origin, vkey, policy, status)
    raise ReceiptInvalid("form: not that of a receipt")
