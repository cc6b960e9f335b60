# SPDX-License-Identifier: Apache-2.0
"""A whole file; this file is about parts, taking up after a crash, and what is written beside the input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.cli.demo.synthetic import border_events
from gateway.client import CannotReach, GatewayClient, InputUnusable, ReceiptNotTrusted, Refused, submit_file
from gateway.client import channel as channel_module
from gateway.client.check import check_file
from gateway.client.retry import Pace
from gateway.wire.canonical import canonical_bytes
from tests.unit.client.fake_gateway import FakeGateway, StoppedClock

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CELLS = [
    {"citizenship": "GTM", "count": "120", "place_scheme": "USA.CBP.AOR", "place_code": "USBP-RGV"},
    {"citizenship": "HND", "count": "80", "place_scheme": "USA.CBP.AOR", "place_code": "USBP-EPT"},
]
EVENTS = [canonical_bytes(e) for e in border_events(CELLS, provider="USA.DHS.CBP", count=25, now=NOW)]
CSV = """provider,period,reporting_country,counterpart_country,direction,flow_type,unit,citizenship,sex,age_group,\
accompaniment,place_scheme,place_code,legal_basis,count,status,confidentiality,rounding_base,definition_id,vintage
GTM.IGM,2025-01,GTM,USA,IN,RETURN_RECEIVED,PER,GTM,F,Y_GE18,_T,_T,_T,_Z,502,A,F,1,\
urn:mig:def:gtm.igm.retornado:2020,2025-06-18
GTM.IGM,2025-01,GTM,USA,IN,RETURN_RECEIVED,PER,GTM,M,Y_GE18,_T,_T,_T,_Z,1502,A,F,1,\
urn:mig:def:gtm.igm.retornado:2020,2025-06-18
GTM.IGM,2025-02,GTM,USA,IN,RETURN_RECEIVED,PER,GTM,M,Y_GE18,_T,_T,_T,_Z,77,A,F,1,\
urn:mig:def:gtm.igm.retornado:2020,2025-06-18
"""


@pytest.fixture
def fake(tmp_path: Path) -> FakeGateway:
    return FakeGateway(tmp_path)


@pytest.fixture
def client(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayClient]:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    pace = Pace(60, attempts_max=2, sleep=lambda _: None)
    with GatewayClient(fake.config(), clock=StoppedClock(), pace=pace, transport=httpx2.MockTransport(fake)) as opened:
        yield opened


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in EVENTS))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(CSV)
    return path


def test_a_partial_product_is_sent_in_parts_of_so_many_records(
    client: GatewayClient, fake: FakeGateway, events: Path
) -> None:
    seen: list[tuple[int, int]] = []

    outcome = submit_file(
        client, events, "border-event", "1.0.0", records_per_part=10,
        progress=lambda number, total, _event, _replay: seen.append((number, total)),
    )  # fmt: skip

    assert [len(body.splitlines()) for body in fake.bodies.values()] == [10, 10, 5]
    assert outcome.records.accepted == 25
    assert fake.lines_kept == EVENTS
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [json.loads(path.read_text())["status"] for path in outcome.receipts] == ["unwitnessed"] * 3


def test_an_atomic_product_is_split_on_whole_periods(client: GatewayClient, fake: FakeGateway, table: Path) -> None:
    submit_file(client, table, "flow", "1.0.0", records_per_part=1)

    periods = [sorted({json.loads(line)["period"] for line in body.splitlines()}) for body in fake.bodies.values()]
    assert sorted(periods) == [["2025-01"], ["2025-02"]]


def test_a_run_that_was_cut_off_sends_the_same_again_and_nothing_twice(
    client: GatewayClient, fake: FakeGateway, table: Path
) -> None:
    """The answer to the last part is lost for good; record ids were made at random by the first run."""
    fake.fail_next("", "commit-then-cut", "connect", "connect")
    with pytest.raises(CannotReach):
        submit_file(client, table, "flow", "1.0.0", records_per_part=1)

    replays: list[bool] = []
    outcome = submit_file(
        client, table, "flow", "1.0.0", records_per_part=1,
        progress=lambda _number, _total, _event, replay: replays.append(replay),
    )  # fmt: skip

    assert outcome.records.accepted == 3
    assert replays == [True, True]
    assert len(fake.lines_kept) == 3
    assert len({json.loads(line)["record_id"] for line in fake.lines_kept}) == 3


def test_a_part_whose_receipt_is_here_is_not_sent_again(client: GatewayClient, fake: FakeGateway, events: Path) -> None:
    """A large file goes on where the line was cut; what was refused before is still told at the end."""
    fake.refuse_lines = {EVENTS[3]: "range", EVENTS[24]: "type"}
    fake.fail_next("", "", "connect", "connect")
    with pytest.raises(CannotReach):
        submit_file(client, events, "border-event", "1.0.0", records_per_part=10)
    fake.requests.clear()

    outcome = submit_file(client, events, "border-event", "1.0.0", records_per_part=10)

    assert [request.method for request in fake.requests] == ["POST"]
    assert (outcome.records.received, outcome.records.accepted, len(outcome.receipts)) == (25, 23, 3)
    assert outcome.refused is not None
    assert [json.loads(line)["line"] for line in outcome.refused.read_text().splitlines()] == [4, 25]
    assert list(events.with_name("events.ndjson.receipts").glob("*.ndjson")) == []


@pytest.mark.parametrize("harm", ["missing", "altered", "of another part", "without its refused records"])
def test_a_part_whose_receipt_proves_nothing_is_sent_again(
    client: GatewayClient, fake: FakeGateway, events: Path, harm: str
) -> None:
    fake.refuse_lines = {EVENTS[3]: "range"}
    fake.fail_next("", "", "connect", "connect")
    with pytest.raises(CannotReach):
        submit_file(client, events, "border-event", "1.0.0", records_per_part=10)
    folder = events.with_name("events.ndjson.receipts")
    first, second = (folder / f"{part['event_id']}.receipt.json" for part in journal_of(events)["parts"])
    match harm:
        case "missing":
            first.unlink()
        case "altered":
            first.write_text(first.read_text().replace("unwitnessed", "final"))
        case "of another part":
            first.write_bytes(second.read_bytes())
        case _:
            next(folder.glob("*.refused.ndjson")).unlink()
    fake.requests.clear()

    outcome = submit_file(client, events, "border-event", "1.0.0", records_per_part=10)

    assert len([request for request in fake.requests if request.method == "POST"]) == 2
    assert (outcome.records.received, outcome.records.refused, len(outcome.receipts)) == (25, 1, 3)


def journal_of(path: Path) -> dict[str, Any]:
    document = json.loads((path.with_name(path.name + ".receipts") / "journal.json").read_bytes())
    assert isinstance(document, dict)
    return document


def test_a_csv_that_was_accepted_is_not_converted_and_sent_again(
    client: GatewayClient, fake: FakeGateway, table: Path
) -> None:
    """A second conversion would make new ids, so that nothing could tell the records from new ones."""
    first = submit_file(client, table, "flow", "1.0.0")

    again = submit_file(client, table, "flow", "1.0.0")

    assert again.already
    assert (again.records, again.receipts) == (first.records, first.receipts)
    assert again.receipt_status == first.receipt_status == "unwitnessed"
    assert len(fake.lines_kept) == 3


def test_a_finished_file_is_not_called_accepted_without_its_receipts(client: GatewayClient, table: Path) -> None:
    """What an earlier run verified may have been altered since; "accepted" is said of what is proven now."""
    receipt = submit_file(client, table, "flow", "1.0.0").receipts[0]
    receipt.write_text(receipt.read_text().replace("unwitnessed", "final"))

    with pytest.raises(ReceiptNotTrusted):
        submit_file(client, table, "flow", "1.0.0")


def test_lines_that_the_gateway_judged_and_did_not_keep_are_not_kept_here(
    client: GatewayClient, fake: FakeGateway, table: Path
) -> None:
    """They would stay beside the input for ever: who mends it has other content, and other lines."""
    fake.refuse_with = {"status": 422, "reason": "contract-violated"}

    with pytest.raises(Refused):
        submit_file(client, table, "flow", "1.0.0")

    assert [path.name for path in table.with_name("table.csv.receipts").iterdir()] == ["journal.json"]


@pytest.mark.parametrize(
    ("reason", "signed"), [("contract-violated", False), ("partner-suspended", True), ("denied-by-policy", True)]
)
def test_lines_that_may_have_been_kept_stay_for_the_next_run(
    client: GatewayClient, fake: FakeGateway, table: Path, reason: str, signed: bool
) -> None:
    """An earlier answer may be lost: without its lines, the next run would send the same records under new ids."""
    fake.refuse_with, fake.sign_answers = {"status": 403, "reason": reason}, signed

    with pytest.raises(Refused):
        submit_file(client, table, "flow", "1.0.0")

    assert list(table.with_name("table.csv.receipts").glob("lines-*.ndjson"))


def test_refused_records_are_beside_the_input_with_their_line_in_it(
    client: GatewayClient, fake: FakeGateway, events: Path
) -> None:
    fake.refuse_lines = {EVENTS[13]: "range", EVENTS[22]: "type"}

    outcome = submit_file(client, events, "border-event", "1.0.0", records_per_part=10)

    assert outcome.refused is not None
    rows = [json.loads(line) for line in outcome.refused.read_text().splitlines()]
    assert [(row["line"], row["code"]) for row in rows] == [(14, "range"), (23, "type")]
    assert rows[0]["record"] == json.loads(EVENTS[13])


def test_a_refused_table_leaves_its_errors_beside_the_input(
    client: GatewayClient, fake: FakeGateway, events: Path
) -> None:
    errors: list[dict[str, Any]] = [{"line": 2, "pointer": "/minors", "code": "range", "detail": "No."}]
    fake.refuse_with = {"status": 422, "reason": "contract-violated", "errors": errors}

    with pytest.raises(Refused):
        submit_file(client, events, "border-event", "1.0.0")

    rows = [json.loads(line) for line in events.with_name("events.ndjson.refused.ndjson").read_text().splitlines()]
    assert [(row["line"], row["record"]) for row in rows] == [(2, json.loads(EVENTS[1]))]


def test_lines_are_brought_into_canonical_form_but_never_guessed(
    client: GatewayClient, fake: FakeGateway, tmp_path: Path
) -> None:
    """A duplicate key has two readings; the gateway refuses that record, the sender's program must not choose."""
    path = tmp_path / "odd.ndjson"
    path.write_bytes(b'{"b": 1, "a": "\\u00f1"}\r\n\n{"a":1,"a":2}\nnot json\n{"a":1.5}\n')

    submit_file(client, path, "border-event", "1.0.0")

    assert fake.lines_kept == ['{"a":"ñ","b":1}'.encode(), b'{"a":1,"a":2}', b"not json", b'{"a":1.5}']


