# SPDX-License-Identifier: Apache-2.0
"""What a refusal leaves behind; this file is about the refusal's own audit event, committed before the answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from gateway.auditlog.event_kinds import SubmissionRefused
from gateway.auditlog.events import NO_PARTNER, record_event
from gateway.errors import Refusal, Replayed, StorageUnavailable
from gateway.intake.desk import IntakeDesk
from gateway.intake.keep import spend_nonce
from gateway.storage.engine import Tx
from gateway.trip import Partner, SignedRequest, ValidSubmission, VerifiedEnvelope
from gateway.wire.digests import b64, sha256

UNKNOWN_PATH = "/v1/submissions/{product}/{version}"


@dataclass(slots=True)
class Seen:
    """How far a request came: what is proven of it when a gate says no."""

    product: str
    version: str
    partner: Partner | None = None
    envelope: VerifiedEnvelope | None = None
    submission: ValidSubmission | None = None


@contextmanager
def refusals_recorded(desk: IntakeDesk, request: SignedRequest, *, product: str, version: str) -> Iterator[Seen]:
    """Give every refusal inside the block an audit event in a transaction of its own, and let it go on.

    Raises:
        StorageUnavailable: in the refusal's place when the event cannot be written: no answer without evidence.
    """
    seen = Seen(product, version)
    try:
        yield seen
    except StorageUnavailable:
        # The database is away: there is nothing to write the event into, and nothing was accepted.
        raise
    except Refusal as refusal:
        work = partial(_record, desk=desk, request=request, seen=seen, refusal=refusal)
        refusal.audit_event = desk.storage.write(work)
        raise


def _record(tx: Tx, *, desk: IntakeDesk, request: SignedRequest, seen: Seen, refusal: Refusal) -> str:
    envelope, partner = seen.envelope, seen.partner
    if envelope and not isinstance(refusal, Replayed):
        # A refused request may not come back, byte for byte, once the reason has gone.
        # Spent already, it is as dead as it can be, and this refusal has another reason.
        with suppress(Replayed):
            spend_nonce(tx, envelope)
    # Of a caller who proved nothing, only what the gate itself found out is told.
    partner_id = partner.id if partner else str(refusal.facts.get("partner", NO_PARTNER))
    country = partner.country if partner else refusal.facts.get("country")
    # A contract that nobody signed is a stranger's free text, which has no place in a log that forgets nothing.
    known = desk.contracts.knows(seen.product, seen.version)
    return record_event(
        tx,
        SubmissionRefused(
            path=request.path if known else UNKNOWN_PATH,
            source=request.peer.sha256.hex(),
            reason=refusal.reason.value,
            product=seen.product if known else None,
            version=seen.version if known else None,
            content_digest=b64(envelope.content_digest) if envelope else None,
            signature_base_digest=b64(sha256(envelope.signature_base)) if envelope else None,
            signature=b64(envelope.signature) if envelope else None,
            keyid=envelope.keyid if envelope else None,
            contract_digest=seen.submission.contract.digest if seen.submission else None,
            received_count=_count(refusal, "received"),
            refused_count=_count(refusal, "refused"),
            codes=_codes(refusal.extra.get("counts")),
            line=_count(refusal, "line"),
            pointer=str(refusal.facts["pointer"]) if "pointer" in refusal.facts else None,
            line_hmac=refusal.sealed,
        ),
        at=desk.clock.now(),
        partner_id=partner_id,
        audience=frozenset({str(country)}) if country else frozenset(),
        actor=partner_id,
        request_id=request.request_id,
    )


def _count(refusal: Refusal, name: str) -> int | None:
    value = refusal.facts.get(name)
    return value if isinstance(value, int) else None


def _codes(counts: object) -> dict[str, int] | None:
    return {str(code): int(count) for code, count in counts.items()} if isinstance(counts, dict) else None
