# SPDX-License-Identifier: Apache-2.0
"""The SDK against a gateway that accuses; this file is about what is sent, what is believed, and trying again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.client import (
    AnswerNotTrusted,
    CannotReach,
    GatewayClient,
    ReceiptNotTrusted,
    ReceiptPending,
    Refused,
)
from gateway.client import channel as channel_module
from gateway.client.retry import Pace
from gateway.wire.keys import FileSigner
from tests.unit.client.fake_gateway import FakeGateway, StoppedClock

LINES = [b'{"count":%d,"id":"a%d"}' % (n, n) for n in range(5)]


class Timeline:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.at = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.at += seconds


@pytest.fixture
def fake(tmp_path: Path) -> FakeGateway:
    return FakeGateway(tmp_path)


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture
def client(fake: FakeGateway, timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayClient]:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    pace = Pace(60, monotonic=lambda: timeline.at, sleep=timeline.sleep, chance=lambda: 0.5)
    with GatewayClient(fake.config(), clock=StoppedClock(), pace=pace, transport=httpx2.MockTransport(fake)) as opened:
        yield opened


def test_an_acceptance_is_returned_with_its_verified_receipt(client: GatewayClient, fake: FakeGateway) -> None:
    outcome = client.submit_lines("flow", "1.0.0", LINES)

    assert (outcome.records.received, outcome.records.accepted, outcome.replay) == (5, 5, False)
    assert outcome.receipt_status == "unwitnessed"
    assert fake.lines_kept == LINES


def test_a_small_body_goes_as_it_is_and_a_large_one_compressed(client: GatewayClient, fake: FakeGateway) -> None:
    large = [b'{"id":"%s"}' % (str(n).encode() * 100) for n in range(5000)]

    client.submit_lines("flow", "1.0.0", LINES)
    client.submit_lines("flow", "1.0.0", large)

    assert [request.headers.get("content-encoding") for request in fake.requests] == [None, "zstd"]
    assert fake.lines_kept == LINES + large


def test_the_same_content_has_the_same_key_and_other_content_another(client: GatewayClient, fake: FakeGateway) -> None:
    """A run after a crash remembers nothing; the key must follow from what it sends."""
    first = client.submit_lines("flow", "1.0.0", LINES)
    again = client.submit_lines("flow", "1.0.0", LINES)
    client.submit_lines("flow", "1.0.0", LINES[:3])

    keys = [request.headers["idempotency-key"] for request in fake.requests]
    assert keys[0] == keys[1] != keys[2]
    assert again.replay
    assert again.submission_id == first.submission_id


@pytest.mark.parametrize("failure", ["connect", "429", "502", "503", "504", "commit-then-cut"])
def test_a_passing_failure_is_tried_again_with_the_same_key(
    client: GatewayClient, fake: FakeGateway, failure: str
) -> None:
    fake.fail_next(failure, failure)

    outcome = client.submit_lines("flow", "1.0.0", LINES)

    assert outcome.records.accepted == 5
    assert fake.lines_kept == LINES
    assert len({request.headers["idempotency-key"] for request in fake.requests}) == 1
    assert len({request.headers["signature"] for request in fake.requests}) == 3


def test_retry_after_is_honoured(client: GatewayClient, fake: FakeGateway, timeline: Timeline) -> None:
    fake.fail_next("503")

    client.submit_lines("flow", "1.0.0", LINES)

    assert timeline.sleeps == [2.0]


def test_trying_again_ends_at_the_time_bound(client: GatewayClient, fake: FakeGateway, timeline: Timeline) -> None:
    fake.fail_next(*["connect"] * 100)

    with pytest.raises(CannotReach):
        client.submit_lines("flow", "1.0.0", LINES)

    assert timeline.at <= 60
    assert len(fake.requests) <= 12


def test_a_refusal_is_not_tried_again(client: GatewayClient, fake: FakeGateway) -> None:
    fake.refuse_with = {"status": 422, "reason": "forbidden-field", "detail": "Line 1.", "audit_event": "e"}

    with pytest.raises(Refused) as refused:
        client.submit_lines("flow", "1.0.0", LINES)

    assert (refused.value.reason, refused.value.signed, len(fake.requests)) == ("forbidden-field", True, 1)


def test_an_unsigned_refusal_says_so(client: GatewayClient, fake: FakeGateway) -> None:
    fake.refuse_with = {"status": 403, "reason": "denied-by-policy", "detail": "No."}
    fake.sign_answers = False

    with pytest.raises(Refused) as refused:
        client.submit_lines("flow", "1.0.0", LINES)

    assert not refused.value.signed


def test_an_unsigned_acceptance_is_no_acceptance(client: GatewayClient, fake: FakeGateway) -> None:
    fake.sign_answers = False

    with pytest.raises(AnswerNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES)


def test_an_acceptance_signed_by_a_stranger_is_no_acceptance(client: GatewayClient, fake: FakeGateway) -> None:
    fake.answering = FileSigner.of(Ed25519PrivateKey.generate())

    with pytest.raises(AnswerNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES)


def test_an_answer_whose_body_was_changed_is_not_believed(client: GatewayClient, fake: FakeGateway) -> None:
    fake.tamper = lambda answer: httpx2.Response(
        answer.status_code, headers=answer.headers, content=answer.content.replace(b'"accepted": 5', b'"accepted": 6')
    )

    with pytest.raises(AnswerNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES)


def test_an_answer_to_another_request_is_not_believed(client: GatewayClient, fake: FakeGateway) -> None:
    """Whoever can replay a gateway's old acceptance must not be able to make a sender believe it."""
    earlier: list[httpx2.Response] = []

    def keep(answer: httpx2.Response) -> httpx2.Response:
        earlier.append(answer)
        return earlier[0]

    fake.tamper = keep
    client.submit_lines("flow", "1.0.0", LINES)

    with pytest.raises(AnswerNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES[:2])


