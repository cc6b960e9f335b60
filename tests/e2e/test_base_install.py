# SPDX-License-Identifier: Apache-2.0
"""What an agency installs; this file is about the wheel without the server parts, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from gateway.client import GatewayClient
from gateway.client import channel as channel_module
from tests.unit.client.fake_gateway import FakeGateway, StoppedClock

ROOT = Path(__file__).resolve().parents[2]
SERVER = ("fastapi", "uvicorn", "sqlalchemy", "sqlmodel", "alembic", "cedarpy", "psycopg", "pydantic_settings",
          "authlib", "joserfc", "pysdmx")  # fmt: skip
LINES = [b'{"count":%d,"id":"a%d"}' % (n, n) for n in range(3)]
# The environment's own path must not reach the fresh one: what is found must come from the wheel.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}

pytestmark = pytest.mark.conformance


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the base package."""

    bin: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("base")

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(ROOT))
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    wheel = next((folder / "dist").glob("*.whl"))
    run(str(folder / "venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel))
    return Installed(folder / "venv/bin", folder)


@pytest.fixture
def receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    fake = FakeGateway(tmp_path)
    with GatewayClient(fake.config(), clock=StoppedClock(), transport=httpx2.MockTransport(fake)) as client:
        outcome = client.submit_lines("flow", "1.0.0", LINES)
    (tmp_path / "sent.ndjson").write_bytes(b"".join(line + b"\n" for line in LINES))
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(outcome.receipt))
    return path


def test_the_base_package_shows_its_help(installed: Installed) -> None:
    done = installed.run("gateway", "--help")

    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout


def test_the_base_package_imports_nothing_of_the_server(installed: Installed) -> None:
    """An agency's security review covers what it installs; the server's parts must not be among it."""
    program = (
        "import sys, gateway.client, gateway.cli.program, gateway.importing.csv\n"
        f"print([name for name in {SERVER!r} if name in sys.modules])\n"
        "import importlib.util\n"
        f"print([name for name in {SERVER!r} if importlib.util.find_spec(name)])\n"
        "print(gateway.client.__file__)\n"
    )

    done = installed.run("python", "-c", program)

    imported, present, place = done.stdout.splitlines()
    assert (imported, present) == ("[]", "[]"), done.stderr
    assert str(installed.folder) in place


def test_the_base_package_verifies_a_receipt(installed: Installed, receipt: Path) -> None:
    done = installed.run(
        "gateway", "--language", "en", "verify", str(receipt),
        "--policy", str(receipt.with_name("log.policy")), "--data", str(receipt.with_name("sent.ndjson")),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "3 records, the same root" in done.stdout


def test_the_base_package_carries_the_contracts(installed: Installed) -> None:
    done = installed.run("gateway", "contracts", "list")

    assert done.returncode == 0, done.stderr
    assert "flow/1.0.0" in done.stdout
    assert "border-event/1.0.0" in done.stdout


def test_a_data_frame_says_what_to_install(installed: Installed) -> None:
    done = installed.run("python", "-c", "from gateway.client.tables import library; library('pandas')")

    assert done.returncode == 1
    assert "pip install 'gateway[data]'" in done.stderr


def test_an_operator_s_command_says_what_to_install(installed: Installed) -> None:
    done = installed.run("gateway", "--language", "en", "serve", "--config", "gateway.toml")

    assert done.returncode == 2
    assert "gateway[server]" in done.stderr
    assert "Traceback" not in done.stderr
