# SPDX-License-Identifier: Apache-2.0
"""Real published figures; this file is about 48,919 cells of three agencies, all right under flow 1.0.0."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.contracting.load import packaged_root
from gateway.importing.csv import lines_of_csv
from tests.real_data import FLOW_FILES, data_folder, flow_lines, flow_records
from tests.unit.contracting.submissions import contract, judged

# Fiscal years end in September; these are the totals that CBP itself published for the southwest border.
CBP_FISCAL_YEARS = {2021: 1_734_686, 2022: 2_378_944, 2023: 2_475_669, 2024: 2_135_005}


@pytest.mark.data
@pytest.mark.parametrize("provider", FLOW_FILES)
def test_every_published_cell_of_an_agency_is_accepted(provider: str) -> None:
    """Rules that contradict what agencies really publish would be wrong rules."""
    folder = data_folder()
    lines = list(flow_lines(provider, folder))

    submission = judged("flow", lines, provider=provider)

    assert submission.received_count == len(lines) == FLOW_FILES[provider][1]
    assert submission.refused == ()
    assert len({row[0] for chunk in submission.records for row in chunk.rows}) == len(lines)


@pytest.mark.data
def test_mending_changes_no_total() -> None:
    """The fiscal years of the mended file are those that CBP published."""
    totals: Counter[int] = Counter()
    for record in flow_records("USA.DHS.CBP", data_folder()):
        year, month = int(str(record["period"])[:4]), int(str(record["period"])[5:])
        totals[year + (month > 9)] += int(record["count"])

    assert {year: totals[year] for year in CBP_FISCAL_YEARS} == CBP_FISCAL_YEARS


@pytest.mark.data
@pytest.mark.parametrize("provider", FLOW_FILES)
def test_the_typed_examples_are_cells_of_the_published_tables(provider: str) -> None:
    """The demo's figures are facts: each line of the examples is, byte for byte, a line of the real file."""
    published = set(flow_lines(provider, data_folder()))

    assert set(example_lines(provider)) <= published


@pytest.mark.parametrize("provider", FLOW_FILES)
def test_the_typed_examples_are_accepted(provider: str) -> None:
    """They are what the demonstration sends."""
    lines = example_lines(provider)

    assert judged("flow", lines, provider=provider).received_count == len(lines) > 100


def example_lines(provider: str) -> list[bytes]:
    path = packaged_root() / "flow" / "1.0.0" / "examples" / f"{provider}.csv"

    def no_id() -> str:
        raise AssertionError("every example has an id")

    return list(lines_of_csv(path, contract("flow"), new_id=no_id))
