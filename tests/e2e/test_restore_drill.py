# SPDX-License-Identifier: Apache-2.0
"""The drill of docs/OPERATIONS.md; this file is about losing the database under load and coming back from a backup.

Nothing that was acknowledged before the backup's position is lost, and a backup that is older than what somebody
holds signs nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import orjson
import pyrage
import pytest
from typer.testing import CliRunner, Result

from gateway.auditlog.receipts import receipt_of
from gateway.cli.program import app
from gateway.client.config import load_config
from gateway.client.failures import CannotReach
from gateway.client.outcome import SubmitOutcome
from gateway.client.sdk import GatewayClient
from gateway.contracting.load import load_contracts, packaged_root
from gateway.storage.engine import sqlite_file
from gateway.storage.inspection import stream_records
from gateway.wire.policy_file import LogPolicy, parse_policy
from gateway.wire.receipt import verify_receipt
from tests.engines import PostgresServer, postgres_programs
from tests.running import MEX, USA, Running, running
from tests.synthetic import event_lines

DRILL_SECONDS_MAX = 600
ACKNOWLEDGED_MIN = 5


@dataclass(slots=True)
class Load:
    """Two agencies that submit until they are told to stop; what was acknowledged, in the order of the answers."""

    gateway: Running
    acknowledged: list[tuple[SubmitOutcome, frozenset[str]]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, party: str, seed: int) -> None:
        with self.gateway.client(party) as client:
            for number in range(10_000):
                if self._stop.is_set():
                    return
                lines = list(event_lines(20, seed=seed + number, provider=party))
                outcome = client.submit_lines("border-event", "1.0.0", lines)
                ids = frozenset(str(orjson.loads(line)["event_id"]) for line in lines)
                self.acknowledged.append((outcome, ids))

    @contextmanager
    def going(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.run, args=(party, n)) for party, n in ((USA, 0), (MEX, 50_000))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def until(self, count: int) -> None:
        end = time.monotonic() + 120
        while len(self.acknowledged) < count:
            assert time.monotonic() < end
            threading.Event().wait(0.02)


@dataclass(slots=True)
class Site:
    """A gateway with its backups, and a disaster at hand."""

    gateway: Running
    server: PostgresServer | None
    key: Path

    def command(self, *words: object) -> Result:
        arguments = ["--language", "en", *map(str, words), "--config", str(self.gateway.files.settings)]
        environment = {"GATEWAY_POSTGRESQL_PROGRAMS": str(postgres_programs())}
        return CliRunner().invoke(app, arguments, env=environment)

    def destroy(self) -> None:
        self.gateway.kill()
        url = self.gateway.files.database_url
        if database := sqlite_file(url):
            for path in database.parent.glob(f"{database.name}*"):
                path.unlink()
        else:
            assert self.server is not None
            self.server.drop(url)
            self.server.create(url.split("@/")[1].split("?", maxsplit=1)[0])

    def restore(self, file: Path) -> None:
        done = self.command("restore", file, "--identity", self.key)
        assert (done.exit_code, "confirm-restore" in done.stdout) == (0, True), done.stderr
        self.gateway.start(until_ready=False)

    def stored(self) -> set[str]:
        shape = next(s for s in load_contracts(packaged_root()).shapes if s.product == "border-event")
        place = shape.column_names.index(shape.id_column)
        with self.gateway.storage() as storage:
            return storage.read(lambda tx: {str(r.row[place]) for r in stream_records(tx, shape) if r.row is not None})


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    server = request.getfixturevalue("postgresql_server") if request.param == "postgresql" else None
    identity = pyrage.x25519.Identity.generate()
    key = tmp_path / "key.txt"
    key.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    with running(tmp_path / "s", engine_url=server.fresh() if server else None) as gateway:
        yield Site(gateway, server, key)


def back_up(site: Site, file: Path) -> Path:
    public = site.key.read_text().splitlines()[0].rpartition(" ")[2]
    done = site.command("backup", file, "--recipient", public)
    assert (done.exit_code, "backup made" in done.stdout) == (0, True), done.stderr
    return file


def test_backup_destroy_restore(site: Site, tmp_path: Path) -> None:
    load = Load(site.gateway)
    with load.going():
        load.until(ACKNOWLEDGED_MIN)
        before = list(load.acknowledged)
        early = back_up(site, tmp_path / "early.age")
        load.until(len(load.acknowledged) + ACKNOWLEDGED_MIN)
    late = back_up(site, tmp_path / "late.age")
    newest = tmp_path / "newest.json"
    newest.write_text(json.dumps(max((one.receipt for one, _ in load.acknowledged), key=tree_size)))
    verified = site.command("backup", "verify", late, "--identity", site.key)
    assert (verified.exit_code, "verified by restoring" in verified.stdout) == (0, True), verified.stdout

    site.destroy()
    site.restore(early)
    _the_old_one_waits_and_may_not_sign(site, newest)
    assert site.stored() >= frozenset().union(*(ids for _, ids in before)), "acknowledged before the backup, and lost"

    site.destroy()
    began = time.monotonic()
    site.restore(late)
    confirmed = site.command("log", "confirm-restore", "--newest-checkpoint", newest)
    assert confirmed.exit_code == 0, confirmed.stderr
    _ready(site)
    seconds = time.monotonic() - began
    print(f"from an empty database to ready: {seconds:.1f} s, {len(load.acknowledged)} submissions")

    assert seconds < DRILL_SECONDS_MAX
    assert site.stored() == frozenset().union(*(ids for _, ids in load.acknowledged))
    _every_receipt_still_holds(site, load)
    with site.gateway.client(USA) as client:
        assert client.submit_lines("border-event", "1.0.0", event_lines(2, seed=999_999)).records.accepted == 2
    fsck = site.command("fsck")
    assert (fsck.exit_code, "clean" in fsck.stdout) == (0, True), fsck.stdout


def _the_old_one_waits_and_may_not_sign(site: Site, newest: Path) -> None:
    status, _, body = site.gateway.get(USA, "/readyz")
    assert (status, json.loads(body)["reasons"]) == (503, ["restored"])
    hasty = replace(load_config(site.gateway.party(USA).client), seconds_total_max=1)
    with GatewayClient(hasty) as client, pytest.raises(CannotReach, match="log-stalled"):
        client.submit_lines("border-event", "1.0.0", event_lines(1, seed=777))

    refused = site.command("log", "confirm-restore", "--newest-checkpoint", newest)

    assert (refused.exit_code, "would fork it" in refused.stderr) == (1, True), refused.stderr
    assert json.loads(site.gateway.get(USA, "/readyz")[2])["reasons"] == ["restored"]


def _ready(site: Site) -> None:
    end = time.monotonic() + 60
    while not site.gateway.ready():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


def _every_receipt_still_holds(site: Site, load: Load) -> None:
    policy = parse_policy(site.gateway.files.log_policy.read_text())
    with site.gateway.storage() as storage:
        for outcome, _ in load.acknowledged:
            assert verify_receipt(outcome.receipt, policy=policy).event_id == outcome.event_id
            again = storage.read(partial(_receipt, event_id=outcome.event_id, policy=policy))
            assert again["event"] == outcome.receipt["event"]


def _receipt(tx: object, event_id: str, policy: LogPolicy) -> dict[str, object]:
    receipt = receipt_of(tx, event_id, policy=policy)  # type: ignore[arg-type]
    verify_receipt(receipt, policy=policy)
    return receipt


def tree_size(receipt: object) -> int:
    return int(receipt["proof"].partition("\n\n")[2].split("\n")[1])  # type: ignore[index]
