# SPDX-License-Identifier: Apache-2.0
"""deploy/postgresql/roles.sql on a real server; this file is about what each role can do, and what it is refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyrage
import pytest
from typer.testing import CliRunner

from gateway.cli.program import app
from gateway.client.failures import Refused
from gateway.contracting.load import load_contracts, packaged_root
from gateway.intake.retention import delete_expired
from gateway.review.fsck import fsck
from gateway.storage import log
from gateway.storage.backup import back_up
from gateway.storage.engine import Storage, open_storage
from gateway.wire.policy_file import parse_policy
from tests.api.asking import line, send, signed
from tests.engines import PostgresServer, postgres_programs
from tests.governing import approved, approver, public, said, standing
from tests.running import MEX, Running, running
from tests.unit.aggregates.counter import Counter, desk_on
from tests.unit.storage.samples import BORDER_EVENT, keep, row

ROLES = (Path(__file__).parents[2] / "deploy" / "postgresql" / "roles.sql").read_text()
OWNER, WEB, SERVING, BACKUP = "gateway_owner", "gateway_web", "gateway_serving", "gateway_backup"
LOG_TABLES = ("event", "event_audience", "leaf", "tile", "checkpoint")


@dataclass(frozen=True)
class Database:
    """One database of a server that has the roles, and a gateway that runs as gateway_web."""

    server: PostgresServer
    name: str
    gateway: Running

    def url(self, role: str) -> str:
        return self.server.url(self.name).replace("gateway@", f"{role}@", 1)

    @contextmanager
    def storage(self, role: str) -> Iterator[Storage]:
        opened = open_storage(self.url(role))
        try:
            yield opened
        finally:
            opened.close()

    def execute(self, role: str, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as a role and take it back."""
        with psycopg.connect(f"host={self.server.folder} user={role} dbname={self.name}") as connection:
            cursor = connection.execute(statement)
            found = cursor.fetchall() if cursor.description else []
            connection.rollback()
        return found

    def refuses(self, role: str, statement: str) -> bool:
        try:
            self.execute(role, statement)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
            return True
        return False


def apply_roles(server: PostgresServer, name: str) -> None:
    """Run the file as the superuser, as `psql --file` would."""
    with psycopg.connect(f"host={server.folder} user=gateway dbname={name}", autocommit=True) as connection:
        connection.execute(ROLES)


