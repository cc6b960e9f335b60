# SPDX-License-Identifier: Apache-2.0
"""What a submitter is told; this file is about the state of a submission as the answer shows it, receipt apart."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.clock import format_instant
from gateway.contracting.report import error_of
from gateway.storage.submissions import StoredSubmission
from gateway.trip import RefusedRecord
from gateway.wire.canonical import JSON
from gateway.wire.digests import b64, format_content_digest


def answer_of(stored: StoredSubmission, refused: Sequence[RefusedRecord]) -> dict[str, JSON]:
    """Return a submission's state, made from what is stored alone, so that a repeat is told the same."""
    return {
        "submission_id": stored.id,
        "contract": {"product": stored.product, "version": stored.version, "digest": stored.contract_digest},
        "content_digest": format_content_digest(stored.content_digest),
        "records": {
            "received": stored.received_count,
            "accepted": stored.accepted_count,
            "duplicate": stored.duplicate_count,
            "refused": stored.refused_count,
            "quarantined": stored.quarantined_count,
        },
        "records_root": b64(stored.root_accepted),
        "refused": [error_of(record) for record in refused],
        "report_url": f"/v1/submissions/{stored.id}/report",
        "decision": {"policies": list(stored.policies), "policy_set": stored.policy_set_digest},
        "received_at": format_instant(stored.received_at),
        **({"nil_period": stored.nil_period} if stored.nil_period else {}),
    }
