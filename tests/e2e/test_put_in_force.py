# SPDX-License-Identifier: Apache-2.0
"""What governments put in force together, and take back alone; this file is about agreements and rules by changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.identifiers import new_id
from gateway.onboarding.approvals import offered_in
from tests.api.contesting import publish
from tests.governing import approved, approver, denied, events, refused, said, settled, widened
from tests.running import MEX, Running, running

ROOT = Path(__file__).parents[2] / "contracts"
PARTIES = ("GTM", "MEX", "USA")
USA_APPROVER, MEX_APPROVER, GTM_APPROVER = (approver(name) for name in ("USA", "MEX", "GTM"))
SECURITY = "MEX.OFFICER.SECURITY"


@pytest.fixture(scope="module")
def gateway(postgresql_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose contracts folder may grow, as an operator lets it."""
    folder = tmp_path_factory.mktemp("put")
    contracts = shutil.copytree(ROOT, folder / "contracts")
    environment = {"GATEWAY_CONTRACTS_DIR": str(contracts)}
    with running(folder / "sandbox", engine_url=postgresql_server.fresh(), environment=environment) as started:
        yield started


def contracts_of(gateway: Running) -> Path:
    return Path(gateway.environment["GATEWAY_CONTRACTS_DIR"])


def test_a_new_revision_of_an_agreement_is_in_force_once_both_signed_it(gateway: Running) -> None:
    folder = contracts_of(gateway) / "agreements" / "mex-usa"
    text = (folder / "1.yaml").read_text(encoding="utf-8")
    (folder / "2.yaml").write_text(text.replace("revision: 1", "revision: 2"), encoding="utf-8")
    digest = offered_in(contracts_of(gateway), PARTIES)["agreement mex-usa/2"].digest
    words = {"agreement mex-usa/2": digest}

    refused(lambda: said(gateway, MEX_APPROVER, "put-in-force", **{"agreement mex-usa/2": "0" * 64}), "change-invalid")
    denied(gateway, lambda: said(gateway, GTM_APPROVER, "put-in-force", **words), "floor#concerned-proposes")
    proposed = said(gateway, MEX_APPROVER, "put-in-force", **words)
    assert told(gateway, USA_APPROVER, f"simulate?change={proposed['change_id']}")["change_count"] == 0
    approved(gateway, USA_APPROVER, proposed["change_id"])
    assert settled(gateway, proposed["change_id"])["status"] == "in-force"

    activated = events(gateway, "policy.activated")[-1]
    assert "mex-usa/2" in activated["agreements"]
    again = refused(lambda: said(gateway, MEX_APPROVER, "put-in-force", **words), "change-invalid")
    assert "in force already" in again["detail"]


def told(gateway: Running, named: str, question: str) -> dict[str, Any]:
    status, _, body = gateway.get(named, f"/v1/policy/{question}")
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


def test_an_approver_sees_what_a_change_would_do_before_signing_it(gateway: Running) -> None:
    """Mexico pulls the United States' numbers for statistics; the next revision has another purpose only."""
    reading = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/+/*?c[REF_AREA]=USA"
    publish(gateway)
    status, headers, body = gateway.get(MEX, reading, {"Gateway-Purpose": "STATISTICS"})
    assert status == 200, body
    folder = contracts_of(gateway) / "agreements" / "mex-usa"
    newest = max(folder.glob("*.yaml"), key=lambda path: int(path.stem))
    number = int(newest.stem)
    text = newest.read_text(encoding="utf-8").replace(f"revision: {number}", f"revision: {number + 1}")
    (folder / f"{number + 1}.yaml").write_text(text.replace("STATISTICS", "RECEPTION_PLANNING"), encoding="utf-8")
    word = f"agreement mex-usa/{number + 1}"

    proposed = said(
        gateway, MEX_APPROVER, "put-in-force", **{word: offered_in(contracts_of(gateway), PARTIES)[word].digest}
    )
    found = told(gateway, USA_APPROVER, f"simulate?change={proposed['change_id']}")
    nothing = gateway.get(USA_APPROVER, f"/v1/policy/simulate?change={new_id(datetime.now(UTC))}")[0]

    (change,) = [one for one in found["changes"] if one["event"] == headers["audit-event"]]
    assert (change["was"]["permitted"], change["would_be"]["permitted"]) == (True, False)
    assert nothing == 404
    said(gateway, SECURITY, "reject", change=proposed["change_id"])


def test_rules_that_leave_a_hole_in_the_floor_are_refused_before_anybody_signs_them(gateway: Running) -> None:
    rules = shutil.copytree(contracts_of(gateway) / "policies" / "1", contracts_of(gateway) / "policies" / "2")
    floor = (rules / "floor.cedar").read_text(encoding="utf-8")
    hole = floor.index('@id("floor#asylum-of-nationals")')
    (rules / "floor.cedar").write_text(floor[:hole] + floor[floor.index("@id(", hole + 1) :], encoding="utf-8")
    digest = offered_in(contracts_of(gateway), PARTIES)["rules floor-and-roles/2"].digest

    problem = refused(
        lambda: said(gateway, USA_APPROVER, "put-in-force", **{"rules floor-and-roles/2": digest}), "change-invalid"
    )

    assert "asylum-of-nationals overridden" in problem["detail"]
    shutil.rmtree(rules)


def test_a_government_that_withdraws_ends_an_agreement_for_both(gateway: Running) -> None:
    before = len(events(gateway, "approval.withdrawn"))

    said(gateway, "GTM.OFFICER.DPO", "withdraw", subject="agreement gtm-mex/1")
    twice = refused(
        lambda: said(gateway, "GTM.OFFICER.DPO", "withdraw", subject="agreement gtm-mex/1"), "change-invalid"
    )

    assert "no approval" in twice["detail"]
    assert len(events(gateway, "approval.withdrawn")) == before + 1
    with gateway.client("GTM.OFFICER.SECURITY") as client:
        status = client.channel.send("GET", "/v1/policy/who-could-see?product=flow", headers={"accept": "*/*"})
    assert "MEX.SEGOB.UPMRIP" not in {line["principal"] for line in status.document()["lines"]}


def test_to_withdraw_a_revision_brings_no_earlier_one_back(gateway: Running) -> None:
    """Else one officer would let happen what the newer revision had ended."""
    folder = contracts_of(gateway) / "agreements" / "gtm-usa"
    text = (folder / "1.yaml").read_text(encoding="utf-8")
    (folder / "2.yaml").write_text(text.replace("revision: 1", "revision: 2"), encoding="utf-8")
    word = "agreement gtm-usa/2"
    widened(gateway, "GTM", "put-in-force", **{word: offered_in(contracts_of(gateway), PARTIES)[word].digest})

    said(gateway, "USA.OFFICER.SECURITY", "withdraw", subject=word)

    lines = told(gateway, GTM_APPROVER, "matrix")["lines"]
    assert not [one for one in lines if any(name.startswith("gtm-usa#") for name in one["policies"])]
