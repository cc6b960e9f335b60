# SPDX-License-Identifier: Apache-2.0
"""Keeping a permitted submission; this file is about the one write transaction and what only it can know."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.auditlog.event_kinds import SubmissionAccepted
from gateway.auditlog.events import record_event
from gateway.contracting.report import REFUSED_INLINE_MAX, violated
from gateway.errors import IdempotencyConflict, Replayed
from gateway.identifiers import new_id
from gateway.identity.identify import identify_partner
from gateway.intake.answer import answer_of
from gateway.intake.desk import Accepted, IntakeDesk
from gateway.signing.head import SIGNATURE_AGE_SECONDS_MAX
from gateway.storage import submissions
from gateway.storage.directory import RegistryDirectory
from gateway.storage.engine import Tx
from gateway.storage.records import keep_records
from gateway.trip import Permit, RecordChunk, RefusedRecord, SignedRequest, ValidSubmission, VerifiedEnvelope
from gateway.wire.digests import b64, sha256
from gateway.wire.merkle import RunningRoot


@dataclass(slots=True)
class Outcome:
    """What became of the records so far; `root` runs over the accepted lines."""

    accepted_count: int = 0
    duplicate_count: int = 0
    refused: list[RefusedRecord] = field(default_factory=list)
    root: RunningRoot = field(default_factory=RunningRoot)


def earlier_acceptance(tx: Tx, envelope: VerifiedEnvelope) -> Accepted | None:
    """Return what the same submission became when it was accepted before, or None when it is new.

    Raises:
        IdempotencyConflict: when the key was accepted with other content or for another contract.
    """
    earlier = submissions.find_by_idempotency(tx, envelope.partner.id, envelope.idempotency_key)
    if earlier is None:
        return None
    if (earlier.path, earlier.decoded_digest) != (envelope.path, envelope.decoded_digest):
        raise IdempotencyConflict
    refused = submissions.refused_of(tx, earlier.partner_id, earlier.id, limit=REFUSED_INLINE_MAX)
    return Accepted(earlier.id, earlier.event_id, answer_of(earlier, refused), replay=True)


def keep(tx: Tx, desk: IntakeDesk, request: SignedRequest, submission: ValidSubmission, permit: Permit) -> Accepted:
    """Write a permitted submission whole.

    (1) repeat or new, (2) nonce, (3) records, (4) still the partner who may, (5) event, (6) the submission.

    A crash before the commit leaves nothing; after it the event waits in the log's queue and start-up goes on from
    there, so that what was answered is never lost and what was not answered is found by its idempotency key.

    Raises:
        Refusal: for a repeat that differs, for records, or for a partner stopped meanwhile; nothing is kept.
    """
    envelope, at = submission.envelope, desk.clock.now()
    if earlier := earlier_acceptance(tx, envelope):  # (1) another request may have won since the first look
        return earlier
    try:
        spend_nonce(tx, envelope)  # (2)
    except Replayed:
        # A twin that was sent at the same moment held the nonce until its commit, which shows its acceptance.
        if earlier := earlier_acceptance(tx, envelope):
            return earlier
        raise
    submission_id = new_id(at)
    outcome = _keep_records(tx, submission, submission_id, at=at)  # (3)
    # A body may take minutes to arrive: who was suspended or revoked since its head counts as stopped.
    identify_partner(request.peer, RegistryDirectory.within(tx), desk.anchors, at=desk.clock.now())  # (4)
    event = _event(request, submission, permit, submission_id, outcome)
    event_id = record_event(  # (5)
        tx,
        event,
        at=at,
        partner_id=envelope.partner.id,
        audience=frozenset({envelope.partner.country}),
        actor=envelope.partner.id,
        request_id=envelope.request_id,
    )
    stored = submissions.insert_submission(  # (6)
        tx,
        submission,
        permit,
        submission_id=submission_id,
        event_id=event_id,
        accepted_count=outcome.accepted_count,
        duplicate_count=outcome.duplicate_count,
        refused=outcome.refused,
        root_accepted=outcome.root.root(),
    )
    return Accepted(submission_id, event_id, answer_of(stored, outcome.refused[:REFUSED_INLINE_MAX]), replay=False)


def spend_nonce(tx: Tx, envelope: VerifiedEnvelope) -> None:
    """Let an envelope's nonce count for this request and no other.

    Raises:
        Replayed: when it was spent before.
    """
    expires_at = envelope.created + timedelta(seconds=SIGNATURE_AGE_SECONDS_MAX)
    submissions.claim_nonce(tx, envelope.partner.id, envelope.nonce, envelope.signature, expires_at)


def _keep_records(tx: Tx, submission: ValidSubmission, submission_id: str, *, at: datetime) -> Outcome:
    outcome = Outcome(refused=list(submission.refused))
    for chunk in submission.records:
        kept = keep_records(
            tx,
            submission.shape,
            chunk,
            partner_id=submission.envelope.partner.id,
            submission_id=submission_id,
            accepted_at=at,
        )
        outcome.accepted_count += len(kept.accepted)
        outcome.duplicate_count += len(kept.duplicates)
        outcome.refused.extend(kept.refused)
        _extend(outcome.root, chunk, kept.accepted)
        if len(outcome.refused) > submission.refused_max:
            raise violated(outcome.refused, received_count=submission.received_count)
    nothing_stands = outcome.accepted_count + outcome.duplicate_count == 0 and submission.nil_period is None
    if nothing_stands or len(outcome.refused) > submission.refused_max:
        raise violated(outcome.refused, received_count=submission.received_count)
    outcome.refused.sort(key=lambda record: record.line)
    return outcome


def _extend(root: RunningRoot, chunk: RecordChunk, accepted: tuple[int, ...]) -> None:
    for position in accepted:
        root.append(chunk.leaf_hashes[position])


def _event(
    request: SignedRequest, submission: ValidSubmission, permit: Permit, submission_id: str, outcome: Outcome
) -> SubmissionAccepted:
    envelope, contract = submission.envelope, submission.contract
    return SubmissionAccepted(
        path=envelope.path,
        source=request.peer.sha256.hex(),
        submission_id=submission_id,
        product=contract.product,
        version=contract.version,
        contract_digest=contract.digest,
        content_digest=b64(envelope.content_digest),
        decoded_digest=b64(envelope.decoded_digest),
        received_count=submission.received_count,
        accepted_count=outcome.accepted_count,
        duplicate_count=outcome.duplicate_count,
        refused_count=len(outcome.refused),
        quarantined_count=submission.flags.get("quarantined", 0),
        root_received=b64(submission.root),
        root_accepted=b64(outcome.root.root()),
        policy_set=permit.policy_set_digest,
        policies=permit.policies,
        decision_digest=permit.request_digest,
        signature_base_digest=b64(sha256(envelope.signature_base)),
        signature=b64(envelope.signature),
        keyid=envelope.keyid,
        algorithm=envelope.algorithm,
        flags=dict(submission.flags) or None,
        nil_period=submission.nil_period,
    )
