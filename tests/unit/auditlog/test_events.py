# SPDX-License-Identifier: Apache-2.0
"""What an event says and what can be erased of it; this file is about fields, seals and the document of kinds."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.auditlog.event_kinds import EVENT_CLASSES, SearchRun, SubmissionRefused, field_names, required_fields
from gateway.auditlog.event_kinds_life import OfficerEnrolled
from gateway.auditlog.events import COMMON_FIELDS, AuditEvent, query_digest
from gateway.auditlog.receipts import disclosures_of, fields_of, receipt_of
from gateway.storage import log, tables
from gateway.storage.engine import Storage
from gateway.wire.digests import b64url
from gateway.wire.entry import EntryInvalid, open_event
from gateway.wire.receipt import verify_receipt
from tests.unit.auditlog.world import POLICY, World

LINE = b'{"curp":"XEXX010101HNEXXXA4"}'
FORBIDDEN = SubmissionRefused(
    path="/v1/submissions/border-event/1.0.0",
    source="cd" * 32,
    reason="forbidden-field",
    line=3,
    pointer="/curp",
    line_hmac=LINE,
)


@pytest.fixture
def world(storage: Storage) -> World:
    return World(storage)


def stored(world: World, event_id: str) -> log.StoredEvent:
    event = world.storage.read(lambda tx: log.get_event(tx, event_id))
    assert event is not None
    return event


def test_a_forbidden_line_is_kept_as_an_hmac_under_the_erasable_key(world: World) -> None:
    """The name of the field stays; the line can be recognised by who has it, and by nobody after erasure."""
    event = stored(world, world.record(FORBIDDEN))

    assert event.personal is not None
    assert event.personal_key is not None
    expected = b64url(hmac.digest(event.personal_key, b"sealed\x00" + LINE, hashlib.sha256))
    assert fields_of(event.personal) == {"line_hmac": expected}
    assert fields_of(event.fields)["pointer"] == "/curp"
    assert b"XEXX" not in b"".join([event.entry, event.payload, event.fields.encode(), event.personal.encode()])


def test_an_erased_key_takes_the_values_and_leaves_the_proof(world: World) -> None:
    event_id = world.record(FORBIDDEN)
    world.settle()
    whole = verify_receipt(world.storage.read(lambda tx: receipt_of(tx, event_id, policy=POLICY)), policy=POLICY)
    erase = tables.event.update().where(tables.event.c.id == event_id).values(personal=None, personal_key=None)
    world.storage.write(lambda tx: tx.connection.execute(erase))

    after = verify_receipt(world.storage.read(lambda tx: receipt_of(tx, event_id, policy=POLICY)), policy=POLICY)
    assert set(whole.fields) - set(after.fields) == {"line_hmac"}
    assert after.leaf_index == whole.leaf_index


def test_a_changed_value_does_not_leave_as_evidence(world: World) -> None:
    event_id = world.record(FORBIDDEN)
    world.settle()
    changed = stored(world, event_id).fields.replace("/curp", "/note")
    world.storage.write(
        lambda tx: tx.connection.execute(
            tables.event.update().where(tables.event.c.id == event_id).values(fields=changed)
        )
    )

    with pytest.raises(EntryInvalid):
        world.storage.read(lambda tx: receipt_of(tx, event_id, policy=POLICY))


def test_a_person_stands_among_the_personal_fields(world: World) -> None:
    search = SearchRun(path="/v1/audit/events", source="ab" * 32, query_digest="00", result_count=2)
    event = stored(world, world.record(search, partner_id="-", actor="MEX.OFFICER.ONE"))
    enrolled = OfficerEnrolled(subject="MEX.OFFICER.ONE", country="MEX", roles=("approver",), approval_keyid="k")
    other = stored(world, world.record(enrolled, partner_id="-", actor="operator"))

    assert fields_of(event.personal or "") == {"actor": "MEX.OFFICER.ONE"}
    assert fields_of(other.personal or "") == {"subject": "MEX.OFFICER.ONE"}
    assert fields_of(other.fields)["roles"] == ["approver"]


def test_two_events_of_one_content_have_nothing_in_common(world: World) -> None:
    """Equal digests would tell that two events say the same."""
    one, two = stored(world, world.record()), stored(world, world.record())

    digests = [set(re.findall(rb'"([A-Za-z0-9_-]{43})"', event.payload)) for event in (one, two)]
    assert digests[0] & digests[1] == set()
    with pytest.raises(EntryInvalid):
        open_event(one.entry, one.payload, disclosures_of(two))


def test_the_digest_of_a_query_shows_equality_alone() -> None:
    assert query_digest({"since": "2026", "kind": "x"}) == query_digest({"kind": "x", "since": "2026"})
    assert query_digest({"kind": "x"}) != query_digest({"kind": "y"})


def subclasses(cls: type[AuditEvent]) -> Iterator[type[AuditEvent]]:
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_kind_has_one_class_and_says_who_what_where_and_how_it_ended() -> None:
    """NIST SP 800-53 AU-3: type, time, place, source, outcome, subject."""
    assert set(EVENT_CLASSES) == {cls.kind for cls in subclasses(AuditEvent) if "kind" in vars(cls)}
    for kind, cls in EVENT_CLASSES.items():
        assert cls.outcome in {"success", "failure"}
        assert "source" in field_names(kind)
        assert not set(field_names(kind)) & set(COMMON_FIELDS)
        assert cls.sealed <= cls.personal <= set(field_names(kind))


def test_the_document_names_every_kind_and_field() -> None:
    """docs/AUDIT-EVENTS.md is what other systems are built on."""
    text = Path("docs/AUDIT-EVENTS.md").read_text()
    documented: dict[str, list[str]] = {}
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        kind = section.split("`")[1]
        documented[kind] = re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE)
        outcome = re.search(r"outcome `(\w+)`", section)
        assert outcome is not None
        assert outcome[1] == EVENT_CLASSES[kind].outcome
        for name, marks in re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, flags=re.MULTILINE):
            optional = name not in required_fields(kind)
            expected = ("always" if not optional else "where known") + (
                ", erasable" if name in EVENT_CLASSES[kind].personal else ""
            )
            assert (kind, name, marks.strip()) == (kind, name, expected)

    assert documented == {kind: [entry.name for entry in fields(cls)] for kind, cls in EVENT_CLASSES.items()}
