# SPDX-License-Identifier: Apache-2.0
"""The operator at work on a real gateway; this file is about acts, settings, metrics and status."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from gateway.client.failures import InputUnusable, Refused
from gateway.onboarding import pki
from gateway.onboarding.sandbox import create_sandbox
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.settings import Settings
from gateway.storage.log import EventQuery, list_events
from gateway.wire.keys import FileSigner
from tests.governing import approver, public, said, widened
from tests.running import MEX, USA, Running, running
from tests.synthetic import event_lines

METRICS = {
    "gateway_submissions": {"outcome", "product"},
    "gateway_refusals": {"reason"},
    "gateway_request_seconds": {"route"},
    "gateway_log_tree_size": set(),
    "gateway_log_pending": set(),
    "gateway_log_checkpoint_age_seconds": set(),
    "gateway_log_state": {"status"},
    "gateway_ready": set(),
    "gateway_certificate_expiry_seconds": {"subject"},
    "gateway_crl_expiry_seconds": {"country"},
    "gateway_first_end_seconds": {"what"},
    "gateway_retention_last_success_seconds": set(),
    "gateway_connections": set(),
}

Command = Callable[..., Result]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, metrics_port: int
) -> Iterator[Running]:
    """On SQLite the acts go through the socket, on PostgreSQL beside the running gateway."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").fresh()
    environment = {"GATEWAY_METRICS_PORT": str(metrics_port)}
    with running(tmp_path_factory.mktemp("op") / "s", engine_url=url, environment=environment) as started:
        yield started


@pytest.fixture
def command(gateway: Running) -> Command:
    return lambda *words: run(gateway.files, *words)


def run(files: SandboxFiles, *words: object, environment: dict[str, str] | None = None) -> Result:
    arguments = ["--language", "en", *map(str, words), "--config", str(files.settings)]
    return CliRunner().invoke(app, arguments, env=environment)


def kinds(gateway: Running, country: str) -> list[str]:
    with gateway.storage() as storage:
        return [event.kind for event in storage.read(lambda tx: list_events(tx, country, EventQuery(limit=500)))]


def own(gateway: Running, party: str) -> None:
    with gateway.client(party) as client:
        client.own("flow")


def test_a_suspension_holds_with_the_next_request_and_ends_with_a_resumption(
    gateway: Running, command: Command
) -> None:
    own(gateway, MEX)

    assert command("partners", "suspend", MEX).exit_code == 0
    with pytest.raises(Refused, match="partner-suspended"):
        own(gateway, MEX)
    assert f"{MEX:24} suspended" in command("partners", "list").stdout
    widened(gateway, "MEX", "resume", id=MEX)

    own(gateway, MEX)
    assert {"partner.suspended", "partner.resumed"} <= set(kinds(gateway, "MEX"))


def test_a_new_agency_is_enrolled_works_is_pinned_anew_and_ends(
    gateway: Running, command: Command, tmp_path: Path
) -> None:
    """Certificate, key and roles come in one act, so that nobody is half a partner."""
    mexico = gateway.files.folder / "authorities" / "MEX"
    certificate, new = (issued(mexico, tmp_path / name) for name in ("first", "second"))
    key = load_pem_private_key(gateway.party(USA).signing_key.read_bytes(), None)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    words = {"id": "MEX.INM", "name": "Instituto", "roles": "provider", "certificate": certificate.read_text()}

    # The example's key is another partner's.
    with pytest.raises(Refused, match="registered already"):
        said(gateway, approver("MEX"), "enrol", **words, signing_key=public)
    words["signing_key"] = pki.pem_of_public(FileSigner.of(ed25519.Ed25519PrivateKey.generate()).public_der)
    widened(gateway, "MEX", "enrol", **words)
    with pytest.raises(Refused, match="enrolled already"):
        said(gateway, approver("MEX"), "enrol", **words)
    widened(gateway, "MEX", "pin", id="MEX.INM", certificate=new.read_text())
    shown = json.loads(command("partners", "show", "MEX.INM").stdout)
    ended = command("partners", "revoke", "MEX.INM")
    with pytest.raises(Refused, match="for good"):
        said(gateway, approver("MEX"), "resume", id="MEX.INM")

    assert ended.exit_code == 0, ended.stderr
    assert (shown["status"], shown["roles"]) == ("active", ["provider"])
    assert [pin["status"] for pin in shown["certificates"]] == ["active", "active"]
    assert {"partner.enrolled", "certificate.pinned", "key.added", "partner.revoked"} <= set(kinds(gateway, "MEX"))


