# SPDX-License-Identifier: Apache-2.0
"""What one country says it sent and another says it received; this file is about the mirror, a dataflow of its own.

Each side is the sum of cells that the reader could pull itself: whole (nothing of it withheld), of one unit and one
definition, counting nobody twice. The two sides are set beside each other and compared; they are never added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import orjson

from gateway.aggregates.cells import Seen, seen_cells
from gateway.aggregates.dataflow import FREQUENCY, Dataflow, component_of, flow_dataflow
from gateway.aggregates.desk import Question
from gateway.aggregates.observations import MONTHLY, Component, Condition, DataQuery, Observation, Structure
from gateway.aggregates.protect import PRIMARY, Terms
from gateway.aggregates.suppress import disjoint, within
from gateway.aggregates.vintages import box
from gateway.contracting.contract import Contract, Contracts, Text, version_key
from gateway.errors import RequestMalformed
from gateway.storage.engine import Tx
from gateway.storage.statistics import ServedCell
from gateway.trip import Partner, TableShape

FLOW_MIRROR = "FLOW_MIRROR"
SENT, RECEIVED, DIFFERENCE, ASYMMETRY = "SENT", "RECEIVED", "DIFFERENCE", "ASYMMETRY"
THOUSANDTHS = -3
TABLES_MAX = 4096
_LAG_EN = "who leaves at the end of a month may arrive in the next"
_LAG_ES = "quien sale a fin de mes puede llegar en el siguiente"
_MIRRORED = Component(
    "MIRRORED_FLOW",
    Text("What is mirrored", "Qué se contrasta"),
    list_id="CL_MIRRORED_FLOW",
    list_title=Text("Mirrored flows", "Flujos contrastados"),
    codes={
        "RETURN": Text(
            "Returns: deportations and assisted returns of the receiver's nationals, beside those received",
            "Retornos: deportaciones y retornos asistidos de nacionales del receptor, junto a los recibidos",
        ),
        "REGULAR": Text("Regular exits, beside regular entries", "Salidas regulares, junto a entradas regulares"),
    },
)
_INDICATOR = Component(
    "INDICATOR",
    Text("Which side, or how they compare", "Qué lado, o cómo se comparan"),
    list_id="CL_MIRROR_INDICATOR",
    list_title=Text("Indicators of a mirror", "Indicadores de un espejo"),
    codes={
        SENT: Text("What the sender says it sent", "Lo que el emisor dice que envió"),
        RECEIVED: Text("What the receiver says it received", "Lo que el receptor dice que recibió"),
        DIFFERENCE: Text("Sent less received", "Enviado menos recibido"),
        ASYMMETRY: Text(
            "Difference as a share of the mean of both sides, in thousandths",
            "Diferencia como proporción de la media de ambos lados, en milésimas",
        ),
    },
)
_METHOD = Component(
    "METHOD",
    Text("How far the sides can be compared", "Hasta dónde pueden compararse los lados"),
    list_id="CL_MIRROR_METHOD",
    list_title=Text("Notes on method", "Notas de método"),
    codes={
        "SAME_UNIT": Text(
            "Both sides count in one unit, each by its own definition; " + _LAG_EN,
            "Ambos lados cuentan en una unidad, cada uno según su definición; " + _LAG_ES,
        ),
        "UNITS_DIFFER": Text(
            "The sides count in different units, each by its own definition: one person can have several events; "
            + _LAG_EN,
            "Los lados cuentan en unidades distintas, cada uno según su definición: una persona puede tener varios "
            "eventos; " + _LAG_ES,
        ),
    },
    required=False,
)


class _Pair(NamedTuple):
    """Which flow types of a sender meet which of a receiver, and whether only the receiver's nationals count."""

    sent: frozenset[str]
    received: frozenset[str]
    nationals: bool


_PAIRS = {
    "RETURN": _Pair(
        frozenset({"RETURN_DEPORTATION", "RETURN_ASSISTED"}), frozenset({"RETURN_RECEIVED"}), nationals=True
    ),
    "REGULAR": _Pair(frozenset({"EXIT_REGULAR"}), frozenset({"ENTRY_REGULAR"}), nationals=False),
}
_Place = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's number: None when something of it is withheld, or it cannot be added up."""

    value: int | None
    status: str
    unit: str
    definition: str
    vintage: str
    accepted_at: str


