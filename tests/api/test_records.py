# SPDX-License-Identifier: Apache-2.0
"""One bad record among good ones; this file is about every record code, and what an acceptance says."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.errors import Reason
from gateway.identifiers import new_id
from gateway.wire.canonical import canonical_bytes
from gateway.wire.policy_file import parse_policy
from gateway.wire.receipt import verify_receipt
from gateway.wire.record_code import RecordCode
from tests.api.asking import Answered, event, line, read_refused, refused, send, signed
from tests.running import GTM, USA, Running

CODES: dict[str, tuple[str, Callable[[], bytes]]] = {
    RecordCode.NOT_UTF8: ("", lambda: line().replace(b'"TEST"', b'"\xff\xfe"')),
    RecordCode.NOT_CANONICAL: ("", lambda: json.dumps(event()).encode()),
    RecordCode.DUPLICATE_KEY: ("/minors", lambda: line().replace(b'"minors":0', b'"minors":0,"minors":0')),
    RecordCode.UNKNOWN_FIELD: ("/weather", lambda: line(weather="rain")),
    RecordCode.REQUIRED: ("/direction", lambda: line(direction=None)),
    RecordCode.TYPE: ("/person_count", lambda: line(person_count="1")),
    RecordCode.CODE_NOT_IN_LIST: ("/direction", lambda: line(direction="UP")),
    RecordCode.RANGE: ("/person_count", lambda: line(person_count=501)),
    RecordCode.PATTERN: ("/place_code", lambda: line(place_code="lower case")),
    "rule:minors-among-persons": ("/minors", lambda: line(minors=2)),
    RecordCode.SUPERSEDES_UNKNOWN: (
        "/supersedes",
        lambda: line(action="amend", supersedes=new_id(datetime.now(UTC))),
    ),
}


@pytest.mark.parametrize("code", CODES)
def test_one_bad_record_is_refused_and_the_others_are_kept(gateway: Running, code: str) -> None:
    """Line, pointer and code are told in the answer and in the report, where its id is gone; the value never is."""
    pointer, make = CODES[code]

    answer = send(gateway, signed(gateway, [line(), make(), line()]))

    assert answer.status == 201, answer.document
    assert answer.document["records"] == {
        "received": 3, "accepted": 2, "duplicate": 0, "refused": 1, "quarantined": 0,
    }  # fmt: skip
    (record,) = answer.document["refused"]
    assert (record["line"], record["code"], record["pointer"]) == (2, code, pointer)
    assert isinstance(record["detail"], str)
    status, _, report = gateway.get(USA, answer.document["report_url"])
    assert status == 200
    record.pop("record_id", None)
    assert [json.loads(one) for one in report.splitlines()] == [record]


def test_the_same_id_with_another_line_is_a_conflict(gateway: Running) -> None:
    """A record is corrected by an amendment, never by sending its id again."""
    identifier = new_id(datetime.now(UTC))
    send(gateway, signed(gateway, [line(event_id=identifier)]))

    answer = send(gateway, signed(gateway, [line(), line(event_id=identifier, person_count=2)]))

    assert [record["code"] for record in answer.document["refused"]] == [RecordCode.RECORD_CONFLICT]


def test_a_repeated_record_is_a_duplicate_and_not_refused(gateway: Running) -> None:
    """A sender that is not sure may send again."""
    first = line()
    send(gateway, signed(gateway, [first]))

    answer = send(gateway, signed(gateway, [first, line()]))

    assert answer.document["records"]["duplicate"] == 1
    assert answer.document["records"]["accepted"] == 1


def test_one_broken_cell_refuses_a_whole_table(gateway: Running) -> None:
    """Flow is atomic: a table is whole or not at all."""
    refused(gateway, signed(gateway, [b"{}"], product="flow"), Reason.CONTRACT_VIOLATED)


def proven(gateway: Running, answer: Answered) -> dict[str, object]:
    policy = parse_policy(gateway.files.log_policy.read_text(encoding="utf-8"))
    return dict(verify_receipt(answer.document["receipt"], policy=policy).fields)


def test_an_acceptance_carries_a_receipt_that_verifies_offline(gateway: Running) -> None:
    """The receipt commits to what was sent, and needs nothing of ours but the pinned policy."""
    asked = signed(gateway, [line()])

    answer = send(gateway, asked)

    assert answer.status == 201
    assert answer.document["receipt"]["status"] == "unwitnessed"
    fields = proven(gateway, answer)
    assert fields["kind"] == "submission.accepted"
    assert fields["submission_id"] == answer.document["submission_id"]


def test_a_byte_identical_repeat_is_answered_with_the_same_receipt(gateway: Running) -> None:
    """A lost answer costs nothing."""
    asked = signed(gateway, [line()])
    first = send(gateway, asked)

    again = send(gateway, asked)

    assert again.status == 200
    assert again.headers["idempotent-replay"] == "true"
    assert again.document["submission_id"] == first.document["submission_id"]
    assert again.headers["audit-event"] == first.headers["audit-event"]


def test_a_repeat_signed_anew_is_the_same_submission(gateway: Running) -> None:
    """The key and the content decide, not the nonce."""
    key, lines = secrets.token_urlsafe(24), [line()]
    first = send(gateway, signed(gateway, lines, key=key))

    again = send(gateway, signed(gateway, lines, key=key))

    assert (again.status, again.document["submission_id"]) == (200, first.document["submission_id"])


def test_who_does_not_wait_finds_the_receipt_later(gateway: Running) -> None:
    """202 says where; the proof is also there as text."""
    asked = replace(signed(gateway, [line()]), extra=(("Prefer", "wait=0"),))

    answer = send(gateway, asked)

    assert answer.status in {201, 202}
    path = f"/v1/receipts/{answer.headers['audit-event']}"
    if answer.status == 202:
        assert answer.headers["location"] == path
        assert "retry-after" in answer.headers
    with gateway.client(USA) as client:
        document, verified = client.receipt(answer.headers["audit-event"])
    assert verified.event_id == answer.headers["audit-event"]
    status, _, proof = gateway.get(USA, path, {"Accept": "text/plain"})
    assert (status, proof.decode()) == (200, document["proof"])


def test_a_dry_run_keeps_nothing_and_is_recorded(gateway: Running) -> None:
    """The same judgement, without the effect."""
    one = line()

    answer = send(gateway, signed(gateway, [one, line(minors=2)], action="/validate"))

    assert (answer.status, answer.document["records"]) == (200, {"received": 2, "refused": 1})
    assert send(gateway, signed(gateway, [one])).document["records"]["accepted"] == 1


def test_a_nil_return_is_a_submission(gateway: Running) -> None:
    """To say that there was nothing is to say something."""
    headers = {"content-type": "application/vnd.gateway.nil+json"}

    answer = send(gateway, signed(gateway, body=canonical_bytes({"period": "2026-10"}), headers=headers))

    assert (answer.status, answer.document["nil_period"]) == (201, "2026-10")


def test_a_partner_sees_its_own_submissions_and_nobody_else_s(gateway: Running) -> None:
    """Another's and none at all look the same."""
    kept = send(gateway, signed(gateway, [line()])).document["submission_id"]

    status, _, body = gateway.get(USA, f"/v1/submissions/{kept}")
    assert (status, json.loads(body)["submission_id"]) == (200, kept)
    pages = json.loads(gateway.get(USA, "/v1/submissions?limit=1")[2])
    assert len(pages["submissions"]) == 1
    assert pages["next"].startswith("/v1/submissions?after=")

    theirs = read_refused(gateway, GTM, f"/v1/submissions/{kept}", Reason.NOT_FOUND)
    nobody = read_refused(gateway, GTM, f"/v1/submissions/{new_id(datetime.now(UTC))}", Reason.NOT_FOUND)
    assert {**theirs, "audit_event": ""} == {**nobody, "audit_event": ""}
    read_refused(gateway, GTM, f"/v1/submissions/{kept}/report", Reason.NOT_FOUND)
    read_refused(gateway, GTM, "/v1/submissions/../etc", Reason.NOT_FOUND)
