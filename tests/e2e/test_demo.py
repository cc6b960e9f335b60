# SPDX-License-Identifier: Apache-2.0
"""The whole product in one command; this file is about `gateway demo` and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from gateway.client import GatewayClient, load_config

ROOT = Path(__file__).resolve().parents[2]
STEPS = 13


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder), "COLUMNS": "160"}
    return subprocess.run(
        [sys.executable, "-m", "gateway", "demo", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


def test_a_kept_demo_shows_every_step_runs_on_and_is_described(tmp_path: Path) -> None:
    """Other programs start from build/sandbox.json, so its form is stable; null is what is not built yet."""
    done = demo(tmp_path, "--keep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\s?\d+\. ", done.stdout, re.MULTILINE)) == STEPS
    assert "every step was checked" in done.stdout
    found = re.search(r"Running as process (\d+)", done.stdout)
    assert found, done.stdout
    try:
        described = json.loads((tmp_path / "build" / "sandbox.json").read_text())
        context = ssl.create_default_context(cafile=described["server_ca"])
        partner = described["partners"][0]
        context.load_cert_chain(partner["tls_cert"], partner["tls_key"])
        with httpx2.Client(verify=context, trust_env=False) as client:
            ready = client.get(f"{described['public_origin']}/readyz").json()
    finally:
        os.kill(int(found[1]), signal.SIGTERM)

    assert ready["ready"]
    assert described.keys() == {
        "gateway", "public_origin", "server_ca", "answer_keys", "log", "partners", "officers",
    }  # fmt: skip
    assert described["gateway"].keys() == {"api", "log", "sdmx", "web"}
    assert described["log"].keys() == {"origin", "vkey", "policy_file"}
    assert partner.keys() == {"id", "country", "roles", "tls_cert", "tls_key", "signing_key", "keyid"}
    assert described["officers"][0].keys() == {"id", "country", "role", "tls_cert", "tls_key", "signing_key"}


@pytest.mark.data
def test_the_large_real_tables_are_accepted_whole(tmp_path: Path) -> None:
    data = Path(os.environ.get("GATEWAY_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "derived").is_dir():
        pytest.skip("the folder of public data is not beside the project")

    done = demo(tmp_path, "--data", str(data), "--converter", str(ROOT / "tests" / "real_data.py"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "48919 published cells accepted" in done.stdout


def test_a_missing_data_folder_is_wrong_use(tmp_path: Path) -> None:
    done = demo(tmp_path, "--data", str(tmp_path / "absent"))

    assert done.returncode == 2
    assert "absent" in done.stderr


def test_a_demo_on_postgresql_needs_a_database(tmp_path: Path) -> None:
    done = demo(tmp_path, "--engine", "postgresql")

    assert done.returncode == 2
    assert "--database-url" in done.stderr


def test_a_kept_sandbox_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")

    done = subprocess.run(
        [sys.executable, "-m", "gateway", "sandbox", "init", str(tmp_path / "taken")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 2
    assert (tmp_path / "taken" / "file").read_text() == "mine"


def test_the_configurations_of_a_sandbox_are_those_of_the_sdk(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "gateway", "sandbox", "init", str(tmp_path / "box"), "--port", "0"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip

    for path in sorted((tmp_path / "box").glob("*/*/client.toml")):
        with GatewayClient(load_config(path)) as client:
            assert client.signer.keyid
            assert client.policy.quorum == "none"
