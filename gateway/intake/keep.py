# SPDX-License-Identifier: Apache-2.0
"""Keeping permitted submissions; this file is about the one write transaction and what only it can know.

A crash before the commit leaves nothing; after it the events wait in the log's queue and start-up goes on from
there, so that what was answered is never lost and what was not answered is found by its idempotency key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.auditlog.event_kinds import SubmissionAccepted
from gateway.auditlog.events import NewEvent, new_event, record_events
from gateway.contracting.report import REFUSED_INLINE_MAX, violated
from gateway.errors import IdempotencyConflict, Replayed, SignatureKeyUnknown
from gateway.identifiers import new_id
from gateway.identity.identify import identify_partner
from gateway.intake.answer import answer_of
from gateway.intake.desk import Accepted, IntakeDesk, Permitted
from gateway.policy.requests import SUBMIT, push
from gateway.signing.head import SIGNATURE_AGE_SECONDS_MAX
from gateway.storage import submissions
from gateway.storage.directory import RegistryDirectory
from gateway.storage.engine import Tx, WriteConflict
from gateway.storage.records import Part, add_records, keep_records
from gateway.storage.submissions import Kept, SpentNonce
from gateway.trip import RecordChunk, RefusedRecord, TableShape, ValidSubmission, VerifiedEnvelope
from gateway.wire.digests import b64, sha256
from gateway.wire.merkle import RunningRoot


class Apart(Exception):
    """Submissions cannot be kept side by side; nothing of any was kept."""


@dataclass(slots=True)
class Outcome:
    """What became of the records so far; `root` is that over the accepted lines."""

    accepted_count: int = 0
    duplicate_count: int = 0
    refused: list[RefusedRecord] = field(default_factory=list)
    root: bytes = b""


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
    return Accepted(earlier.id, earlier.event_id, answer_of(earlier, refused), None)


def keep_together(tx: Tx, desk: IntakeDesk, permitted: Sequence[Permitted]) -> list[Accepted | None]:
    """Write clean submissions in as many statements as one of them needs; all but the repeats, which are None.

    The steps are those of `keep`.

    Raises:
        Apart, Refusal: when one is not new in every other way, or may not be kept; `keep` can tell.
    """
    new = _without_repeats(tx, permitted)  # (1)
    if not new:
        return [None] * len(permitted)
    at = desk.clock.now()
    _spend_nonces(tx, [each.submission.envelope for each in new])  # (2)
    ids = [new_id(at) for _ in new]
    parts: dict[TableShape, list[Part]] = {}
    for each, submission_id in zip(new, ids, strict=True):
        submission = each.submission
        some = [Part(submission.envelope.partner.id, submission_id, chunk) for chunk in submission.records]
        parts.setdefault(submission.shape, []).extend(some)
    for shape, some in parts.items():
        if some and not add_records(tx, shape, some, accepted_at=at):  # (3)
            raise Apart
    # What was decided is in the key as well: another product of the same partner may have been stopped meanwhile.
    asked = {(p.request.peer.sha256, p.submission.envelope.keyid, p.permit.request_digest): p for p in new}
    for each in asked.values():
        _require_standing(tx, desk, each)  # (4)
    outcomes = [Outcome(each.submission.received_count, root=each.submission.root) for each in new]
    try:
        kept = _conclude(tx, new, ids, outcomes, at=at)  # (5) (6)
    except WriteConflict as error:  # Run again, it would meet it again.
        raise Apart from error
    by_place = {id(each): accepted for each, accepted in zip(new, kept, strict=True)}
    return [by_place.get(id(each)) for each in permitted]


def _without_repeats(tx: Tx, permitted: Sequence[Permitted]) -> list[Permitted]:
    """Return the first of each idempotency key, of those keys that nothing was accepted for."""
    by_key: dict[tuple[str, str], Permitted] = {}
    for each in permitted:
        envelope = each.submission.envelope
        by_key.setdefault((envelope.partner.id, envelope.idempotency_key), each)
    for key in submissions.keys_that_stand(tx, by_key):
        del by_key[key]
    return list(by_key.values())


def keep(tx: Tx, desk: IntakeDesk, permitted: Permitted) -> Accepted:
    """Write a permitted submission whole, whatever it meets.

    (1) repeat or new, (2) nonce, (3) records, (4) still the partner who may, (5) event, (6) the submission.

    Raises:
        Refusal: for a repeat that differs, for records, or for a partner stopped meanwhile; nothing is kept.
    """
    submission, at = permitted.submission, desk.clock.now()
    envelope = submission.envelope
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
    _require_standing(tx, desk, permitted)  # (4)
    return _conclude(tx, [permitted], [submission_id], [outcome], at=at)[0]


def spend_nonce(tx: Tx, envelope: VerifiedEnvelope) -> None:
    """Let an envelope's nonce count for this request and no other.

    Raises:
        Replayed: when it was spent before.
    """
    _spend_nonces(tx, [envelope])


def _spend_nonces(tx: Tx, envelopes: Sequence[VerifiedEnvelope]) -> None:
    age = timedelta(seconds=SIGNATURE_AGE_SECONDS_MAX)
    spent = [SpentNonce(e.partner.id, e.nonce, sha256(e.signature), e.created + age) for e in envelopes]
    submissions.claim_nonces(tx, spent)


def _require_standing(tx: Tx, desk: IntakeDesk, permitted: Permitted) -> None:
    """Refuse who or what was stopped since the head was read: a body may take minutes to arrive."""
    peer, keyid = permitted.request.peer, permitted.submission.envelope.keyid
    partner = identify_partner(peer, RegistryDirectory.within(tx), desk.anchors, at=desk.clock.now())
    if all(key.keyid != keyid for key in partner.signing_keys):
        raise SignatureKeyUnknown
    if desk.policy.policies.digest != permitted.permit.policy_set_digest:
        desk.policy.decide(push(permitted.submission, SUBMIT))


def _conclude(
    tx: Tx, permitted: Sequence[Permitted], ids: Sequence[str], outcomes: Sequence[Outcome], *, at: datetime
) -> list[Accepted]:
    together = list(zip(permitted, ids, outcomes, strict=True))
    events = [_event(each, submission_id, outcome, at=at) for each, submission_id, outcome in together]
    record_events(tx, events)  # (5)
    kept = [
        Kept(
            valid=each.submission,
            permit=each.permit,
            submission_id=submission_id,
            event_id=event.row.id,
            accepted_count=outcome.accepted_count,
            duplicate_count=outcome.duplicate_count,
            refused=outcome.refused,
            root_accepted=outcome.root,
        )
        for (each, submission_id, outcome), event in zip(together, events, strict=True)
    ]
    stored = submissions.insert_submissions(tx, kept)  # (6)
    return [
        Accepted(one.id, one.event_id, answer_of(one, each.refused[:REFUSED_INLINE_MAX]), event.built)
        for one, each, event in zip(stored, kept, events, strict=True)
    ]


def _keep_records(tx: Tx, submission: ValidSubmission, submission_id: str, *, at: datetime) -> Outcome:
    outcome, root = Outcome(refused=list(submission.refused)), RunningRoot()
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
        _extend(root, chunk, kept.accepted)
        if len(outcome.refused) > submission.refused_max:
            raise violated(outcome.refused, received_count=submission.received_count)
    nothing_stands = outcome.accepted_count + outcome.duplicate_count == 0 and submission.nil_period is None
    if nothing_stands or len(outcome.refused) > submission.refused_max:
        raise violated(outcome.refused, received_count=submission.received_count)
    outcome.refused.sort(key=lambda record: record.line)
    outcome.root = root.root()
    return outcome


def _extend(root: RunningRoot, chunk: RecordChunk, accepted: tuple[int, ...]) -> None:
    for position in accepted:
        root.append(chunk.leaf_hashes[position])


def _event(permitted: Permitted, submission_id: str, outcome: Outcome, *, at: datetime) -> NewEvent:
    submission, permit = permitted.submission, permitted.permit
    envelope, contract = submission.envelope, submission.contract
    accepted = SubmissionAccepted(
        path=envelope.path,
        source=permitted.request.peer.sha256.hex(),
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
        root_accepted=b64(outcome.root),
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
    return new_event(
        accepted,
        at=at,
        partner_id=envelope.partner.id,
        audience=frozenset({envelope.partner.country}),
        actor=envelope.partner.id,
        request_id=envelope.request_id,
    )
