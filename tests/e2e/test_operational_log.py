# SPDX-License-Identifier: Apache-2.0
"""What the machine tells its operator; this file is about what it must not tell, on a real gateway with canaries."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.client.failures import Refused
from gateway.errors import Reason
from gateway.identifiers import new_id
from gateway.operational_log import FIELDS
from gateway.wire.canonical import canonical_bytes
from tests import canaries
from tests.running import GTM, USA, Running, running
from tests.unit.aggregates.counter import CELL, NOW


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Running:
    with running(tmp_path_factory.mktemp("canaries") / "sandbox") as started:
        plant(started)
        started.stop()
    return started


def plant(gateway: Running) -> None:
    """Put a canary wherever a caller can put a value: fields, values, headers, queries, broken bodies."""
    refused = [
        ({"nombre": canaries.PERSON}, Reason.FORBIDDEN_FIELD),
        ({"note": f"see {canaries.REGISTER}"}, Reason.FORBIDDEN_FIELD),
        ({"note": canaries.MAILBOX}, Reason.FORBIDDEN_FIELD),
        ({"citizenship": canaries.CODE}, Reason.CONTRACT_VIOLATED),
        ({"place_code": canaries.DOCUMENT}, Reason.CONTRACT_VIOLATED),
    ]
    with gateway.client(USA) as client:
        for change, reason in refused:
            with pytest.raises(Refused) as caught:
                client.submit_lines("flow", "1.0.0", [canonical_bytes(CELL | {"record_id": new_id(NOW)} | change)])
            assert caught.value.reason == reason.value
        with pytest.raises(Refused):
            client.submit_lines("flow", "1.0.0", [f"{{not json {canaries.PERSON}".encode()])
    name = quote(canaries.PERSON)
    headers = {"User-Agent": canaries.PERSON, "Authorization": f"Bearer {canaries.DOCUMENT}"}
    headers |= {"Gateway-Purpose": canaries.CODE, "Accept-Language": canaries.REGISTER, "Referer": canaries.MAILBOX}
    for path in (f"/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*?c[CITIZENSHIP]={name}", f"/v1/own/flow?by={name}"):
        assert gateway.get(GTM, path, headers)[0] >= 400


def test_the_operational_log_is_json_of_known_fields(gateway: Running) -> None:
    lines = gateway.log_file.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]

    assert entries
    assert {name for entry in entries for name in entry} <= FIELDS


def test_nothing_that_was_submitted_comes_out_in_the_operational_log(gateway: Running) -> None:
    assert canaries.found_in(gateway.log_file.read_bytes()) == []


def test_no_key_comes_out_in_the_operational_log(gateway: Running) -> None:
    assert canaries.secrets_in(gateway.log_file.read_bytes(), gateway.files.folder) == []


def test_nothing_that_was_refused_is_in_a_file_of_the_database(gateway: Running) -> None:
    """What we may not have is not kept, even by accident: not in a page, not in the write-ahead log."""
    files = list(gateway.files.folder.glob("gateway.db*"))

    assert files
    assert {path.name: canaries.found_in(path.read_bytes()) for path in files} == {path.name: [] for path in files}


def test_a_canary_that_did_get_out_would_be_found(tmp_path: Path) -> None:
    """The scan itself can fail."""
    (tmp_path / "a.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n")

    assert canaries.found_in(b"so said quetzalcanario") == ["Quetzalcanario"]
    assert canaries.secrets_in(b"oops MC4CAQ", tmp_path) == ["a.key"]
