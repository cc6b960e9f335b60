# SPDX-License-Identifier: Apache-2.0
"""A statistician's first data frame; this file is about running docs/PULL.md as it stands, beside a running gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import submit_file
from tests.programs import program
from tests.running import GTM, MEX, Running, running

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "PULL.md").read_text()
BLOCK = re.compile(r"^```(sh|python|r)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = ROOT / "contracts/flow/1.0.0/examples" / f"{GTM}.csv"
# What the document promises.
SECONDS_MAX = 300
SHOWN = ("doctor", "pull", "verify", "proxy")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway where Guatemala has sent its table."""
    folder = tmp_path_factory.mktemp("pull")
    table = folder / "table.csv"
    table.write_bytes(TABLE.read_bytes())
    with running(folder / "sandbox") as started:
        with started.client(GTM) as client:
            submit_file(client, table, "flow", "1.0.0")
        yield started


def environment(gateway: Running, programs: Path) -> dict[str, str]:
    # The commands of this environment, and beside them only what the document calls.
    programs.mkdir()
    for name, called in (("gateway", "-m gateway"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {called} "$@"\n')
        (programs / name).chmod(0o755)
    for name in ("curl", "cp", "ls", "sed", "sh"):
        (programs / name).symlink_to(program(name))
    return {
        "PATH": str(programs),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "AGENCY_FOLDER": str(gateway.party(MEX).client.parent),
        "ANSWER_KEYS": str(gateway.files.answer_keys),
    }


def script() -> str:
    """Return the blocks as one script; those in Python are handed to Python where they stand."""
    forms = {"sh": "{}", "python": "python - <<'PYTHON'\n{}PYTHON\n", "r": ""}
    return "\n".join(forms[kind].format(text) for kind, text in BLOCK.findall(DOCUMENT))


@pytest.mark.conformance
def test_every_command_of_the_document_runs_in_order(gateway: Running, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    began = time.monotonic()
    ran = subprocess.run(
        [program("bash"), "-eu", "-o", "pipefail", "-c", "trap 'kill ${!:-} 2>/dev/null || :' EXIT\n" + script()],
        cwd=work,
        env=environment(gateway, tmp_path / "programs"),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    seconds = time.monotonic() - began
    print(f"every command of the document: {seconds:.0f} seconds")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert seconds < SECONDS_MAX
    rows = len(TABLE.read_text().splitlines()) - 1
    assert ran.stdout.count(f"{rows} observations") == 4
    assert ran.stdout.count("is what the gateway said") == 3
    assert "changed.csv is not what the gateway said" in ran.stdout
    assert "period[M]" in ran.stdout
    assert f"({rows}, 26)" in ran.stdout, "pandas through the proxy"
    # pysdmx and sdmx1 through the proxy
    assert f"({rows // 2}, 22)" in ran.stdout, ran.stdout
    assert f"({rows},)" in ran.stdout, ran.stdout
    assert "warn" not in ran.stdout, ran.stdout
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_the_lines_in_r_run(gateway: Running, tmp_path: Path) -> None:
    rscript = program("Rscript")
    [lines] = [text for kind, text in BLOCK.findall(DOCUMENT) if kind == "r"]
    arguments = ["proxy", "--purpose", "STATISTICS", "--config", str(gateway.party(MEX).client)]
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as proxy:
        try:
            assert proxy.stdout is not None
            assert "http://127.0.0.1:8765/" in proxy.stdout.readline()
            ran = subprocess.run(
                [rscript, "-e", lines], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
        finally:
            proxy.terminate()

    assert ran.returncode == 0, ran.stderr
    rows = len(TABLE.read_text().splitlines()) - 1
    assert ran.stdout.split() == ["F", "M", str(rows // 2), str(rows // 2)]


def test_the_document_shows_each_command_that_it_promises() -> None:
    """A block that lost its fence would be left out of the run above, and nobody would see it."""
    fences = re.findall(r"^```(\S+)$", DOCUMENT, re.MULTILINE)

    assert [kind for kind, _ in BLOCK.findall(DOCUMENT)] == fences
    assert [command for command in SHOWN if f"gateway {command}" not in script()] == []
