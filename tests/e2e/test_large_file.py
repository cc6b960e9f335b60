# SPDX-License-Identifier: Apache-2.0
"""A file of many parts over a poor line; this file is about going on where it stopped, and memory that stays flat."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.client import CannotReach, GatewayClient, load_config, submit_file
from gateway.client.retry import Pace
from tests.running import USA, Running, running
from tests.synthetic import event_lines

MEBIBYTE = 1 << 20


class Line:
    """A line to the gateway that can be cut: bytes pass in both directions until `bytes_max` were sent by us."""

    def __init__(self, port: int) -> None:
        self.bytes_max = 1 << 60
        self.bytes_sent = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._started(self._accept)

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._ends):
            end.close()

    def _started(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self._port))
                self._ends += [ours, theirs]
                self._started(self._carry, ours, theirs, True)
                self._started(self._carry, theirs, ours, False)

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while self.bytes_sent < self.bytes_max and (piece := source.recv(1 << 16)):
                if counted:
                    self.bytes_sent += len(piece)
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(gateway: Running) -> Iterator[Line]:
    line = Line(gateway.files.port)
    try:
        yield line
    finally:
        line.close()


@pytest.mark.slow
def test_three_hundred_thousand_lines_go_on_where_the_line_was_cut(tmp_path: Path) -> None:
    cut_and_resume(tmp_path, records=300_000, per_part=10_000)


def test_many_lines_go_on_where_the_line_was_cut(tmp_path: Path) -> None:
    """The short form of the three hundred thousand, for every run."""
    cut_and_resume(tmp_path, records=6_000, per_part=500)


def cut_and_resume(folder: Path, *, records: int, per_part: int) -> None:
    """Cut the line in the middle of the file; what has its receipt must not pass it again."""
    path = folder / "events.ndjson"
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in event_lines(records, seed=3))
    with running(folder / "sandbox") as gateway, line_to(gateway) as line:
        config = load_config(gateway.party(USA).client)
        config = replace(
            config, gateway_url=f"https://localhost:{line.port}", public_origin=gateway.files.public_origin
        )
        once = Pace(60, attempts_max=1)

        def cut(number: int, total: int, _event: str, _replay: bool) -> None:
            if number == total // 2:
                line.bytes_max = line.bytes_sent + 20_000  # In the middle of the next part.

        with GatewayClient(config, pace=once) as client, pytest.raises(CannotReach):
            submit_file(client, path, "border-event", "1.0.0", records_per_part=per_part, progress=cut)
        first, line.bytes_max, line.bytes_sent = line.bytes_sent, 1 << 60, 0
        replays: list[bool] = []
        with GatewayClient(config) as client:
            outcome = submit_file(
                client, path, "border-event", "1.0.0", records_per_part=per_part,
                progress=lambda _number, _total, _event, replay: replays.append(replay),
            )  # fmt: skip
            totals = client.own("border-event")["totals"]

        parts = records // per_part
        assert replays == [True] * (parts // 2) + [False] * (parts - parts // 2)
        assert line.bytes_sent < 1.3 * first
        assert (outcome.records.accepted, len(outcome.receipts)) == (records, parts)
        assert sum(int(row["records"]) for row in totals) == records


@pytest.mark.slow
def test_memory_does_not_grow_with_three_hundred_thousand_lines(tmp_path: Path) -> None:
    memory_stays(tmp_path, small=20_000, large=300_000, per_part=10_000, more_max=40 * MEBIBYTE)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """The short form. Of each line a number and its place stay in memory, 16 bytes; lines have some 500."""
    memory_stays(tmp_path, small=2_000, large=20_000, per_part=1_000, more_max=4 * MEBIBYTE)


def memory_stays(folder: Path, *, small: int, large: int, per_part: int, more_max: int) -> None:
    """Send a small and a large file, each from a process of its own, and weigh the two."""
    with running(folder / "sandbox") as gateway:
        peaks = [peak_of_sending(gateway, folder / f"{count}.ndjson", count, per_part) for count in (small, large)]

    assert peaks[1] - peaks[0] < more_max, peaks


def peak_of_sending(gateway: Running, path: Path, count: int, per_part: int) -> int:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in event_lines(count, seed=count))
    command = [sys.executable, "-m", "gateway", "submit", str(path), "--contract", "border-event/1.0.0"]
    command += ["--records-per-part", str(per_part), "--config", str(gateway.party(USA).client)]
    said = path.with_suffix(".log")
    with said.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said.read_text()
    return usage.ru_maxrss * 1024
