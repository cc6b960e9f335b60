# SPDX-License-Identifier: Apache-2.0
"""What a reader may see of a cell; this file is about confidentiality, embargo, small cells and protection rules.

A cell is shown as sent, shown without its value (status Q), or not there at all. Pure: the same cell, reader,
terms and instant give the same answer, whoever asks and however often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.trip import Scalar

PROTECTED_MIN = 20
DEATH_MONTHS = 6
_TOTALS = frozenset({"_T", "_Z", None})
_MINOR_AGES = frozenset({"Y_LT12", "Y12T17", "Y_LT18"})
_MINOR_COMPANY = frozenset({"AM", "UM"})
_FLOWS_OF_MINORS = frozenset({"CHANNELLED_CHILD"})
_FIRST_LEVEL_SCHEMES = frozenset({"_T", "ISO3166-2", "MEX.INEGI.ENT"})
_NEVER = frozenset({"C", "N"})
_WITHHELD = frozenset({"A", "D", "S"})


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which permit a reader of a country reads one owner's cells, and when.

    `floor` is the agreement's smallest cell, `dimensions` the fields it opens, `embargo_days` how long after its
    acceptance a cell waits.
    """

    reader: str
    floor: int
    dimensions: frozenset[str]
    embargo_days: int
    at: datetime


class Shown(NamedTuple):
    """What is shown of a cell: a value of None is suppressed or was never sent."""

    value: int | None
    status: str
    confidentiality: str


SUPPRESSED = Shown(None, "Q", "A")


class Hidden(Exception):
    """The cell is not there for this reader."""


def shown(cell: Mapping[str, Scalar], dimensions: tuple[str, ...], accepted_at: datetime, terms: Terms) -> Shown:
    """Return what the reader sees of a live cell.

    (1) what the owner keeps to itself; (2) what the agreement does not open; (3) who must not be found:
    asylum by the country of nationality, minors, own citizens, the dead; (4) small cells; (5) the rest as sent.

    Raises:
        Hidden: when the reader may not know that the cell exists.
    """
    _hide_kept_back(cell, accepted_at, terms)  # (1)
    if any(cell[name] not in _TOTALS for name in dimensions if name not in terms.dimensions):  # (2)
        raise Hidden
    _hide_asylum_of_nationals(cell, terms)  # (3)
    value, confidentiality = cell["count"], str(cell["confidentiality"])
    if confidentiality in _WITHHELD or not isinstance(value, int):
        return Shown(None, "Q", confidentiality if confidentiality in _WITHHELD else "A")
    if _is_findable(cell, value, terms) or value < _smallest(cell, terms):  # (3) (4)
        return SUPPRESSED
    return Shown(value, str(cell["status"]), "F")  # (5)


def _hide_kept_back(cell: Mapping[str, Scalar], accepted_at: datetime, terms: Terms) -> None:
    if cell["confidentiality"] in _NEVER:
        raise Hidden
    if cell["confidentiality"] == "E" and _embargo_stands(cell.get("embargo_until"), terms.at):
        raise Hidden
    if accepted_at + timedelta(days=terms.embargo_days) > terms.at:
        raise Hidden


def _embargo_stands(until: Scalar, at: datetime) -> bool:
    """Say whether an embargo still holds; without an end it always does. A date's embargo ends with the day before."""
    if not isinstance(until, str):
        return True
    return until > at.strftime("%Y-%m-%d") if len(until) == len("2024-01-01") else until > at.isoformat()


def _hide_asylum_of_nationals(cell: Mapping[str, Scalar], terms: Terms) -> None:
    """Keep from a country how many of its nationals sought asylum, and what it would be subtracted from."""
    if is_asylum(cell["flow_type"]) and cell["citizenship"] in {terms.reader, "_T"}:
        raise Hidden


def _is_findable(cell: Mapping[str, Scalar], value: int, terms: Terms) -> bool:
    """Say whether a count at this place could point to persons whom this reader must not find."""
    below_country = cell["place_scheme"] not in _TOTALS
    minors = cell["age_group"] in _MINOR_AGES or cell["accompaniment"] in _MINOR_COMPANY
    if minors or cell["flow_type"] in _FLOWS_OF_MINORS:
        return below_country or value < PROTECTED_MIN
    if cell["citizenship"] == terms.reader and below_country:
        return value < PROTECTED_MIN
    if cell["flow_type"] == "DEATH_OR_MISSING" and cell["place_scheme"] not in _FIRST_LEVEL_SCHEMES:
        return _months_since(str(cell["period"]), terms.at) <= DEATH_MONTHS
    return False


def _smallest(cell: Mapping[str, Scalar], terms: Terms) -> int:
    """Return the smallest count shown: none for what is published at source, unless it is about asylum."""
    return 0 if cell["confidentiality"] == "F" and not is_asylum(cell["flow_type"]) else terms.floor


def _months_since(period: str, at: datetime) -> int:
    return (at.year - int(period[:4])) * 12 + at.month - int(period[5:7])


def is_asylum(flow_type: Scalar) -> bool:
    """Say whether a flow counts asylum applications or decisions."""
    return str(flow_type).startswith("ASYL_")
