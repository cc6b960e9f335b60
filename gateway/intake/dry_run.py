# SPDX-License-Identifier: Apache-2.0
"""Trying a submission out; this file is about the dry run, which judges everything and keeps no record."""

from __future__ import annotations

from gateway.auditlog.event_kinds import SubmissionValidated
from gateway.auditlog.events import record_event
from gateway.contracting.judge import judge
from gateway.contracting.report import REFUSED_INLINE_MAX, error_of
from gateway.identity.identify import identify_partner
from gateway.intake.desk import IntakeDesk
from gateway.intake.refuse import refusals_recorded
from gateway.policy.requests import VALIDATE, push
from gateway.signing.envelope import receive_body
from gateway.signing.head import verify_signature
from gateway.storage.engine import Tx
from gateway.trip import Permit, SignedRequest, ValidSubmission
from gateway.wire.canonical import JSON
from gateway.wire.digests import b64


def dry_run(desk: IntakeDesk, request: SignedRequest, *, product: str, version: str) -> dict[str, JSON]:
    """Take a submission through every gate but the last, and say what would have been refused.

    Whether a record is a duplicate, or supersedes one that stands, only the submission itself can tell. The
    nonce is not spent, so that the very same request may be tried again.

    Raises:
        Refusal: with its audit event, as the submission itself would be refused.
    """
    with refusals_recorded(desk, request, product=product, version=version) as seen:
        now = request.received_at
        partner = seen.partner = identify_partner(request.peer, desk.directory, desk.anchors, at=now)
        head = verify_signature(request, partner, at=now, reveal_base=desk.sandbox)
        envelope = seen.envelope = receive_body(request, head, limits=desk.limits)
        contract = desk.contracts.get(product, version)
        submission = seen.submission = judge(envelope, contract, at=now, sandbox=desk.sandbox)
        permit = desk.policy.decide(push(submission, VALIDATE))
        event_id = desk.storage.write(lambda tx: _record(tx, desk, request, submission, permit))
    return {
        "contract": {"product": product, "version": version, "digest": submission.contract.digest},
        "records": {"received": submission.received_count, "refused": len(submission.refused)},
        "records_root": b64(submission.root),
        "refused": [error_of(record) for record in submission.refused[:REFUSED_INLINE_MAX]],
        "flags": dict(submission.flags),
        "audit_event": event_id,
    }


def _record(tx: Tx, desk: IntakeDesk, request: SignedRequest, submission: ValidSubmission, permit: Permit) -> str:
    envelope = submission.envelope
    return record_event(
        tx,
        SubmissionValidated(
            path=envelope.path,
            source=request.peer.sha256.hex(),
            product=submission.contract.product,
            version=submission.contract.version,
            contract_digest=submission.contract.digest,
            content_digest=b64(envelope.content_digest),
            received_count=submission.received_count,
            refused_count=len(submission.refused),
            policy_set=permit.policy_set_digest,
            policies=permit.policies,
            keyid=envelope.keyid,
        ),
        at=desk.clock.now(),
        partner_id=envelope.partner.id,
        audience=frozenset({envelope.partner.country}),
        actor=envelope.partner.id,
        request_id=envelope.request_id,
    )
