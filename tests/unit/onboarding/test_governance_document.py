# SPDX-License-Identifier: Apache-2.0
"""docs/GOVERNANCE.md; this file is about its table of acts: what officers are promised is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.auditlog.event_kinds import EVENT_CLASSES
from gateway.onboarding.acts import ACTS, NARROWING, WIDENING
from gateway.onboarding.approvals import FOUND
from gateway.wire.change import VALID

DOCUMENT = (Path(__file__).parents[3] / "docs" / "GOVERNANCE.md").read_text(encoding="utf-8")
COLUMNS = ["act", "words", "whom it concerns", "who proposes", "who approves", "takes effect", "expires", "events"]


def table() -> dict[str, dict[str, str]]:
    """Return the rows of the table by the name of the act."""
    section = DOCUMENT.partition("\n## Acts\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    found = [row for row in rows if len(row) == len(COLUMNS)]
    assert found[0] == COLUMNS
    return {row[0].strip("`"): dict(zip(COLUMNS, row, strict=True)) for row in found[2:]}


def named(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_the_table_has_each_act_once_and_no_other() -> None:
    """The founding is the one act that is nobody's alone to send."""
    names = re.findall(r"^\| `([a-z-]+)` \|(?:[^|\n]*\|){7}$", DOCUMENT, re.MULTILINE)

    assert list(table()) == [FOUND, *ACTS]
    assert names == [FOUND, *ACTS]


@pytest.mark.parametrize("name", ACTS)
def test_an_act_has_the_words_that_the_table_gives_it(name: str) -> None:
    needs, _, may = table()[name]["words"].partition("may have")

    assert (named(needs), named(may)) == (ACTS[name].needs, ACTS[name].may)


@pytest.mark.parametrize("name", WIDENING)
def test_what_widens_is_approved_by_another_government_and_expires(name: str) -> None:
    row = table()[name]

    assert row["who approves"].startswith("an approver of ")
    assert row["takes effect"] == "under a checkpoint"
    assert row["expires"] == f"after {VALID.days} days"


@pytest.mark.parametrize("name", NARROWING)
def test_what_narrows_needs_nobody_else_and_holds_at_once(name: str) -> None:
    row = table()[name]

    assert row["who approves"] == "nobody"
    assert row["takes effect"].startswith("at once")
    assert row["expires"] == "–"


def test_every_event_of_the_table_is_a_kind_of_the_log() -> None:
    kinds = {kind for row in table().values() for kind in named(row["events"])}

    assert kinds
    assert kinds <= EVENT_CLASSES.keys()
