# SPDX-License-Identifier: Apache-2.0
"""What one core can do at all; this file is about the limit that the server is held against.

The same records through digest, lines, judging with leaf hashes, and the bulk insert, each submission a transaction of
its own, in this process: no server, no TLS, no signature and no audit log.
"""

from __future__ import annotations

import gc
import hashlib
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.contracting.contract import Contract
from gateway.contracting.judge import judge
from gateway.contracting.load import load_contract, packaged_root
from gateway.identifiers import new_id
from gateway.signing.spool import SpooledLines
from gateway.storage.engine import Storage, open_storage
from gateway.storage.migrate import upgrade
from gateway.storage.records import keep_records
from gateway.trip import Partner, VerifiedEnvelope
from tests.bench.machine import Cost, measured
from tests.engines import PostgresServer
from tests.running import USA

PRODUCT, VERSION = "border-event", "1.0.0"


class Limit:
    """A database of its own, and the part of the trip that cannot be left out."""

    def __init__(self, url: str, database: PostgresServer | None) -> None:
        upgrade(url)
        self.storage: Storage = open_storage(url)
        self._database = database
        self._contract: Contract = load_contract(packaged_root() / PRODUCT / VERSION)

    def close(self) -> None:
        self.storage.close()

    def cost(self, bodies: Sequence[bytes], records: int) -> Cost:
        """Keep every body as a submission and return what that cost."""
        gc.collect()

        def work() -> float:
            start = time.perf_counter()
            kept = sum(self._keep(body) for body in bodies)
            seconds = time.perf_counter() - start
            assert kept == records
            return seconds

        return measured(work, records=records, pid=os.getpid(), database=self._database)

    def _keep(self, body: bytes) -> int:
        now = datetime.now(UTC)
        digest = hashlib.sha256(body).digest()
        spooled = SpooledLines(memory_bytes_max=len(body) + 1)
        spooled.write(body)
        submission = judge(envelope(spooled, digest, now), self._contract, at=now, sandbox=True)
        of = {"partner_id": USA, "submission_id": new_id(now), "accepted_at": now}
        return self.storage.write(
            lambda tx: sum(
                len(keep_records(tx, submission.shape, chunk, **of).accepted) for chunk in submission.records
            )
        )


def envelope(lines: SpooledLines, digest: bytes, now: datetime) -> VerifiedEnvelope:
    """Return the stage that the signature check would have made."""
    return VerifiedEnvelope(
        partner=Partner(USA, "USA", "active", frozenset(), ()),
        request_id=new_id(now),
        method="POST",
        path=f"/v1/submissions/{PRODUCT}/{VERSION}",
        media_type="application/x-ndjson",
        received_at=now,
        keyid="",
        algorithm="ed25519",
        nonce="",
        created=now,
        signature_base=b"",
        signature=b"",
        content_digest=digest,
        decoded_digest=digest,
        body_bytes=0,
        idempotency_key="",
        claimed_records=None,
        lines=lines,
    )
