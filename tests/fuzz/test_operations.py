# SPDX-License-Identifier: Apache-2.0
"""Every operation asked for anything; this file is about schemathesis against a running gateway over mutual TLS."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.errors import Reason
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.http_signature import request_covered, sign_request
from gateway.wire.keys import FileSigner
from tests.api.asking import Asked, check_signature, line, send, signed
from tests.api.test_permission_matrix import MATRIX
from tests.engines import PostgresServer
from tests.fuzz.damage import damaged
from tests.running import USA, Running, running

OFFICER = "USA.OFFICER.SECURITY"
CALLERS = (USA, USA, OFFICER, "GTM.SEGEPLAN", "unpinned")
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# A rate that no machine reaches, so that every request gets as far as it can.
UNLIMITED = {"GATEWAY_REQUESTS_PER_SECOND": "100000", "GATEWAY_REQUESTS_BURST": "1000000"}
SHORT, LONG = 15, 300
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
SEND_SECONDS = 20
PUBLIC = {"/problems/{reason}"}  # asks nobody who they are
EARLY = {Reason.UNKNOWN_PARTNER, Reason.REQUEST_MALFORMED}


class World:
    """A gateway that keeps something already, its description, and a session for each caller."""

    def __init__(self, gateway: Running) -> None:
        self.gateway = gateway
        document = json.loads(gateway.get(USA, "/openapi.json")[2])
        described = (one.ok() for one in schemathesis.openapi.from_dict(document).get_all_operations())
        self.operations = {one.label: one for one in described}
        kept = send(gateway, signed(gateway, [line()]))
        self.places = {
            "product": "border-event", "version": "1.0.0", "submission_id": kept.document["submission_id"],
            "event_id": kept.headers["audit-event"], "correction_id": kept.document["submission_id"],
            "agency": "GATEWAY", "dataflow": "FLOW", "key": "*", "context": "dataflow",
            "flow": "FLOW", "structure": "dataflow",
            "shard": gateway.files.log_origin.rpartition("/")[2], "path": "0/000.p/1", "reason": "replayed",
        }  # fmt: skip
        self.sessions = {name: self._session(name) for name in CALLERS}

    def _session(self, name: str) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        files = self.gateway.credentials(name)
        session.cert, session.verify = (str(files.tls_cert), str(files.tls_key)), str(self.gateway.files.server_ca)
        return session

    def ask(self, case: Case, caller: str, *, sign: bool, body: bytes | None) -> requests.Response:
        """Send a case; a submission is signed by its partner, or goes as it is, and may have another body."""
        base = f"https://localhost:{self.gateway.files.port}"
        prepared = requests.Request(**case.as_transport_kwargs(base_url=base)).prepare()
        if case.method == "POST" and body is not None:
            prepared.headers["content-type"] = "application/x-ndjson"
            prepared.prepare_body(body, None)
        if case.method == "POST" and sign:
            prepared.headers.update(self._signature(prepared, caller))
        session = self.sessions[caller]
        return session.send(
            prepared, timeout=SEND_SECONDS, allow_redirects=False, cert=session.cert, verify=session.verify
        )

    def _signature(self, prepared: requests.PreparedRequest, caller: str) -> dict[str, str]:
        party = self.gateway.party(caller if caller in self.gateway.files.partners else USA)
        fields = {name.lower(): value for name, value in _headers(prepared)}
        fields |= {
            "content-type": fields.get("content-type", "application/x-ndjson"),
            "content-digest": format_content_digest(sha256(_body(prepared))),
            "idempotency-key": secrets.token_urlsafe(24),
        }
        headers = sign_request(
            FileSigner.load(party.signing_key),
            method="POST",
            target_uri=self.gateway.files.public_origin + prepared.path_url,
            headers=fields,
            covered=request_covered(fields),
            created=int(datetime.now(UTC).timestamp()),
            nonce=secrets.token_urlsafe(24),
        )
        return {**fields, **headers}

    def check(self, case: Case, response: requests.Response) -> None:
        """Hold an answer against the description, the closed list of reasons, and the signature of answers."""
        case.validate_response(response, checks=CHECKS)
        if response.headers["content-type"].startswith("application/problem+json"):
            problem = response.json()
            assert problem["reason"] in set(Reason)
            assert problem["status"] == response.status_code
            assert problem.get("audit_event") == response.headers.get("audit-event")
            # Whoever is not known yet, or nobody to this operation, shares what strangers may leave in the log.
            assert "audit_event" in problem or problem["reason"] in EARLY or case.path in PUBLIC
        elif response.status_code >= 400 and case.path.startswith("/sdmx/"):
            # Who takes anything reads SDMX-ML, and is refused in it.
            assert b"<mes:ErrorMessage code=" in response.content
        else:
            assert response.status_code < 400 or case.path in {"/readyz", "/oauth/token"}
        if case.method == "POST":
            sent = response.request
            asked = Asked(USA, str(sent.path_url), tuple((n.lower(), v) for n, v in _headers(sent)), _body(sent))
            headers = {name.lower(): value for name, value in response.headers.items()}
            check_signature(self.gateway, asked, response.status_code, headers, response.content)


def _headers(prepared: requests.PreparedRequest) -> list[tuple[str, str]]:
    values = ((str(name), value) for name, value in prepared.headers.items())
    return [(name, value.decode("latin-1") if isinstance(value, bytes) else value) for name, value in values]


def _body(prepared: requests.PreparedRequest) -> bytes:
    body = prepared.body or b""
    return body.encode() if isinstance(body, str) else bytes(body)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgresServer
) -> Iterator[World]:
    url = postgresql_server.fresh() if request.param == "postgresql" else None
    folder = tmp_path_factory.mktemp("engine") / "sandbox"
    with running(folder, engine_url=url, environment=UNLIMITED) as gateway:
        yield World(gateway)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("operations") / "sandbox", environment=UNLIMITED) as gateway:
        yield World(gateway)


def ask_for_anything(world: World, operation: str, *, examples: int) -> int:
    """Ask one operation for so many examples of valid and of invalid parameters, and return how many that were."""
    described, asked = world.operations[operation], 0

    @seed(1)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        case=st.one_of(described.as_strategy(generation_mode=mode) for mode in MODES),
        known=st.just(set(world.places)) | st.sets(st.sampled_from(sorted(world.places))),
        caller=st.sampled_from(CALLERS),
        sign=st.sampled_from([True, True, False]),
        body=st.none() | st.just(line() + b"\n") | damaged(line() + b"\n"),
    )
    def one(case: Case, known: set[str], caller: str, sign: bool, body: bytes | None) -> None:
        nonlocal asked
        # Any text names nothing; what there is shows more.
        for name in known & set(case.path_parameters or ()):
            case.path_parameters[name] = world.places[name]
        world.check(case, world.ask(case, caller, sign=sign, body=body))
        asked += 1

    one()
    return asked


@pytest.mark.conformance
@pytest.mark.parametrize("operation", MATRIX)
def test_an_operation_answers_as_it_declares(world: World, operation: str) -> None:
    assert ask_for_anything(world, operation, examples=SHORT) >= SHORT


@pytest.mark.slow
@pytest.mark.parametrize("operation", MATRIX)
def test_on_each_engine_an_operation_answers_as_it_declares(engine_world: World, operation: str) -> None:
    """PostgreSQL refuses what SQLite keeps, such as a text with a NUL."""
    assert ask_for_anything(engine_world, operation, examples=LONG) >= LONG
