# SPDX-License-Identifier: Apache-2.0
"""What one reader sees of the published cells; this file is about answering a flow query with observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import orjson

from gateway.aggregates.dataflow import Dataflow
from gateway.aggregates.observations import MONTHLY, DataQuery, Observation
from gateway.aggregates.protect import PRIMARY, Terms, hides_series, is_of_asylum, is_small
from gateway.clock import format_instant
from gateway.storage.contests import contested
from gateway.storage.engine import Tx
from gateway.storage.statistics import CellsAsked, ServedCell, served_cells

SERIES_MAX = 4096


class Seen(NamedTuple):
    """An observation with what the answer's evidence needs: whose it is and when it was accepted."""

    owner: str
    accepted_at: str
    observation: Observation


def seen_cells(
    tx: Tx, flow: Dataflow, query: DataQuery, terms: Mapping[str, Terms], at: datetime
) -> Iterator[tuple[Mapping[str, str], ServedCell]]:
    """Yield the cells that a query selects, under each owner's terms, with the codes of their series."""
    asked = _asked(flow, query, terms, at)
    if asked is None:
        return
    all_open = all(set(flow.fields) <= each.dimensions for each in terms.values())

    def admits(key: str) -> bool:
        # Most series are neither of asylum nor cut by an agreement, and there may be thousands.
        if all_open and not is_of_asylum(key):
            return True
        codes = dict(zip(flow.fields, key.split("."), strict=True))
        return not hides_series(codes, terms[codes["reporting_country"]])

    key, codes = "", dict[str, str]()
    for cell in served_cells(tx, flow.shape, asked, admits):
        if cell.key != key:
            key, codes = cell.key, dict(zip(flow.fields, cell.key.split("."), strict=True))
        mine = terms[codes["reporting_country"]]
        if mine.embargo_days and _waits(cell, mine):
            continue
        small = cell.value is not None and is_small(cell.value, cell.confidentiality, codes["flow_type"], mine.floor)
        yield codes, cell._replace(value=None, withheld=PRIMARY) if small else cell


def flow_observations(
    tx: Tx, flow: Dataflow, query: DataQuery, terms: Mapping[str, Terms], at: datetime
) -> Iterator[Seen]:
    """Yield what a reader sees, series by series; with history each version, and where a cell ended for good."""
    marks = contested(tx)
    last: Seen | None = None
    asks_more = any(condition.component not in flow.structure.key for condition in query.conditions)
    for codes, cell in seen_cells(tx, flow, query, terms, at):
        seen = Seen(codes["reporting_country"], cell.accepted_at, _observation(cell, query, marks))
        if query.include_history and last is not None:
            yield from _ended(last, seen)
        if not asks_more or query.shows(flow.structure, seen.observation):
            yield seen
        last = seen
    if query.include_history and last is not None:
        yield from _ended(last, None)


def _asked(flow: Dataflow, query: DataQuery, terms: Mapping[str, Terms], at: datetime) -> CellsAsked | None:
    """Return the question for the storage, or None when nothing can meet it."""
    conditions = []
    fields = dict(zip(flow.structure.key[1:], flow.fields, strict=True))
    for condition in query.conditions:
        if condition.component == flow.structure.key[0]:
            if (MONTHLY in condition.values) == condition.negated:
                return None
        elif condition.component in fields:
            conditions.append((fields[condition.component], condition.values, condition.negated))
    keys = tuple(key[1:] for key in query.keys if not key[0] or MONTHLY in key[0])
    if (query.keys and not keys) or not terms:
        return None
    as_of = min(query.as_of, at) if query.as_of else at
    return CellsAsked(
        countries=frozenset(terms),
        day=as_of.date().isoformat(),
        today=at.date().isoformat(),
        reader=next(iter(terms.values())).reader,
        first_month=query.first_month,
        last_month=query.last_month,
        months=query.months,
        keys=keys,
        conditions=tuple(conditions),
        updated_after=query.updated_after,
        history=query.include_history,
    )


def _waits(cell: ServedCell, terms: Terms) -> bool:
    return cell.accepted_at > format_instant(terms.at - timedelta(days=terms.embargo_days))


def _observation(cell: ServedCell, query: DataQuery, marks: Mapping[tuple[str, str], datetime]) -> Observation:
    since = marks.get((cell.partner_id, cell.record_id)) if marks else None
    status = "Q" if cell.withheld else cell.status
    attributes = (
        status,
        cell.withheld or "F",
        *_said(cell.attributes),
        cell.revision,
        format_instant(since) if since else None,
    )
    key = _key(cell.key)
    if not query.include_history:
        return Observation(key, cell.period, cell.value, attributes)
    return Observation(
        key, cell.period, cell.value, attributes, "R", _instant(cell.valid_from), _instant(cell.valid_to)
    )


@lru_cache(maxsize=SERIES_MAX)
def _key(key: str) -> tuple[str, ...]:
    return (MONTHLY, *key.split("."))


@lru_cache(maxsize=SERIES_MAX)
def _said(attributes: str) -> tuple[str | int | None, ...]:
    """Return the attributes of a cell; a vintage's cells share a few."""
    return tuple(orjson.loads(attributes))


def _ended(last: Seen, following: Seen | None) -> Iterator[Seen]:
    """Yield the deletion of a cell whose last version ended without another."""
    one = last.observation
    goes_on = following is not None and following.observation[:2] == one[:2]
    if one.valid_to and not goes_on:
        nothing = (None,) * len(one.attributes)
        yield Seen(last.owner, last.accepted_at, Observation(one.key, one.period, None, nothing, "D", one.valid_to))


def _instant(day: str) -> str:
    return f"{day}T00:00:00Z" if day else ""
