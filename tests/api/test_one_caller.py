# SPDX-License-Identifier: Apache-2.0
"""One caller against all others; this file is about shares: of threads, of the log, of what is written down."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.auditlog.receipts import fields_of
from gateway.errors import Reason
from tests.api.asking import check_problem, line, read_refused, send, signed, stored_event
from tests.running import GTM, MEX, USA, Running, parse_answer, read_all, running


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with four threads for submissions, so that a partner's share is one."""
    limits = {
        "GATEWAY_WORKER_THREADS": "4",
        "GATEWAY_REQUESTS_PER_SECOND": "0.01",
        "GATEWAY_REQUESTS_BURST": "20",
    }
    with running(tmp_path_factory.mktemp("narrow") / "sandbox", environment=limits) as started:
        yield started


def test_a_partner_with_slow_bodies_holds_its_own_share_only(narrow: Running) -> None:
    """One signed head is enough for as many slow bodies as there are threads: its nonce is spent at the end only."""
    slow, awaited = signed(narrow, [line()]), (("Expect", "100-continue"),)
    head, _, body = replace(slow, extra=awaited).wire().partition(b"\r\n\r\n")
    with narrow.connection(USA) as tls:
        tls.sendall(head + b"\r\n\r\n")
        assert tls.recv(4096).startswith(b"HTTP/1.1 100 ")

        # What small bodies hold is no thread.
        small = send(narrow, signed(narrow, [line()]))
        limited = [send(narrow, replace(signed(narrow, [line()]), extra=awaited)) for _ in range(2)]
        other = send(narrow, signed(narrow, [line(GTM)], partner=GTM))

        tls.sendall(body)
        status, _, _ = parse_answer(read_all(tls))
    first, second = limited
    event = check_problem(narrow, first.status, first.headers, first.document, Reason.RATE_LIMITED)
    assert (event.kind, first.headers["retry-after"]) == ("requests.limited", "2")
    assert (second.status, "audit-event" in second.headers) == (429, False)
    assert (small.status, other.status, status) == (201, 201, 201)
    assert send(narrow, signed(narrow, [line()])).status == 201


@pytest.mark.parametrize(("name", "path"), [(MEX, "/oauth/token"), ("MEX.OFFICER.SECURITY", "/v1/corrections")])
def test_every_slow_body_holds_a_turn_of_its_caller(narrow: Running, name: str, path: str) -> None:
    """Read on a thread for reads, a few of them would hide the health page."""
    words = b"grant_type=client_credentials"
    fields = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(words)}\r\nConnection: close\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}".encode()
    with narrow.connection(name) as tls:
        tls.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert tls.recv(4096).startswith(b"HTTP/1.1 100 ")

        status, headers, body = parse_answer(narrow.exchange(name, head + b"\r\n" + words))

        tls.sendall(words)
        first, _, _ = parse_answer(read_all(tls))
    assert (status, json.loads(body)["reason"], headers["retry-after"]) == (429, Reason.RATE_LIMITED, "2")
    assert first in {400, 401}


@pytest.mark.parametrize(
    ("name", "request_bytes"),
    [
        ("unpinned", b"NONSENSE\r\n\r\n"),
        ("withdrawn", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ],
)
def test_malformed_heads_are_counted_before_they_are_judged(narrow: Running, name: str, request_bytes: bytes) -> None:
    """Each leaves an event: without a count, who is nobody could fill the log that forgets nothing."""
    answers = [parse_answer(narrow.exchange(name, request_bytes)) for _ in range(4)]

    assert [status for status, _, _ in answers] == [400, 400, 429, 429]
    assert ["audit-event" in headers for _, headers, _ in answers] == [True, True, True, False]


def test_an_event_says_which_route_and_never_what_a_caller_wrote(gateway: Running) -> None:
    """A name in a path would stay in a log that forgets nothing; an id of ours may stand there."""
    name = f"perez{secrets.token_hex(4)}"
    known = send(gateway, signed(gateway, [line()])).headers["audit-event"]

    places = [
        fields_of(stored_event(gateway, read_refused(gateway, *asked, Reason.NOT_FOUND)["audit_event"]).fields)["path"]
        for asked in (
            (USA, f"/v1/submissions/{name}"),
            (USA, f"/v1/{name}"),
            (USA, f"/problems/{name}"),
            ("USA.OFFICER.SECURITY", f"/v1/audit/events/{name}"),
            (USA, f"/v1/submissions/{known}"),
        )
    ]

    assert places == [
        "/v1/submissions/{submission_id}",
        "unknown",
        "/problems/{reason}",
        "/v1/audit/events/{event_id}",
        f"/v1/submissions/{known}",
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (USA, "/v1/submissions?after=%00"),
        (USA, "/v1/submissions?after=zzz"),
        ("USA.OFFICER.SECURITY", "/v1/audit/events?partner=%00"),
        ("USA.OFFICER.SECURITY", "/v1/audit/events?request_id=%0a"),
        (USA, "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*?c%5BREF_AREA%5D=%00"),
    ],
)
def test_what_no_database_takes_is_refused_before_it_is_asked(gateway: Running, name: str, path: str) -> None:
    """PostgreSQL knows no NUL in a text; a fault of ours would be what the caller sees."""
    read_refused(gateway, name, path, Reason.REQUEST_MALFORMED)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/audit/events/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v1/contracts HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /v1/contracts HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET /v1/contracts HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET /v1/contracts\r\n\r\n",
    ],
)
def test_other_versions_and_heads_without_one_host_are_refused(gateway: Running, request_bytes: bytes) -> None:
    """What two programs could read in two ways; a proxy refuses it itself, or mends an old version on the way."""
    answer = gateway.exchange(USA, request_bytes)

    if gateway.behind_proxy:
        assert b" 400 " in answer.partition(b"\r\n")[0] or b"HTTP/1.1" not in request_bytes
    else:
        status, headers, body = parse_answer(answer)
        check_problem(gateway, status, headers, json.loads(body), Reason.REQUEST_MALFORMED)


def test_a_certificate_that_stands_for_nobody_here_is_a_stranger_s_again(narrow: Running) -> None:
    """Whose pin was withdrawn goes on at the rate of those who are not known."""
    known = narrow.get("GTM.SEGEPLAN", "/v1/submissions")[0]

    statuses = [narrow.get("GTM.SEGEPLAN", "/v1/audit/events")[0] for _ in range(3)]

    assert (known, statuses) == (200, [401, 401, 429])