def dataflows(contracts: Contracts, product: str) -> tuple[Dataflow, tuple[Structure, ...]]:
    """Return the dataflow of a product's cells, and the structures of all that is offered: that one and its mirror."""
    shape = next(shape for shape in contracts.shapes if shape.product == product)
    contract = max(
        (one for one in contracts.contracts if one.shape == shape), key=lambda one: version_key(one.ref.version)
    )
    flow = flow_dataflow(shape, contract)
    return flow, (flow.structure, mirror_structure(shape, contract))


def mirror_structure(shape: TableShape, contract: Contract | None = None) -> Structure:
    """Return the structure of the mirror of a flow contract."""
    attributes = ("status", "confidentiality", "unit", "definition_id")
    return Structure(
        id=FLOW_MIRROR,
        version=f"{shape.major}.0.0",
        title=Text(
            "Flows, mirrored: what one side sent and the other received",
            "Flujos, en espejo: lo que un lado envió y el otro recibió",
        ),
        description=Text(
            "Numbers of two countries on one movement, side by side. They measure different things; nobody adds them.",
            "Cifras de dos países sobre un movimiento, lado a lado. Miden cosas distintas y nunca se suman.",
        ),
        dimensions=(
            FREQUENCY,
            component_of(contract, "reporting_country"),
            component_of(contract, "counterpart_country"),
            _MIRRORED,
            _INDICATOR,
        ),
        attributes=(
            *(replace(component_of(contract, name), required=False) for name in attributes),
            Component("UNIT_MULT", Text("Power of ten", "Potencia de diez"), required=False),
            replace(component_of(contract, "vintage"), required=False),
            _METHOD,
        ),
    )


def mirror_observations(
    tx: Tx, flow: Dataflow, question: Question, terms: Mapping[str, Terms], *, at: datetime, own: Partner
) -> Iterator[Seen]:
    """Yield the mirror of all pairs of countries whose numbers the reader may see on both sides.

    Raises:
        RequestMalformed: when its history is asked for: the two sides have each their own.
    """
    query, structure = question.query, question.structure
    if query.include_history or query.updated_after:
        raise RequestMalformed(what="a mirror has no history of its own; ask for it as of a day")
    sides: dict[_Place, dict[str, list[tuple[Mapping[str, str], ServedCell]]]] = defaultdict(lambda: defaultdict(list))
    for codes, cell in seen_cells(tx, flow, _cells_query(flow, query, structure, frozenset(terms)), terms, at):
        if codes["reporting_country"] == own.country and cell.partner_id != own.id:
            continue
        for name, indicator, sender, receiver in _places(codes):
            sides[sender, receiver, name, cell.period][indicator].append((codes, cell))
    ordered: dict[tuple[str, ...], list[Seen]] = defaultdict(list)
    for (sender, receiver, name, period), found in sides.items():
        if {sender, receiver} <= terms.keys():
            sent, received = (_side(flow, found[indicator]) for indicator in (SENT, RECEIVED))
            for key, observation in _observations((sender, receiver, name), period, sent, received):
                if query.selects(structure, key) and query.shows(structure, observation):
                    newest = max(side.accepted_at for side in (sent, received) if side)
                    ordered[key].append(Seen(f"{sender}+{receiver}", newest, observation))
    for key in sorted(ordered):
        yield from sorted(ordered[key], key=lambda seen: seen.observation.period)


def _cells_query(flow: Dataflow, query: DataQuery, structure: Structure, owners: frozenset[str]) -> DataQuery:
    """Return which flow cells a mirror needs: those of both sides between the countries that were named."""
    named = [query.named(structure, name) for name in ("REF_AREA", "COUNTERPART_AREA")]
    ends = frozenset().union(*named) if all(named) else owners
    pairs = query.named(structure, "MIRRORED_FLOW") & _PAIRS.keys() or _PAIRS.keys()
    types = frozenset().union(*(_PAIRS[name].sent | _PAIRS[name].received for name in pairs))
    assert {"COUNTERPART_AREA", "FLOW_TYPE"} <= set(flow.structure.key)
    wanted = (Condition("COUNTERPART_AREA", ends), Condition("REF_AREA", ends), Condition("FLOW_TYPE", types))
    return DataQuery(
        conditions=wanted,
        first_month=query.first_month,
        last_month=query.last_month,
        months=query.months,
        as_of=query.as_of,
    )


