# SPDX-License-Identifier: Apache-2.0
"""How fast, beside what one core can do at all; this file is about the benchmark that `make bench` prints.

The limit is the same records through digest, lines, judging with leaf hashes, and the bulk insert, in this process,
without a server, TLS, signature or audit log. Peak memory is the server's own, above what it held before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.client.sending import body_of_lines
from gateway.contracting.judge import judge
from gateway.contracting.load import load_contract, packaged_root
from gateway.identifiers import new_id
from gateway.signing.spool import SpooledLines
from gateway.storage.engine import open_storage
from gateway.storage.migrate import upgrade
from gateway.storage.records import keep_records
from gateway.trip import Partner, VerifiedEnvelope
from tests.engines import PostgresServer
from tests.running import USA, Running, running
from tests.synthetic import event_lines

PRODUCT, VERSION = "border-event", "1.0.0"
MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("build/bench/ingest.json"))
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        for engine in ("sqlite", "postgresql"):
            rows.append(measure(engine, Path(folder) / engine, arguments.records, arguments.rounds))
            print(json.dumps(rows[-1]))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"rows": rows}, indent=2) + "\n")


def measure(engine: str, folder: Path, records: int, rounds: int) -> dict[str, object]:
    """Return one row: medians over rounds in which limit and server take turns."""
    server = PostgresServer(durable=True) if engine == "postgresql" else None
    fresh: Callable[[str], str] = (
        (lambda _: server.fresh()) if server else (lambda name: f"sqlite:///{folder}/{name}.db")
    )
    folder.mkdir()
    limits, wholes, peaks = [], [], []
    try:
        with running(folder / "sandbox", engine_url=fresh("gateway") if server else None) as gateway:
            warm(gateway)
            for round_number in range(rounds):
                lines = list(event_lines(records, seed=1000 + round_number))
                limits.append(records / seconds_of_limit(fresh(f"limit{round_number}"), lines))
                seconds, peak = seconds_of_server(gateway, lines)
                wholes.append(records / seconds)
                peaks.append(peak)
    finally:
        if server:
            server.stop()
    return {
        "engine": engine,
        "batch": records,
        "seconds": round(records / statistics.median(wholes), 3),
        "records_per_second": round(statistics.median(wholes)),
        "limit_records_per_second": round(statistics.median(limits)),
        "ratio_to_limit": round(statistics.median(w / limit for w, limit in zip(wholes, limits, strict=True)), 3),
        "peak_mib": round(max(peaks) / MIB, 1),
    }


def warm(gateway: Running) -> None:
    with gateway.client(USA) as client:
        client.submit_lines(PRODUCT, VERSION, list(event_lines(1000, seed=1)))


def seconds_of_server(gateway: Running, lines: list[bytes]) -> tuple[float, int]:
    """Return wall time from the first byte sent to the verified receipt, and by how much the server's memory grew."""
    assert gateway.process is not None
    proc = Path(f"/proc/{gateway.process.pid}")
    (proc / "clear_refs").write_text("5")
    before = resident(proc, "VmRSS")
    with gateway.client(USA) as client:
        prepared = client.prepared_lines(PRODUCT, VERSION, lines)
        start = time.perf_counter()
        answer = client.send(prepared)
        document = answer.document()
        if "receipt" not in document:
            client.receipt(answer.header("audit-event") or "")
        seconds = time.perf_counter() - start
    assert document["records"]["accepted"] == len(lines), document["records"]
    return seconds, resident(proc, "VmHWM") - before


def resident(proc: Path, name: str) -> int:
    line = next(line for line in (proc / "status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def seconds_of_limit(url: str, lines: list[bytes]) -> float:
    """Return the time of what cannot be left out: digest, lines, judging, leaf hashes, bulk insert and commit."""
    contract = load_contract(packaged_root() / PRODUCT / VERSION)
    upgrade(url)
    storage = open_storage(url)
    content = b"".join(line + b"\n" for line in lines)
    claimed = body_of_lines(lines)
    assert claimed.count == len(lines)
    now = datetime.now(UTC)
    try:
        start = time.perf_counter()
        digest = hashlib.sha256(content).digest()
        spooled = SpooledLines(memory_bytes_max=len(content) + 1)
        spooled.write(content)
        submission = judge(envelope(spooled, digest, now), contract, at=now, sandbox=True)
        of = {"partner_id": USA, "submission_id": new_id(now), "accepted_at": now}
        kept = storage.write(
            lambda tx: sum(
                len(keep_records(tx, submission.shape, chunk, **of).accepted) for chunk in submission.records
            )
        )
        seconds = time.perf_counter() - start
    finally:
        storage.close()
    assert kept == len(lines)
    return seconds


def envelope(lines: SpooledLines, digest: bytes, now: datetime) -> VerifiedEnvelope:
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


if __name__ == "__main__":
    main()
