# SPDX-License-Identifier: Apache-2.0
"""What a reader may see of a cell; this file is about each protection rule, just inside and just outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.aggregates.protect import SUPPRESSED, Hidden, Shown, Terms, shown
from gateway.trip import Scalar

AT = datetime(2026, 11, 24, tzinfo=UTC)
ACCEPTED = AT - timedelta(days=1)
DIMENSIONS = ("citizenship", "sex", "place_scheme", "place_code")
TERMS = Terms(reader="GTM", floor=10, dimensions=frozenset(DIMENSIONS), embargo_days=0, at=AT)
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
SECTOR = {"place_scheme": "USA.CBP.AOR", "place_code": "USBP-DRT"}


def look(terms: Terms = TERMS, /, accepted_at: datetime = ACCEPTED, **changes: Scalar) -> Shown:
    return shown(CELL | changes, DIMENSIONS, accepted_at, terms)


def test_a_free_cell_is_shown_as_sent() -> None:
    """What an agency published is public already, however small."""
    assert look() == Shown(7, "A", "F")


@pytest.mark.parametrize("confidentiality", ["C", "N"])
def test_what_is_not_for_publication_is_not_there(confidentiality: str) -> None:
    with pytest.raises(Hidden):
        look(confidentiality=confidentiality, count=5000)


@pytest.mark.parametrize("confidentiality", ["A", "D", "S"])
def test_a_withheld_value_is_shown_without_its_count(confidentiality: str) -> None:
    assert look(confidentiality=confidentiality, count=5000) == Shown(None, "Q", confidentiality)


def test_a_value_that_was_never_sent_stays_absent() -> None:
    assert look(count=None, status="Q", confidentiality="D") == Shown(None, "Q", "D")


def test_an_embargo_hides_the_cell_until_its_day() -> None:
    with pytest.raises(Hidden):
        look(confidentiality="E", embargo_until="2026-11-25", count=50)
    with pytest.raises(Hidden):
        look(confidentiality="E", count=50)

    assert look(confidentiality="E", embargo_until="2026-11-24", count=50) == Shown(50, "A", "F")


def test_the_agreement_s_floor_hides_small_cells_that_were_not_published_at_source() -> None:
    assert look(confidentiality="E", embargo_until="2026-11-24", count=9) == SUPPRESSED
    assert look(confidentiality="E", embargo_until="2026-11-24", count=10) == Shown(10, "A", "F")


def test_the_agreement_s_embargo_runs_from_acceptance() -> None:
    terms = Terms(reader="GTM", floor=10, dimensions=frozenset(DIMENSIONS), embargo_days=30, at=AT)

    with pytest.raises(Hidden):
        look(terms, accepted_at=AT - timedelta(days=29))
    assert look(terms, accepted_at=AT - timedelta(days=30)).value == 7


def test_a_dimension_that_the_agreement_does_not_open_is_shown_in_total_only() -> None:
    terms = Terms(reader="GTM", floor=10, dimensions=frozenset({"citizenship"}), embargo_days=0, at=AT)

    assert look(terms, sex="_T").value == 7
    with pytest.raises(Hidden):
        look(terms, sex="F")


@pytest.mark.parametrize("kind", ["ASYL_APPLICATION", "ASYL_DECISION_POS", "ASYL_DECISION_NEG"])
@pytest.mark.parametrize("citizenship", ["GTM", "_T"])
def test_asylum_is_never_shown_to_the_country_of_nationality(kind: str, citizenship: str) -> None:
    """Nor the total, from which the other nationalities could be subtracted."""
    with pytest.raises(Hidden):
        look(flow_type=kind, citizenship=citizenship, count=5000)


def test_asylum_of_others_is_shown_from_the_floor() -> None:
    assert look(flow_type="ASYL_APPLICATION", citizenship="HND", count=10).value == 10
    assert look(flow_type="ASYL_APPLICATION", citizenship="HND", count=9) == SUPPRESSED


@pytest.mark.parametrize(
    "minor",
    [{"accompaniment": "UM"}, {"accompaniment": "AM"}, {"age_group": "Y12T17"}, {"flow_type": "CHANNELLED_CHILD"}],
)
def test_minors_are_never_shown_below_the_country(minor: dict[str, Scalar]) -> None:
    assert look(**minor, **SECTOR, count=5000) == SUPPRESSED
    assert look(**minor, count=20).value == 20
    assert look(**minor, count=19) == SUPPRESSED
    assert look(**minor, count=0) == SUPPRESSED


def test_own_citizens_at_a_place_are_shown_from_twenty() -> None:
    """The country of origin must not infer persons; a reader of another country sees the same cell."""
    other = Terms(reader="MEX", floor=10, dimensions=frozenset(DIMENSIONS), embargo_days=0, at=AT)

    assert look(**SECTOR, citizenship="GTM", count=19) == SUPPRESSED
    assert look(**SECTOR, citizenship="GTM", count=20).value == 20
    assert look(citizenship="GTM", count=19).value == 19
    assert look(other, **SECTOR, citizenship="GTM", count=19).value == 19


def test_deaths_have_no_fine_place_for_six_months() -> None:
    place = {"place_scheme": "USA.CBP.AOR", "place_code": "USBP-DRT"}

    assert look(flow_type="DEATH_OR_MISSING", **place, period="2026-05", count=30) == SUPPRESSED
    assert look(flow_type="DEATH_OR_MISSING", **place, period="2026-04", count=30).value == 30
    assert look(flow_type="DEATH_OR_MISSING", place_scheme="ISO3166-2", place_code="MX-SON", count=30).value == 30
