# SPDX-License-Identifier: Apache-2.0
"""A contested number from end to end, on both engines; this file is about marks, recall lists and signed notices."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.auditlog.receipts import fields_of
from gateway.errors import Reason
from gateway.identifiers import new_id
from tests.api.asking import (
    check_problem,
    last_event_id,
    newest_event,
    read_refused,
    refused,
    send,
    stored_event,
)
from tests.api.contesting import NATURAL, by_officer, contest_of, marks, opened, proven, publish, pull
from tests.crash.test_kill import fsck
from tests.running import GTM, MEX, USA, Running, running
from tests.webhooks import Webhook, webhook

SECURITY, PROTECTION = "USA.OFFICER.SECURITY", "USA.OFFICER.DPO"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Webhook]]:
    folder = tmp_path_factory.mktemp(request.param) / "sandbox"
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").fresh()
    with ExitStack() as stack:
        gateway = stack.enter_context(running(folder, engine_url=url))
        own = gateway.files.folder / "gateway"
        listening = stack.enter_context(webhook(own / "server.pem", own / "server.key"))
        command(gateway, "partners", "webhook", GTM, listening.url)
        yield gateway, listening


@pytest.fixture
def gateway(world: tuple[Running, Webhook]) -> Running:
    return world[0]


@pytest.fixture
def listening(world: tuple[Running, Webhook]) -> Webhook:
    return world[1]


def command(gateway: Running, *words: str, config: str = "") -> str:
    line = [sys.executable, "-m", "gateway", *words, "--config", config or str(gateway.files.settings)]
    done = subprocess.run(line, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_who_read_a_contested_number_is_listed_and_told(gateway: Running, listening: Webhook) -> None:
    """The mark, the recall list from the log, and a signed notice to each reader, of one commit."""
    record = publish(gateway)
    reads = [pull(gateway, GTM), pull(gateway, GTM)]

    answer = opened(gateway, record)

    assert record["record_id"] in marks(gateway)
    document, event_id = answer.document, answer.headers["audit-event"]
    assert (document["status"], document["records"], document["periods"]) == ("open", 1, [record["period"]] * 2)
    fields = fields_of(stored_event(gateway, event_id).fields)
    assert (fields["kind"], fields["notified_count"], fields["subject"]) == ("correction.opened", 1, "record")
    event = proven(gateway, listening.url, listening.next())
    assert event["type"] == "gateway.correction.opened.v1"
    assert event["subject"] == document["correction_id"]
    assert event["data"]["your_reads"] == reads
    # A reader may see less than was contested, so that no cell and no value is named.
    assert not {record["record_id"], record["period"], "5000"} & set(json.dumps(event).split('"'))
    recall = json.loads(gateway.get(SECURITY, document["recall_url"])[2])
    assert [(one["partner"], one["read_count"], one["events"]) for one in recall["readers"]] == [(GTM, 2, reads)]
    assert recall["readers"][0]["read_before_contest"] is True
    assert stored_event(gateway, recall["audit_event"]).kind == "recall.read"


def test_notices_come_in_order_until_they_are_taken(gateway: Running, listening: Webhook) -> None:
    """Refused, redirected and broken deliveries are repeated under the same id; no later notice goes before."""
    first, second = publish(gateway), publish(gateway)
    pull(gateway, GTM)
    before = last_event_id(gateway)
    listening.answers.extend([500, 302])
    ids = [opened(gateway, first).document["correction_id"], opened(gateway, second).document["correction_id"]]

    came = [json.loads(listening.next().body) for _ in range(4)]

    assert [event["subject"] for event in came] == [ids[0]] * 3 + [ids[1]]
    assert len({event["id"] for event in came}) == 2
    assert came[3]["sequence"] > came[0]["sequence"]
    assert fields_of(newest_event(gateway, "notice.delivered", before).fields)["correction_id"] == ids[0]


def test_a_cursor_shows_what_a_webhook_lost(gateway: Running, listening: Webhook) -> None:
    """Every notice has a number without gaps; behind the last one there is nothing."""
    pull_after = publish(gateway)
    pull(gateway, MEX)
    pull(gateway, GTM)
    wanted = opened(gateway, pull_after).document["correction_id"]
    listening.next()

    for name in (MEX, GTM):
        seen, path = [], "/v1/notifications?after=0"
        while page := json.loads(gateway.get(name, path)[2])["notifications"]:
            seen += page
            path = f"/v1/notifications?after={page[-1]['number']}"
        assert [one["number"] for one in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["event"]["subject"] == wanted
        assert int(seen[-1]["event"]["sequence"]) == seen[-1]["number"]
    assert json.loads(gateway.get(USA, "/v1/notifications")[2])["notifications"] == []
    read_refused(gateway, SECURITY, "/v1/notifications", Reason.UNKNOWN_PARTNER)
    read_refused(gateway, USA, "/v1/notifications?after=-1", Reason.REQUEST_MALFORMED)


def test_who_read_before_or_of_another_country_is_not_listed(gateway: Running) -> None:
    """The list is of those who can have the number: it was not there before, and is not in another's cells."""
    publish(gateway)
    pull(gateway, GTM)
    theirs = {"provider": MEX, "reporting_country": "MEX", "counterpart_country": "GTM", "direction": "OUT"}
    theirs |= {"flow_type": "RETURN_ASSISTED", "legal_basis": "MEX.LM", "citizenship": "HND"}
    publish(gateway, partner=MEX, definition_id="urn:mig:def:mex.upm.devolucion:2015", **theirs)
    record = publish(gateway)
    pull(gateway, USA, owner="MEX")
    pull(gateway, MEX)

    recall_url = opened(gateway, record).document["recall_url"]

    listed = json.loads(gateway.get(SECURITY, recall_url)[2])["readers"]
    assert [one["partner"] for one in listed] == [MEX]