def _places(codes: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Yield where a series stands in the mirror: what is mirrored, on which side, from where, to where."""
    here, there, kind = codes["reporting_country"], codes["counterpart_country"], codes["flow_type"]
    for name, pair in _PAIRS.items():
        for indicator, sender, receiver, types in (
            (SENT, here, there, pair.sent),
            (RECEIVED, there, here, pair.received),
        ):
            if kind in types and (not pair.nationals or codes["citizenship"] == receiver):
                yield name, indicator, sender, receiver


def _side(flow: Dataflow, found: Sequence[tuple[Mapping[str, str], ServedCell]]) -> _Side | None:
    """Add up one side, or return None when it has no cells."""
    if not found:
        return None
    families: dict[tuple[str, ...], list[ServedCell]] = defaultdict(list)
    for codes, cell in found:
        families[codes["provider"], codes["flow_type"], codes["legal_basis"]].append(cell)
    about_each = {cell.attributes for _, cell in found}
    attributes = [dict(zip(flow.attributes, orjson.loads(text), strict=True)) for text in about_each]
    units = {codes["unit"] for codes, _ in found}
    definitions = {str(one["definition_id"]) for one in attributes}
    vintage = max(str(one["vintage"]) for one in attributes)
    newest = max(cell.accepted_at for _, cell in found)
    about = (units.pop() if len(units) == 1 else "", definitions.pop() if len(definitions) == 1 else "")
    counted: list[ServedCell] = []
    for cells in families.values():
        whole = _whole(flow.fields, tuple(cell.key for cell in cells))
        if whole is None:
            return _Side(None, "O", *about, vintage, newest)
        counted += [cell for cell in cells if cell.key in whole]
    if not all(about):
        return _Side(None, "O", *about, vintage, newest)
    if any(cell.value is None for cell in counted):
        return _Side(None, "Q", *about, vintage, newest)
    status = "P" if any(cell.status == "P" for cell in counted) else "A"
    return _Side(sum(cell.value or 0 for cell in counted), status, *about, vintage, newest)


@lru_cache(maxsize=TABLES_MAX)
def _whole(fields: tuple[str, ...], keys: tuple[str, ...]) -> frozenset[str] | None:
    """Return the series that no other contains, or None when they overlap and cannot be added; months repeat it."""
    boxes = {key: box(dict(zip(fields, key.split("."), strict=True))) for key in keys}
    outer = [key for key, one in boxes.items() if not any(within(one, other) for other in boxes.values())]
    pairs = combinations(outer, 2)
    return frozenset(outer) if all(disjoint(boxes[one], boxes[other]) for one, other in pairs) else None


def _observations(
    place: tuple[str, str, str], period: str, sent: _Side | None, received: _Side | None
) -> Iterator[tuple[tuple[str, ...], Observation]]:
    sides = {SENT: sent, RECEIVED: received}
    method = None
    if sent and received:
        method = "SAME_UNIT" if sent.unit == received.unit else "UNITS_DIFFER"
    for indicator, side in sides.items():
        if side:
            conf = PRIMARY if side.status == "Q" else "F"
            known = (side.status, conf, side.unit or None, side.definition or None, 0, side.vintage, method)
            yield _one(place, indicator, period, side.value, known)
    if sent and received:
        whole = sent.value is not None and received.value is not None
        status = "A" if whole else "Q" if "Q" in {sent.status, received.status} else "O"
        difference = asymmetry = None
        if sent.value is not None and received.value is not None:
            difference = sent.value - received.value
            both = sent.value + received.value
            asymmetry = round(2000 * difference / both) if both else 0
        vintage, conf = max(sent.vintage, received.vintage), PRIMARY if status == "Q" else "F"
        yield _one(place, DIFFERENCE, period, difference, (status, conf, None, None, 0, vintage, method))
        yield _one(place, ASYMMETRY, period, asymmetry, (status, conf, None, None, THOUSANDTHS, vintage, method))


def _one(
    place: tuple[str, str, str],
    indicator: str,
    period: str,
    value: int | None,
    attributes: tuple[str | int | None, ...],
) -> tuple[tuple[str, ...], Observation]:
    key = (MONTHLY, *place, indicator)
    return key, Observation(key, period, value, attributes)
