# SPDX-License-Identifier: Apache-2.0
"""What may be told of a cell; this file is about confidentiality, small cells and protection rules. Pure.

`judged` speaks once, when a vintage is accepted, and for every reader alike; what it withholds is stored, and joined by
what `suppress.py` adds. `hides_series` and `is_small` are what an agreement's terms take from a reader beside that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from gateway.trip import Scalar

PROTECTED_MIN = 20
DEATH_MONTHS = 6
TOTALS = frozenset({"_T", "_Z", None})
_MINOR_AGES = frozenset({"Y_LT12", "Y12T17", "Y_LT18"})
_MINOR_COMPANY = frozenset({"AM", "UM"})
_FLOWS_OF_MINORS = frozenset({"CHANNELLED_CHILD"})
_FIRST_LEVEL_SCHEMES = frozenset({"_T", "ISO3166-2", "MEX.INEGI.ENT"})
_ASYLUM = "ASYL_"
_NEVER = frozenset({"C", "N"})
_WITHHELD = frozenset({"A", "D", "S"})
PRIMARY, SECONDARY, NEVER = "A", "S", "N"


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


class Judgement(NamedTuple):
    """What is decided about a cell: why its number is withheld (empty: it is not), and until which day (empty: ever).

    `NEVER` means that nobody may know that the cell exists. `hidden_from` are countries that must not see the number.
    """

    suppression: str = ""
    until: str = ""
    hidden_from: frozenset[str] = frozenset()


def judged(cell: Mapping[str, Scalar], *, floor: int, readers: Collection[str], at: datetime) -> Judgement:
    """Return what the rules withhold of a cell.

    (1) what the owner keeps to itself; (2) who must not be found: minors, the dead, small groups; (3) a country's
    own citizens at a place below the country, from that country.
    """
    value, confidentiality = cell["count"], str(cell["confidentiality"])
    if confidentiality in _NEVER:  # (1)
        return Judgement(NEVER)
    if confidentiality in _WITHHELD or not isinstance(value, int):
        return Judgement(confidentiality if confidentiality in _WITHHELD else PRIMARY)
    below_country = cell["place_scheme"] not in TOTALS
    if _is_of_minors(cell) and (below_country or value < PROTECTED_MIN):  # (2)
        return Judgement(PRIMARY)
    if is_small(value, confidentiality, str(cell["flow_type"]), floor):
        return Judgement(PRIMARY)
    citizens = {str(cell["citizenship"])} & set(readers)
    hidden_from = frozenset(citizens if below_country and value < PROTECTED_MIN else ())  # (3)
    if cell["flow_type"] == "DEATH_OR_MISSING" and cell["place_scheme"] not in _FIRST_LEVEL_SCHEMES:
        until = _months_after(str(cell["period"]), DEATH_MONTHS + 1)
        if until > at.date().isoformat():
            return Judgement(PRIMARY, until, hidden_from)
    return Judgement(hidden_from=hidden_from)


def hides_series(series: Mapping[str, str], terms: Terms) -> bool:
    """Say whether a series is not there for a reader.

    Its agreement does not open one of its dimensions; or it counts asylum of the reader's nationals, or what that
    could be subtracted from.
    """
    if any(code not in TOTALS for name, code in series.items() if name not in terms.dimensions):
        return True
    return is_asylum(series["flow_type"]) and series["citizenship"] in {terms.reader, "_T"}


def is_small(value: int, confidentiality: str, flow_type: str, floor: int) -> bool:
    """Say whether a count is below the floor; what is published at source has none, unless it is about asylum."""
    return value < floor and (confidentiality != "F" or is_asylum(flow_type))


def is_asylum(flow_type: Scalar) -> bool:
    """Say whether a flow counts asylum applications or decisions."""
    return str(flow_type).startswith(_ASYLUM)


def is_of_asylum(key: str) -> bool:
    """Say whether a series with this key may count asylum; what it says no to does not."""
    return _ASYLUM in key


def _is_of_minors(cell: Mapping[str, Scalar]) -> bool:
    return (
        cell["age_group"] in _MINOR_AGES
        or cell["accompaniment"] in _MINOR_COMPANY
        or cell["flow_type"] in _FLOWS_OF_MINORS
    )


def _months_after(period: str, count: int) -> str:
    month = int(period[:4]) * 12 + int(period[5:7]) - 1 + count
    return f"{month // 12:04}-{month % 12 + 1:02}-01"
