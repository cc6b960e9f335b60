# SPDX-License-Identifier: Apache-2.0
"""There and back again; this file is about round trips of every wire format, and bytes that must not parse."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.canonical import INTEGER_LIMIT, canonical_bytes, parse_canonical
from gateway.wire.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from gateway.wire.digests import b64, b64url, format_content_digest, parse_content_digest, unb64, unb64url
from gateway.wire.entry import build_event, open_event, parse_entry
from gateway.wire.fields import format_records, parse_records
from gateway.wire.merkle import ProofInvalid
from gateway.wire.note import NoteInvalid, Verifier, format_vkey, parse_vkey, read_note
from gateway.wire.policy_file import LogPolicy, PolicyInvalid, PolicyKey, WitnessGroup, format_policy, parse_policy
from gateway.wire.proof import Proof, format_proof, parse_proof
from gateway.wire.tiles import TileRef, entry_bundle, parse_tile_path, split_bundle, tile_path

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(max_codepoint=0x7F), max_size=8)
SCALARS = st.booleans() | st.integers(-INTEGER_LIMIT + 1, INTEGER_LIMIT - 1) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
HASHES = st.binary(min_size=32, max_size=32)
NAMES = st.text(st.characters(categories=["L", "N"], include_characters="./-"), min_size=1, max_size=20)
SIZES = st.integers(1, 2**63 - 1)


@given(VALUES)
def test_canonical_json_is_that_of_a_second_implementation(value: object) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)
    assert parse_canonical(canonical_bytes(value)) == value


@given(VALUES, st.integers(0, 3))
def test_another_spelling_of_a_value_is_refused(value: object, indent: int) -> None:
    other = json.dumps([value], indent=indent, ensure_ascii=True).encode()

    if other != canonical_bytes([value]):
        with pytest.raises(ValueError, match=r"."):
            parse_canonical(other)


@given(st.binary(max_size=60))
def test_bytes_parse_as_canonical_json_only_when_they_are(data: bytes) -> None:
    try:
        value = parse_canonical(data)
    except ValueError:
        return
    assert canonical_bytes(value) == data


@given(st.binary(max_size=40))
def test_base64_goes_round(data: bytes) -> None:
    assert (unb64(b64(data)), unb64url(b64url(data))) == (data, data)


@given(st.text(st.characters(max_codepoint=0x7F), max_size=12))
def test_a_text_is_base64_only_in_its_one_spelling(text: str) -> None:
    for read, write in ((unb64, b64), (unb64url, b64url)):
        try:
            data = read(text)
        except ValueError:
            continue
        assert write(data) == text


@given(HASHES)
def test_a_content_digest_goes_round(digest: bytes) -> None:
    assert parse_content_digest(format_content_digest(digest)) == {"sha-256": digest}


@given(st.integers(0, 10**15 - 1), HASHES)
def test_the_records_field_goes_round(count: int, root: bytes) -> None:
    assert parse_records(format_records(count, root)) == (count, root)


@given(st.none() | st.integers(0, 63), st.integers(0, 2**50), st.integers(1, 256))
def test_a_tile_path_goes_round(level: int | None, index: int, width: int) -> None:
    path = tile_path(level, index, width)

    assert parse_tile_path(path) == TileRef(level, index, width)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_an_entry_bundle_goes_round(entries: list[bytes]) -> None:
    bundle = entry_bundle(entries)

    assert list(split_bundle(bundle)) == entries
    with pytest.raises(ValueError, match="bundle"):
        split_bundle(bundle[:-1])


@given(NAMES, SIZES, HASHES)
def test_a_checkpoint_goes_round(origin: str, size: int, root: bytes) -> None:
    assert parse_checkpoint(format_checkpoint(origin, size, root)) == Checkpoint(origin, size, root)


@given(NAMES, st.sampled_from([1, 4]), HASHES)
def test_a_verifier_key_goes_round(name: str, kind: int, public: bytes) -> None:
    verifier = Verifier(name, kind, public)

    assert parse_vkey(format_vkey(verifier)) == verifier


@given(st.text(max_size=60))
def test_any_text_is_a_note_or_is_refused(text: str) -> None:
    for data in (text, f"a\n\n— {text}\n"):
        try:
            note = read_note(data.encode(errors="surrogatepass"))
        except NoteInvalid:
            continue
        assert note.text.endswith("\n")


@given(st.integers(0, 2**53), st.lists(HASHES, max_size=8).map(tuple), st.none() | st.binary(max_size=20))
def test_a_proof_goes_round(index: int, hashes: tuple[bytes, ...], extra: bytes | None) -> None:
    proof = Proof(index, hashes, b"example.org/log\n1\nAA==\n\n\xe2\x80\x94 a AAAA\n", extra)

    assert parse_proof(format_proof(proof)) == proof


@given(st.text(max_size=80))
def test_any_text_is_a_proof_or_is_refused(text: str) -> None:
    for data in (text, f"c2sp.org/tlog-proof@v1\n{text}", f"c2sp.org/tlog-proof@v1\nindex 1\n{text}\n\nx"):
        try:
            proof = parse_proof(data)
        except ProofInvalid:
            continue
        assert format_proof(proof) == data


@st.composite
def policies(draw: st.DrawFn) -> LogPolicy:
    publics = draw(st.lists(HASHES, min_size=1, max_size=6, unique=True))
    logs = (PolicyKey(Verifier(draw(NAMES), 1, publics[0]), draw(st.sampled_from(["", "https://log.example"]))),)
    witnesses = {f"w{at}": PolicyKey(Verifier(draw(NAMES), 4, key)) for at, key in enumerate(publics[1:])}
    groups: dict[str, WitnessGroup] = {}
    if witnesses:
        groups["g"] = WitnessGroup(draw(st.integers(1, len(witnesses))), tuple(witnesses))
    return LogPolicy(logs, witnesses, groups, draw(st.sampled_from(["none", *witnesses, *groups])))


@given(policies())
def test_a_policy_goes_round(policy: LogPolicy) -> None:
    assert parse_policy(format_policy(policy)) == policy


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_is_refused(text: str) -> None:
    for data in (text, f"log {text}\nquorum none", f"quorum none\n{text}", f"group {text}\nquorum none"):
        try:
            policy = parse_policy(data)
        except PolicyInvalid:
            continue
        assert parse_policy(format_policy(policy)) == policy


@given(
    fields=st.dictionaries(KEYS.filter(lambda name: name not in {"_sd", "_sd_alg", "..."}), VALUES, max_size=6),
    key=st.binary(min_size=16, max_size=32),
    shown=st.randoms(use_true_random=False),
)
def test_an_event_opens_to_the_fields_that_are_shown(fields: dict[str, object], key: bytes, shown: object) -> None:
    at = datetime(2026, 11, 24, 2, 0, 0, 123456, tzinfo=UTC)
    event = build_event(event_id="01976b1e-0000-7000-8000-000000000000", at=at, fields=fields, key=key)
    some = [one for one in event.disclosures if shown.random() < 0.5]

    assert open_event(event.entry, event.payload, event.disclosures) == fields
    opened = open_event(event.entry, event.payload, some)
    assert opened.items() <= fields.items()
    assert len(opened) == len(some)
    assert parse_entry(event.entry).at == at