def test_an_amended_number_is_contested_no_more(gateway: Running) -> None:
    """The mark is the record's: the new number begins without one, and the old one is history."""
    old = publish(gateway)
    opened(gateway, old)
    change = {"action": "amend", "supersedes": old["record_id"], "count": 4000, "period": old["period"]}
    new = publish(gateway, **change)

    assert new["record_id"] not in marks(gateway)
    again = contest_of(gateway, {"cause": "OTHER", "record_id": old["record_id"]})
    refused(gateway, again, Reason.NOT_FOUND)
    opened(gateway, new)


def test_a_number_that_nobody_read_is_marked_and_nobody_is_told(gateway: Running) -> None:
    record = publish(gateway)

    recall_url = opened(gateway, record).document["recall_url"]

    assert record["record_id"] in marks(gateway)
    assert json.loads(gateway.get(SECURITY, recall_url)[2])["readers"] == []


def test_a_contest_ends_once_and_its_readers_learn_it(gateway: Running, listening: Webhook) -> None:
    record = publish(gateway)
    pull(gateway, GTM)
    contest_id = opened(gateway, record).document["correction_id"]
    listening.next()

    answers = [send(gateway, contest_of(gateway, {"withdraws": contest_id})) for _ in range(2)]

    assert [(one.status, one.document["status"]) for one in answers] == [(200, "withdrawn")] * 2
    assert record["record_id"] not in marks(gateway)
    event = proven(gateway, listening.url, listening.next())
    assert (event["type"], event["subject"]) == ("gateway.correction.withdrawn.v1", contest_id)
    assert stored_event(gateway, answers[0].headers["audit-event"]).kind == "correction.withdrawn"
    assert listening.posted.empty()


def test_a_cell_or_a_submission_is_contested_as_well(gateway: Running) -> None:
    one, other = publish(gateway), publish(gateway)
    cell = NATURAL | {"period": one["period"]}

    by_cell = send(gateway, contest_of(gateway, {"cause": "OTHER", "cell": cell}))
    by_submission = send(gateway, contest_of(gateway, {"cause": "OTHER", "submission_id": other["submission"]}))

    assert (by_cell.status, by_cell.document["subject"]) == (201, "cell")
    assert (by_submission.status, by_submission.document["subject"]) == (201, "submission")
    assert {one["record_id"], other["record_id"]} <= marks(gateway)
    refused(gateway, contest_of(gateway, {"cause": "OTHER", "cell": {"period": "x"}}), Reason.REQUEST_MALFORMED)


def test_an_officer_contests_for_the_own_country(gateway: Running) -> None:
    """A person's certificate is enough; the person stands in the event, where it can be erased."""
    record = publish(gateway)
    said = {"cause": "UNIT_WRONG", "record_id": record["record_id"], "provider": USA}

    answer = send(gateway, by_officer(PROTECTION, said))

    assert answer.status == 201
    assert record["record_id"] in marks(gateway)
    stored = stored_event(gateway, answer.headers["audit-event"])
    assert "actor" not in fields_of(stored.fields)
    assert PROTECTION in str(stored.personal)
    url = f"/v1/corrections/{answer.document['correction_id']}"
    assert gateway.get(SECURITY, url)[0] == gateway.get(USA, url)[0] == 200
    assert answer.document["correction_id"] in gateway.get(USA, "/v1/corrections")[2].decode()


def test_a_repeat_is_the_same_contest(gateway: Running, listening: Webhook) -> None:
    record, key = publish(gateway), secrets.token_urlsafe(24)
    pull(gateway, GTM)
    first = opened(gateway, record, key=key)
    listening.next()

    again = send(gateway, contest_of(gateway, {"cause": "COUNT_WRONG", "record_id": record["record_id"]}, key=key))

    assert (again.status, again.document) == (200, first.document)
    assert listening.posted.empty()
    other = contest_of(gateway, {"cause": "OTHER", "record_id": record["record_id"]}, key=key)
    refused(gateway, other, Reason.IDEMPOTENCY_CONFLICT)


def test_a_nonce_counts_once(gateway: Running) -> None:
    record, nonce = publish(gateway), secrets.token_urlsafe(24)
    opened(gateway, record, nonce=nonce)

    again = contest_of(gateway, {"cause": "OTHER", "record_id": record["record_id"]}, nonce=nonce)

    refused(gateway, again, Reason.REPLAYED)


