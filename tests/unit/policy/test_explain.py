# SPDX-License-Identifier: Apache-2.0
"""Why; this file is about what an explanation names, what it leaves out, and the table of who may do what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import DeniedByPolicy
from gateway.onboarding.sandbox_parties import OFFICERS, PARTNERS
from gateway.policy import requests
from gateway.policy.decide import DecisionPoint
from gateway.policy.explain import Explainer
from gateway.policy.load import compile_policies, load_rules, newest_of
from gateway.policy.matrix import could_see, matrix
from gateway.trip import PolicyRequest, Supposed

ROOT = Path(__file__).parents[3] / "contracts"
GOLDEN = Path(__file__).parents[2] / "golden" / "policy-matrix.txt"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
UPM = Supposed("Partner", "MEX.SEGOB.UPMRIP", "MEX", frozenset({"provider", "reader"}))


@pytest.fixture(scope="module")
def point() -> DecisionPoint:
    agreements = newest_of(ROOT, read_yaml)
    rules = load_rules(ROOT)[-1]
    return DecisionPoint(
        compile_policies(rules, agreements, parties=("GTM", "MEX", "USA"), products=("flow", "border-event"))
    )


def read(owner: str = "USA", purpose: str = "STATISTICS", at: datetime = NOW) -> PolicyRequest:
    return requests.read_flow(UPM, owner=owner, purpose=purpose, at=at)


def test_a_permit_is_explained_by_its_clause_in_words(point: DecisionPoint) -> None:
    told = Explainer(point).explain(read(), viewer="MEX")

    assert told.permitted
    assert [said.id for said in told.deciding] == ["mex-usa#usa-flow-to-mex"]
    assert told.deciding[0].en.startswith("Exchange of migration statistics")
    assert told.deciding[0].es.startswith("Intercambio de estadísticas")


def test_a_rule_of_the_floor_is_named_and_nothing_is_said_to_be_missing(point: DecisionPoint) -> None:
    told = Explainer(point).explain(read(purpose="IMMIGRATION_ENFORCEMENT_INDIVIDUAL"), viewer="MEX")

    assert not told.permitted
    assert [said.id for said in told.deciding] == ["floor#no-individual-enforcement"]
    assert not told.missing


@pytest.mark.parametrize(
    ("request_", "failed"),
    [
        (read(purpose="TOURISM"), '["STATISTICS", "RECEPTION_PLANNING"].contains(context.purpose)'),
        (read(at=datetime(2030, 1, 1, tzinfo=UTC)), '(context.at) < (datetime("2029-03-01"))'),
        (read(at=datetime(2024, 2, 1, tzinfo=UTC)), '(context.at) >= (datetime("2024-03-01"))'),
    ],
)
def test_without_a_permit_exactly_the_conditions_that_failed_are_named(
    point: DecisionPoint, request_: PolicyRequest, failed: str
) -> None:
    told = Explainer(point).explain(request_, viewer="MEX")

    assert not told.permitted
    assert [(said.id, said.failed) for said in told.missing] == [("mex-usa#usa-flow-to-mex", (failed,))]


def test_a_country_is_not_told_of_agreements_of_others(point: DecisionPoint) -> None:
    asked = Explainer(point)

    assert {said.id for said in asked.explain(read(purpose="TOURISM"), viewer="GTM").missing} <= {
        "gtm-usa#usa-flow-to-gtm"
    }
    assert not asked.explain(read(), viewer="GTM").deciding
    assert len(asked.explain(read(purpose="TOURISM"), viewer=None).missing) == 2


@pytest.mark.parametrize("owner", ["CAN", "", "usa"])
def test_what_nobody_knows_is_explained_as_unknown(point: DecisionPoint, owner: str) -> None:
    told = Explainer(point).explain(read(owner), viewer="MEX")

    assert not told.permitted
    assert told.unknown == "a country that is no party"


def test_whoever_is_only_supposed_gets_no_permit(point: DecisionPoint) -> None:
    assert point.weigh(read()).permits
    with pytest.raises(DeniedByPolicy):
        point.decide(read())


def lines(point: DecisionPoint) -> list[str]:
    partners = [Supposed("Partner", one.id, one.country, frozenset(one.roles)) for one in PARTNERS if not one.suspended]
    officers = [Supposed("Officer", one.id, one.country, frozenset(one.roles)) for one in OFFICERS]
    return [line.text() for line in matrix(point, [*partners, *officers], at=NOW)]


def test_who_may_do_what_is_what_was_written_down(point: DecisionPoint) -> None:
    """A line more is a widening that somebody has to mean: change the golden file by hand, with the policy."""
    assert lines(point) == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_who_could_see_is_the_readers_of_an_agreement_and_the_senders(point: DecisionPoint) -> None:
    everybody = [Supposed("Partner", one.id, one.country, frozenset(one.roles)) for one in PARTNERS]
    table = list(matrix(point, everybody, at=NOW))

    assert {line.principal for line in could_see(table, owner="USA", product="flow")} == {one.id for one in PARTNERS}
    assert {line.principal for line in could_see(table, owner="USA", product="border-event")} == {"USA.DHS.CBP"}
