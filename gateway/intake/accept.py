# SPDX-License-Identifier: Apache-2.0
"""The trip of a submission, top to bottom; this file is about accepting what an agency signed."""

from __future__ import annotations

from gateway.contracting.judge import judge
from gateway.identity.identify import identify_partner
from gateway.intake.desk import Accepted, IntakeDesk, Permitted
from gateway.intake.keep import earlier_acceptance, keep
from gateway.intake.refuse import refusals_recorded
from gateway.policy.requests import SUBMIT, push
from gateway.signing.envelope import receive_body
from gateway.signing.head import verify_signature
from gateway.trip import SignedRequest


def accept(desk: IntakeDesk, request: SignedRequest, *, product: str, version: str) -> Accepted:
    """Take a signed request through every gate and keep what it brings, or refuse it; both leave an audit event.

    (1) who calls; (2) did they say it: the head is proven before a byte of the body is read; (3) was it said
    before; (4) is it as the contract says, record by record; (5) may they; (6) keep it, in one transaction.
    Runs on a worker thread and ends at the commit; the edge adds the receipt.

    Raises:
        Refusal: with its audit event, when a gate says no.
    """
    with refusals_recorded(desk, request, product=product, version=version) as seen:
        desk.check_log()
        now = request.received_at
        partner = seen.partner = identify_partner(request.peer, desk.directory, desk.anchors, at=now)  # (1)
        head = verify_signature(request, partner, at=now, reveal_base=desk.sandbox)  # (2)
        envelope = seen.envelope = receive_body(request, head, limits=desk.limits)
        if earlier := desk.storage.read(lambda tx: earlier_acceptance(tx, envelope)):  # (3)
            return earlier
        contract = desk.contracts.get(product, version)
        submission = seen.submission = judge(envelope, contract, at=now, sandbox=desk.sandbox)  # (4)
        permit = desk.policy.decide(push(submission, SUBMIT))  # (5)
        permitted = Permitted(request, submission, permit)
        # Durable from here: nonce, idempotency key, records, rollups and audit event stand or fall together.
        return desk.storage.write(lambda tx: keep(tx, desk, permitted))  # (6)
