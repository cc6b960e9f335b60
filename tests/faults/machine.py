# SPDX-License-Identifier: Apache-2.0
"""Disks and files that fail on purpose; this file is about small disks, limits, and what is sent meanwhile."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import Reason
from gateway.wire.receipt import verify_receipt
from tests.api.asking import Answered, Asked, line, send, signed
from tests.programs import program
from tests.running import USA, Running

SMALL_DISK_MIB = 32


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of some MiB; only root may, so that others skip what needs it, and CI does not."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "gateway", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave not a byte free on a disk inside the block."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while out.write(b"x" * size):
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def breakable_disk(folder: Path) -> Iterator[Path]:
    """Mount a real file system from a file; `break_disk` makes it read-only under whoever has it open."""
    folder.mkdir()
    image = folder.with_suffix(".img")
    make = program("mkfs.ext4")
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    with image.open("wb") as out:
        out.truncate(2 * SMALL_DISK_MIB << 20)
    subprocess.run([make, "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def break_disk(folder: Path) -> None:
    """Do what the kernel does after an error of the device: abort the journal, let nobody write any more."""
    subprocess.run(["mount", "-o", "remount,abort", folder], check=True)


def mend_disk(folder: Path) -> None:
    """Check the file system, which replays what its journal holds, and mount it again."""
    subprocess.run(["umount", folder], check=True)
    image = folder.with_suffix(".img")
    assert subprocess.run([program("e2fsck"), "-p", "-f", image], check=False, capture_output=True).returncode in {0, 1}
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)


@contextmanager
def files_no_longer_than(gateway: Running, size: int) -> Iterator[None]:
    """Let every write of the process beyond `size` bytes of a file fail inside the block, as at a quota."""
    assert gateway.process is not None
    before = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, before)


def told_to_come_back(gateway: Running, asked: Asked) -> Answered:
    """Send what cannot be taken now; the refusal is signed, and says when to come back."""
    answer = send(gateway, asked)
    assert (answer.status, answer.document["reason"]) == (503, Reason.STORAGE_UNAVAILABLE)
    assert int(answer.headers["retry-after"]) >= 1
    return answer


def works_again(gateway: Running, refused: list[list[bytes]]) -> None:
    """The client's repeat is accepted with a receipt that holds, the gateway is ready, and fsck finds nothing."""
    with gateway.client(USA) as client:
        for lines in refused or [[line()]]:
            outcome = client.submit_lines("border-event", "1.0.0", lines)
            verify_receipt(outcome.receipt, policy=client.policy)
            assert not outcome.replay
    assert gateway.ready()
    clean(gateway)


def clean(gateway: Running) -> None:
    """Run fsck beside the running gateway."""
    command = [sys.executable, "-m", "gateway", "fsck", "--config", str(gateway.files.settings)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def reasons_of(gateway: Running) -> tuple[int, list[str]]:
    """Return what the readiness page says."""
    status, _, body = gateway.get(USA, "/readyz")
    return status, json.loads(body)["reasons"]


def prepared(gateway: Running, count: int) -> list[tuple[list[bytes], Asked]]:
    """Return some submissions, signed now."""
    batches = [[line()] for _ in range(count)]
    return [(lines, signed(gateway, lines)) for lines in batches]
