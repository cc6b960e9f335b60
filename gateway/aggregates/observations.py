# SPDX-License-Identifier: Apache-2.0
"""What is asked of a dataflow and what it answers; this file is about the values between statistics and formats.

Whoever parses a URL makes a `DataQuery`; whoever keeps the numbers answers with `Observation`s; whoever writes CSV,
XML or JSON reads those and the `Structure`. Ids are SDMX ids everywhere: a stored code has been through `sdmx_id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from gateway.clock import format_instant
from gateway.contracting.contract import Text
from gateway.wire.canonical import JSON

AGENCY = "GATEWAY"
MONTHLY = "M"
TIME = "TIME_PERIOD"
MEASURE = "OBS_VALUE"
FIRST_MONTH, LAST_MONTH = "0000-01", "9999-12"


@dataclass(frozen=True, slots=True)
class Component:
    """A dimension or an attribute: its concept, and its code list by SDMX id, or none when it is plain text.

    `codes` are the whole list, `allowed` those that this component takes (empty: all of them).
    """

    id: str
    title: Text
    list_id: str = ""
    list_title: Text | None = None
    list_version: str = "1.0.0"
    codes: Mapping[str, Text] = field(default_factory=lambda: MappingProxyType({}))
    allowed: frozenset[str] = frozenset()
    required: bool = True


@dataclass(frozen=True, slots=True)
class Structure:
    """One dataflow and its data structure: dimensions in key order, TIME_PERIOD after them, the attributes."""

    id: str
    version: str
    title: Text
    description: Text
    dimensions: tuple[Component, ...]
    attributes: tuple[Component, ...]

    @property
    def reference(self) -> str:
        """Return agency, id and version as SDMX-CSV writes them, `GATEWAY:FLOW(1.0.0)`."""
        return f"{AGENCY}:{self.id}({self.version})"

    @property
    def key(self) -> tuple[str, ...]:
        """Return the ids of the dimensions of a series key, which stand before the time."""
        return tuple(dimension.id for dimension in self.dimensions)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the ids of the attributes."""
        return tuple(attribute.id for attribute in self.attributes)


class Observation(NamedTuple):
    """One cell as its reader sees it: `value` is None when it is missing or suppressed.

    `attributes` stand in the order of the structure's; None is absent. With history, a cell comes once for each of
    its versions: `action` is R (replaced) or D (deleted), valid from an instant until the next one, RFC 3339.
    """

    key: tuple[str, ...]
    period: str
    value: int | None
    attributes: tuple[str | int | None, ...]
    action: str = "I"
    valid_from: str = ""
    valid_to: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a dimension or an attribute: it is one of `values`, or none of them."""

    component: str
    values: frozenset[str]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class DataQuery:
    """A data request that was understood, in whatever URL it came.

    `keys` are alternatives of series keys (an empty set takes any code), `conditions` all hold, months are both
    included, `months` (when any) are the only ones. The answer's observations come series by series, every series
    with ascending periods, a period's versions oldest first; `first_n` and `last_n` (0: all)
    are the pull's to apply.
    """

    keys: tuple[tuple[frozenset[str], ...], ...] = ()
    conditions: tuple[Condition, ...] = ()
    first_month: str = FIRST_MONTH
    last_month: str = LAST_MONTH
    months: frozenset[str] = frozenset()
    first_n: int = 0
    last_n: int = 0
    updated_after: datetime | None = None
    as_of: datetime | None = None
    include_history: bool = False
    # What of an observation is written: "full", "dataonly" (no attributes), "serieskeysonly", "nodata" (no values).
    detail: str = "full"
    # "TIME_PERIOD" for series, "AllDimensions" for a flat list.
    at_observation: str = TIME

    def selects(self, structure: Structure, key: Sequence[str]) -> bool:
        """Say whether a series key was asked for; months, attributes and the rest are judged by others."""
        if self.keys and not any(
            all(not wanted or value in wanted for wanted, value in zip(alternative, key, strict=True))
            for alternative in self.keys
        ):
            return False
        places = {name: place for place, name in enumerate(structure.key)}
        return all(
            (key[places[c.component]] in c.values) != c.negated for c in self.conditions if c.component in places
        )

    def shows(self, structure: Structure, seen: Observation) -> bool:
        """Say whether an observation, as its reader sees it, meets the conditions on attributes."""
        places = {name: place for place, name in enumerate(structure.names)}
        return all(
            (str(seen.attributes[places[c.component]]) in c.values) != c.negated
            for c in self.conditions
            if c.component in places
        )

    def named(self, structure: Structure, dimension: str) -> frozenset[str]:
        """Return the values that a request names for a dimension; none means that it takes any."""
        position = structure.key.index(dimension)
        sets = [c.values for c in self.conditions if c.component == dimension and not c.negated]
        if self.keys and all(alternative[position] for alternative in self.keys):
            sets.append(frozenset().union(*(alternative[position] for alternative in self.keys)))
        return frozenset.intersection(*sets) if sets else frozenset()

    def as_json(self) -> dict[str, JSON]:
        """Return the request in one form, whatever its spelling, for the digest in the audit log."""
        return {
            "keys": [[sorted(wanted) for wanted in alternative] for alternative in self.keys],
            "conditions": sorted(
                f"{c.component}{'!=' if c.negated else '='}{','.join(sorted(c.values))}" for c in self.conditions
            ),
            "first_month": self.first_month,
            "last_month": self.last_month,
            "months": sorted(self.months),
            "first_n": self.first_n or 0,
            "last_n": self.last_n or 0,
            "updated_after": format_instant(self.updated_after) if self.updated_after else "",
            "as_of": format_instant(self.as_of) if self.as_of else "",
            "include_history": self.include_history,
            "detail": self.detail,
        }
