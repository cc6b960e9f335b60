# SPDX-License-Identifier: Apache-2.0
"""A stop counts at once; this file is about partners who are stopped while their request is on its way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.api.asking import line, signed, stored_event
from tests.running import GTM, parse_answer, problem_of, read_all, running


def test_a_partner_suspended_while_its_body_arrives_is_refused(tmp_path: Path) -> None:
    """The head was good and a body may take minutes: the registry is asked again inside the transaction."""
    with running(tmp_path / "sandbox") as gateway:
        wire = signed(gateway, [line(GTM)], partner=GTM).wire()
        with gateway.connection(GTM) as tls:
            tls.sendall(wire[:-10])
            # The head is judged as soon as it is here; a second request shows that the gateway is not just late.
            assert gateway.get(GTM, "/v1/contracts")[0] == 200
            suspend(gateway.files.folder / "gateway.db", GTM)
            tls.sendall(wire[-10:])
            status, headers, body = parse_answer(read_all(tls))

        assert (status, problem_of(body)["reason"]) == (403, "partner-suspended")
        kept = stored_event(gateway, headers["audit-event"])
        assert kept.partner_id == GTM
        with gateway.storage() as storage:
            count = storage.read(lambda tx: tx.connection.exec_driver_sql("SELECT count(*) FROM submission").scalar())
        assert count == 0


def test_what_a_stranger_calls_a_contract_is_not_written_down(tmp_path: Path) -> None:
    """A name in a path would stay in a log that forgets nothing."""
    with running(tmp_path / "sandbox") as gateway:
        asked = signed(gateway, [line(GTM)], partner=GTM, product="juan-perez-gomez", version="1985-01-01")
        status, headers, _ = parse_answer(gateway.exchange(GTM, asked.wire()))

        assert status == 422
        assert "perez" not in stored_event(gateway, headers["audit-event"]).fields


def suspend(database: Path, partner: str) -> None:
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute("UPDATE partner SET status = 'suspended' WHERE id = ?", (partner,))
