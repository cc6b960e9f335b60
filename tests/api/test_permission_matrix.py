# SPDX-License-Identifier: Apache-2.0
"""Who may call what; this file is about every operation of the interface against every kind of caller."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.onboarding.pki import pem_of_public
from gateway.wire.keys import FileSigner
from tests.api.asking import Asked, line, send, signed
from tests.api.contesting import by_officer, contest_of, opened, publish
from tests.api.test_invitations import answered
from tests.api.test_tokens import ask, by_certificate
from tests.governing import approver, said
from tests.running import GTM, USA, Running

# A provider, a partner that only reads, an officer of security, an approver, and someone whom nobody pinned.
CALLERS = (USA, "GTM.SEGEPLAN", "USA.OFFICER.SECURITY", "USA.OFFICER.APPROVER", "unpinned")
ANYONE = (200,) * 5
REGISTERED = (200, 200, 200, 200, 401)
PARTNERS = (200, 200, 401, 401, 401)
MATRIX: dict[str, tuple[int, ...]] = {
    "POST /v1/submissions/{product}/{version}": (201, 403, 401, 401, 401),
    "POST /v1/submissions/{product}/{version}/validate": (200, 403, 401, 401, 401),
    "GET /v1/submissions": PARTNERS,
    "GET /v1/submissions/{submission_id}": (200, 404, 401, 401, 401),
    "GET /v1/submissions/{submission_id}/report": (200, 404, 401, 401, 401),
    "GET /v1/receipts/{event_id}": (200, 404, 200, 200, 401),
    "GET /v1/contracts": REGISTERED,
    "GET /v1/contracts/{product}/{version}": REGISTERED,
    "GET /v1/contracts/{product}/{version}/schema.json": REGISTERED,
    "GET /v1/contracts/{product}/{version}/template.csv": REGISTERED,
    "GET /v1/partner": PARTNERS,
    "GET /v1/own/{product}": (200, 403, 401, 401, 401),
    # Of the flow cells here all are of the United States, whose own partners read those of others.
    "GET /sdmx/v2/data/{context}/{agency}/{dataflow}/{version}": (404, 200, 401, 401, 401),
    "GET /sdmx/v2/data/{context}/{agency}/{dataflow}/{version}/{key}": (404, 200, 401, 401, 401),
    "GET /sdmx/v1/data/{flow}": (404, 200, 401, 401, 401),
    "GET /sdmx/v1/data/{flow}/{key}": (404, 200, 401, 401, 401),
    # What the contracts say is no secret from whoever is registered; it tells nothing of what is stored.
    "GET /sdmx/v2/availability/{context}/{agency}/{dataflow}/{version}": REGISTERED,
    "GET /sdmx/v2/availability/{context}/{agency}/{dataflow}/{version}/{key}": REGISTERED,
    "GET /sdmx/v1/availableconstraint/{flow}": REGISTERED,
    "GET /sdmx/v1/availableconstraint/{flow}/{key}": REGISTERED,
    "GET /sdmx/v2/schema/{structure}": REGISTERED,
    "GET /sdmx/v2/structure/{structure}": REGISTERED,
    "GET /sdmx/v1/{structure}": REGISTERED,
    "GET /log/keys": REGISTERED,
    "GET /log/policy": REGISTERED,
    "GET /log/{shard}/checkpoint": REGISTERED,
    "GET /log/{shard}/tile/{path}": REGISTERED,
    "GET /v1/audit/events": (401, 401, 200, 403, 401),
    "GET /v1/audit/events/{event_id}": (401, 401, 200, 403, 401),
    # An officer names a partner of the own country; a partner is the one it is about.
    "GET /v1/policy/explain": (200, 200, 404, 404, 401),
    "GET /v1/policy/matrix": (401, 401, 200, 200, 401),
    "GET /v1/policy/who-could-see": (401, 401, 200, 200, 401),
    "GET /v1/policy/who-did-see": (401, 401, 200, 200, 401),
    "GET /v1/policy/simulate": (401, 401, 200, 200, 401),
    # Without a body that an officer signed nothing is heard; a change is there for every officer to read.
    "POST /v1/changes": (401, 401, 400, 400, 401),
    "POST /v1/changes/{change_id}/approvals": (401, 401, 400, 400, 401),
    "GET /v1/changes": (401, 401, 200, 200, 401),
    "GET /v1/changes/{change_id}": (401, 401, 200, 200, 401),
    "POST /v1/corrections": (201, 403, 201, 403, 401),
    "GET /v1/corrections": PARTNERS,
    "GET /v1/corrections/{correction_id}": (200, 404, 200, 200, 401),
    "GET /v1/corrections/{correction_id}/recall": (401, 401, 200, 403, 401),
    "GET /v1/notifications": PARTNERS,
    # Whom nobody invited is refused, whoever it is.
    "POST /v1/invitations/{partner_id}": (403, 403, 403, 403, 403),
    "POST /oauth/token": (200, 200, 401, 401, 401),
    "GET /oauth/keys": ANYONE,
    "GET /.well-known/oauth-authorization-server": ANYONE,
    "GET /.well-known/gateway-keys": ANYONE,
    "GET /problems/{reason}": ANYONE,
    "GET /healthz": ANYONE,
    "GET /readyz": ANYONE,
}
NEW_KEY = pem_of_public(FileSigner.of(ed25519.Ed25519PrivateKey.generate()).public_der)
QUERIES = {"/v1/policy/explain": "?action=submit", "/v1/policy/simulate": "?without=gtm-usa"}


@pytest.fixture(scope="module")
def places(gateway: Running) -> dict[str, str]:
    answer = send(gateway, signed(gateway, [line()]))
    return {
        "{correction_id}": opened(gateway, publish(gateway)).document["correction_id"],
        "{product}": "border-event", "{version}": "1.0.0", "{submission_id}": answer.document["submission_id"],
        "{event_id}": answer.headers["audit-event"], "{agency}": "GATEWAY", "{dataflow}": "FLOW", "{key}": "*",
        "{context}": "dataflow", "{flow}": "FLOW", "{structure}": "dataflow",
        "{change_id}": said(gateway, approver("USA"), "add-key", id=USA, signing_key=NEW_KEY)["change_id"],
        "{shard}": gateway.files.log_origin.rpartition("/")[2], "{path}": "0/000.p/1", "{reason}": "replayed",
    }  # fmt: skip


def status_of(gateway: Running, operation: str, caller: str, places: dict[str, str]) -> int:
    method, path = operation.split(" ")
    if path == "/oauth/token":
        return ask(gateway, caller, by_certificate(caller)).status
    if operation.startswith("POST /v1/invitations"):
        return answered(gateway, caller, "USA.NOBODY", "no token").status
    if operation == "POST /v1/corrections":
        return contested_by(gateway, caller)
    if method == "POST" and path.startswith("/v1/changes"):
        path = path.replace("{change_id}", places["{change_id}"])
        return send(gateway, Asked(caller, path, (("content-type", "application/json"),), b"[]")).status
    if method == "POST":
        action = "/validate" if path.endswith("/validate") else ""
        party = GTM if caller == "unpinned" else caller
        asked = signed(gateway, [line(party if "OFFICER" not in party else USA)], partner=party, action=action)
        return send(gateway, asked, name=caller).status
    for name, value in places.items():
        path = path.replace(name, value)
    path += QUERIES.get(path, "")
    return gateway.get(caller, path, {"Gateway-Purpose": "STATISTICS"})[0]


def contested_by(gateway: Running, caller: str) -> int:
    said = {"cause": "OTHER", "record_id": publish(gateway)["record_id"]}
    if "OFFICER" in caller:
        return send(gateway, by_officer(caller, said | {"provider": USA})).status
    asked = contest_of(gateway, said, partner=USA if caller == "unpinned" else caller)
    return send(gateway, asked, name=caller).status


@pytest.mark.parametrize("operation", MATRIX)
def test_each_caller_may_do_what_the_matrix_says(gateway: Running, operation: str, places: dict[str, str]) -> None:
    """The whole table, so that a change of one cell is seen."""
    assert tuple(status_of(gateway, operation, caller, places) for caller in CALLERS) == MATRIX[operation]


def test_every_operation_stands_in_the_matrix(gateway: Running) -> None:
    """A route that nobody thought about is a route that anybody may call."""
    paths = json.loads(gateway.get(USA, "/openapi.json")[2])["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert served == set(MATRIX)
