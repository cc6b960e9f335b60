# SPDX-License-Identifier: Apache-2.0
"""Judging a submission; this file is about lines, limits of acceptance, and what refuses everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.contracting import judge as judging
from gateway.contracting.judge import NIL_MEDIA_TYPE, judge
from gateway.errors import (
    BodyTooLarge,
    ContractViolated,
    ForbiddenField,
    MediaTypeUnsupported,
    RecordsRootMismatch,
    RequestMalformed,
    WrongProvider,
)
from gateway.trip import ClaimedRecords
from gateway.wire.merkle import EMPTY_ROOT, leaf_hash, root_of
from tests.unit.contracting.submissions import (
    AT,
    GTM,
    USA,
    contract,
    envelope_of,
    judged,
    line,
    numbered,
    record,
)

EVENT = line(record("border-event", "one-adult"))
CELL = line(record("flow", "cell"))


def first_error(body: bytes) -> tuple[str, str]:
    with pytest.raises(ContractViolated) as refused:
        judged("border-event", [body])
    error = refused.value.extra["errors"][0]
    return error["code"], error["pointer"]


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (EVENT.replace(b"FOOT", b"FO\xffT"), "not-utf8", ""),
        (b"", "not-canonical", ""),
        (b"event_id,provider", "not-canonical", ""),
        (b"\xef\xbb\xbf" + EVENT, "not-canonical", ""),
        (EVENT + b" ", "not-canonical", ""),
        (EVENT.replace(b":1,", b": 1,"), "not-canonical", ""),
        (EVENT.replace(b"FOOT", b"\\u0046OOT"), "not-canonical", ""),
        (EVENT.replace(b'"minors":0', b'"minors":-0'), "not-canonical", ""),
        (EVENT.replace(b'"minors":0', b'"minors":9007199254740993'), "not-canonical", ""),
        (EVENT.replace(b'"minors":0', b'"minors":' + b"9" * 30), "not-canonical", ""),
        (EVENT.replace(b'"minors":0', b'"minors":1e0'), "not-canonical", ""),
        (EVENT.replace(b'"minors":0', b'"minors":NaN'), "not-canonical", ""),
        (b"[" * 60_000, "not-canonical", ""),
        (EVENT.replace(b'"minors":0', b'"minors":0,"minors":0'), "duplicate-key", "/minors"),
        (EVENT.replace(b'"minors":0', b'"minors":0.0'), "type", "/minors"),
        (b"[1]", "type", ""),
        (b"null", "type", ""),
        (EVENT.replace(b'"minors":0', b'"minors":0,"n i":1'), "unknown-field", ""),
    ],
)
def test_a_line_that_readers_could_read_differently_is_refused(body: bytes, code: str, pointer: str) -> None:
    """One comparison of bytes kills duplicate keys, escapes, fractions, marks and spaces."""
    assert first_error(body) == (code, pointer)


def test_an_error_never_repeats_the_submitted_value() -> None:
    """A report is read by more people than the record was meant for."""
    with pytest.raises(ContractViolated) as refused:
        judged("border-event", [line(record("border-event", "one-adult", outcome="SECRETVALUE", place_code="?"))])

    assert "SECRETVALUE" not in repr(refused.value.extra)
    assert refused.value.extra["counts"] == {"code-not-in-list": 1, "pattern": 1}


def test_a_rule_is_not_reported_when_one_of_its_fields_is_wrong_by_itself() -> None:
    """One mistake is one error: a count of people that is no number breaks no rule about people."""
    with pytest.raises(ContractViolated) as refused:
        judged("border-event", [line(record("border-event", "one-adult", person_count="2", minors=9))])

    codes = [(error["code"], error["pointer"]) for error in refused.value.extra["errors"]]
    assert ("type", "/person_count") in codes
    assert ("rule:minors-among-persons", "/minors") not in codes


def test_a_record_of_another_provider_refuses_everything() -> None:
    """A batch that speaks for somebody else is not a batch with one bad record."""
    lines = [EVENT, line(numbered("border-event", "one-adult", 2, provider="USA.DHS.OHSS"))]

    with pytest.raises(WrongProvider) as refused:
        judged("border-event", lines)

    assert refused.value.facts["line"] == 2


def test_a_record_of_another_country_refuses_everything_even_when_it_is_wrong_otherwise() -> None:
    """The claim counts, whether or not the record is good."""
    with pytest.raises(WrongProvider):
        judged("border-event", [line(record("border-event", "one-adult", reporting_country="MEX", minors=7))])


@pytest.mark.parametrize(
    "name", ["hair_color", "HairColor", "APP-EYE", "numeroPasaporte", "fecha_nac", "teléfono", "credible fear level"]
)
def test_a_forbidden_name_refuses_everything(name: str) -> None:
    """Whole words, without case and accents; the name is told only when it looks like one."""
    bad = line(record("border-event", "one-adult")).replace(b"{", f'{{"{name}":1,'.encode(), 1)

    with pytest.raises(ForbiddenField) as refused:
        judged("border-event", [EVENT, bad])

    assert refused.value.facts["line"] == 2
    assert refused.value.sealed == bad
    assert refused.value.extra == {}


@pytest.mark.parametrize("name", ["chair", "naming", "caseload", "surface", "raceway", "signature"])
def test_a_name_that_only_contains_a_forbidden_word_is_just_unknown(name: str) -> None:
    """`chair` is not `hair`."""
    assert first_error(line(record("border-event", "one-adult", **{name: 1}))) == ("unknown-field", f"/{name}")


def test_a_forbidden_name_is_found_in_a_nested_object_and_under_a_duplicate_key() -> None:
    """Nesting or doubling must not hide it."""
    with pytest.raises(ForbiddenField):
        judged("border-event", [EVENT.replace(b'"minors":0', b'"minors":{"curp":"x"}')])
    with pytest.raises(ForbiddenField):
        judged("border-event", [EVENT.replace(b'"minors":0', b'"dob":1,"dob":2,"minors":0')])


def test_a_partial_contract_bears_one_refused_record_and_lists_it() -> None:
    """One bad record does not kill a batch."""
    bad = line(numbered("border-event", "one-adult", 3, minors=7))
    submission = judged("border-event", [EVENT, line(numbered("border-event", "one-adult", 2)), bad])

    assert [(entry.line, entry.code) for entry in submission.refused] == [
        (3, "rule:no-traits-of-minors"),
    ]
    assert submission.refused[0].leaf_hash == leaf_hash(bad)
    assert submission.refused_max == 1
    assert [chunk.lines for chunk in submission.records] == [[1, 2]]


@pytest.mark.parametrize(("refused", "kept"), [(2, True), (3, False)])
def test_a_partial_contract_bears_two_percent_and_no_more(refused: int, kept: bool) -> None:
    """Just inside and just outside: 2 of 100, 3 of 100."""
    lines = [line(numbered("border-event", "one-adult", n, minors=7 if n < refused else 0)) for n in range(100)]

    if kept:
        assert len(judged("border-event", lines).refused) == refused
    else:
        with pytest.raises(ContractViolated) as violated:
            judged("border-event", lines)
        assert violated.value.facts == {"refused": 3, "received": 100}


def test_a_submission_whose_only_record_is_refused_is_refused() -> None:
    """Nothing accepted is nothing kept, though one refused record is borne."""
    with pytest.raises(ContractViolated):
        judged("border-event", [line(record("border-event", "one-adult", minors=7))])


def test_an_atomic_contract_bears_no_refused_record() -> None:
    """A table is whole or not at all."""
    lines = [line(numbered("flow", "cell", n, period=f"2026-0{n}")) for n in range(1, 9)]

    assert judged("flow", lines, provider=GTM).refused_max == 0
    with pytest.raises(ContractViolated):
        judged("flow", [*lines, CELL.replace(b"502", b"-1")], provider=GTM)


def test_a_hopeless_submission_is_left_off_early() -> None:
    """A second look costs more than a first: a body of rubbish must not buy minutes of it."""
    looked: list[int] = []

    class Rubbish:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(10_000):
                looked.append(number)
                yield b"rubbish"

    with pytest.raises(ContractViolated) as refused:
        judge(envelope_of(Rubbish(), provider=GTM), contract("flow"), at=AT, sandbox=False)

    assert len(looked) == judging.REFUSED_EXAMINED_MIN + 1
    assert len(refused.value.extra["errors"]) == 100


def test_a_submission_of_more_records_than_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every list in a request has a bound."""
    monkeypatch.setattr(judging, "RECORDS_MAX", 2)
    lines = [line(numbered("border-event", "one-adult", n)) for n in range(3)]

    assert judged("border-event", lines[:2]).received_count == 2
    with pytest.raises(BodyTooLarge):
        judged("border-event", lines)


