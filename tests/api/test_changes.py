# SPDX-License-Identifier: Apache-2.0
"""Changes that are not taken, through every edge; this file is about their reasons, as problems on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.clock import format_instant
from gateway.errors import Reason
from gateway.identifiers import new_id
from gateway.onboarding.pki import pem_of_public
from gateway.wire.change import Change, countersign, sign_change
from gateway.wire.keys import FileSigner
from tests.api.asking import Answered, Asked, check_problem, send
from tests.governing import approver, said
from tests.running import USA, Running

OFFICER, OTHER = approver("USA"), approver("MEX")


def posted(gateway: Running, officer: str, body: bytes, path: str = "/v1/changes") -> Answered:
    return send(gateway, Asked(officer, path, (("content-type", "application/json"),), body))


def refused(gateway: Running, answer: Answered, reason: Reason) -> Mapping[str, Any]:
    check_problem(gateway, answer.status, answer.headers, answer.document, reason)
    return answer.document


def proposed(gateway: Running) -> dict[str, Any]:
    key = pem_of_public(FileSigner.of(ed25519.Ed25519PrivateKey.generate()).public_der)
    return said(gateway, OFFICER, "add-key", id=USA, signing_key=key)


def test_a_change_of_an_act_that_there_is_not_is_refused(gateway: Running) -> None:
    now = datetime.now(UTC)
    change = Change("crown", format_instant(now), gateway.files.public_origin, new_id(now), {"id": USA})
    envelope = sign_change(change, FileSigner.load(gateway.party(OFFICER).signing_key))

    told = refused(gateway, posted(gateway, OFFICER, json.dumps(envelope).encode()), Reason.CHANGE_INVALID)

    assert "an act is one of" in told["detail"]


@pytest.mark.parametrize("body", [b"[]", b"{", b'"x"', b""])
def test_a_body_that_is_no_envelope_is_malformed(gateway: Running, body: bytes) -> None:
    refused(gateway, posted(gateway, OFFICER, body), Reason.REQUEST_MALFORMED)


def test_an_envelope_of_nothing_is_no_change(gateway: Running) -> None:
    refused(gateway, posted(gateway, OFFICER, b"{}"), Reason.CHANGE_INVALID)


def test_a_body_that_is_too_large_is_not_read_to_its_end(gateway: Running) -> None:
    refused(gateway, posted(gateway, OFFICER, b" " * (300 << 10)), Reason.BODY_TOO_LARGE)


def test_a_signature_for_a_change_that_waits_no_longer_is_refused(gateway: Running) -> None:
    waiting = proposed(gateway)
    said(gateway, OFFICER, "reject", change=waiting["change_id"])
    with gateway.client(OFFICER) as client:
        shown = client.channel.send("GET", f"/v1/changes/{waiting['change_id']}", headers={}).document()
    signed = countersign(shown["envelope"], FileSigner.load(gateway.party(OTHER).signing_key))

    answer = posted(gateway, OTHER, json.dumps(signed).encode(), f"/v1/changes/{waiting['change_id']}/approvals")

    assert "rejected" in refused(gateway, answer, Reason.CHANGE_CLOSED)["detail"]


@pytest.mark.parametrize("query", ["status=crowned", "before=x", "color=red"])
def test_a_list_that_nobody_knows_is_malformed(gateway: Running, query: str) -> None:
    status, headers, body = gateway.get(OFFICER, f"/v1/changes?{query}")

    check_problem(gateway, status, headers, json.loads(body), Reason.REQUEST_MALFORMED)


def test_the_list_shows_what_waits_the_newest_first(gateway: Running) -> None:
    first, second = proposed(gateway), proposed(gateway)

    _, _, body = gateway.get(OTHER, "/v1/changes")

    ids = [one["change_id"] for one in json.loads(body)["changes"]]
    assert ids.index(second["change_id"]) < ids.index(first["change_id"])