@pytest.fixture(scope="module")
def database(postgresql_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Roles first, tables as the owner, roles again; then the gateway as gateway_web."""
    name = f"roles_{secrets.token_hex(4)}"
    postgresql_server.create(name, "template0")
    apply_roles(postgresql_server, name)
    url = postgresql_server.url(name)
    with running(
        tmp_path_factory.mktemp("roles") / "sandbox",
        engine_url=url.replace("gateway@", f"{OWNER}@", 1),
        environment={"GATEWAY_DATABASE_URL": url.replace("gateway@", f"{WEB}@", 1), "GATEWAY_ENACT_CHANGES": "false"},
        prepare=lambda _: [apply_roles(postgresql_server, name) for _ in range(2)],
    ) as gateway:
        yield Database(postgresql_server, name, gateway)
    postgresql_server.drop(url)


@pytest.fixture
def web(database: Database) -> Iterator[Storage]:
    with database.storage(WEB) as opened:
        yield opened


class LongAfter:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=200)


def test_a_submission_is_kept_and_its_receipt_published_as_gateway_web(database: Database) -> None:
    """The whole trip, sequencer and publisher included, needs no right that the role has not."""
    for lines in ([line()], [line(), line()]):
        answer = send(database.gateway, signed(database.gateway, lines))

        assert answer.status == 201, answer.document
        assert answer.document["receipt"]["proof"]


def test_a_month_that_nobody_expected_gets_its_part(database: Database, web: Storage) -> None:
    """Parts are made as records arrive, in the schema where the role may create."""
    keep(web, BORDER_EVENT, [row(BORDER_EVENT, event_id="01000000-0000-7000-8000-000000000001")])

    parts = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'border_event_1'::regclass"
    found = [str(name) for (name,) in database.execute(OWNER, parts)]
    assert found
    assert all(name.startswith("gateway_months.") for name in found)


def test_deletion_reaches_the_files_as_gateway_web(database: Database, web: Storage) -> None:
    """A role that may not rewrite a table would leave the deleted bytes in it, and only a warning."""
    send(database.gateway, signed(database.gateway, [line()]))
    files = "SELECT relname, relfilenode FROM pg_class WHERE relname LIKE 'border\\_event\\_1\\_m______'"
    before = dict(database.execute(OWNER, files))

    deleted = delete_expired(web, load_contracts(packaged_root()).shapes, clock=LongAfter())

    after = dict(database.execute(OWNER, files))
    assert deleted
    assert before
    assert all(after[name] != number for name, number in before.items())
    assert database.execute(OWNER, "SELECT count(*) FROM border_event_1") == [(0,)]
    assert web.read(log.get_head).size


def test_what_was_kept_as_gateway_web_holds(database: Database) -> None:
    """The owner's fsck finds nothing to complain about."""
    send(database.gateway, signed(database.gateway, [line()]))
    verifier = parse_policy(database.gateway.files.log_policy.read_text()).logs[0].verifier
    with database.storage(OWNER) as storage:
        found = [str(finding) for finding in fsck(storage, load_contracts(packaged_root()), verifier)]

    # Sample rows of other tests came without a submission.
    assert [finding for finding in found if not finding.startswith("record-without-submission")] == []


@pytest.mark.parametrize("table", LOG_TABLES)
@pytest.mark.parametrize("act", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"])
def test_gateway_web_does_not_change_the_log(database: Database, table: str, act: str) -> None:
    """Whoever takes over the listening process can add to the log, and not rewrite it."""
    column = {"event": "kind", "event_audience": "country", "tile": "hashes", "checkpoint": "root"}.get(table, "entry")

    assert database.refuses(WEB, act.format(table, column, column))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_head SET origin = 'other/log/2026'",
        "DELETE FROM log_head",
        "INSERT INTO log_head SELECT 'x', size, edge, root, created_at FROM log_head",
        "UPDATE pending_event SET event_id = event_id",
        "UPDATE submission SET accepted_count = 0",
        "DELETE FROM submission",
        "DELETE FROM tombstone",
        "DELETE FROM log_restore",
        "UPDATE flow_1 SET count = 1",
        "DELETE FROM flow_1",
        "UPDATE flow_1_cell SET value = 1",
        "DELETE FROM flow_1_cell",
        "UPDATE partner SET status = 'active'",
        "INSERT INTO certificate_pin SELECT * FROM certificate_pin",
        "UPDATE officer SET status = 'active'",
        "UPDATE officer SET roles = '[\"approver\"]'",
        "UPDATE certificate_pin SET status = 'active'",
        "UPDATE partner_key SET not_after = NULL",
        "UPDATE approval SET digest = 'x'",
        "DELETE FROM stopped",
        "DELETE FROM change",
        "UPDATE change SET status = 'approved' WHERE act = 'found'",
        "UPDATE change SET act = 'resume'",
        "INSERT INTO approval SELECT * FROM approval",
        "INSERT INTO officer SELECT * FROM officer",
        "INSERT INTO lifecycle SELECT * FROM lifecycle",
        "CREATE TABLE public.mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE log_head DISABLE TRIGGER ALL",
        "SET ROLE gateway_owner",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_gateway_web_is_held_to_what_the_process_does(database: Database, statement: str) -> None:
    """Nor does it forge who is known, what was approved, or what was submitted."""
    assert database.refuses(WEB, statement)


def test_officers_narrow_as_gateway_web_and_the_owner_enacts_what_widens(database: Database) -> None:
    """Whoever takes over the listening process can stop partners, and let nobody in."""
    gateway = database.gateway
    narrowed = said(gateway, "MEX.OFFICER.DPO", "suspend", id=MEX)
    proposed = said(gateway, approver("MEX"), "resume", id=MEX)
    assert approved(gateway, approver("USA"), proposed["change_id"])["status"] == "approved"
    assert database.refuses(WEB, f"UPDATE partner SET status = 'active' WHERE id = '{MEX}'")
    with gateway.client(MEX) as client, pytest.raises(Refused, match="partner-suspended"):
        client.own("flow")

    # The sandbox's own settings name the owner.
    done = CliRunner().invoke(app, ["govern", "enact", "--config", str(gateway.files.settings)])

    assert (narrowed["status"], done.exit_code) == ("in-force", 0), done.output
    assert standing(gateway, proposed["change_id"])["status"] == "in-force"
    with gateway.client(MEX) as client:
        client.own("flow")


def test_a_stop_as_gateway_web_closes_what_is_approved_and_would_undo_it(database: Database) -> None:
    """A right that the process lacks must not be what keeps an officer from stopping."""
    gateway = database.gateway
    proposed = said(gateway, approver("MEX"), "add-key", id=MEX, signing_key=public())
    assert approved(gateway, approver("USA"), proposed["change_id"])["status"] == "approved"

    assert said(gateway, "MEX.OFFICER.DPO", "suspend", id=MEX)["status"] == "in-force"

    assert standing(gateway, proposed["change_id"])["status"] == "rejected"


def test_gateway_web_may_move_the_head_and_empty_the_queue(database: Database) -> None:
    """The two changes that the sequencer needs; the test of refusals can fail."""
    assert not database.refuses(WEB, "UPDATE log_head SET size = size, edge = edge, root = root")
    assert not database.refuses(WEB, "DELETE FROM pending_event")


def test_gateway_serving_answers_a_pull_from_what_is_servable(database: Database, web: Storage) -> None:
    """What no reader may ever see is not in reach of the process that answers readers."""
    secret = [{"confidentiality": kind, "period": f"2024-{month:02}"} for month, kind in enumerate("CNEADS", 1)]
    secret[2]["embargo_until"] = "2099-01-01"
    Counter(desk_on(web)).keep({"period": "2024-09", "note": "for us"}, *secret)

    with database.storage(SERVING) as serving:
        pulled, seen = Counter(replace(desk_on(serving), publishes=False)).pull()
    cells = database.execute(SERVING, "SELECT period, value, suppression FROM flow_1_cell ORDER BY period")

    assert pulled.event_id
    assert [(one.period, one.value) for one in seen if one.value is not None] == [("2024-09", 5000)]
    assert cells == [("2024-04", None, "A"), ("2024-05", None, "D"), ("2024-06", None, "S"), ("2024-09", 5000, "")]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM border_event_1",
        "SELECT * FROM flow_1",
        "SELECT * FROM public.flow_1_cell",
        "SELECT * FROM event",
        "SELECT * FROM submission",
        "SELECT * FROM refused_record",
        "SELECT * FROM rollup",
        "INSERT INTO leaf SELECT * FROM leaf",
        "UPDATE log_head SET size = 0",
        "DELETE FROM pending_event",
        "UPDATE flow_1_cell SET period = period",
        "SELECT * FROM gateway_months.border_event_1_m202611",
        "SET ROLE gateway_web",
    ],
)
def test_gateway_serving_sees_no_border_event(database: Database, statement: str) -> None:
    """Nor does it read what it wrote into the audit log, or move the log."""
    send(database.gateway, signed(database.gateway, [line()]))

    assert database.refuses(SERVING, statement)


