# SPDX-License-Identifier: Apache-2.0
"""A leaf shown to be in the log, offline; this file is about the proof text of C2SP tlog-proof."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.wire.checkpoint import Checkpoint, parse_checkpoint
from gateway.wire.digests import b64, unb64
from gateway.wire.merkle import HASH_BYTES, PROOF_HASHES_MAX, ProofInvalid, leaf_hash, verify_inclusion
from gateway.wire.note import NoteInvalid, Verifier, open_note
from gateway.wire.policy_file import LogPolicy, QuorumMissing

HEADER: Final = "c2sp.org/tlog-proof@v1"
PROOF_CHARS_MAX: Final = 131_072
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Proof:
    """An audit path under a checkpoint; nothing in it is believed before it is verified."""

    leaf_index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def format_proof(proof: Proof) -> str:
    """Write a proof."""
    extra = [] if proof.extra is None else [f"extra {b64(proof.extra)}"]
    head = [HEADER, *extra, f"index {proof.leaf_index}", *map(b64, proof.hashes)]
    return "\n".join(head) + "\n\n" + proof.checkpoint.decode()


def parse_proof(text: str) -> Proof:
    """Read a proof; ProofInvalid when it is malformed."""
    if len(text) > PROOF_CHARS_MAX:
        raise ProofInvalid("proof is too long")
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != HEADER:
        raise ProofInvalid("not a proof")
    try:
        extra = unb64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        hashes = tuple(unb64(line) for line in lines)
        note = checkpoint.encode()
    except ValueError as error:
        raise ProofInvalid("malformed proof") from error
    if index is None or len(hashes) > PROOF_HASHES_MAX or any(len(one) != HASH_BYTES for one in hashes):
        raise ProofInvalid("malformed proof")
    return Proof(int(index[1]), hashes, note, extra)


def verify_proof(proof: Proof, leaf: bytes, policy: LogPolicy) -> tuple[Checkpoint, Verifier]:
    """Return the checkpoint under which a leaf is in the log, and the log's key; the policy believes both.

    Raises:
        ProofInvalid: when any step fails.
    """
    try:
        # (1) The signatures: of a log whose name is the origin, and of a quorum of witnesses.
        text, signers = open_note(proof.checkpoint, policy.verifiers)
        checkpoint = parse_checkpoint(text)
        logs = [key.verifier for key in policy.logs if key.verifier in signers]
        log = next((verifier for verifier in logs if verifier.name == checkpoint.origin), None)
        if log is None:
            raise ProofInvalid("signed by no log of the policy for this origin")
        policy.require_quorum(signers)
    except NoteInvalid as error:
        raise ProofInvalid(f"checkpoint: {error}") from error
    except QuorumMissing as error:
        raise ProofInvalid("fewer witnesses than the policy asks for") from error
    except ValueError as error:
        raise ProofInvalid("malformed checkpoint") from error
    # (2) The path from the leaf to the signed root.
    verify_inclusion(
        leaf_hash(leaf),
        leaf_index=proof.leaf_index,
        tree_size=checkpoint.tree_size,
        proof=proof.hashes,
        root=checkpoint.root,
    )
    return checkpoint, log
