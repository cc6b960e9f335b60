# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared; this file is about starting them, and about sending each its own requests."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.client.sending import body_of_lines, idempotency_key_of
from gateway.client.sending import prepare as sign
from gateway.onboarding.sandbox import create_sandbox
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.wire.keys import FileSigner
from tests.bench.limit import PRODUCT, VERSION
from tests.bench.load import packed
from tests.bench.machine import LOAD_CORE, Cost, measured
from tests.engines import PostgresServer
from tests.running import USA, Running, running

START_SECONDS_MAX = 60
# One partner sends all that a core can take, and a quarter of the threads is the most that one partner gets.
UNTHROTTLED = {
    "GATEWAY_REQUESTS_PER_SECOND": "100000",
    "GATEWAY_REQUESTS_BURST": "1000000",
    "GATEWAY_WORKER_THREADS": "64",
}
Batches = Sequence[Sequence[bytes]]


@dataclass(slots=True)
class Contestant:
    """A running server, its database, and how records become its requests."""

    pid: int
    port: int
    folder: Path
    database: PostgresServer | None
    gateway: Running | None = None

    def requests(self, batches: Batches) -> list[bytes]:
        """Return the bytes of the requests, signed now where the server wants signatures."""
        if self.gateway is None:
            return [_plain_request(self.port, lines) for lines in batches]
        party = self.gateway.party(USA)
        signer, origin = FileSigner.load(party.signing_key), self.gateway.files.public_origin
        return [_signed_request(signer, origin, lines) for lines in batches]

    def send(self, batches: Batches, *, connections: int) -> tuple[Cost, list[float]]:
        """Send every batch once and return what that cost the server, and the milliseconds of each answer."""
        file = self.folder / "requests.bin"
        file.write_bytes(packed(self.requests(batches)))
        order: dict[str, Any] = {"requests": str(file), "port": self.port, "connections": connections}
        if self.gateway is not None:
            party = self.gateway.party(USA)
            order |= {"ca": str(self.gateway.files.server_ca), "certificate": str(party.tls_cert)}
            order |= {"key": str(party.tls_key)}
        records = sum(map(len, batches))
        with _loader(order) as loader:
            outcome: dict[str, Any] = {}

            def work() -> float:
                _tell(loader, "go")
                assert loader.stdout is not None
                outcome.update(json.loads(loader.stdout.readline()))
                return float(outcome["seconds"])

            cost = measured(work, records=records, pid=self.pid, database=self.database, memory=True)
        outcome["statuses"].pop("429", None)
        assert outcome["statuses"] == {"201": len(batches)}, outcome["statuses"]
        return cost, outcome["milliseconds"]


@contextlib.contextmanager
def gateway_server(
    folder: Path,
    database: PostgresServer | None,
    url: str | None,
    *,
    prepare: Callable[[SandboxFiles], None] | None = None,
) -> Iterator[Contestant]:
    """Run the gateway on a sandbox, which `prepare` changes before the start."""
    with running(folder, engine_url=url, environment=UNTHROTTLED, prepare=prepare) as gateway:
        assert gateway.process is not None
        yield Contestant(gateway.process.pid, gateway.files.port, folder, database, gateway)


@contextlib.contextmanager
def bare_server(folder: Path) -> Iterator[Contestant]:
    """Run the gateway without contract, policy, storage or log on a sandbox of its own."""
    files = create_sandbox(folder)
    command = [sys.executable, "-m", "tests.bench.bare", str(files.settings)]
    with _process(command, folder, files.port, UNTHROTTLED) as pid:
        yield Contestant(pid, files.port, folder, None, Running(files))


@contextlib.contextmanager
def plain_server(folder: Path, database: PostgresServer | None, url: str) -> Iterator[Contestant]:
    """Run the plain build under stock uvicorn."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tests.bench.plain:app", "--port", str(port), "--no-access-log"]
    with _process(command, folder, port, {"BENCH_DATABASE_URL": url}) as pid:
        yield Contestant(pid, port, folder, database)


@contextlib.contextmanager
def _process(command: list[str], folder: Path, port: int, environment: dict[str, str]) -> Iterator[int]:
    log_file = folder / "server.log"
    with log_file.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _listens(port):
            assert process.poll() is None, log_file.read_text()[-4000:]
            assert time.monotonic() < deadline, log_file.read_text()[-4000:]
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _loader(order: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        loader = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    finally:
        os.sched_setaffinity(0, own)
    try:
        _tell(loader, json.dumps(order))
        assert loader.stdout is not None
        assert loader.stdout.readline() == "ready\n"
        yield loader
    finally:
        loader.communicate()


def _tell(loader: subprocess.Popen[str], line: str) -> None:
    assert loader.stdin is not None
    loader.stdin.write(line + "\n")
    loader.stdin.flush()


def _signed_request(signer: FileSigner, origin: str, lines: Sequence[bytes]) -> bytes:
    body = body_of_lines(lines)
    path = f"/v1/submissions/{PRODUCT}/{VERSION}"
    prepared = sign(
        body,
        signer=signer,
        path=path,
        target_uri=origin + path,
        idempotency_key=idempotency_key_of(partner=USA, product=PRODUCT, version=VERSION, body=body),
        at=datetime.now(UTC),
    )
    return _post(path, origin.removeprefix("https://"), prepared.headers, prepared.content)


def _plain_request(port: int, lines: Sequence[bytes]) -> bytes:
    content = b"[" + b",".join(lines) + b"]"
    return _post("/border-events", f"localhost:{port}", {"content-type": "application/json"}, content)


def _post(path: str, host: str, headers: dict[str, str], content: bytes) -> bytes:
    fields = {"host": host, "accept-encoding": "identity", "prefer": "wait=30", **headers}
    fields["content-length"] = str(len(content))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content
