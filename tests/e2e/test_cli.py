# SPDX-License-Identifier: Apache-2.0
"""The commands against a real gateway; this file is about what people type, read, and get as exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from tests.running import GTM, MEX, USA, Running, running
from tests.synthetic import event_lines

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "contracts/flow/1.0.0/examples" / f"{GTM}.csv"

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("cli") / "sandbox") as started:
        yield started


@pytest.fixture(scope="module")
def table(gateway: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Guatemala's table after it was submitted."""
    path = tmp_path_factory.mktemp("gtm") / "table.csv"
    path.write_bytes(TABLE.read_bytes())
    arguments = ["submit", str(path), "--contract", "flow/1.0.0", "--config", str(gateway.party(GTM).client)]
    done = CliRunner().invoke(app, ["--language", "en", *arguments])
    assert done.exit_code == 0, done.stderr
    return path


@pytest.fixture
def command() -> Command:
    def run(*arguments: object, language: str = "en") -> Result:
        return CliRunner().invoke(app, ["--language", language, *map(str, arguments)])

    return run


def config(gateway: Running, party: str) -> tuple[str, str]:
    return "--config", str(gateway.party(party).client)


def officer(gateway: Running, country: str) -> tuple[str, str]:
    return "--config", str(gateway.files.officer(country, "security-officer").client)


def test_a_table_is_submitted_and_again_not_doubled(gateway: Running, table: Path, command: Command) -> None:
    records = len(TABLE.read_text().splitlines()) - 1

    again = command("submit", table, "--contract", "flow/1.0.0", *config(gateway, GTM))

    assert again.exit_code == 0, again.stderr
    assert "accepted completely before" in again.stdout
    assert f"accepted: {records} of {records}" in again.stdout
    assert "receipt verified (unwitnessed)" in again.stdout
    total = json.loads(command("own", "flow", *config(gateway, GTM)).stdout)["totals"]
    assert sum(row["records"] for row in total) == records


def test_a_bad_record_is_beside_the_input_and_the_rest_accepted(
    gateway: Running, tmp_path: Path, command: Command
) -> None:
    lines = list(event_lines(60, seed=5))
    lines[9] = lines[9].replace(b'"purpose":"STATISTICS"', b'"purpose":"CURIOSITY"')
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in lines))

    done = command("submit", path, "--contract", "border-event/1.0.0", *config(gateway, USA), language="es")

    assert done.exit_code == 0, done.stderr
    assert "aceptado: 59 de 60 registros" in done.stdout
    with path.with_name("events.ndjson.refused.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["line"], row["pointer"], row["code"]) for row in rows] == [("10", "/purpose", "code-not-in-list")]
    assert rows[0]["reason"]


def test_records_of_another_agency_end_with_one(gateway: Running, tmp_path: Path, command: Command) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(TABLE.read_bytes())

    done = command("submit", path, "--contract", "flow/1.0.0", *config(gateway, MEX))

    assert done.exit_code == 1
    assert "wrong-provider" in done.stderr
    assert "audit event" in done.stderr
    assert "not signed" not in done.stderr


def test_a_table_is_checked_here_and_there(gateway: Running, command: Command) -> None:
    done = command("validate", TABLE, "--contract", "flow/1.0.0", "--remote", *config(gateway, GTM))

    assert done.exit_code == 0, done.stdout + done.stderr
    assert "keep flow/1.0.0" in done.stdout
    assert "the gateway would accept" in done.stdout


def test_what_breaks_the_contract_is_named_before_it_is_sent(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE.read_text().replace(",RETURN_RECEIVED,", ",RETURN_RECIEVED,", 1))

    done = command("validate", path, "--contract", "flow/1.0.0", language="es")

    assert done.exit_code == 1
    assert "línea 1 /flow_type" in done.stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("record_id,provider", "record_id,agency"), "fila 1, columna agency"),
        ((",625\n", ",6 25\n"), "fila 2, columna count"),
    ],
)
def test_a_column_that_cannot_be_read_is_named(
    tmp_path: Path, command: Command, change: tuple[str, str], says: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE.read_text().replace("\r\n", "\n").replace(*change, 1))

    done = command("validate", path, "--contract", "flow/1.0.0", language="es")

    assert done.exit_code == 2
    assert says in done.stderr


