# SPDX-License-Identifier: Apache-2.0
"""When the gateway cannot or will not; this file is about rates, retired contracts, a broken log, a lost database."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from gateway.auditlog.receipts import fields_of
from gateway.cli.program import app
from gateway.contracting.load import packaged_root
from gateway.errors import Reason
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.storage import registry
from gateway.storage.engine import open_storage
from gateway.storage.registry import LifecycleEntry
from tests.api.asking import check_problem, kept_count, line, newest_event, read_refused, refused, send, signed
from tests.api.asking import last_event_id as now_id
from tests.running import GTM, USA, Running, running

BURST = 5


def retire_flow(files: SandboxFiles) -> None:
    storage = open_storage(files.database_url)
    entry = LifecycleEntry("flow", "1.0.0", datetime.now(UTC), "retired", None)
    storage.write(lambda tx: registry.add_lifecycle(tx, entry))
    storage.close()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with a low rate and a retired contract."""
    limits = {"GATEWAY_REQUESTS_PER_SECOND": "0.2", "GATEWAY_REQUESTS_BURST": str(BURST)}
    folder = tmp_path_factory.mktemp("strict") / "sandbox"
    with running(folder, environment=limits, prepare=retire_flow) as started:
        yield started


def test_a_retired_contract_is_gone_and_stays_readable(strict: Running) -> None:
    """After its sunset nothing is accepted under it, and what it meant can still be read."""
    refused(strict, signed(strict, [b"{}"], product="flow", partner=GTM), Reason.CONTRACT_RETIRED)

    assert strict.get(GTM, "/v1/contracts/flow/1.0.0")[0] == 200


def test_who_asks_too_often_waits_and_is_recorded_once(strict: Running) -> None:
    """The first refusal of a burst is an event, and each says when to come back; other partners notice nothing."""
    before = now_id(strict)
    assert strict.get(USA, "/v1/submissions")[0] == 200, "known from here on"
    statuses = [send(strict, signed(strict, [line()])).status for _ in range(BURST)]

    first, second = (send(strict, signed(strict, [line()])) for _ in range(2))

    assert statuses == [201] * BURST
    event = check_problem(strict, first.status, first.headers, first.document, Reason.RATE_LIMITED)
    assert event.kind == "requests.limited"
    assert int(first.headers["retry-after"]) >= 1
    assert (second.status, second.document["reason"]) == (429, Reason.RATE_LIMITED)
    assert "audit-event" not in second.headers
    assert newest_event(strict, "requests.limited", before).id == event.id
    assert strict.get(GTM, "/v1/submissions")[0] == 200


def test_a_log_that_does_not_hold_stops_acceptance(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without evidence nothing is accepted, and readiness says so."""
    with running(tmp_path_factory.mktemp("stalled") / "sandbox") as gateway:
        gateway.stop()
        with closing(sqlite3.connect(gateway.files.folder / "gateway.db")) as database, database:
            database.execute("UPDATE log_head SET root = zeroblob(32)")
        gateway.start(until_ready=False)

        # The first event after the damage is committed; the log cannot be signed over it.
        first = send(gateway, replace(signed(gateway, [line()]), extra=(("Prefer", "wait=2"),)))
        assert first.status in {202, 503}
        kept = kept_count(gateway)

        answer = send(gateway, signed(gateway, [line()]))

        assert (answer.status, answer.document["reason"]) == (503, Reason.LOG_STALLED)
        assert "retry-after" in answer.headers
        assert kept_count(gateway) == kept
        status, _, body = gateway.get(USA, "/readyz")
        assert (status, "log-stalled" in json.loads(body)["reasons"]) == (503, True)


def test_rules_that_were_changed_beside_their_approvals_decide_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """They are read again with the next act on the registry; the approved ones put back, all goes on."""
    folder = tmp_path_factory.mktemp("changed")
    contracts = folder / "contracts"
    shutil.copytree(packaged_root(), contracts)
    floor = contracts / "policies" / "1" / "floor.cedar"
    approved = floor.read_bytes()
    with running(folder / "sandbox", environment={"GATEWAY_CONTRACTS_DIR": str(contracts)}) as gateway:
        assert send(gateway, signed(gateway, [line()])).status == 201
        floor.write_bytes(approved + b"// one word more\n")
        operate(gateway, "govern", "stop", "direction", "GTM>MEX")

        answer = refused(gateway, signed(gateway, [line()]), Reason.RULES_NOT_IN_FORCE)
        status, _, body = gateway.get(USA, "/readyz")
        floor.write_bytes(approved)

        assert "retry-after" in answer.headers
        assert (status, json.loads(body)["reasons"]) == (503, ["rules-not-in-force"])
        assert eventually_accepted(gateway)


def operate(gateway: Running, *words: str) -> None:
    done = CliRunner().invoke(app, [*words, "--config", str(gateway.files.settings)])
    assert done.exit_code == 0, done.output


def eventually_accepted(gateway: Running) -> bool:
    """Say whether a submission is accepted after the wait that is asked for, once or twice."""
    for _ in range(4):
        answer = send(gateway, signed(gateway, [line()]))
        if answer.status == 201:
            return True
        threading.Event().wait(int(answer.headers["retry-after"]))
    return False


def test_a_lost_database_is_told_and_nothing_is_lost(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The refusal cannot be recorded where there is nowhere to write; the client repeats and is served."""
    with running(tmp_path_factory.mktemp("away") / "sandbox") as gateway:
        asked = signed(gateway, [line()])
        with closing(sqlite3.connect(gateway.files.folder / "gateway.db")) as database:
            database.execute("BEGIN IMMEDIATE")
            away = send(gateway, asked)
            database.rollback()

        again = send(gateway, asked)

        assert (away.status, away.document["reason"]) == (503, Reason.STORAGE_UNAVAILABLE)
        assert "audit_event" not in away.document
        assert "retry-after" in away.headers
        assert again.status == 201


def test_refusals_of_a_rate_name_no_one_else(strict: Running) -> None:
    """The event of a burst holds the certificate's digest and a count, nothing of what was asked."""
    before = now_id(strict)
    for _ in range(BURST + 1):
        status, headers, _ = strict.get("unpinned", "/v1/nothing")

    assert status == 429
    fields = fields_of(newest_event(strict, "requests.limited", before).fields)
    assert set(fields) >= {"reason", "count", "since", "until", "source"}
    assert "path" not in fields
    assert headers["content-type"].startswith("application/problem+json")


def test_readiness_is_never_limited(strict: Running) -> None:
    """A balancer asks every second."""
    assert [strict.get(USA, "/readyz")[0] for _ in range(BURST * 2)] == [200] * BURST * 2


def test_an_unreadable_request_is_refused_with_an_event(gateway: Running) -> None:
    """Even what is no HTTP, once the handshake holds."""
    from tests.running import parse_answer

    status, headers, body = parse_answer(gateway.exchange(USA, b"NONSENSE\r\n\r\n"))

    if gateway.behind_proxy:
        assert status == 400  # The proxy's own word: it has nothing to hand over.
        return
    check_problem(gateway, status, headers, json.loads(body), Reason.REQUEST_MALFORMED)
    read_refused(gateway, USA, "/v1/submissions", Reason.REQUEST_MALFORMED, {"X-Long": "a" * 40_000})
