# SPDX-License-Identifier: Apache-2.0
"""A gateway process on a sandbox of its own; this file is about starting, reaching, killing and stopping one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.client.config import load_config
from gateway.client.sdk import GatewayClient
from gateway.onboarding.sandbox import create_sandbox
from gateway.onboarding.sandbox_files import CertificateFiles, PartyFiles, SandboxFiles
from gateway.storage.engine import Storage, open_storage
from tests.canaries import found_in

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
READ_SECONDS = 60
USA, MEX, GTM = "USA.DHS.CBP", "MEX.SEGOB.UPMRIP", "GTM.IGM"


@dataclass(slots=True)
class Running:
    """A sandbox and its gateway process. `environment` joins the process's own, `GATEWAY_*` override settings."""

    files: SandboxFiles
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def behind_proxy(self) -> bool:
        """Say whether a proxy ends TLS, so that a bad certificate is refused in a document and not by an alert."""
        return self.environment.get("GATEWAY_PEER_MODE") == "proxy"

    @property
    def log_file(self) -> Path:
        """Return where the operational log of the process goes."""
        return self.files.folder / "gateway.log"

    def start(self, *, until_ready: bool = True) -> None:
        """Start the process and return when a submission would be accepted, or only when it answers."""
        with self.log_file.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--config", str(self.files.settings)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **self.environment},
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (self.ready() if until_ready else self.answers()):
            assert self.process.poll() is None, self.log_file.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log_file.read_text()[-4000:]
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def kill(self) -> None:
        """End the process as a power failure would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End the process in order and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def answers(self) -> bool:
        """Say whether the gateway answers at all."""
        try:
            return self.get(USA, "/healthz")[0] == 200
        except OSError:
            return False

    def ready(self) -> bool:
        """Say whether the gateway says that it is ready."""
        try:
            return self.get(USA, "/readyz")[0] == 200
        except OSError:
            return False

    def party(self, name: str) -> PartyFiles:
        """Return the files of a partner or officer."""
        return self.files.partners.get(name) or self.files.officers[name]

    def credentials(self, name: str) -> CertificateFiles:
        """Return the certificate of a partner, officer or specimen."""
        if name in self.files.specimens:
            return self.files.specimens[name]
        party = self.party(name)
        return CertificateFiles(party.tls_cert, party.tls_key)

    def client(self, name: str) -> GatewayClient:
        """Open the SDK of a partner or officer."""
        return GatewayClient(load_config(self.party(name).client))

    @contextlib.contextmanager
    def connection(self, name: str | None) -> Iterator[ssl.SSLSocket]:
        """Open a TLS connection with someone's certificate, or with none."""
        context = ssl.create_default_context(cafile=str(self.files.server_ca))
        if name is not None:
            credentials = self.credentials(name)
            context.load_cert_chain(credentials.tls_cert, credentials.tls_key)
        with (
            socket.create_connection(("localhost", self.files.port), timeout=READ_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            yield tls

    def exchange(self, name: str | None, request: bytes) -> bytes:
        """Send the bytes of a request that closes its connection, and return those of the answer."""
        with self.connection(name) as tls:
            tls.sendall(request)
            return read_all(tls)

    def get(self, name: str | None, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
        """Return status, headers (lower case) and body of a GET."""
        lines = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
        return parse_answer(self.exchange(name, head.encode()))

    @contextlib.contextmanager
    def storage(self) -> Iterator[Storage]:
        """Open the database beside the running gateway, for reading."""
        opened = open_storage(self.files.database_url, read_only=True)
        try:
            yield opened
        finally:
            opened.close()


def read_all(tls: ssl.SSLSocket) -> bytes:
    """Read until the peer ends the connection."""
    answer = b""
    while piece := tls.recv(1 << 20):
        answer += piece
    return answer


def parse_answer(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Split an answer into status, headers and body; chunks are joined."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return int(lines[0].split(" ")[1]), headers, body


def _joined(chunked: bytes) -> bytes:
    body = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        chunked = rest[length + 2 :] if length else b""
    return body


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    engine_url: str | None = None,
    environment: dict[str, str] | None = None,
    valid_from: datetime | None = None,
    prepare: Callable[[SandboxFiles], None] | None = None,
) -> Iterator[Running]:
    """Make a sandbox, run its gateway until the block ends, and let it end in order.

    `prepare` changes the sandbox before the gateway starts.
    """
    files = create_sandbox(folder, engine_url=engine_url, valid_from=valid_from)
    if prepare is not None:
        prepare(files)
    gateway = Running(files, environment or {})
    gateway.start()
    try:
        yield gateway
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            code = gateway.stop()
            assert code == 0, (code, gateway.log_file.read_text()[-4000:])
            # Closed in order: the last connection to leave a SQLite file takes its write-ahead log with it.
            assert not list(gateway.files.folder.rglob("*.db-wal"))
        # Whatever a test planted, the operational log must not tell.
        assert found_in(gateway.log_file.read_bytes()) == []


def problem_of(body: bytes) -> dict[str, Any]:
    """Return a problem document."""
    document = json.loads(body)
    assert isinstance(document, dict)
    return document
