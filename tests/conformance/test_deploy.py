# SPDX-License-Identifier: Apache-2.0
"""deploy/ in the eyes of the programs that read it; this file is about files that nobody would miss until the night."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from typer.core import TyperGroup
from typer.main import get_command

from gateway.cli.program import app
from gateway.onboarding.sandbox import create_sandbox
from gateway.settings import load_settings
from tests.programs import program
from tests.proxies import DEPLOY, PROXIES, check_command, configuration

RUNBOOK = (DEPLOY.parent / "docs" / "OPERATIONS.md").read_text()
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
RULE_TESTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.test.yml").read_text())
COMPOSE_FILE = DEPLOY / "container" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
UNITS = sorted((DEPLOY / "systemd").glob("*.service")) + sorted((DEPLOY / "systemd").glob("*.timer"))
EXPOSURE_MAX = 13  # Tenths, of 100: what is left open is the network and files of its own.
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}


def run(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False)


def passes(*words: str | Path, folder: Path | None = None) -> None:
    done = run(*words, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """Whoever is woken finds what it means, what to look at and what to do, under the alert's own name."""
    pages = dict(re.findall(r"^### (Gateway\w+)\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))

    assert list(pages) == list(ALERTS)
    for name, page in pages.items():
        assert [word for word in ("**It means.**", "**Look at.**", "**Do.**") if word not in page] == [], name
        assert ALERTS[name]["annotations"]["runbook"] == f"docs/OPERATIONS.md#{name.lower()}"
        assert ALERTS[name]["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_names_commands_that_there_are() -> None:
    """Nobody should read the help of a program at night to find out what it is called now."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    named = {tuple(words.split()) for words in re.findall(r"`gateway ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)\b", RUNBOOK)}
    unknown = []
    for first, *rest in sorted(named):
        command = root.commands.get(first)
        if command is None or (isinstance(command, TyperGroup) and rest and rest[0] not in command.commands):
            unknown.append((first, *rest))

    assert len(named) > 15
    assert unknown == []


def test_every_alert_is_seen_to_fire() -> None:
    """A rule with a misspelt metric never wakes anybody."""
    fired = {
        case["alertname"] for test in RULE_TESTS["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]
    }

    assert fired == set(ALERTS)


@pytest.mark.conformance
def test_prometheus_reads_rules_and_finds_them_right() -> None:
    """The rules are tried on series just inside and just outside their bounds."""
    promtool, folder = program("promtool"), DEPLOY / "prometheus"

    passes(promtool, "check", "config", "scrape.yml", folder=folder)
    passes(promtool, "check", "rules", "alerts.yml", folder=folder)
    passes(promtool, "test", "rules", "alerts.test.yml", folder=folder)


@pytest.mark.conformance
@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_accepts_its_file(name: str, tmp_path: Path) -> None:
    files = create_sandbox(tmp_path / "sandbox")

    passes(*check_command(name, configuration(name, tmp_path, files)))


@pytest.mark.conformance
def test_systemd_knows_every_word_of_the_units(tmp_path: Path) -> None:
    """A misspelt directive is ignored by systemd, with a line that nobody reads."""
    analyze = program("systemd-analyze")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/gateway/bin/gateway", "/bin/true"))

    done = run(analyze, "verify", *sorted(tmp_path.iterdir()))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.conformance
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_a_unit_leaves_little_open(unit: Path) -> None:
    analyze = program("systemd-analyze")
    judge = (analyze, "security", "--no-pager", "--offline=true")

    passes(*judge, f"--threshold={EXPOSURE_MAX}", unit)
    assert run(*judge, "--threshold=5", unit).returncode != 0


@pytest.mark.parametrize(
    "place", [unit for unit in UNITS if unit.suffix == ".service"] + [CONTAINERFILE], ids=lambda place: place.name
)
def test_what_is_started_is_a_command_that_there_is(place: Path, tmp_path: Path) -> None:
    """A command may get another name; what starts it must follow."""
    text = place.read_text()
    commands = [line.split() for line in re.findall(r"^ExecStart=/opt/gateway/bin/gateway (.*)$", text, re.MULTILINE)]
    commands += [re.findall(r'"([^"]+)"', line) for line in re.findall(r"CMD (\[.*\])", text)]
    assert commands
    for words in commands:
        said = [word for word in words if word != "gateway"]
        tried = [word.replace("/etc/gateway", str(tmp_path)) for word in said]
        done = run(Path(sys.executable).with_name("gateway"), *tried)

        # It got as far as missing its settings, and stumbled over none of the words before.
        assert done.returncode == 2, done.stderr
        assert f"{tmp_path}/gateway.toml" in done.stderr.replace("\n", "")


def test_the_image_is_built_as_a_linter_likes_it() -> None:
    """And it runs as nobody in particular, from a base that cannot change under us."""
    passes(Path(sys.executable).with_name("hadolint"), "--failure-threshold", "info", CONTAINERFILE)
    text = CONTAINERFILE.read_text()

    assert re.search(r"^ARG BASE=\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in text
    assert "--require-hashes" in text


def test_the_compose_file_is_one() -> None:
    """Parsed by the specification's types; whatever is named there exists there."""
    PyCompose.from_yaml(COMPOSE_FILE.read_text())

    for service in COMPOSE["services"].values():
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        named = {volume["source"] for volume in service["volumes"] if volume["type"] == "volume"}
        assert named <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_container_can_do_little(name: str) -> None:
    """No root, no capability, nothing to write but what is named; secrets are files."""
    service = COMPOSE["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert all("noexec" in mount and "nosuid" in mount for mount in service["tmpfs"])
    assert {"mem_limit", "restart", "stop_grace_period"} <= set(service)
    assert "privileged" not in service
    assert not [key for key in service["environment"] if "PASSWORD" in key and not key.endswith("_FILE")]


def test_the_database_is_out_of_reach_and_recycles_nothing() -> None:
    """A recycled WAL file, or an error told in full, would keep what was deleted."""
    service = COMPOSE["services"]["postgresql"]

    assert "ports" not in service
    assert [COMPOSE["networks"][network] for network in service["networks"]] == [{"internal": True}]
    for setting in ("wal_recycle=off", "synchronous_commit=on", "log_error_verbosity=terse"):
        assert setting in service["command"]


def test_the_settings_file_holds(tmp_path: Path) -> None:
    """Every name in it is a setting, within its bounds; the files are a sandbox's."""
    files = create_sandbox(tmp_path / "sandbox")
    shutil.copy(DEPLOY / "gateway.toml", tmp_path)
    places = {"keys/answer.key": "gateway/answer.key", "keys/log.key": "gateway/log.key", "log.policy": "log.policy"}
    for country in ("USA", "MEX", "GTM"):
        places[f"anchors/{country}.pem"] = f"authorities/{country}/ca.pem"
        places[f"crl/{country}.pem"] = f"authorities/{country}/crl.pem"
    for place, source in places.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.copy(files.folder / source, tmp_path / place)

    settings = load_settings(tmp_path / "gateway.toml")

    assert settings.peer_mode == "proxy"
    assert not settings.sandbox
