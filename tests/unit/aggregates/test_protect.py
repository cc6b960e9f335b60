# SPDX-License-Identifier: Apache-2.0
"""What may be told of a cell; this file is about each protection rule, just inside and just outside."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.aggregates.protect import NEVER, PRIMARY, Judgement, Terms, hides_series, is_small, judged
from gateway.trip import Scalar

AT = datetime(2026, 11, 24, tzinfo=UTC)
TERMS = Terms("GTM", 10, frozenset({"flow_type", "citizenship", "sex"}), 0, AT)
SERIES = {"flow_type": "ENC_BETWEEN_PORTS", "citizenship": "HND", "sex": "_T", "place_scheme": "_T"}
CELL: dict[str, Scalar] = {
    "period": "2026-10",
    "flow_type": "ENC_BETWEEN_PORTS",
    "citizenship": "HND",
    "sex": "_T",
    "age_group": "_T",
    "accompaniment": "_T",
    "place_scheme": "_T",
    "place_code": "_T",
    "count": 7,
    "status": "A",
    "confidentiality": "F",
}
SECTOR: dict[str, Scalar] = {"place_scheme": "USA.CBP.AOR", "place_code": "USBP-DRT"}
EMBARGOED: dict[str, Scalar] = {"confidentiality": "E", "embargo_until": "2026-12-01"}
SHOWN, WITHHELD = Judgement(), Judgement(PRIMARY)


def judge(floor: int = 10, **changes: Scalar) -> Judgement:
    return judged(CELL | changes, floor=floor, readers={"GTM", "MEX"}, at=AT)


def test_a_free_cell_is_shown_as_sent() -> None:
    """What an agency published is public already, however small."""
    assert judge() == SHOWN


@pytest.mark.parametrize("confidentiality", ["C", "N"])
def test_what_is_not_for_publication_is_not_there(confidentiality: str) -> None:
    assert judge(confidentiality=confidentiality, count=5000) == Judgement(NEVER)


@pytest.mark.parametrize("confidentiality", ["A", "D", "S"])
def test_a_withheld_value_stays_withheld(confidentiality: str) -> None:
    assert judge(confidentiality=confidentiality, count=5000) == Judgement(confidentiality)
    assert judge(confidentiality=confidentiality, count=None, status="Q") == Judgement(confidentiality)


def test_small_cells_that_were_not_published_at_source_are_withheld() -> None:
    assert judge(**EMBARGOED, count=9) == WITHHELD
    assert judge(**EMBARGOED, count=10) == SHOWN
    assert judge(**EMBARGOED, count=10, floor=11) == WITHHELD


def test_asylum_has_a_floor_even_where_it_is_published() -> None:
    assert judge(flow_type="ASYL_APPLICATION", count=10) == SHOWN
    assert judge(flow_type="ASYL_APPLICATION", count=9) == WITHHELD


@pytest.mark.parametrize(
    "minor",
    [{"accompaniment": "UM"}, {"accompaniment": "AM"}, {"age_group": "Y12T17"}, {"flow_type": "CHANNELLED_CHILD"}],
)
def test_minors_are_never_shown_below_the_country(minor: dict[str, Scalar]) -> None:
    assert judge(**minor, **SECTOR, count=5000) == WITHHELD
    assert judge(**minor, count=20) == SHOWN
    assert judge(**minor, count=19) == WITHHELD
    assert judge(**minor, count=0) == WITHHELD


def test_own_citizens_at_a_place_are_hidden_from_their_country_below_twenty() -> None:
    """The country of origin must not infer persons; a reader of another country sees the same cell."""
    assert judge(**SECTOR, citizenship="GTM", count=19) == Judgement(hidden_from=frozenset({"GTM"}))
    assert judge(**SECTOR, citizenship="GTM", count=20) == SHOWN
    assert judge(citizenship="GTM", count=19) == SHOWN
    assert judge(**SECTOR, citizenship="HND", count=19) == SHOWN


def test_deaths_have_no_fine_place_for_six_months() -> None:
    deaths: dict[str, Scalar] = {"flow_type": "DEATH_OR_MISSING", **SECTOR, "count": 30}

    assert judge(**deaths, period="2026-05") == Judgement(PRIMARY, "2026-12-01")
    assert judge(**deaths, period="2025-12") == SHOWN
    assert judge(**deaths, period="2026-04") == SHOWN
    assert judge(**(deaths | {"place_scheme": "ISO3166-2", "place_code": "MX-SON"})) == SHOWN


@pytest.mark.parametrize("kind", ["ASYL_APPLICATION", "ASYL_DECISION_POS", "ASYL_DECISION_NEG"])
@pytest.mark.parametrize("citizenship", ["GTM", "_T"])
def test_asylum_is_never_shown_to_the_country_of_nationality(kind: str, citizenship: str) -> None:
    """Nor the total, from which the other nationalities could be subtracted."""
    assert hides_series(SERIES | {"flow_type": kind, "citizenship": citizenship}, TERMS)
    assert not hides_series(SERIES | {"flow_type": kind, "citizenship": "HND"}, TERMS)
    assert not hides_series(SERIES | {"citizenship": citizenship}, TERMS)


def test_a_dimension_that_is_not_opened_is_there_in_total_only() -> None:
    assert hides_series(SERIES | {"place_scheme": "USA_CBP_AOR"}, TERMS)
    assert not hides_series(SERIES | {"sex": "F"}, TERMS)


def test_a_floor_is_for_what_is_not_public() -> None:
    assert is_small(9, "E", "ENTRY_REGULAR", 10)
    assert not is_small(9, "F", "ENTRY_REGULAR", 10)
    assert not is_small(10, "E", "ENTRY_REGULAR", 10)
