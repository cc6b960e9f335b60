# SPDX-License-Identifier: Apache-2.0
"""The stage of the demo; this file is about a sandbox in a folder and the gateway process that serves it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx2

from gateway.client.channel import Channel
from gateway.client.config import load_config
from gateway.client.failures import CannotReach
from gateway.client.sdk import GatewayClient

if TYPE_CHECKING:
    from gateway.onboarding.sandbox_files import SandboxFiles

AGENCIES: Final = ("USA.DHS.CBP", "MEX.SEGOB.UPMRIP", "GTM.IGM")
READY_SECONDS_MAX: Final = 30
STOP_SECONDS_MAX: Final = 20
COMMAND_SECONDS_MAX: Final = 300
_POLL_SECONDS: Final = 0.1
_LOG_CHARS_SHOWN: Final = 2000


class StageFailed(Exception):
    """The sandbox could not be made or the gateway did not start."""


@dataclass(slots=True)
class Stage:
    """A sandbox and its gateway."""

    files: SandboxFiles
    process: subprocess.Popen[bytes]

    def config(self, party: str) -> Path:
        """Return the client.toml of a partner or officer."""
        return (self.files.partners.get(party) or self.files.officers[party]).client

    def client(self, party: str) -> GatewayClient:
        """Open the client of a partner or officer."""
        return GatewayClient(load_config(self.config(party)))

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command of the program as people do, in a process of its own."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "gateway", "--language", "en", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )


@contextmanager
def running(files: SandboxFiles, *, keep: bool) -> Iterator[Stage]:
    """Run the gateway of a sandbox for the time of the story; with `keep` a story that ended well leaves it running.

    Raises:
        StageFailed: when the gateway is not ready in time.
    """
    log = files.folder / "gateway.log"
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "gateway", "serve", "--config", str(files.settings)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # A Ctrl-C in the terminal is for the demo, which then stops the gateway in order.
            start_new_session=True,
        )
    stage = Stage(files, process)
    try:
        _wait_until_ready(stage, log)
        yield stage
    except BaseException:
        _stop(process)
        raise
    if not keep:
        _stop(process)


def _wait_until_ready(stage: Stage, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not _is_ready(stage):
        if stage.process.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARS_SHOWN:]
            raise StageFailed(f"the gateway is not ready; its log ends:\n{end}")
        time.sleep(_POLL_SECONDS)


def _is_ready(stage: Stage) -> bool:
    try:
        with Channel(load_config(stage.config(AGENCIES[0]))) as channel:
            return channel.send("GET", "/readyz", headers={}).status == httpx2.codes.OK
    except CannotReach:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process in order, or at once when it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
