# SPDX-License-Identifier: Apache-2.0
"""Every way to be refused when reading; this file is about pulls, receipts, the log and officers' searches."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.errors import Reason
from gateway.identifiers import new_id
from tests.api.asking import line, read_refused, send, signed, stored_event
from tests.running import GTM, MEX, USA, Running

DATA = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0"
OFFICER = "USA.OFFICER.SECURITY"
PURPOSE = {"Gateway-Purpose": "STATISTICS"}

CASES = {
    "two purposes and none named": (Reason.PURPOSE_MISSING, MEX, f"{DATA}/*?c%5BREF_AREA%5D=USA", {}),
    "a purpose of no agreement": (
        Reason.DENIED_BY_POLICY,
        MEX,
        f"{DATA}/*?c%5BREF_AREA%5D=USA",
        {"Gateway-Purpose": "BORDER_INFRASTRUCTURE"},
    ),
    "a total over units": (Reason.UNITS_DIFFER, MEX, f"{DATA}/*?c%5BUNIT_MEASURE%5D=_T", PURPOSE),
    "a total that nobody publishes": (
        Reason.NOT_A_PUBLISHED_TABLE,
        MEX,
        f"{DATA}/*?c%5BREF_AREA%5D=_T",
        PURPOSE,
    ),
    "no such dataflow": (Reason.NOT_FOUND, MEX, "/sdmx/v2/data/dataflow/GATEWAY/EVENTS/1.0.0/*", PURPOSE),
    "a filter that cannot be read": (Reason.REQUEST_MALFORMED, MEX, f"{DATA}/*?c%5BNOTHING%5D=x", PURPOSE),
    "own totals of no product": (Reason.NOT_FOUND, USA, "/v1/own/weather", {}),
    "own totals by too much": (Reason.REQUEST_MALFORMED, USA, "/v1/own/flow?by=a,b,c,d", {}),
    "own totals of no month": (Reason.REQUEST_MALFORMED, USA, "/v1/own/flow?from=2026", {}),
    "own totals over an unpublished field": (
        Reason.NOT_A_PUBLISHED_TABLE,
        USA,
        "/v1/own/border-event?by=provider_system",
        {},
    ),
    "an officer's totals": (Reason.UNKNOWN_PARTNER, OFFICER, "/v1/own/flow", {}),
    "a partner's search": (Reason.UNKNOWN_PARTNER, USA, "/v1/audit/events", {}),
    "an approver's search": (Reason.DENIED_BY_POLICY, "USA.OFFICER.APPROVER", "/v1/audit/events", {}),
    "a search that cannot be read": (Reason.REQUEST_MALFORMED, OFFICER, "/v1/audit/events?kind=nothing", {}),
    "no such route": (Reason.NOT_FOUND, USA, "/v1/nothing", {}),
    "no such problem": (Reason.NOT_FOUND, USA, "/problems/nothing", {}),
    "no such contract": (Reason.NOT_FOUND, USA, "/v1/contracts/flow/9.9.9", {}),
    "another year's log": (Reason.NOT_FOUND, USA, "/log/1999/checkpoint", {}),
    "a tile under a second name": (Reason.NOT_FOUND, USA, "/log/2026/tile/0/x000/000", {}),
    "a tile that is not there": (Reason.NOT_FOUND, USA, "/log/2026/tile/0/x999/999", {}),
    "the log for a stranger": (Reason.UNKNOWN_PARTNER, "unpinned", "/log/2026/checkpoint", {}),
    "a parameter out of bounds": (Reason.REQUEST_MALFORMED, USA, "/v1/submissions?limit=0", {}),
    "a suspended partner": (Reason.PARTNER_SUSPENDED, "MEX.SPECIMEN", "/v1/submissions", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refused_read_is_a_problem_and_an_event(gateway: Running, case: str) -> None:
    """Readers are told as plainly as senders, and leave the same trace."""
    reason, name, path, headers = CASES[case]

    read_refused(gateway, name, path, reason, headers)


def test_another_country_s_receipt_looks_like_none(gateway: Running) -> None:
    """No oracle: neither text nor status tells that there is something."""
    event_id = send(gateway, signed(gateway, [line()])).headers["audit-event"]

    theirs = read_refused(gateway, GTM, f"/v1/receipts/{event_id}", Reason.NOT_FOUND)
    nobody = read_refused(gateway, GTM, f"/v1/receipts/{new_id(datetime.now(UTC))}", Reason.NOT_FOUND)

    assert {**theirs, "audit_event": ""} == {**nobody, "audit_event": ""}
    assert gateway.get(OFFICER, f"/v1/receipts/{event_id}")[0] == 200
    read_refused(gateway, "GTM.OFFICER.SECURITY", f"/v1/receipts/{event_id}", Reason.NOT_FOUND)


def test_an_officer_sees_the_own_country_only(gateway: Running) -> None:
    """Another country's events are neither shown nor counted nor to be guessed."""
    event_id = send(gateway, signed(gateway, [line()])).headers["audit-event"]

    status, _, body = gateway.get(OFFICER, f"/v1/audit/events/{event_id}")
    assert (status, json.loads(body)["kind"]) == (200, "submission.accepted")
    read_refused(gateway, "GTM.OFFICER.SECURITY", f"/v1/audit/events/{event_id}", Reason.NOT_FOUND)
    listed = json.loads(gateway.get("GTM.OFFICER.SECURITY", "/v1/audit/events")[2])
    assert all(not event["partner"].startswith(("USA", "MEX")) for event in listed["events"])