def test_a_forbidden_field_is_found_before_it_leaves(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(next(event_lines(1)).replace(b'"purpose":', b'"passport":"A1","purpose":') + b"\n")

    done = command("validate", path, "--contract", "border-event/1.0.0")

    assert done.exit_code == 1
    assert "forbidden-field" in done.stderr


def test_a_pull_writes_a_file_or_says_why_not(gateway: Running, table: Path, tmp_path: Path, command: Command) -> None:
    output = tmp_path / "cells.csv"
    where = ("--where", "REF_AREA=GTM", "--from", "2024-01", "--to", "2024-12")

    allowed = command("pull", "-o", output, *where, "--purpose", "STATISTICS", *config(gateway, MEX))
    denied = command("pull", "-o", tmp_path / "no.csv", *where, "--purpose", "CURIOSITY", *config(gateway, MEX))

    assert allowed.exit_code == 0, allowed.stderr
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["REF_AREA"] for row in rows} == {"GTM"}
    assert f"{len(rows)} observations" in allowed.stdout
    assert denied.exit_code == 1
    assert "denied-by-policy" in denied.stderr
    assert "not signed" not in denied.stderr
    assert not (tmp_path / "no.csv").exists()


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
def test_a_pulled_file_verifies_later_without_a_network(
    gateway: Running, table: Path, tmp_path: Path, command: Command, form: str
) -> None:
    output = tmp_path / f"cells.{form}"
    where = ("--where", "REF_AREA=GTM", "--where", "SEX!=F", "--as-of", "2030-01-01", "--history")

    pulled = command("pull", "FLOW", "-o", output, *where, "--purpose", "STATISTICS", *config(gateway, MEX))
    pinned = command("verify", output, "--keys", gateway.files.answer_keys)
    configured = command("verify", output, *config(gateway, MEX), language="es")
    signature = json.loads((tmp_path / f"cells.{form}.sig.json").read_text())
    receipt = command("receipt", signature["audit_event"], *config(gateway, MEX))
    output.with_name(output.name + (".signed.csv" if form != "csv" else "")).write_bytes(b"OBS_VALUE\r\n1\r\n")
    changed = command("verify", output, "--keys", gateway.files.answer_keys)

    assert pulled.exit_code == 0, pulled.stderr
    assert (pinned.exit_code, "is what the gateway said" in pinned.stdout) == (0, True), pinned.stderr
    assert "es lo que dijo la pasarela" in configured.stdout
    assert "STATISTICS" in configured.stdout
    # The log proves that this was read, as the signature proves what.
    assert json.loads(receipt.stdout)["status"] == "unwitnessed"
    assert changed.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--where", "SEX"), "--where"),
        (("--where", "SEX=F", "--where", "sex=M"), "--where"),
        (("--where", "=F"), "--where"),
        (("--as-of", "yesterday"), "yesterday"),
    ],
)
def test_a_question_that_cannot_be_asked_is_said(
    gateway: Running, tmp_path: Path, command: Command, arguments: tuple[str, ...], says: str
) -> None:
    done = command("pull", "-o", tmp_path / "cells.csv", *arguments, *config(gateway, MEX))

    assert (done.exit_code, says in done.stderr) == (2, True), done.stderr


def test_what_is_neither_a_receipt_nor_pulled_is_said(gateway: Running, tmp_path: Path, command: Command) -> None:
    (tmp_path / "cells.csv").write_bytes(b"OBS_VALUE\r\n")

    done = command("verify", tmp_path / "cells.csv", *config(gateway, MEX))

    assert (done.exit_code, "cells.csv.sig.json" in done.stderr) == (2, True), done.stderr


def test_an_officer_lists_and_verifies_own_events_only(gateway: Running, table: Path, command: Command) -> None:
    receipt = next(table.with_name(table.name + ".receipts").glob("*.receipt.json"))
    event_id = receipt.name.partition(".")[0]

    listed = command("audit", "list", "--kind", "submission.accepted", *officer(gateway, "GTM"))
    shown = command("audit", "show", event_id, *officer(gateway, "GTM"))
    foreign = command("audit", "show", event_id, *officer(gateway, "MEX"))

    assert event_id in listed.stdout
    assert f"verified: event {event_id}" in shown.stdout
    assert (foreign.exit_code, "not-found" in foreign.stderr) == (1, True)
    assert event_id not in command("audit", "list", *officer(gateway, "MEX")).stdout


