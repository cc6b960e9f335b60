# SPDX-License-Identifier: Apache-2.0
"""Vintages and what is decided at their acceptance, on both engines; this file is about time travel and subtraction."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.aggregates import vintages
from gateway.aggregates.observations import DataQuery, Observation
from gateway.aggregates.vintages import publish
from gateway.errors import NotFound
from gateway.identifiers import new_id
from gateway.storage import publication
from gateway.storage.engine import Tx
from tests.unit.aggregates.counter import FLOW, IGM, INM, NOW, Counter, field_of, only

RESTRICTED = {"confidentiality": "E", "embargo_until": "2026-11-24"}
SECTOR = {"place_scheme": "USA.CBP.AOR", "place_code": "USBP-DRT"}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(found: list[Observation], *names: str) -> list[tuple[object, ...]]:
    return [(*(field_of(one, name) for name in names), one.value) for one in found]


def test_as_of_a_day_gives_the_vintage_of_that_day(counter: Counter) -> None:
    """The agency's own release dates count, not when the gateway came to know."""
    (first,) = counter.keep({"vintage": "2024-05-15", "count": 100, "status": "P"})
    counter.amend(first, vintage="2025-06-04", count=122)

    assert [(one.value, field_of(one, "VINTAGE")) for one in counter.ask()] == [(122, "2025-06-04")]
    for at, value in (("2025-06-03T23:59:59", 100), ("2025-06-04T00:00:00", 122), ("2099-01-01T00:00:00", 122)):
        assert [one.value for one in counter.ask(query=DataQuery(as_of=day(at)))] == [value]
    with pytest.raises(NotFound):
        counter.ask(query=DataQuery(as_of=day("2024-05-14T00:00:00")))


def test_history_gives_every_version_and_where_a_cell_ended(counter: Counter) -> None:
    (first,) = counter.keep({"count": 100})
    second = counter.amend(first, vintage="2025-06-04", count=122)
    counter.amend(second, vintage="2026-01-10", count=122, action="retract")
    counter.keep({"citizenship": "SLV", "count": 7})

    seen = counter.ask(query=DataQuery(include_history=True))

    assert [(one.value, one.action, one.valid_from[:10], one.valid_to[:10]) for one in seen] == [
        (100, "R", "2024-05-15", "2025-06-04"),
        (122, "R", "2025-06-04", "2026-01-10"),
        (None, "D", "2026-01-10", ""),
        (7, "R", "2024-05-15", ""),
    ]
    assert [field_of(one, "REVISION") for one in seen[:2]] == [0, 1]
    assert told(counter.ask(), "CITIZENSHIP") == [("SLV", 7)]


def test_what_came_later_is_what_was_accepted_later(counter: Counter) -> None:
    """All cells of later vintages, changed or not; the day of release does not matter to who keeps a copy."""
    first, _ = counter.keep({"count": 100}, {"citizenship": "SLV"}, at=NOW - timedelta(days=3))
    counter.amend(first, vintage="2024-06-01", count=100, at=NOW - timedelta(days=1))

    assert len(counter.ask(query=DataQuery(updated_after=NOW - timedelta(days=4)))) == 2
    later = counter.ask(query=DataQuery(updated_after=NOW - timedelta(days=2)))
    assert told(later, "CITIZENSHIP", "REVISION") == [("HND", 1, 100)]


def test_an_embargo_leaves_the_vintage_before_in_place_until_its_day(counter: Counter) -> None:
    (first,) = counter.keep({"count": 100})
    counter.amend(first, vintage="2026-11-20", count=150, confidentiality="E", embargo_until="2026-12-01")
    counter.keep({"citizenship": "SLV", "count": 30, "confidentiality": "E", "embargo_until": "2026-12-01"})

    assert told(counter.ask(), "CITIZENSHIP") == [("HND", 100)]
    assert {one.valid_to for one in counter.ask(query=DataQuery(include_history=True))} == {""}
    with pytest.raises(NotFound):
        counter.ask(query=only(CITIZENSHIP="SLV"))
    ended = counter.on(day("2026-12-01T00:00:00"))
    assert told(ended.ask(), "CITIZENSHIP", "CONF_STATUS") == [("HND", "F", 150), ("SLV", "F", 30)]
    assert told(ended.ask(query=DataQuery(updated_after=day("2026-11-30T00:00:00"))), "CITIZENSHIP") == [
        ("HND", 150),
        ("SLV", 30),
    ]


def test_what_is_kept_back_ends_what_was_shown(counter: Counter) -> None:
    (first,) = counter.keep({"count": 100})
    counter.amend(first, vintage="2025-06-04", count=122, confidentiality="C")

    with pytest.raises(NotFound):
        counter.ask()
    assert [one.value for one in counter.ask(query=DataQuery(as_of=day("2025-01-01T00:00:00")))] == [100]