def test_a_body_without_records_is_not_a_nil_return() -> None:
    """No events must be a statement, not silence."""
    with pytest.raises(RequestMalformed):
        judged("border-event", [])


def test_another_media_type_is_unsupported() -> None:
    """Only records and nil returns are understood."""
    with pytest.raises(MediaTypeUnsupported):
        judge(envelope_of([EVENT], provider=USA, media_type="text/csv"), contract("flow"), at=AT, sandbox=False)


def test_the_claimed_count_and_root_must_be_those_of_the_lines() -> None:
    """What the sender signed is every line it meant, refused ones included."""
    bad = line(numbered("border-event", "one-adult", 2, minors=7))
    lines = [EVENT, bad]
    root = root_of([leaf_hash(entry) for entry in lines])

    submission = judged("border-event", lines, claimed=ClaimedRecords(2, root))

    assert submission.root == root
    for claimed in (ClaimedRecords(3, root), ClaimedRecords(2, leaf_hash(EVENT))):
        with pytest.raises(RecordsRootMismatch):
            judged("border-event", lines, claimed=claimed)


@pytest.mark.parametrize("count", [100, 201])
def test_records_come_in_chunks_and_may_be_walked_twice(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside and inside the transaction the same records come out, in the order sent, without the refused one."""
    monkeypatch.setattr(judging, "CHUNK_RECORDS_MAX", 100)
    lines = [line(numbered("border-event", "one-adult", n, minors=7 if n == 1 else 0)) for n in range(count)]
    submission = judged("border-event", lines)

    first, second = (list(submission.records) for _ in range(2))

    assert all(len(chunk.rows) <= judging.CHUNK_RECORDS_MAX for chunk in first)
    numbers = [number for chunk in first for number in chunk.lines]
    assert numbers == [1, *range(3, count + 1)]
    assert [chunk.leaf_hashes for chunk in first] == [chunk.leaf_hashes for chunk in second]
    assert [digest for chunk in first for digest in chunk.leaf_hashes] == [leaf_hash(lines[n - 1]) for n in numbers]


def test_a_late_report_is_accepted_and_flagged() -> None:
    """A warning is for the sender to see, not a reason to lose the record; three days are not late, four are."""
    on_time = line(numbered("border-event", "late", 1, reported_at="2026-11-04T23:59:59Z"))
    late = line(numbered("border-event", "late", 2, reported_at="2026-11-05T00:00:00Z"))

    submission = judged("border-event", [on_time, late])

    assert submission.flags == {"rule:late": 1}
    assert submission.refused == ()


def test_the_specimen_country_is_accepted_only_in_a_sandbox() -> None:
    """Test data must not reach live statistics, and a sandbox needs a country that nobody is from."""
    utopian = line(record("border-event", "one-adult", citizenship="UTO"))

    assert judged("border-event", [utopian], sandbox=True).refused == ()
    assert first_error(utopian) == ("code-not-in-list", "/citizenship")


def nil(body: bytes, *, claimed: ClaimedRecords | None = None, product: str = "flow") -> str | None:
    envelope = envelope_of([body], provider=GTM, media_type=NIL_MEDIA_TYPE, claimed=claimed)
    submission = judge(envelope, contract(product), at=AT, sandbox=False)
    assert (submission.received_count, submission.root, list(submission.records)) == (0, EMPTY_ROOT, [])
    return submission.nil_period


def test_a_nil_return_says_that_a_period_had_no_events() -> None:
    """It is signed and stored like records, and has none."""
    assert nil(b'{"period":"2026-11"}', claimed=ClaimedRecords(0, EMPTY_ROOT)) == "2026-11"
    with pytest.raises(RecordsRootMismatch):
        nil(b'{"period":"2026-11"}', claimed=ClaimedRecords(1, EMPTY_ROOT))


@pytest.mark.parametrize(
    "body",
    [
        b'{"period":"2026-12"}',
        b'{"period":"1989-12"}',
        b'{"period":"2026-13"}',
        b'{"period": "2026-10"}',
        b"{}",
        b'{"period":"2026-10","x":1}',
        b'{"period":202610}',
        b"[]",
        b"",
        b"\xff",
        b'{"period":"2026-10"}' * 100,
    ],
)
def test_a_nil_return_of_another_form_or_time_is_malformed(body: bytes) -> None:
    """Nothing is guessed about a statement."""
    with pytest.raises(RequestMalformed):
        nil(body)