@pytest.mark.parametrize("member", ["proof", "status"])
def test_a_receipt_that_does_not_verify_is_no_acceptance(client: GatewayClient, fake: FakeGateway, member: str) -> None:
    fake.change_receipt = lambda receipt: {**receipt, member: str(receipt[member]).replace("i", "j")}

    with pytest.raises(ReceiptNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES)


def test_a_receipt_of_another_submission_is_no_acceptance(client: GatewayClient, fake: FakeGateway) -> None:
    first = client.submit_lines("flow", "1.0.0", LINES)
    fake.change_receipt = lambda _: dict(first.receipt)

    with pytest.raises(ReceiptNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES[:2])


@pytest.mark.parametrize(
    "lie",
    [
        {"records": {"received": 5, "accepted": 4, "duplicate": 1, "refused": 0, "quarantined": 0}},
        {"records": {"received": 6, "accepted": 6, "duplicate": 0, "refused": 0, "quarantined": 0}},
        {"submission_id": "01976b1e-0000-7000-8000-000000000000"},
        {"contract": {"product": "border-event", "version": "1.0.0", "digest": "c" * 64}},
        {"contract": {"product": "flow", "version": "1.0.1", "digest": "c" * 64}},
        {"contract": {"product": "flow", "version": "1.0.0", "digest": "d" * 64}},
    ],
)
def test_an_answer_that_says_other_than_its_receipt_is_no_acceptance(
    client: GatewayClient, fake: FakeGateway, lie: dict[str, Any]
) -> None:
    """The answer key is used on line for every request, the log's key is not: the receipt is what counts."""
    fake.change_answer = lambda document: {**document, **lie}

    with pytest.raises(ReceiptNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "submission.refused"},
        {"partner": "MEX.INM"},
        {"product": "border-event"},
        {"version": "1.0.1"},
        {"received_count": 4},
        {"accepted_count": 4},
        {"duplicate_count": 1},
        {"refused_count": 1},
        {"quarantined_count": 1},
    ],
)
def test_a_true_receipt_of_something_else_is_no_acceptance(
    client: GatewayClient, fake: FakeGateway, change: dict[str, Any]
) -> None:
    fake.change_fields = lambda fields: {**fields, **change}

    with pytest.raises(ReceiptNotTrusted):
        client.submit_lines("flow", "1.0.0", LINES)


def test_a_sender_without_a_partner_id_knows_its_own_key_in_the_receipt(
    client: GatewayClient, fake: FakeGateway
) -> None:
    client.config = replace(client.config, partner="")
    client.submit_lines("flow", "1.0.0", LINES)
    fake.change_fields = lambda fields: {**fields, "keyid": fake.answering.keyid}

    with pytest.raises(ReceiptNotTrusted, match="keyid"):
        client.submit_lines("flow", "1.0.0", LINES[:2])