def test_a_small_cell_cannot_be_had_by_subtraction(counter: Counter) -> None:
    """T5, restated: total, and total without GTM, are both asked for, and leave two unknowns."""
    counter.keep(
        *(
            {"citizenship": code, "count": count, **RESTRICTED}
            for code, count in (("GTM", 4), ("SLV", 60), ("HND", 900))
        ),
        {"citizenship": "_T", "count": 964, **RESTRICTED},
    )

    seen = counter.ask(INM)

    assert told(seen, "CITIZENSHIP", "OBS_STATUS", "CONF_STATUS") == [
        ("GTM", "Q", "A", None),
        ("HND", "A", "F", 900),
        ("SLV", "Q", "S", None),
        ("_T", "A", "F", 964),
    ]
    without = DataQuery(conditions=(replace(only(CITIZENSHIP="GTM").conditions[0], negated=True),))
    assert told(counter.ask(INM, without), "CITIZENSHIP") == [("HND", 900), ("SLV", None), ("_T", 964)]


def test_minors_at_a_place_come_without_their_number_nor_a_way_to_it(counter: Counter) -> None:
    """T3, with what a sector's total and its adults would give away."""
    minors = {"accompaniment": "UM", "age_group": "Y_LT18", **SECTOR}
    adults = {"accompaniment": "SA", "age_group": "Y_GE18", **SECTOR}
    counter.keep({**minors, "count": 12}, {**adults, "count": 300}, {**SECTOR, "count": 312})

    seen = counter.ask(INM)

    assert told(seen, "ACCOMPANIMENT", "OBS_STATUS") == [("SA", "Q", None), ("UM", "Q", None), ("_T", "A", 312)]


def test_own_citizens_are_protected_from_their_country_and_shown_to_others(counter: Counter) -> None:
    cells = (("GTM", 12), ("SLV", 40), ("HND", 300), ("_T", 352))
    counter.keep(*({"citizenship": code, "count": count, **SECTOR} for code, count in cells))

    assert told(counter.ask(IGM), "CITIZENSHIP") == [("GTM", None), ("HND", 300), ("SLV", None), ("_T", 352)]
    assert told(counter.ask(INM), "CITIZENSHIP") == [("GTM", 12), ("HND", 300), ("SLV", 40), ("_T", 352)]


def test_what_was_decided_stands_when_a_later_vintage_comes(counter: Counter) -> None:
    """The number that protected another is revised: old or new, neither is shown."""
    cells = (("GTM", 4), ("SLV", 60), ("HND", 900), ("_T", 964))
    _, slv, _, total = counter.keep(
        *({"citizenship": code, "count": count, **RESTRICTED} for code, count in cells), at=NOW - timedelta(days=2)
    )
    later = {**RESTRICTED, "embargo_until": "2026-11-23", "vintage": "2026-11-01"}
    counter.amend(slv, citizenship="SLV", count=61, **later, at=NOW - timedelta(days=1))
    counter.amend(total, citizenship="_T", count=965, **later, at=NOW - timedelta(hours=2))

    seen = counter.ask(INM, DataQuery(include_history=True))

    assert {one.value for one in seen if field_of(one, "CITIZENSHIP") in {"GTM", "SLV"}} == {None}
    assert 965 in {one.value for one in seen}


def test_what_once_stood_is_remembered_when_the_table_changes(counter: Counter) -> None:
    """A total that is gone was seen: with it, what a new breakdown tells of the men would tell of the women."""
    women, men, whole = ({"citizenship": "GTM", "sex": sex, **RESTRICTED} for sex in ("F", "M", "_T"))
    sent = ({**women, "count": 3}, {**men, "count": 60}, {**whole, "count": 63})
    *_, total = counter.keep(*sent, at=NOW - timedelta(days=2))
    counter.amend(total, **whole, count=63, action="retract", at=NOW - timedelta(days=1))
    margin = ({"citizenship": "HND", "sex": "M", "count": 100}, {"citizenship": "_T", "sex": "M", "count": 160})
    counter.keep(*({**cell, **RESTRICTED} for cell in margin), at=NOW - timedelta(hours=2))

    assert told(counter.ask(INM), "CITIZENSHIP", "SEX") == [
        ("GTM", "F", None),
        ("GTM", "M", None),
        ("HND", "M", None),
        ("_T", "M", 160),
    ]


def test_a_release_that_is_dated_back_takes_its_place_in_time(counter: Counter) -> None:
    (first,) = counter.keep({"count": 100, "vintage": "2024-05-15"}, at=NOW - timedelta(days=3))
    second = counter.amend(first, count=110, vintage="2025-06-04", at=NOW - timedelta(days=2))
    counter.amend(second, count=120, vintage="2025-01-01", at=NOW - timedelta(days=1))

    for at, value in (("2024-12-31", 100), ("2025-03-01", 120), ("2025-07-01", 120)):
        assert [one.value for one in counter.ask(query=DataQuery(as_of=day(f"{at}T00:00:00")))] == [value]


