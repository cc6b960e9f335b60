# SPDX-License-Identifier: Apache-2.0
"""The stage of the demo; this file is about a sandbox in a folder and the gateway process that serves it."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from gateway.client.config import load_config
from gateway.client.sdk import GatewayClient

AGENCIES: Final = ("USA.DHS.CBP", "MEX.SEGOB.UPMRIP", "GTM.IGM")
FLOW: Final = ("flow", "1.0.0")
BORDER_EVENT: Final = ("border-event", "1.0.0")
READY_SECONDS_MAX: Final = 30
STOP_SECONDS_MAX: Final = 20
COMMAND_SECONDS_MAX: Final = 300
_POLL_SECONDS: Final = 0.1


class StageFailed(Exception):
    """The sandbox could not be made or the gateway did not start."""


@dataclass(slots=True)
class Stage:
    """A sandbox and, while it runs, its gateway."""

    folder: Path
    settings: Path
    sandbox: Mapping[str, Any]
    database: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def policy(self) -> Path:
        """Return the log policy that readers of receipts pin."""
        return Path(self.sandbox["log"]["policy_file"])

    def config(self, party: str) -> Path:
        """Return the client.toml of a partner or officer."""
        for kind in ("partners", "officers"):
            path = self.folder / kind / party / "client.toml"
            if path.is_file():
                return path
        raise StageFailed(f"the sandbox has no {party}")

    def client(self, party: str) -> GatewayClient:
        """Open the client of a partner or officer."""
        return GatewayClient(load_config(self.config(party)))

    def officer(self, country: str, role: str) -> str:
        """Return the id of the officer of a country with a role."""
        for officer in self.sandbox["officers"]:
            if (officer["country"], officer["role"]) == (country, role):
                return str(officer["id"])
        raise StageFailed(f"the sandbox has no {role} of {country}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the program as people do, in a process of its own."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "gateway", "--language", "en", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def start(self) -> None:
        """Start the gateway and return when it would accept a submission.

        Raises:
            StageFailed: when it ends, or is not ready in time.
        """
        log = self.folder / "gateway.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "gateway", "serve", "--config", str(self.settings)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # A Ctrl-C in the terminal is for the demo, which then stops the gateway in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StageFailed(f"the gateway is not ready; its log ends:\n{_tail(log)}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop the gateway in order, or at once when it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ready(self) -> bool:
        config = load_config(self.config(AGENCIES[0]))
        context = ssl.create_default_context(cafile=config.server_ca)
        context.load_cert_chain(config.tls_cert, config.tls_key)
        try:
            with httpx2.Client(verify=context, trust_env=False, timeout=2) as client:
                return client.get(f"{config.gateway_url}/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False


def make_stage(folder: Path, *, engine_url: str | None) -> Stage:
    """Make a sandbox on a free port."""
    from gateway.onboarding.sandbox import create_sandbox

    files = create_sandbox(folder, engine_url=engine_url)
    return Stage(folder, files.settings, json.loads(files.description.read_bytes()), files.database_url)


@contextmanager
def running(stage: Stage, *, keep: bool) -> Iterator[Stage]:
    """Start the gateway for the time of the story; with `keep` a story that ended well leaves it running."""
    stage.start()
    try:
        yield stage
    except BaseException:
        stage.stop()
        raise
    if not keep:
        stage.stop()


def write_description(stage: Stage, path: Path) -> None:
    """Write sandbox.json where other programs look for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(stage.sandbox, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _tail(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.is_file() else ""
