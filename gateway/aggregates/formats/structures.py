# SPDX-License-Identifier: Apache-2.0
"""What of the structures is asked for; this file is about structure, schema and availability requests.

Availability is what the code lists and the request leave, never what is stored: whether there are cells behind a code
is told by the data alone, under an agreement and with its event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from pysdmx.model.constraint import AvailabilityConstraint

from gateway.aggregates.formats.artefacts import (
    AGENCY_SCHEME,
    CODE_LIST,
    CONCEPT_SCHEME,
    CONSTRAINT,
    DATAFLOW,
    KINDS,
    Artefact,
    Catalogue,
    allowed,
    attachment_of,
    stub_of,
)
from gateway.aggregates.observations import AGENCY, TIME, DataQuery, Structure
from gateway.aggregates.query import ANY, QUERY_BYTES_MAX, parameters, takes_version
from gateway.errors import NotFound, RequestMalformed

PARTS_MAX = 5
_KINDS = {
    "contentconstraint": CONSTRAINT,
    "allowedconstraint": CONSTRAINT,
    "organisationscheme": AGENCY_SCHEME,
    **{kind: kind for kind in KINDS},
}
# Kinds of the standard of which there are none here: asking is no mistake, and finds nothing.
_NONE = re.compile(
    r"(actual|attachment|metadata)constraint|categor(isation|yscheme)|(metadata|data)(provider|consumer)scheme|"
    r"hierarch(y|yassociation|icalcodelist)|metadata(flow|structure|provisionagreement)|process|provisionagreement|"
    r"(reportingtaxonomy|structure|representation|conceptscheme|categoryscheme|organisationscheme)(map)?|structureset|"
    r"organisationunitscheme|valuelist|(transformation|ruleset|userdefinedoperator|customtype|vtlmapping)scheme|"
    r"name(personalisation|alias)scheme"
)
_DETAILS = frozenset({
    "full", "raw", "allstubs", "allcompletestubs", "referencestubs", "referencecompletestubs", "referencepartial",
})  # fmt: skip
_WITH_ITEMS = frozenset({CODE_LIST, CONCEPT_SCHEME, AGENCY_SCHEME})
_Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StructureQuery:
    """A structure request that was understood; an empty set takes anything."""

    kinds: frozenset[str]
    agencies: frozenset[str]
    ids: frozenset[str]
    versions: tuple[str, ...]
    items: frozenset[str]
    detail: str
    references: str


def parse_structures(path: Sequence[str], query: str) -> StructureQuery:
    """Read a structure request: kind, agency, id, version and item as far as they are given, and the raw query.

    Raises:
        RequestMalformed: when it cannot be read.
        NotFound: when there is nothing of that kind here.
    """
    kind, agency, name, version, item = (*path, *[""] * PARTS_MAX)[:PARTS_MAX]
    if len(query) + sum(map(len, path)) > QUERY_BYTES_MAX:
        raise RequestMalformed(what=f"path and query are longer than {QUERY_BYTES_MAX} bytes")
    given = _given(query)
    kinds = frozenset(KINDS) if kind in ANY | {"structure"} else frozenset(_KINDS[k] for k in [kind] if k in _KINDS)
    if not kinds and _NONE.fullmatch(kind):
        raise NotFound
    if not kinds or len(path) > PARTS_MAX:
        raise RequestMalformed(what=f"there is no structure {kind[:40]}")
    return StructureQuery(
        kinds,
        _named(agency),
        _named(name),
        tuple(part for part in version.split(",") if part),
        _named(item),
        given.get("detail", "full"),
        given.get("references", "none"),
    )


def select(catalogue: Catalogue, query: StructureQuery) -> list[Any]:
    """Return the artefacts that were asked for and those that they refer to, as far as their detail was.

    Raises:
        NotFound: when there are none.
    """
    found = [one for one in catalogue.artefacts.values() if _matches(one, query)]
    if not found:
        raise NotFound
    asked = {one.place for one in found}
    chosen = asked | _referenced(catalogue, asked, query.references)
    return [
        _detailed(catalogue, one, query, is_reference=one.place not in asked)
        for one in catalogue.artefacts.values()
        if one.place in chosen
    ]


def available(
    catalogue: Catalogue, structure: Structure, query: DataQuery, *, component: str, references: str
) -> list[Any]:
    """Return which codes a data request could find, and what the constraint refers to.

    Raises:
        NotFound: when a code was named that a component does not take.
    """
    region = dict(_left(structure, query))
    if any(not codes for codes in region.values()):
        raise NotFound
    if component not in ANY and component not in (*structure.key, TIME):
        raise RequestMalformed(what=f"there is no dimension {component[:40]}")
    narrowed = {name: codes for name, codes in region.items() if component in ANY | {name}}
    constraint = AvailabilityConstraint(
        constraint_attachment=attachment_of(structure), cube_region=allowed(structure, narrowed)
    )
    place = (DATAFLOW, structure.id)
    chosen = _referenced(catalogue, {place}, "descendants" if references == "all" else references)
    if references in {"all", DATAFLOW}:
        chosen |= {place}
    return [constraint, *(one.model for one in catalogue.artefacts.values() if one.place in chosen)]


def references_of(query: str) -> str:
    """Return what a request for availability wants beside the constraint."""
    return _given(query).get("references", "none")


def _left(structure: Structure, query: DataQuery) -> Iterator[tuple[str, frozenset[str]]]:
    for dimension in structure.dimensions:
        named = query.named(structure, dimension.id)
        codes = dimension.allowed or frozenset(dimension.codes) or named
        if not codes:
            continue
        refused = frozenset[str]().union(
            *(c.values for c in query.conditions if c.negated and c.component == dimension.id)
        )
        yield dimension.id, (codes & named if named else codes) - refused


def _given(query: str) -> Mapping[str, str]:
    given = {name: value for name, value in parameters(query) if name in {"detail", "references"}}
    if given.get("detail", "full") not in _DETAILS:
        raise RequestMalformed(what=f"detail is one of {', '.join(sorted(_DETAILS))}")
    references = given.get("references", "none")
    if references not in _STEPS and references not in _KINDS and not _NONE.fullmatch(references):
        raise RequestMalformed(what=f"references is one of {', '.join(_STEPS)}, or a kind of structure")
    return given


def _named(part: str) -> frozenset[str]:
    return frozenset() if part in ANY | {"+", "~"} else frozenset(re.split(r"[+,]", part))


def _matches(one: Artefact, query: StructureQuery) -> bool:
    agency = AGENCY if one.kind != AGENCY_SCHEME else "SDMX"
    return (
        one.kind in query.kinds
        and (not query.agencies or agency in query.agencies)
        and (not query.ids or one.id in query.ids)
        and (not query.versions or any(takes_version(version, one.version) for version in query.versions))
    )


def _detailed(catalogue: Catalogue, one: Artefact, query: StructureQuery, *, is_reference: bool) -> Any:
    if query.detail.startswith("all") or (is_reference and query.detail.endswith("stubs")):
        return stub_of(one, complete="complete" in query.detail)
    kept = query.items if not is_reference else frozenset[str]()
    if is_reference and query.detail == "referencepartial":
        kept = frozenset(catalogue.taken.get(one.id, ()))
    if one.kind not in _WITH_ITEMS or not kept:
        return one.model
    items = [item for item in one.model.items if item.id in kept]
    if not items:
        raise NotFound
    return replace(one.model, items=items, is_partial=len(items) < len(one.model.items))


def _children(catalogue: Catalogue, places: set[_Place]) -> set[_Place]:
    return set().union(*(catalogue.artefacts[place].uses for place in places))


def _parents(catalogue: Catalogue, places: set[_Place]) -> set[_Place]:
    return {one.place for one in catalogue.artefacts.values() if one.uses & places}


def _closed(
    step: Callable[[Catalogue, set[_Place]], set[_Place]], catalogue: Catalogue, places: set[_Place]
) -> set[_Place]:
    found = step(catalogue, places)
    # A step adds or it was the last; there are as many artefacts as the contracts have.
    while more := step(catalogue, found) - found:
        found |= more
    return found


def _siblings(catalogue: Catalogue, places: set[_Place]) -> set[_Place]:
    parents = _parents(catalogue, places)
    return parents | _children(catalogue, parents)


_STEPS: dict[str, Callable[[Catalogue, set[_Place]], set[_Place]]] = {
    "none": lambda _catalogue, _places: set(),
    "children": _children,
    "parents": _parents,
    "descendants": lambda catalogue, places: _closed(_children, catalogue, places),
    "ancestors": lambda catalogue, places: _closed(_parents, catalogue, places),
    "parentsandsiblings": _siblings,
    "all": lambda catalogue, places: _siblings(catalogue, places) | _closed(_children, catalogue, places),
}


def _referenced(catalogue: Catalogue, places: set[_Place], references: str) -> set[_Place]:
    if references in _STEPS:
        return _STEPS[references](catalogue, places)
    around = _closed(_children, catalogue, places) | _closed(_parents, catalogue, places)
    return {place for place in around if place[0] == _KINDS.get(references)}