def test_nobody_is_told_of_asylum_of_its_nationals_nor_of_the_total(counter: Counter) -> None:
    """T2; and because nobody is told the total, nothing else need be withheld for a small nationality."""
    asylum = {"flow_type": "ASYL_APPLICATION", "unit": "PER"}
    cells = (("GTM", 300), ("HND", 10), ("SLV", 9), ("_T", 319))
    counter.keep(*({**asylum, "citizenship": code, "count": count} for code, count in cells))

    assert told(counter.ask(IGM), "CITIZENSHIP") == [("HND", 10), ("SLV", None)]
    assert told(counter.ask(INM), "CITIZENSHIP") == [("GTM", 300), ("HND", 10), ("SLV", None)]


def test_deaths_at_a_place_are_withheld_with_their_complement_for_a_while(counter: Counter) -> None:
    deaths = {"flow_type": "DEATH_OR_MISSING", "direction": "_Z", "unit": "PER", "period": "2026-05"}
    places = [{**deaths, **SECTOR, "place_code": code, "count": n} for code, n in (("USBP-DRT", 30), ("USBP-EPT", 9))]
    counter.keep(*places, {**deaths, "count": 39})

    assert told(counter.ask(), "PLACE") == [("USBP-DRT", None), ("USBP-EPT", None), ("_T", 39)]
    after = counter.on(day("2026-12-01T00:00:00"))
    assert told(after.ask(), "PLACE") == [("USBP-DRT", 30), ("USBP-EPT", 9), ("_T", 39)]


def test_a_vintage_is_published_once(counter: Counter) -> None:
    """Whoever comes second leaves it as it is; nothing is waiting, so that a pull costs no write."""
    vintage, _ = counter.accept({})
    publish(counter.desk, vintage)
    publish(counter.desk, vintage)

    assert len(counter.ask()) == 1
    assert counter.desk.storage.read(lambda tx: publication.last_number(tx, FLOW.shape, vintage.partner_id)) == 1


def test_versions_that_come_together_end_each_other_in_their_order(counter: Counter) -> None:
    """A backlog holds a number with all its amendments; the last one stands."""
    ids = [new_id(NOW) for _ in range(3)]
    counts, days = (100, 110, 122), ("2024-05-15", "2025-06-04", "2026-01-10")
    changes: list[dict[str, object]] = [
        {"record_id": one, "count": count, "vintage": on} for one, count, on in zip(ids, counts, days, strict=True)
    ]
    for earlier, change in zip(ids, changes[1:], strict=False):
        change |= {"action": "amend", "supersedes": earlier}

    counter.keep(*changes)

    assert [one.value for one in counter.ask()] == [122]
    assert [one.value for one in counter.ask(query=DataQuery(as_of=day("2025-07-01T00:00:00")))] == [110]
    assert [one.value for one in counter.ask(query=DataQuery(include_history=True))] == [100, 110, 122]


def test_a_version_that_is_published_before_its_turn_ends_what_comes_then(counter: Counter) -> None:
    """Two gateways whose clocks differ may see the later one first."""
    (first,) = counter.keep({"count": 100})
    middle, (second,) = counter.accept(
        {"action": "amend", "supersedes": first, "vintage": "2025-06-04", "count": 110}, at=NOW
    )
    last, _ = counter.accept({"action": "amend", "supersedes": second, "vintage": "2026-01-10", "count": 122}, at=NOW)

    for vintage in (last, middle, last):
        publish(counter.desk, vintage)

    assert [one.value for one in counter.ask()] == [122]
    assert [one.value for one in counter.ask(query=DataQuery(include_history=True))] == [100, 110, 122]


def test_what_was_decided_beside_another_publication_is_decided_again(counter: Counter) -> None:
    """Each alone would show everything; together they would give a small cell away."""
    hidden, _ = counter.accept({"citizenship": "GTM", "count": 4, **RESTRICTED})
    others, _ = counter.accept(
        *({"citizenship": code, "count": count, **RESTRICTED} for code, count in (("SLV", 60), ("_T", 64)))
    )
    decide, met = vintages._draft, list[int]()

    def beside(tx: Tx, **words: Any) -> publication.Draft:
        draft = decide(tx, **words)
        if not met:
            met.append(draft.number)
            publish(counter.desk, hidden)
        return draft

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vintages, "_draft", beside)
        publish(counter.desk, others)

    assert told(counter.ask(INM), "CITIZENSHIP") == [("GTM", None), ("SLV", None), ("_T", 64)]
