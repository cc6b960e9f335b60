# SPDX-License-Identifier: Apache-2.0
"""The document works; this file is about running docs/ONBOARDING.md as it stands, beside a running gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.onboarding.approvals import APPROVER
from tests.programs import program
from tests.running import Running, running

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "ONBOARDING.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the document promises.
SECONDS_MAX = 600
COMMANDS = (
    "init",
    "doctor",
    "validate",
    "submit",
    "verify",
    "own",
    "outbox add",
    "outbox run",
    "partners invite",
    "join",
    "officer act activate",
    "officer show",
    "officer approve",
    "officer changes",
    "partners show",
)


def environment(gateway: Running, programs: Path) -> dict[str, str]:
    # The command of this environment, and beside it only what the document calls.
    (programs / "gateway").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    (programs / "gateway").chmod(0o755)
    for name in ("openssl", "cat", "cp", "grep", "ls", "sed", "sh", "sleep", "tee"):
        (programs / name).symlink_to(program(name))
    files = gateway.files
    authority = files.folder / "authorities" / "MEX"
    return {
        "PATH": str(programs),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "GATEWAY_URL": files.public_origin,
        "GATEWAY_SETTINGS": str(files.settings),
        "AUTHORITY_CERT": str(authority / "ca.pem"),
        "AUTHORITY_KEY": str(authority / "ca.key"),
        "SERVER_CA": str(files.server_ca),
        "ANSWER_KEYS": str(files.answer_keys),
        "LOG_POLICY": str(files.log_policy),
        "MEX_APPROVER": str(files.officer("MEX", APPROVER).client),
        "USA_APPROVER": str(files.officer("USA", APPROVER).client),
    }


@pytest.mark.conformance
def test_every_command_of_the_document_runs_in_order(tmp_path: Path) -> None:
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    with running(tmp_path / "sandbox") as gateway:
        began = time.monotonic()
        ran = subprocess.run(
            [program("bash"), "-eu", "-o", "pipefail", "-c", "\n".join(BLOCK.findall(DOCUMENT))],
            cwd=work,
            env=environment(gateway, programs),
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        print(f"every command of the document: {time.monotonic() - began:.0f} seconds")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "warn" not in ran.stdout, ran.stdout
    assert "fail  " not in ran.stdout, ran.stdout
    assert "activate: waiting, signed by MEX.OFFICER.APPROVER" in ran.stdout
    assert "activate: approved, signed by MEX.OFFICER.APPROVER, USA.OFFICER.APPROVER" in ran.stdout
    assert "accepted: 2 of 2 records, 0 duplicate, 0 refused" in ran.stdout
    assert "accepted: 1 of 1 records, 0 duplicate, 0 refused" in ran.stdout
    assert "verified: event" in ran.stdout
    assert (work / "agency" / "signing.key").stat().st_mode & 0o777 == 0o600


def test_the_document_shows_each_command_that_it_promises() -> None:
    """A block that lost its fence would be left out of the run above, and nobody would see it."""
    blocks = "\n".join(BLOCK.findall(DOCUMENT))

    assert DOCUMENT.count("\n```sh\n") == len(BLOCK.findall(DOCUMENT))
    assert [command for command in COMMANDS if f"gateway {command}" not in blocks] == []