def test_who_may_not_contest_does_not(gateway: Running) -> None:
    """Others' numbers, amended ones and none at all look the same."""
    record = publish(gateway)
    said = {"cause": "COUNT_WRONG", "record_id": record["record_id"]}
    nothing = {"cause": "COUNT_WRONG", "record_id": new_id(datetime.now(UTC))}

    theirs = refused(gateway, contest_of(gateway, said, partner=GTM), Reason.NOT_FOUND).document
    nobody = refused(gateway, contest_of(gateway, nothing), Reason.NOT_FOUND).document
    assert {**theirs, "audit_event": ""} == {**nobody, "audit_event": ""}
    refused(gateway, contest_of(gateway, said | {"provider": USA}, partner=GTM), Reason.NOT_FOUND)
    refused(gateway, contest_of(gateway, said, partner="GTM.SEGEPLAN"), Reason.DENIED_BY_POLICY)
    refused(gateway, by_officer("GTM.OFFICER.DPO", said | {"provider": USA}), Reason.NOT_FOUND)
    refused(gateway, by_officer("USA.OFFICER.APPROVER", said | {"provider": USA}), Reason.DENIED_BY_POLICY)
    refused(gateway, by_officer(PROTECTION, said), Reason.REQUEST_MALFORMED)
    assert record["record_id"] not in marks(gateway)


def test_a_provider_signs_what_it_contests(gateway: Running) -> None:
    said = {"cause": "COUNT_WRONG", "record_id": publish(gateway)["record_id"]}
    asked = contest_of(gateway, said)

    refused(gateway, asked.with_header("Signature", None), Reason.SIGNATURE_MISSING)
    refused(gateway, contest_of(gateway, said, media_type="application/x-ndjson"), Reason.MEDIA_TYPE_UNSUPPORTED)


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        {"cause": "COUNT_WRONG"},
        {"record_id": new_id(datetime.now(UTC))},
        {"cause": "BECAUSE", "record_id": new_id(datetime.now(UTC))},
        {"cause": "OTHER", "record_id": "x"},
        {"cause": "OTHER", "record_id": new_id(datetime.now(UTC)), "note": "text"},
        {"cause": "OTHER", "withdraws": new_id(datetime.now(UTC))},
        {"cause": "OTHER", "record_id": new_id(datetime.now(UTC)), "submission_id": new_id(datetime.now(UTC))},
    ],
)
def test_a_body_of_any_other_form_is_refused(gateway: Running, said: Any) -> None:
    """No free text comes into the log, and a contest is about one thing."""
    refused(gateway, contest_of(gateway, said), Reason.REQUEST_MALFORMED)


def test_a_recall_list_is_for_the_owner_s_officers(gateway: Running) -> None:
    """Who read a country's numbers is nobody else's to know, the provider included."""
    document = opened(gateway, publish(gateway)).document
    url = document["recall_url"]

    assert gateway.get(SECURITY, url)[0] == 200
    theirs = read_refused(gateway, "GTM.OFFICER.SECURITY", url, Reason.NOT_FOUND)
    nobody = read_refused(
        gateway, "GTM.OFFICER.SECURITY", f"/v1/corrections/{new_id(datetime.now(UTC))}/recall", Reason.NOT_FOUND
    )
    assert {**theirs, "audit_event": ""} == {**nobody, "audit_event": ""}
    read_refused(gateway, USA, url, Reason.UNKNOWN_PARTNER)
    read_refused(gateway, PROTECTION, url, Reason.DENIED_BY_POLICY)
    read_refused(gateway, GTM, f"/v1/corrections/{document['correction_id']}", Reason.NOT_FOUND)
    read_refused(gateway, SECURITY, "/v1/corrections/nothing/recall", Reason.NOT_FOUND)


def test_the_command_shows_the_recall_list(gateway: Running, listening: Webhook) -> None:
    record = publish(gateway)
    pull(gateway, GTM)
    contest_id = opened(gateway, record).document["correction_id"]
    listening.next()

    told = command(gateway, "recall", contest_id, config=str(gateway.party(SECURITY).client))

    assert told.split()[0] == GTM


def test_an_event_of_a_contest_fails_with_its_problem(gateway: Running) -> None:
    answer = send(gateway, contest_of(gateway, {"withdraws": new_id(datetime.now(UTC))}))

    check_problem(gateway, answer.status, answer.headers, answer.document, Reason.NOT_FOUND)


def test_a_notice_survives_a_power_failure(gateway: Running, listening: Webhook) -> None:
    """What was committed is sent after the restart; what stands is whole."""
    record = publish(gateway)
    pull(gateway, GTM)
    listening.answers.extend([503])
    contest_id = opened(gateway, record).document["correction_id"]
    first = json.loads(listening.next().body)

    gateway.kill()
    gateway.start()

    again = json.loads(listening.next().body)
    assert (first["id"], first["subject"]) == (again["id"], again["subject"])
    assert again["subject"] == contest_id
    fsck(gateway)
