# SPDX-License-Identifier: Apache-2.0
"""The protection rules at the door; this file is about T4, T6, T7, T8 and T9 over TLS, and about each decision's proof.

The agreement between Mexico and the United States ended yesterday here; the one of Guatemala still holds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.api.edge import TERMS
from gateway.auditlog.receipts import fields_of
from gateway.contracting.load import load_contracts, packaged_root
from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import Reason
from gateway.identifiers import new_id
from gateway.onboarding.sandbox import create_sandbox
from gateway.policy.agreements import Agreement
from gateway.policy.decide import DecisionPoint
from gateway.policy.load import compile_policies, load_rules, newest_of
from gateway.review.replay import did_see, evidence_of, said, simulate
from gateway.wire.canonical import canonical_bytes
from tests.api.asking import last_event_id, line, newest_event, read_refused, refused, send, signed, stored_event
from tests.api.contesting import CELL, PURPOSE
from tests.api.test_statistics import FLOW
from tests.running import GTM, MEX, USA, Running

EXAMPLES = packaged_root() / "flow" / "1.0.0" / "examples" / "invalid"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    url = request.getfixturevalue("postgresql_server").fresh() if request.param == "postgresql" else None
    folder = tmp_path_factory.mktemp("protection")
    shutil.copytree(packaged_root(), folder / "contracts")
    agreement = folder / "contracts" / "agreements" / "mex-usa" / "1.yaml"
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    text = agreement.read_text("utf-8")
    assert text.count('\nvalid_until: "2029-02-28"') == 1
    agreement.write_text(text.replace('\nvalid_until: "2029-02-28"', f'\nvalid_until: "{yesterday}"'), "utf-8")
    started = Running(create_sandbox(folder / "sandbox", engine_url=url, contracts_root=folder / "contracts"))
    started.start()
    try:
        yield started
    finally:
        assert started.stop() == 0


def example(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return said["record"] | {"record_id": new_id(datetime.now(UTC)), "vintage": "2025-01-15"}


def broken(gateway: Running, record: dict[str, Any], rule: str) -> None:
    """Push a table with one cell that breaks a rule; its report names the rule and never the value."""
    asked = signed(gateway, [canonical_bytes(record)], product="flow", partner=record["provider"])
    answer = refused(gateway, asked, Reason.CONTRACT_VIOLATED)
    assert [one["code"] for one in answer.document["errors"]] == [f"rule:{rule}"]


def test_t4_a_trait_of_a_person_refuses_the_push(gateway: Running) -> None:
    answer = refused(gateway, signed(gateway, [line(hair_color="specimen-value")]), Reason.FORBIDDEN_FIELD)

    fields = fields_of(stored_event(gateway, answer.document["audit_event"]).fields)
    assert fields["pointer"] == "/hair_color"
    assert "specimen-value" not in json.dumps([answer.document, fields])


def test_t6_title_42_has_its_months(gateway: Running) -> None:
    record = example("expulsion-without-title-42") | {"legal_basis": "USA.T42"}

    assert send(gateway, signed(gateway, [canonical_bytes(record)], product="flow")).status == 201
    broken(gateway, record | {"record_id": new_id(datetime.now(UTC)), "period": "2023-07"}, "title-42-is-expulsion")


def test_t7_a_key_speaks_for_its_own_country(gateway: Running) -> None:
    cell = CELL | {"record_id": new_id(datetime.now(UTC))}

    refused(gateway, signed(gateway, [canonical_bytes(cell)], product="flow", partner=GTM), Reason.WRONG_PROVIDER)


def test_t8_a_rounded_table_is_rounded(gateway: Running) -> None:
    broken(gateway, example("not-rounded") | {"period": "2024-10"}, "rounded")


def test_t9_an_agreement_that_ended_yesterday_opens_nothing(gateway: Running) -> None:
    """The other direction has ended as well; who still has an agreement is answered."""
    document = read_refused(gateway, MEX, f"{FLOW}?c[REF_AREA]=USA", Reason.DENIED_BY_POLICY, PURPOSE)
    read_refused(gateway, USA, f"{FLOW}?c[REF_AREA]=MEX", Reason.DENIED_BY_POLICY, PURPOSE)

    denied = fields_of(stored_event(gateway, document["audit_event"]).fields)
    assert denied["policy_set"]
    # Nothing forbade it: what would have permitted it has ended.
    assert not denied.get("policies")


def test_what_is_given_is_in_the_log_with_the_clause_that_gave_it(gateway: Running) -> None:
    cell = CELL | {"record_id": new_id(datetime.now(UTC)), "period": "2020-01"}
    assert send(gateway, signed(gateway, [canonical_bytes(cell)], product="flow")).status == 201

    status, headers, _ = gateway.get(GTM, f"{FLOW}?c[REF_AREA]=USA", PURPOSE)

    assert status == 200
    fields = fields_of(stored_event(gateway, headers["audit-event"]).fields)
    assert fields["policies"] == ["gtm-usa#usa-flow-to-gtm"]
    assert fields["policy_set"]


@pytest.mark.parametrize("path", ["/healthz", "/v1/contracts", "/nowhere", f"{FLOW}?c[REF_AREA]=USA"])
def test_every_answer_says_that_nobody_is_judged_by_it(gateway: Running, path: str) -> None:
    """PP-11 and PP-20, whatever the answer is."""
    assert gateway.get(GTM, path, PURPOSE)[1]["data-terms"].encode() == TERMS


def test_a_simulation_lists_exactly_the_decisions_that_would_change(gateway: Running) -> None:
    """Against the set in force nothing changes; without one agreement exactly the readings under it, run again."""
    begun = datetime.now(UTC)
    cell = CELL | {"record_id": new_id(begun), "period": "2020-02"}
    assert send(gateway, signed(gateway, [canonical_bytes(cell)], product="flow")).status == 201
    reads = [gateway.get(GTM, f"{FLOW}?c[REF_AREA]=USA", PURPOSE)[1]["audit-event"] for _ in range(3)]
    read_refused(gateway, MEX, f"{FLOW}?c[REF_AREA]=USA", Reason.DENIED_BY_POLICY, PURPOSE)
    root = gateway.files.folder.parent / "contracts"
    everything = newest_of(root, read_yaml)

    with gateway.storage() as storage:
        in_force, proposed = point(root, everything), point(root, [one for one in everything if one.id != "gtm-usa"])
        same, fewer = (
            storage.read(lambda tx, at=at: simulate(tx, at, since=begun - timedelta(seconds=1)))
            for at in (in_force, proposed)
        )

    assert (same.changes, same.not_replayed) == ([], 0)
    assert same.replayed >= 5
    changed = {change.decided.event_id: change for change in fewer.changes}
    assert set(changed) >= set(reads)
    for change in fewer.changes:
        request = change.decided.request
        assert request is not None
        assert said(in_force, request)[0] is change.decided.permitted is True
        assert said(proposed, request) == (False, ("floor#agreement",)) == (change.would_permit, change.policies)
        assert evidence_of(change)["resource"] == "Flow/USA"


def test_who_did_see_is_read_off_the_log(gateway: Running) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    cell = CELL | {"record_id": new_id(begun), "period": "2020-03"}
    assert send(gateway, signed(gateway, [canonical_bytes(cell)], product="flow")).status == 201
    assert gateway.get(GTM, f"{FLOW}?c[REF_AREA]=USA", PURPOSE)[0] == 200

    with gateway.storage() as storage:
        seen = storage.read(lambda tx: did_see(tx, owner="USA", since=begun))
        others = storage.read(lambda tx: did_see(tx, owner="MEX", since=begun))

    assert seen[GTM]["purposes"] == ["STATISTICS"]
    assert GTM not in others


def point(root: Path, agreements: Iterable[Agreement]) -> DecisionPoint:
    products = [contract.ref.product for contract in load_contracts(root).contracts]
    parties = ("GTM", "MEX", "USA")
    return DecisionPoint(compile_policies(load_rules(root)[-1], tuple(agreements), parties=parties, products=products))


SECURITY = "GTM.OFFICER.SECURITY"


def told_by(gateway: Running, name: str, question: str) -> dict[str, Any]:
    status, _, body = gateway.get(name, f"/v1/policy/{question}")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def test_an_officer_asks_why_about_the_own_country_and_the_look_is_recorded(gateway: Running) -> None:
    before = last_event_id(gateway)
    asked = "explain?action=read-flow&owner=USA&purpose=RECEPTION_PLANNING&as="

    found = told_by(gateway, SECURITY, f"{asked}{GTM}")

    assert not found["permitted"]
    assert [(one["id"], one["failed"]) for one in found["missing"]] == [
        ("gtm-usa#usa-flow-to-gtm", ['["STATISTICS"].contains(context.purpose)'])
    ]
    assert newest_event(gateway, "search.run", before).actor == SECURITY
    read_refused(gateway, SECURITY, f"/v1/policy/{asked}{MEX}", Reason.NOT_FOUND)
    read_refused(gateway, SECURITY, f"/v1/policy/explain?action=fly&as={GTM}", Reason.REQUEST_MALFORMED)
    read_refused(gateway, SECURITY, "/v1/policy/matrix?mood=good", Reason.REQUEST_MALFORMED)


def test_a_partner_asks_why_about_itself_and_hears_of_its_own_agreements(gateway: Running) -> None:
    found = told_by(gateway, MEX, "explain?action=read-flow&owner=USA&purpose=STATISTICS")

    assert not found["permitted"]
    assert [one["id"] for one in found["missing"]] == ["mex-usa#usa-flow-to-mex"]
    assert len(found["missing"][0]["failed"]) == 1
    assert "context.at" in found["missing"][0]["failed"][0]
    read_refused(gateway, MEX, f"/v1/policy/explain?action=submit&as={GTM}", Reason.NOT_FOUND)


def test_an_officer_sees_who_may_and_what_would_change_for_the_own_country(gateway: Running) -> None:
    cell = CELL | {"record_id": new_id(datetime.now(UTC)), "period": "2020-04"}
    assert send(gateway, signed(gateway, [canonical_bytes(cell)], product="flow")).status == 201
    read_at = gateway.get(GTM, f"{FLOW}?c[REF_AREA]=USA", PURPOSE)[1]["audit-event"]

    lines = told_by(gateway, SECURITY, "matrix")["lines"]
    could = told_by(gateway, SECURITY, "who-could-see")["lines"]
    changes = told_by(gateway, SECURITY, "simulate?without=gtm-usa")["changes"]

    assert lines
    assert all(one["owner"] == "GTM" or one["principal"].startswith("GTM") for one in lines)
    assert {one["principal"] for one in could} == {GTM, USA, MEX}
    assert read_at in [one["event"] for one in changes]
    assert {reader["partner"] for reader in told_by(gateway, "USA.OFFICER.SECURITY", "who-did-see")["readers"]} >= {GTM}
    read_refused(gateway, SECURITY, "/v1/policy/simulate?without=mex-usa", Reason.NOT_FOUND)
    read_refused(gateway, SECURITY, "/v1/policy/who-did-see?since=long-ago", Reason.REQUEST_MALFORMED)
