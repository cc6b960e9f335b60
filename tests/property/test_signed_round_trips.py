# SPDX-License-Identifier: Apache-2.0
"""What is signed, opened again; this file is about round trips of notes, envelopes, messages, receipts and keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import format_instant, parse_instant
from gateway.identifiers import id_instant, is_id, new_id
from gateway.wire.checkpoint import format_checkpoint
from gateway.wire.dsse import EnvelopeInvalid, sign_envelope, verify_envelope
from gateway.wire.entry import build_event
from gateway.wire.http_message import AnswerHead, RequestHead, SignatureRefused
from gateway.wire.http_signature import (
    REQUEST_TAG,
    parse_signature,
    request_covered,
    sign_answer,
    sign_request,
    signature_base,
    verify_answer,
)
from gateway.wire.keys import (
    FileSigner,
    InvalidSignature,
    ed25519_der,
    jwk_of,
    public_of_der,
    public_of_jwk,
    public_raw,
    published_jwk,
    signing_public,
    verify_bytes,
)
from gateway.wire.merkle import inclusion_proof, leaf_hash, root_of
from gateway.wire.note import NoteInvalid, format_vkey, open_note, read_note, sign_note, verifier_of
from gateway.wire.policy_file import LogPolicy, PolicyKey
from gateway.wire.problem import Problem
from gateway.wire.proof import Proof, format_proof
from gateway.wire.receipt import format_receipt, status_under, verify_receipt
from gateway.wire.tiles import hash_reader, split_tile
from tests.property.test_wire_round_trips import HASHES, KEYS, VALUES

EDWARDS = st.binary(min_size=32, max_size=32).map(ed25519.Ed25519PrivateKey.from_private_bytes).map(FileSigner.of)
P256 = st.integers(1, 2**200).map(lambda number: FileSigner.of(ec.derive_private_key(number, ec.SECP256R1())))
SIGNERS = EDWARDS | P256
NAME = "gateway.example/log/2026"
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
FIELDS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), PRINTABLE, max_size=3)
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12), min_size=1, max_size=4).map(
    lambda lines: "".join(f"{one}\n" for one in lines)
)


@given(TEXTS, EDWARDS, EDWARDS)
def test_a_note_opens_to_its_text_with_its_key_only(text: str, signer: FileSigner, stranger: FileSigner) -> None:
    note = sign_note(text, signer, NAME)

    assert read_note(note).text == text
    assert open_note(note, [verifier_of(signer, NAME)]) == (text, (verifier_of(signer, NAME),))
    if stranger.keyid != signer.keyid:
        with pytest.raises(NoteInvalid):
            open_note(note, [verifier_of(stranger, NAME)])


@given(st.binary(max_size=60), st.lists(SIGNERS, min_size=1, max_size=3, unique_by=lambda one: one.keyid), PRINTABLE)
def test_an_envelope_opens_to_its_payload_for_its_type_only(
    payload: bytes, signers: list[FileSigner], kind: str
) -> None:
    keys = {signer.keyid: public_of_der(signer.public_der) for signer in signers}
    envelope = json.loads(json.dumps(sign_envelope(kind, payload, signers)))

    assert verify_envelope(envelope, keys, payload_type=kind) == (payload, keys.keys())
    with pytest.raises(EnvelopeInvalid):
        verify_envelope({**envelope, "payloadType": kind + "x"}, keys, payload_type=kind + "x")


@given(SIGNERS, FIELDS, PRINTABLE, st.integers(0, 10**12), st.data())
def test_a_signed_request_is_read_as_it_was_signed(
    signer: FileSigner, fields: dict[str, str], nonce: str, created: int, data: st.DataObject
) -> None:
    headers = {"content-digest": "sha-256=:AAAA:", "content-type": "a/b", "idempotency-key": "k", **fields}
    covered = (
        *request_covered(headers),
        *data.draw(st.permutations(sorted(fields.keys() - set(request_covered(headers))))),
    )
    uri = "https://gateway.example/v1?" + data.draw(PRINTABLE)
    signed = sign_request(
        signer, method="POST", target_uri=uri, headers=headers, covered=covered, created=created, nonce=nonce
    )

    parsed = parse_signature(signed["Signature-Input"], signed["Signature"], tag=REQUEST_TAG)
    base = signature_base(parsed.components, parsed.params, request=RequestHead.of("POST", uri, headers))
    assert tuple(component.name for component in parsed.components) == covered
    assert (parsed.nonce, parsed.created, parsed.keyid, parsed.alg) == (nonce, created, signer.keyid, signer.algorithm)
    verify_bytes(signer.algorithm, signer.public_der, parsed.signature, base)
    with pytest.raises(InvalidSignature):
        verify_bytes(signer.algorithm, signer.public_der, parsed.signature, base + b" ")


@given(SIGNERS, FIELDS, st.integers(100, 599), st.integers(0, 10**12))
def test_a_signed_answer_verifies_for_its_status_only(
    signer: FileSigner, fields: dict[str, str], status: int, created: int
) -> None:
    request = ("POST", "https://gateway.example/v1", {"content-digest": "sha-256=:AAAA:", "signature": "a=:AAAA:"})
    headers = {"content-type": "a/b", "content-digest": "sha-256=:AAAA:", **fields}
    keys = {signer.keyid: public_of_der(signer.public_der)}
    answer = headers | sign_answer(signer, status=status, headers=headers, request=request, created=created)

    assert verify_answer(status=status, headers=answer, request=request, keys=keys).created == created
    assert AnswerHead.of(status, answer).give("@status") == str(status)
    with pytest.raises(SignatureRefused):
        verify_answer(status=status + 1, headers=answer, request=request, keys=keys)


@settings(max_examples=40)
@given(st.dictionaries(KEYS.filter(lambda name: name not in {"_sd", "_sd_alg", "..."}), VALUES, max_size=4), EDWARDS,
       st.lists(st.binary(max_size=8), max_size=9), INSTANTS, st.data())  # fmt: skip
def test_a_receipt_opens_to_what_was_logged(
    fields: dict[str, Any], log: FileSigner, others: list[bytes], at: datetime, data: st.DataObject
) -> None:
    event = build_event(event_id=new_id(at), at=at, fields=fields, key=bytes(16))
    index = data.draw(st.integers(0, len(others)))
    hashes = [leaf_hash(leaf) for leaf in [*others[:index], event.entry, *others[index:]]]
    note = sign_note(format_checkpoint(NAME, len(hashes), root_of(hashes)), log, NAME)
    path = inclusion_proof(index, len(hashes), hash_reader(lambda _level, _index: b"".join(hashes)))
    policy = LogPolicy((PolicyKey(verifier_of(log, NAME)),))
    receipt = format_receipt(
        entry=event.entry,
        payload=event.payload,
        disclosures=event.disclosures,
        proof=format_proof(Proof(index, path, note)),
        origin=NAME,
        vkey=format_vkey(verifier_of(log, NAME)),
        policy_digest=policy.digest,
        status=status_under(policy),
    )

    verified = verify_receipt(json.loads(json.dumps(receipt)), policy=policy)
    assert (verified.fields, verified.at) == (fields, at)
    assert (verified.leaf_index, verified.tree_size) == (index, len(hashes))


@given(SIGNERS)
def test_a_key_is_itself_in_every_form(signer: FileSigner) -> None:
    public = public_of_der(signer.public_der)

    assert public == public_of_jwk(published_jwk(signer))
    assert (public.keyid, public.algorithm, public.der) == (signer.keyid, signer.algorithm, signer.public_der)
    assert published_jwk(signer).items() >= jwk_of(signer._key.public_key()).items()
    assert signing_public(signer._key.public_key()) == public


@given(HASHES)
def test_an_edwards_key_is_its_thirty_two_bytes(raw: bytes) -> None:
    assert public_raw(ed25519_der(raw)) == raw


@given(st.lists(HASHES, min_size=1, max_size=256))
def test_a_tile_is_its_hashes(hashes: list[bytes]) -> None:
    assert list(split_tile(b"".join(hashes))) == hashes
    with pytest.raises(ValueError, match="tile"):
        split_tile(b"".join(hashes)[:-1])


@given(INSTANTS)
def test_an_instant_and_an_id_go_round(at: datetime) -> None:
    assert parse_instant(format_instant(at)) == at
    made = new_id(at)
    assert is_id(made)
    assert abs((id_instant(made) - at).total_seconds()) < 0.01


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4), st.text(max_size=5), st.text(max_size=5))
def test_no_member_of_a_problem_takes_the_place_of_another(extra: dict[str, Any], event: str, hint: str) -> None:
    named = {"type": "t", "title": "t", "status": 400, "detail": "d", "reason": "r"}

    document = Problem(**named, audit_event=event, hint=hint, extra=extra).to_dict()
    assert document.items() >= named.items()
    assert document.get("audit_event") == (event or extra.get("audit_event"))
    assert document.keys() >= extra.keys()
