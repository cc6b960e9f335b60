# SPDX-License-Identifier: Apache-2.0
"""An accepted submission becomes a published vintage; this file is about that step, which decides what nobody sees.

It happens right after acceptance, and at the latest before the next pull is answered; what is not published is not
served. What was decided about a number stands: a later vintage may only hide more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

import orjson

from gateway.aggregates.dataflow import Dataflow, sdmx_id
from gateway.aggregates.desk import AggregatesDesk
from gateway.aggregates.protect import NEVER, PRIMARY, SECONDARY, Judgement, is_asylum, judged
from gateway.aggregates.suppress import Number, complements
from gateway.identifiers import country_of
from gateway.policy.agreements import FLOOR_MIN
from gateway.policy.load import PolicySet
from gateway.storage import publication
from gateway.storage.corrections import RETRACT
from gateway.storage.engine import Tx
from gateway.storage.publication import Cell, Draft, Series, Vintage
from gateway.trip import Scalar

# What cells may differ in and still add up to one another; places go by scheme.
BREAKDOWNS = ("citizenship", "sex", "age_group", "accompaniment")
PLACE = ("place_scheme", "place_code")
STATES_MAX = 24
# What withholds a number that must not be computed; D and S are there for the sake of others.
_PROTECTED = frozenset({PRIMARY, NEVER})
Group = tuple[str, str, str]
Standing = tuple[Mapping[str, str], Cell]
Versions = tuple[str, Mapping[str, str], Cell]


def publish_accepted(desk: AggregatesDesk) -> int:
    """Publish every accepted submission that is not published yet, and return how many there were."""
    if not desk.storage.read(lambda tx: publication.unpublished(tx, desk.flow.shape)):
        return 0
    # One at a time in a process: two that decided about the same submissions took twice as long, each of them.
    with desk.publishing:
        waiting = desk.storage.read(lambda tx: publication.unpublished(tx, desk.flow.shape))
        for vintage in waiting:
            publish(desk, vintage)
    return len(waiting)


def publish(desk: AggregatesDesk, vintage: Vintage) -> None:
    """Publish one submission: decide in a reading transaction, which holds nobody up, and write in a short one.

    When another of the partner's was published in between, decide again.
    """
    at, flow, policies = desk.clock.now(), desk.flow, desk.policy.policies
    while True:
        draft = desk.storage.read(partial(_draft, flow=flow, policies=policies, vintage=vintage, at=at))
        if desk.storage.write(partial(publication.put, shape=flow.shape, vintage=vintage, draft=draft, at=at)):
            return


def _draft(tx: Tx, *, flow: Dataflow, policies: PolicySet, vintage: Vintage, at: datetime) -> Draft:
    """Return what a vintage comes to.

    (1) its numbers are judged one by one; (2) each ends the versions before it; (3) for every table that it touches,
    what could be computed from the rest is withheld as well.
    """
    shape = flow.shape
    number = publication.last_number(tx, shape, vintage.partner_id) + 1
    owner = country_of(vintage.partner_id)
    readers, floor = policies.parties - {owner}, _floor(policies, owner, shape.product)
    series: dict[str, Series] = {}
    added: dict[str, Cell] = {}
    endings: list[Cell] = []
    for row, accepted_at, revision in publication.records_of(tx, shape, vintage):
        record = dict(zip(shape.column_names, row, strict=True))
        of = _series(flow, record)
        series[of.key] = of
        judgement = judged(record, floor=floor, readers=readers, at=at)
        cell = _cell(flow, record, of, judgement, (accepted_at, revision), vintage.partner_id)  # (1)
        if record.get("action") != RETRACT:
            added[cell.record_id] = cell
        if record.get("action") not in {None, "add"}:
            endings.append(cell)
    touched = {cell.period for cell in (*added.values(), *endings)}
    standing = _standing(tx, flow, series.values(), touched)
    # One that was published before its turn ends what comes now.
    endings += [cell for _, _, cell in standing if cell.revision]
    codes = {of.id: (of.family, of.codes) for of in series.values()}
    standing += [(*codes[cell.series_id], cell) for cell in added.values()]
    changed = {cell.record_id: cell for cell in _ended([cell for _, _, cell in standing], endings)}  # (2)
    for group in _groups(standing):
        changed |= {cell.record_id: cell for cell in _withhold(group, set(added), floor)}  # (3)
    stood = [cell for name, cell in changed.items() if name not in added]
    return Draft(number, list(series.values()), list(added.values()), stood)


def _floor(policies: PolicySet, owner: str, product: str) -> int:
    """Return the smallest count that an owner's agreements let anybody see: the strictest of all."""
    clauses = (clause for agreement in policies.agreements for clause in agreement.clauses)
    return max([FLOOR_MIN, *(clause.floor for clause in clauses if (clause.owner, clause.product) == (owner, product))])


def _series(flow: Dataflow, record: Mapping[str, Scalar]) -> Series:
    codes = {name: sdmx_id(record[name]) for name in flow.fields}
    fixed = [code for name, code in codes.items() if name not in {*BREAKDOWNS, *PLACE}]
    return Series(".".join(codes.values()), ".".join(fixed), codes)