def issued(authority: Path, path: Path) -> Path:
    issuer = pki.Issued(
        pki.x509.load_pem_x509_certificate((authority / "ca.pem").read_bytes()),
        load_pem_private_key((authority / "ca.key").read_bytes(), None),
    )
    now = datetime.now(UTC)
    return pki.write_certificate(
        path, pki.issue_client(issuer, "MEX.INM", "MEX", pki.Validity.days(now, 30)).certificate
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["partners", "suspend", "MEX.NOBODY"], "there is no MEX.NOBODY"),
        (["partners", "show", "MEX.NOBODY"], "there is no MEX.NOBODY"),
        (["log", "create"], "localhost"),
        (["log", "confirm-restore", "--none-newer"], "waits for no confirmation"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_one(command: Command, words: list[str], why: str) -> None:
    done = command(*words)

    assert (done.exit_code, why in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": "mex.inm"}, "reads like"),
        ({"id": "CAN.CBSA"}, "reads like"),
        ({"roles": "provider,king"}, "roles are"),
        ({"roles": ","}, "roles are"),
        ({"roles": ""}, "it needs roles"),
        ({"name": " "}, "a name has"),
        ({"certificate": "x"}, "not PEM"),
        ({"signing_key": "x"}, "not a public key"),
    ],
)
def test_words_that_do_not_hold_enrol_nobody(gateway: Running, change: dict[str, str], why: str) -> None:
    certificate = gateway.party(USA).tls_cert.read_text()
    words = {"id": "MEX.NEW", "roles": "reader", "name": "N", "certificate": certificate, "signing_key": public()}

    with pytest.raises(Refused, match=why):
        said(gateway, approver("MEX"), "enrol", **{**words, **change})


def test_a_private_key_does_not_leave_its_owner(gateway: Running) -> None:
    with pytest.raises(InputUnusable, match="its owner"):
        said(gateway, approver("MEX"), "add-key", id=MEX, signing_key=gateway.party(MEX).signing_key.read_text())


def test_the_socket_is_its_owners_alone(gateway: Running) -> None:
    path = gateway.files.folder / "run" / "operator.sock"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_status_tells_how_the_gateway_stands(gateway: Running, command: Command) -> None:
    done = command("status")

    told = json.loads(done.stdout)
    assert (done.exit_code, told["ready"], told["reasons"]) == (0, True, [])
    assert told["tree_size"] > 0
    assert told["partners"]["active"] >= 4
    assert told["contracts"] == ["border-event/1.0.0", "flow/1.0.0"]
    assert told["restored"] is False
    assert {"program", "schema", "signed_at", "pending"} <= told.keys()


def test_a_reload_reaches_the_running_gateway(gateway: Running, command: Command) -> None:
    done = command("reload")

    assert (done.exit_code, done.stderr) == (0, "")
    until(lambda: "files reloaded" in gateway.log_file.read_text())


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


def test_deletion_runs_by_command_beside_the_gateway(command: Command) -> None:
    done = command("privacy", "delete-expired")

    assert (done.exit_code, "0 records" in done.stdout) == (0, True), done.stderr


def test_the_metrics_are_the_agreed_ones_and_name_nobody(gateway: Running, metrics_port: int, tmp_path: Path) -> None:
    with gateway.client(USA) as client:
        client.submit_lines("border-event", "1.0.0", event_lines(3, seed=11))
    gateway.get("unpinned", "/v1/contracts")

    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=20) as answer:
        text = answer.read().decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() == METRICS.keys()
    for name, family in families.items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == METRICS[name], name
    value = {(s.name, *s.labels.values()): s.value for f in families.values() for s in f.samples}
    assert value["gateway_submissions_total", "accepted", "border-event"] >= 1
    assert value["gateway_refusals_total", "unknown-partner"] >= 1
    assert value["gateway_ready",] == 1
    assert value["gateway_log_state", "running"] == 1
    assert value["gateway_log_tree_size",] > 0
    assert value["gateway_certificate_expiry_seconds", "server"] > 86400
    assert value["gateway_crl_expiry_seconds", "MEX"] > 86400
    assert not re.search(r"[A-Z]{3}\.[A-Z]", text), "a partner or officer"


@pytest.fixture(scope="module")
def resting(tmp_path_factory: pytest.TempPathFactory) -> SandboxFiles:
    """A sandbox whose gateway does not run."""
    return create_sandbox(tmp_path_factory.mktemp("rest") / "s")


def test_settings_that_hold_are_told_so(resting: SandboxFiles) -> None:
    done = run(resting, "config", "check")

    assert (done.exit_code, "the settings hold" in done.stdout) == (0, True), done.stderr