def test_a_receipt_of_another_event_than_was_asked_for_is_not_believed(
    client: GatewayClient, fake: FakeGateway
) -> None:
    first, second = (client.submit_lines("flow", "1.0.0", LINES[:size]).event_id for size in (1, 2))
    assert client.receipt(first)[1].event_id == first
    fake.receipts[first] = fake.receipts[second]

    with pytest.raises(ReceiptNotTrusted, match="another event"):
        client.receipt(first)


def test_an_event_is_shown_as_its_receipt_proves_it(client: GatewayClient, fake: FakeGateway) -> None:
    """Whatever else the answer says of it may be invented: it has no signature and no place in the log."""
    event_id = client.submit_lines("flow", "1.0.0", LINES).event_id
    receipt = fake.receipts[event_id]
    fake.events[event_id] = {"event_id": event_id, "fields": {"kind": "submission.refused"}, "receipt": receipt}

    shown, verified = client.audit_show(event_id)

    assert shown["fields"] == verified.fields
    assert shown["fields"]["kind"] == "submission.accepted"
    assert shown.keys() == {"event_id", "at", "fields", "receipt"}


@pytest.mark.parametrize("pending", [False, True])
def test_another_event_is_not_shown_for_the_one_that_was_asked_for(
    client: GatewayClient, fake: FakeGateway, pending: bool
) -> None:
    first, second = (client.submit_lines("flow", "1.0.0", LINES[:size]).event_id for size in (1, 2))
    fake.events[first] = {} if pending else {"event_id": first, "receipt": fake.receipts[second]}
    fake.receipts[first] = fake.receipts[second]

    with pytest.raises(ReceiptNotTrusted, match="another event"):
        client.audit_show(first)


def test_a_pending_receipt_is_asked_for_until_it_is_there(
    client: GatewayClient, fake: FakeGateway, timeline: Timeline
) -> None:
    fake.pending_polls = 3

    outcome = client.submit_lines("flow", "1.0.0", LINES)

    assert outcome.receipt_status == "unwitnessed"
    assert timeline.sleeps == [1.0, 1.0, 1.0]


def test_a_receipt_that_never_comes_is_said_to_be_pending(client: GatewayClient, fake: FakeGateway) -> None:
    fake.pending_polls = 10_000

    with pytest.raises(ReceiptPending) as pending:
        client.submit_lines("flow", "1.0.0", LINES)

    assert pending.value.event_id in fake.receipts


def test_more_refused_records_than_the_answer_shows_come_from_the_report(
    client: GatewayClient, fake: FakeGateway
) -> None:
    fake.refuse_lines = {LINES[1]: "range", LINES[3]: "type"}

    outcome = client.submit_lines("border-event", "1.0.0", LINES)

    assert [(entry.line, entry.code, entry.detail) for entry in outcome.refused] == [
        (2, "range", "No."),
        (4, "type", "No."),
    ]


def test_a_nil_return_has_no_lines(client: GatewayClient, fake: FakeGateway) -> None:
    client.submit_nil("border-event", "1.0.0", "2026-10")

    assert list(fake.bodies.values()) == [b'{"period":"2026-10"}']
    assert fake.requests[0].headers["content-type"] == "application/vnd.gateway.nil+json"


def test_what_does_not_exist_is_a_refusal(client: GatewayClient) -> None:
    with pytest.raises(Refused) as refused:
        client.own("flow")

    assert refused.value.reason == "not-found"


def test_answers_that_are_no_json_are_not_believed(client: GatewayClient, fake: FakeGateway) -> None:
    fake.tamper = lambda _: httpx2.Response(200, content=b"<html>")

    with pytest.raises(AnswerNotTrusted):
        client.own("flow")


def test_a_problem_is_kept_whole(client: GatewayClient, fake: FakeGateway) -> None:
    problem: dict[str, Any] = {"status": 422, "reason": "contract-violated", "errors": [{"line": 1, "code": "type"}]}
    fake.refuse_with = problem

    with pytest.raises(Refused) as refused:
        client.submit_lines("flow", "1.0.0", LINES)

    assert json.loads(json.dumps(refused.value.problem))["errors"] == problem["errors"]
