# SPDX-License-Identifier: Apache-2.0
"""Border events that never happened; this file is about making them from published totals, marked as synthetic.

Who crosses where is drawn in the proportions of an agency's published cells, so that the sandbox looks like life;
dates are recent, people are invented, and `provider_system` says so in every record.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.identifiers import new_id
from gateway.wire.canonical import JSON

MARK: Final = "SYNTHETIC-DEMO"
_SEXES: Final = ("F", "M", "M")
_AGE_BANDS: Final = ("Y18T24", "Y25T34", "Y25T34", "Y35T44", "Y45T59", "Y_GE60")
_MODES: Final = ("FOOT", "FOOT", "FOOT", "CAR", "BUS", "TRUCK")
_DAYS_BACK: Final = 40
_RETENTION_DAYS: Final = 170


@dataclass(frozen=True, slots=True)
class Kind:
    """What one country's synthetic events have in common."""

    event_type: str
    border_segment: str
    counterpart_country: str
    legal_basis: str
    tz: str
    place_of_cell: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "USA": Kind("ENC_BETWEEN_PORTS", "USA-MEX", "MEX", "USA.T8", "America/Chicago", place_of_cell=True),
    "MEX": Kind("IRREG_DETECTION", "MEX-GTM", "GTM", "MEX.LM", "America/Mexico_City"),
    "GTM": Kind("HANDOVER_RECEIVED", "AIR", "USA", "GTM.CM", "America/Guatemala"),
}


def border_events(
    cells: Sequence[Mapping[str, str]], *, provider: str, count: int, now: datetime, seed: int = 1
) -> Iterator[dict[str, JSON]]:
    """Return synthetic border events of an agency, as many as asked, in the proportions of its flow cells."""
    chance = random.Random(seed)  # noqa: S311 - a play, not a secret
    kind = KINDS[provider[:3]]
    usable = [cell for cell in cells if _named(cell["citizenship"]) and _fits(cell, kind)]
    weights = [int(cell["count"] or 0) + 1 for cell in usable]
    for cell in chance.choices(usable, weights, k=count):
        yield _event(cell, kind, provider, now=now, chance=chance)


def _event(
    cell: Mapping[str, str], kind: Kind, provider: str, *, now: datetime, chance: random.Random
) -> dict[str, JSON]:
    occurred = now - timedelta(days=chance.randint(3, _DAYS_BACK))
    reported = occurred + timedelta(hours=chance.randint(20, 40), minutes=chance.randint(0, 59))
    alone = chance.random() < 0.7  # noqa: PLR2004 - seven acts in ten concern one adult
    people = 1 if alone else chance.randint(2, 5)
    event: dict[str, JSON] = {
        "event_id": new_id(reported),
        "provider": provider,
        "provider_system": MARK,
        "event_type": kind.event_type,
        "occurred_on": occurred.date().isoformat(),
        "tz": kind.tz,
        "reported_at": reported.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reporting_country": provider[:3],
        "counterpart_country": kind.counterpart_country,
        "border_segment": kind.border_segment,
        "place_scheme": cell["place_scheme"] if kind.place_of_cell else "_T",
        "place_code": cell["place_code"] if kind.place_of_cell else "_T",
        "direction": "IN",
        "person_count": people,
        "minors": 0 if alone else chance.randint(0, people - 1),
        "citizenship": cell["citizenship"],
        "legal_basis": kind.legal_basis,
        "retention_until": (occurred + timedelta(days=_RETENTION_DAYS)).date().isoformat(),
        "purpose": "STATISTICS",
        "occurred_hour": chance.randint(0, 23),
        "transport_mode": "AIR" if kind.border_segment == "AIR" else chance.choice(_MODES),
        "group_kind": "INDIVIDUAL" if alone else chance.choice(("FAMILY", "GROUP")),
    }
    if alone:
        event |= {"sex": chance.choice(_SEXES), "age_band": chance.choice(_AGE_BANDS)}
    return event


def _named(citizenship: str) -> bool:
    return len(citizenship) == 3 and not citizenship.startswith(("_", "XX"))  # noqa: PLR2004 - alpha-3


def _fits(cell: Mapping[str, str], kind: Kind) -> bool:
    return not kind.place_of_cell or cell["place_scheme"] != "_T"