def test_every_setting_is_shown_with_value_default_bound_and_sentence(resting: SandboxFiles) -> None:
    done = run(resting, "config", "show", environment={"GATEWAY_DATABASE_URL": "postgresql+psycopg://u:secret@h/d"})

    assert done.exit_code == 0, done.stderr
    assert "secret" not in done.stdout
    for name, field in Settings.model_fields.items():
        assert re.search(rf"^{name} = .*\n    {re.escape(str(field.description))}$", done.stdout, re.MULTILINE), name
    assert "connections_max = 512, default 512, at least 1, at most 65536" in done.stdout


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"GATEWAY_CONNECTIONS_MAX": "0"}, ["connections_max", "at least 1", "GATEWAY_CONNECTIONS_MAX"]),
        ({"GATEWAY_METRICS_PORT": "70000"}, ["metrics_port", "at most 65535"]),
        ({"GATEWAY_DATABASE_URL": "sqlite:////nowhere/x.db"}, ["database_url", "gateway db upgrade"]),
        ({"GATEWAY_DATABASE_URL": "postgresql+psycopg://u@127.0.0.1:1/x"}, ["database_url", "cannot be reached"]),
        ({"GATEWAY_LOG_ORIGIN": "other.test/log/2026"}, ["log_policy", "log_origin", "holds the log"]),
        ({"GATEWAY_OPERATOR_SOCKET": "/nowhere/at/all/x"}, ["operator_socket", "make it with mode 0750"]),
        ({"GATEWAY_OPERATOR_SOCKET": "/tmp/x"}, ["operator_socket", "others could enter"]),
        ({"GATEWAY_OPERATOR_SOCKET": "/" + "x" * 120}, ["operator_socket", "107"]),
    ],
)
def test_a_setting_that_does_not_hold_is_named_with_its_bound_and_stops_the_start(
    resting: SandboxFiles, environment: dict[str, str], names: list[str]
) -> None:
    """Two: wrong use, in a sentence for each, from the check and from the start alike."""
    for words in (["config", "check"], ["serve"]):
        done = run(resting, *words, environment=environment)

        assert done.exit_code == 2, done.stderr
        assert [name for name in names if name not in done.stderr] == []


def test_files_that_do_not_hold_are_named_with_the_way_to_mend_them(tmp_path: Path) -> None:
    files = create_sandbox(tmp_path / "s", valid_from=datetime.now(UTC) + timedelta(hours=1))
    own = files.folder / "gateway"
    own.joinpath("log.key").chmod(0o644)
    own.joinpath("answer.key").write_text("nothing")

    early = run(files, "config", "check")
    own.joinpath("server.key").write_bytes(own.joinpath("log.key").read_bytes())
    other = run(files, "config", "check")
    own.joinpath("server.pem").write_text("nothing")
    broken = run(files, "config", "check")

    assert (early.exit_code, other.exit_code, broken.exit_code) == (2, 2, 2)
    assert "log_key: " in early.stderr
    assert "0644" in early.stderr
    assert "answer_key" in early.stderr
    assert "set the clock" in early.stderr
    assert "do not belong together" in other.stderr
    assert "cannot be read" in broken.stderr


def test_a_certificate_past_its_end_stops_the_start_and_a_stale_list_warns(tmp_path: Path) -> None:
    """A country whose list is late is locked out, and the others are not locked out with it."""

    class LongAgo:
        def now(self) -> datetime:
            return datetime.now(UTC) - timedelta(days=420)

    files = create_sandbox(tmp_path / "s", clock=LongAgo())

    done = run(files, "config", "check")

    assert done.exit_code == 2
    assert "tls_certificate" in done.stderr
    assert "install a new one" in done.stderr
    assert done.stderr.count("warning: revocation_lists") == 3


def test_what_nobody_runs_is_said_with_what_its_database_says(resting: SandboxFiles) -> None:
    status, reload = run(resting, "status"), run(resting, "reload")

    assert (status.exit_code, reload.exit_code) == (3, 3)
    assert "no gateway answers" in reload.stderr
    assert json.loads(status.stdout)["partners"] == {"active": 4, "suspended": 1}


def test_an_act_without_a_gateway_takes_the_lock_itself(tmp_path: Path) -> None:
    files = create_sandbox(tmp_path / "s")

    done = run(files, "partners", "suspend", USA)

    assert (done.exit_code, USA in done.stdout) == (0, True), done.stderr
    assert f"{USA:24} suspended" in run(files, "partners", "list").stdout