def test_a_receipt_is_fetched_again_by_its_owner_only(
    gateway: Running, table: Path, tmp_path: Path, command: Command
) -> None:
    receipt = next(table.with_name(table.name + ".receipts").glob("*.receipt.json"))
    event_id = receipt.name.partition(".")[0]

    own = command("receipt", event_id, "-o", tmp_path / "again.json", *config(gateway, GTM))
    foreign = command("receipt", event_id, *config(gateway, MEX))
    verified = command("verify", tmp_path / "again.json", "--policy", gateway.files.log_policy)

    assert own.exit_code == 0, own.stderr
    assert (foreign.exit_code, "not-found" in foreign.stderr) == (1, True)
    assert verified.exit_code == 0, verified.stderr


def test_the_operator_s_commands_read_beside_a_running_gateway(gateway: Running, table: Path, command: Command) -> None:
    settings = ("--config", gateway.files.settings)

    fsck = command("fsck", *settings)
    inventory = command("privacy", "inventory", *settings)
    schema = command("db", "check", *settings)

    assert (fsck.exit_code, "clean" in fsck.stdout) == (0, True), fsck.stdout + fsck.stderr
    assert "border_event_1" in inventory.stdout
    assert schema.exit_code == 0


def test_a_command_that_writes_waits_for_no_running_gateway(gateway: Running, command: Command) -> None:
    """On SQLite one process writes; a second must say so at once and not wait or write beside it."""
    done = command("db", "upgrade", "--config", gateway.files.settings)

    assert done.exit_code == 1
    assert "Traceback" not in done.stderr


def test_the_contracts_of_the_package_are_listed_and_up_to_date(command: Command) -> None:
    listed, checked = command("contracts", "list"), command("contracts", "check")

    assert "flow/1.0.0" in listed.stdout
    assert checked.exit_code == 0, checked.stderr


@pytest.mark.parametrize("arguments", [("fsck",), ("serve",), ("db", "check"), ("privacy", "inventory")])
def test_missing_settings_are_wrong_use(tmp_path: Path, command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, "--config", tmp_path / "absent.toml")

    assert done.exit_code == 2
    assert "absent.toml" in done.stderr


@pytest.mark.parametrize("specimen", ["revoked", "expired", "foreign"])
def test_a_refused_certificate_is_said_at_once_and_not_tried_again(
    gateway: Running, tmp_path: Path, command: Command, specimen: str
) -> None:
    credentials = gateway.credentials(specimen)
    path = changed_config(gateway, tmp_path, tls_cert=credentials.tls_cert, tls_key=credentials.tls_key)

    done = command("own", "flow", "--config", path)

    assert done.exit_code == 3
    assert "handshake was refused" in done.stderr


def test_a_gateway_under_another_authority_is_not_spoken_to(gateway: Running, tmp_path: Path, command: Command) -> None:
    """The pinned authority is the only one believed: neither the system's nor a partner country's."""
    path = changed_config(gateway, tmp_path, server_ca=gateway.files.folder / "authorities" / "USA" / "ca.pem")

    done = command("own", "flow", "--config", path)

    assert done.exit_code == 3
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_a_certificate_that_is_not_pinned_is_a_refusal(gateway: Running, tmp_path: Path, command: Command) -> None:
    credentials = gateway.credentials("unpinned")
    path = changed_config(gateway, tmp_path, tls_cert=credentials.tls_cert, tls_key=credentials.tls_key)

    done = command("own", "flow", "--config", path)

    assert done.exit_code == 1
    assert "unknown-partner" in done.stderr


def changed_config(gateway: Running, folder: Path, **changes: Path) -> Path:
    entries = {
        "server_ca": gateway.files.server_ca,
        "tls_cert": gateway.party(USA).tls_cert,
        "tls_key": gateway.party(USA).tls_key,
        **changes,
    }
    path = folder / "client.toml"
    lines = [f'{name} = "{value}"\n' for name, value in entries.items()]
    path.write_text(f'gateway_url = "{gateway.files.public_origin}"\nseconds_total_max = 20\n' + "".join(lines))
    return path