def test_an_own_total_is_exact_and_its_reading_an_event(gateway: Running) -> None:
    """An agency may see exactly what it sent."""
    send(gateway, signed(gateway, [line(GTM, person_count=2), line(GTM, person_count=3)], partner=GTM))

    status, headers, body = gateway.get(GTM, "/v1/own/border-event?by=citizenship")

    assert status == 200
    assert stored_event(gateway, headers["audit-event"]).kind == "totals.read"
    totals = json.loads(body)["totals"]
    assert sum(one["person_count"] for one in totals) >= 5


def test_a_claimed_certificate_is_not_believed(gateway: Running) -> None:
    """A header is no certificate on a listener that ends TLS itself."""
    status, _, body = gateway.get(USA, "/v1/submissions", {"Client-Cert": ":AAAA:", "X-SSL-Client-Cert": "x"})

    assert (status, "submissions" in json.loads(body)) == (200, True)


def test_contracts_are_served_as_they_were_signed(gateway: Running) -> None:
    """The digest that the parties approved is that of the bytes that are served."""
    import hashlib

    for entry in json.loads(gateway.get(USA, "/v1/contracts")[2])["contracts"]:
        assert hashlib.sha256(gateway.get(USA, entry["url"])[2]).hexdigest() == entry["digest"]
        assert json.loads(gateway.get(USA, entry["schema_url"])[2])["type"] == "object"
        assert b"provider" in gateway.get(USA, entry["template_url"])[2]


def test_the_log_is_served_as_tiles(gateway: Running) -> None:
    """Checkpoints are never cached, tiles for ever."""
    year = gateway.files.log_origin.rpartition("/")[2]
    status, headers, note = gateway.get(USA, f"/log/{year}/checkpoint")
    assert (status, headers["cache-control"]) == (200, "no-store")
    assert note.startswith(gateway.files.log_origin.encode() + b"\n")
    for path in ("tile/0/000.p/2", "tile/entries/000.p/2"):
        status, headers, data = gateway.get(USA, f"/log/{year}/{path}")
        assert status == 200
        assert "immutable" in headers["cache-control"]
        assert data
    assert gateway.get(USA, "/log/keys")[2].decode().strip() == gateway.files.log_vkey
    assert gateway.get(USA, "/log/policy")[2] == gateway.files.log_policy.read_bytes()


def test_problem_pages_and_answer_keys_need_no_registry_entry(gateway: Running) -> None:
    """What helps to get in may be read before one is in."""
    status, headers, page = gateway.get("unpinned", "/problems/unknown-partner", {"Accept-Language": "es"})
    assert (status, headers["content-language"]) == (200, "es")
    assert "El certificado no está fijado" in page.decode()
    served = json.loads(gateway.get("unpinned", "/.well-known/gateway-keys")[2])
    assert served == json.loads(gateway.files.answer_keys.read_bytes())


def test_the_interface_is_described(gateway: Running) -> None:
    """Every route stands in one OpenAPI 3.1 document."""
    document = json.loads(gateway.get(USA, "/openapi.json")[2])

    assert document["openapi"].startswith("3.1")
    assert "/v1/submissions/{product}/{version}" in document["paths"]