@pytest.mark.parametrize(
    ("product", "version"), [("flow", "9.9.9"), ("nothing", "1.0.0"), ("../contracts/flow", "1.0.0")]
)
def test_an_unknown_contract_is_said_before_anything_is_sent(
    client: GatewayClient, fake: FakeGateway, events: Path, product: str, version: str
) -> None:
    with pytest.raises(InputUnusable):
        submit_file(client, events, product, version)

    assert fake.requests == []


def test_an_overlong_line_is_not_sent(client: GatewayClient, fake: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    path.write_bytes(b'{"a":"' + b"x" * 70_000 + b'"}\n')

    with pytest.raises(InputUnusable, match="line 1"):
        submit_file(client, path, "border-event", "1.0.0")

    assert fake.requests == []


def test_synthetic_events_keep_their_contract(events: Path) -> None:
    found = check_file(events, "border-event", "1.0.0", at=NOW)

    assert (found.received_count, found.refused_count, found.refused) == (25, 0, ())


def test_a_local_check_names_line_field_and_code(events: Path) -> None:
    bad = {**json.loads(EVENTS[4]), "minors": 900}
    lines = [*EVENTS[:4], canonical_bytes(bad), b"{}", *EVENTS[5:]]
    events.write_bytes(b"".join(line + b"\n" for line in lines))

    found = check_file(events, "border-event", "1.0.0", at=NOW)

    assert found.refused_count == 2
    assert {refused.line for refused in found.refused} == {5, 6}
    assert ("/minors", "range") in {(refused.pointer, refused.code) for refused in found.refused}