def _cell(
    flow: Dataflow,
    record: Mapping[str, Scalar],
    series: Series,
    judgement: Judgement,
    standing: tuple[str, int],
    partner_id: str,
) -> Cell:
    shape, (accepted_at, revision) = flow.shape, standing
    count = record[str(shape.measure)]
    # An embargo's last day is the one before.
    day = max(str(record["vintage"]), str(record.get("embargo_until") or ""))
    return Cell(
        series_id=series.id,
        period=str(record[shape.period_column])[:7],
        record_id=str(record[shape.id_column]),
        partner_id=partner_id,
        revision=revision,
        value=count if isinstance(count, int) else None,
        status=str(record["status"]),
        confidentiality=str(record["confidentiality"]),
        definition=".".join(str(record[name]) for name in shape.units),
        attributes=orjson.dumps(_attributes(flow, record)).decode(),
        accepted_at=accepted_at,
        valid_from=day,
        suppression=judgement.suppression,
        until=judgement.until,
        hidden_from="".join(f" {country}:{PRIMARY}" for country in sorted(judgement.hidden_from)),
    )


def _attributes(flow: Dataflow, record: Mapping[str, Scalar]) -> list[Scalar]:
    coded = {component.id for component in flow.structure.attributes if component.list_id}
    names = [component.id for component in flow.structure.attributes]
    start = names.index("CONF_STATUS") + 1
    pairs = zip(flow.attributes, names[start:], strict=False)
    return [sdmx_id(record[field]) if name in coded else record[field] for field, name in pairs]


def _standing(tx: Tx, flow: Dataflow, series: Iterable[Series], touched: set[str]) -> list[Versions]:
    """Return all versions of the numbers that stand in the tables and months touched."""
    if not touched:
        return []
    families, span = sorted({one.family for one in series}), (min(touched), max(touched))
    found = publication.cells_of_families(tx, flow.shape, families, span)
    return [(family, codes, cell) for family, codes, cell in found if cell.period in touched]


def _ended(cells: Iterable[Cell], endings: Iterable[Cell]) -> Iterator[Cell]:
    """End the versions before each ending, amendment or retraction, and yield those.

    For readers they end on its day; who asks for that day or later does not see them.
    """
    places: dict[tuple[int, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        places[cell.series_id, cell.period].append(cell)
    for ending in endings:
        for cell in places[ending.series_id, ending.period]:
            if cell.revision >= ending.revision:
                continue
            valid_to = min(cell.valid_to or ending.valid_from, ending.valid_from)
            closed_at = min(cell.closed_at or ending.accepted_at, ending.accepted_at)
            if (valid_to, closed_at) != (cell.valid_to, cell.closed_at):
                cell.valid_to, cell.closed_at = valid_to, closed_at
                yield cell


def _groups(standing: Iterable[Versions]) -> Iterable[Sequence[Standing]]:
    """Return the versions of each table's numbers in a month."""
    groups: dict[Group, list[Standing]] = defaultdict(list)
    for family, codes, cell in standing:
        groups[family, cell.period, cell.definition].append((codes, cell))
    return groups.values()


def _withhold(group: Sequence[Standing], fresh: set[str], floor: int) -> list[Cell]:
    """Return the cells of a table whose numbers are to be withheld as well, marked.

    First for everybody; then as long as the dead of a place are kept back; then for each country by itself.
    """
    changed: dict[str, Cell] = {}
    cells = {cell.record_id: cell for _, cell in group}
    always = {name for name, cell in cells.items() if cell.suppression and not cell.until}
    if not any(cell.suppression or cell.hidden_from for cell in cells.values()):
        return []
    # Of asylum nobody is told the total, because every reader's own nationals are in it.
    always |= {
        cell.record_id for codes, cell in group if is_asylum(codes["flow_type"]) and codes["citizenship"] == "_T"
    }
    states = [_numbers(state, fresh) for state in _states(group)]
    protected = {name for name in always if cells[name].suppression in _PROTECTED and not cells[name].until}
    for name in complements(states, hidden=always, protected=protected, floor=floor):
        always.add(name)
        cells[name].suppression, cells[name].until = SECONDARY, ""
        changed[name] = cells[name]
    a_while = {name for name, cell in cells.items() if cell.until}
    for name in complements(states, hidden=always | a_while, protected=a_while, floor=floor):
        cells[name].suppression, cells[name].until = SECONDARY, max(cells[each].until for each in a_while)
        changed[name] = cells[name]
    for country in sorted({text[:3] for cell in cells.values() for text in cell.hidden_from.split()}):
        hidden = {name for name, cell in cells.items() if f" {country}:" in cell.hidden_from}
        protected = {name for name in hidden if f" {country}:{PRIMARY}" in cells[name].hidden_from}
        for name in complements(states, hidden=always | hidden, protected=protected, floor=floor):
            cells[name].hidden_from += f" {country}:{SECONDARY}"
            changed[name] = cells[name]
    return list(changed.values())


def _states(group: Sequence[Standing]) -> list[list[Standing]]:
    """Return what stood together at each of the last times that the table changed."""
    times = sorted({cell.accepted_at for _, cell in group} | {c.closed_at for _, c in group if c.closed_at})
    return [
        [one for one in group if one[1].accepted_at <= at and (one[1].closed_at is None or one[1].closed_at > at)]
        for at in times[-STATES_MAX:]
    ]


def _numbers(state: Sequence[Standing], fresh: set[str]) -> list[Number]:
    return [
        Number(cell.record_id, box(codes), cell.value, cell.record_id in fresh, cell.confidentiality == "F")
        for codes, cell in state
    ]


def box(codes: Mapping[str, str]) -> dict[str, str]:
    """Return a series' code in each breakdown; every scheme of places is one."""
    found = {name: codes[name] for name in BREAKDOWNS}
    scheme, place = (codes[name] for name in PLACE)
    return found if scheme == "_T" else found | {f"place {scheme}": place}