def test_gateway_backup_reads_every_table_and_changes_none(database: Database) -> None:
    """A backup of less than everything is none, and who makes it needs nothing else."""
    tables = [
        str(name)
        for (name,) in database.execute(
            BACKUP,
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname IN ('public', 'gateway_months') AND c.relkind IN ('r', 'p')",
        )
    ]

    assert len(tables) > 20
    for table in tables:
        assert not database.refuses(BACKUP, f"SELECT * FROM {table} LIMIT 1")
        assert database.refuses(BACKUP, f"DELETE FROM {table}")
        assert database.refuses(BACKUP, f"SET default_transaction_read_only = off; DELETE FROM {table}")


def test_gateway_backup_makes_a_backup(database: Database, tmp_path: Path) -> None:
    """As the timer does, with the rights of this role and no others."""
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    programs, now = postgres_programs(), datetime.now(UTC)

    made = back_up(
        database.url(BACKUP), tmp_path / "b.age", [recipient], programs=programs, at=now, progress=lambda *_: None
    )

    assert made.facts.tree_size
    assert (tmp_path / "b.age").stat().st_size > 1000


def test_nobody_else_comes_in(database: Database) -> None:
    """A role of some other database on the server has no business here."""
    database.server.execute("DROP ROLE IF EXISTS passer_by; CREATE ROLE passer_by LOGIN")

    with pytest.raises(psycopg.OperationalError, match="CONNECT"):
        database.execute("passer_by", "SELECT 1")
