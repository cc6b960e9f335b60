# SPDX-License-Identifier: Apache-2.0
"""The disk under the gateway; this file is about a full one, one that became read-only, and a quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.onboarding.sandbox_files import SandboxFiles
from tests.api.asking import line, signed
from tests.faults.machine import (
    break_disk,
    breakable_disk,
    files_no_longer_than,
    filled,
    mend_disk,
    reasons_of,
    small_disk,
    told_to_come_back,
    works_again,
)
from tests.running import USA, running

ATTEMPTS = 4


@pytest.fixture
def disk(tmp_path: Path) -> object:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


def test_a_full_disk_is_told_and_passes(disk: Path) -> None:
    """Database, spool and operational log lie on the disk: nothing is kept, all is told, and the gateway lives."""
    environment = {"TMPDIR": str(disk), "GATEWAY_SPOOL_BYTES": "0"}
    with running(disk / "sandbox", environment=environment) as gateway:
        works_again(gateway, [])
        refused = [[line()] for _ in range(ATTEMPTS)]
        with filled(disk):
            for lines in refused:
                told_to_come_back(gateway, signed(gateway, lines))
            assert gateway.answers()

        works_again(gateway, refused)


@pytest.mark.conformance
def test_a_disk_that_became_read_only_is_told_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    """The kernel does this when a device fails: what is stored stays readable; after the repair all of it is there."""
    with breakable_disk(tmp_path / "disk") as disk, running(disk / "sandbox", prepare=on_the_disk) as gateway:
        with gateway.client(USA) as client:
            kept = client.submit_lines("border-event", "1.0.0", [line()])
            break_disk(disk)
            refused = [line()]
            told_to_come_back(gateway, signed(gateway, refused))
            assert client.receipt(kept.event_id)[1].event_id == kept.event_id
        gateway.kill()

        mend_disk(disk)
        gateway.start()

        works_again(gateway, [refused])
        with gateway.client(USA) as client:
            assert client.receipt(kept.event_id)[1].event_id == kept.event_id


def on_the_disk(files: SandboxFiles) -> None:
    """Make the sandbox's own files durable before the gateway starts; what it writes itself is its own affair."""
    os.sync()


def test_a_quota_is_told_and_passes(tmp_path: Path) -> None:
    """Needs no root: the process may not make its files longer."""
    with running(tmp_path / "sandbox", environment={"GATEWAY_SPOOL_BYTES": "0"}) as gateway:
        refused = [[line()] for _ in range(ATTEMPTS)]
        with files_no_longer_than(gateway, 16):
            for lines in refused:
                told_to_come_back(gateway, signed(gateway, lines))
            assert reasons_of(gateway) is not None

        works_again(gateway, refused)
