# SPDX-License-Identifier: Apache-2.0
"""A database server to be mistreated; this file is about killing, stopping and starting a real PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.engines import PostgresServer

GONE_SECONDS_MAX = 10


class Mistreated(PostgresServer):
    """A durable server of its own that may be killed with all its processes, and started again."""

    def __init__(self) -> None:
        super().__init__(durable=True)
        self._command = [word for word in Path(f"/proc/{self.pid}/cmdline").read_text().split("\0") if word]

    def processes(self) -> list[int]:
        """Return the server's process and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def kill(self) -> None:
        """End all of it as a power failure would."""
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(GONE_SECONDS_MAX)
        deadline = time.monotonic() + GONE_SECONDS_MAX
        # Orphans end when they are scheduled once more; a server does not start beside them.
        while any(Path(f"/proc/{process}/cmdline").exists() for process in processes[1:]):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def start(self) -> None:
        """Start it on what the disk has, and return when it has recovered."""
        owner = self.folder.stat()
        user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **user)
        self._wait()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let nothing of it run inside the block: connections are taken by the kernel, and nothing is answered."""
        processes = self.processes()
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
