# SPDX-License-Identifier: Apache-2.0
"""A receipt and everything one could change in it; this file is about receipts, proofs, policies and entries."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.wire.canonical import canonical_bytes
from gateway.wire.checkpoint import format_checkpoint
from gateway.wire.digests import b64url, sha256, unb64url
from gateway.wire.entry import EntryInvalid, build_event, disclose, open_event, parse_entry
from gateway.wire.keys import FileSigner
from gateway.wire.merkle import ProofInvalid, inclusion_proof, leaf_hash, root_of
from gateway.wire.note import TYPE_COSIGNATURE, Verifier, format_vkey, sign_note, signature_line, verifier_of
from gateway.wire.policy_file import (
    LogPolicy,
    PolicyInvalid,
    PolicyKey,
    QuorumMissing,
    WitnessGroup,
    format_policy,
    parse_policy,
)
from gateway.wire.proof import Proof, format_proof, parse_proof, verify_proof
from gateway.wire.receipt import ReceiptInvalid, format_receipt, verify_receipt
from gateway.wire.tiles import hash_reader

NAME = "gateway.example/log/2026"
ID = "01976b1e-0000-7000-8000-000000000000"
AT = datetime(2026, 11, 24, 2, 0, 0, 123456, tzinfo=UTC)
KEY, PERSONAL_KEY = bytes(range(32)), bytes(range(32, 64))
LOG = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_LOG = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(9, 41))))
WITNESSES = [ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32)) for seed in (1, 2, 3)]
POLICY = LogPolicy((PolicyKey(verifier_of(LOG, NAME)),))
EVENT = build_event(
    event_id=ID,
    at=AT,
    fields={"kind": "submission.accepted", "records": 2, "refused": ["a", {"b": True}]},
    key=KEY,
    personal={"person": "P. Q."},
    personal_key=PERSONAL_KEY,
)
LEAVES = [b"other", EVENT.entry, b"another"]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def proof_text(name: str = NAME, signer: FileSigner = LOG, cosigners: int = 0, origin: str = NAME) -> str:
    text = format_checkpoint(origin, len(LEAVES), root_of(HASHES))
    note = sign_note(text, signer, name)
    for private in WITNESSES[:cosigners]:
        verifier = witness_of(private)
        signature = private.sign(f"cosignature/v1\ntime 1\n{text}".encode())
        note += signature_line(verifier.name, verifier.key_hash, (1).to_bytes(8, "big") + signature).encode()
    tiles = hash_reader(lambda _level, _index: b"".join(HASHES))
    return format_proof(Proof(1, inclusion_proof(1, len(LEAVES), tiles), note))


def witness_of(private: ed25519.Ed25519PrivateKey) -> Verifier:
    return Verifier("witness.example", TYPE_COSIGNATURE, private.public_key().public_bytes_raw())


def receipt_with(proof: str | None = None, status: str = "unwitnessed", policy: LogPolicy = POLICY) -> dict[str, Any]:
    return format_receipt(
        entry=EVENT.entry,
        payload=EVENT.payload,
        disclosures=EVENT.disclosures,
        proof=proof or proof_text(),
        origin=NAME,
        vkey=format_vkey(verifier_of(LOG, NAME)),
        policy_digest=policy.digest,
        status=status,
    )


def witnessed(quorum: str, threshold: int = 2) -> LogPolicy:
    witnesses = {f"w{at}": PolicyKey(witness_of(private)) for at, private in enumerate(WITNESSES)}
    return replace(POLICY, witnesses=witnesses, groups={"g": WitnessGroup(threshold, tuple(witnesses))}, quorum=quorum)


def test_a_receipt_opens_after_a_trip_through_json() -> None:
    verified = verify_receipt(json.loads(json.dumps(receipt_with())), policy=POLICY)

    assert verified.fields == {
        "kind": "submission.accepted",
        "records": 2,
        "refused": ["a", {"b": True}],
        "person": "P. Q.",
    }
    assert (verified.event_id, verified.at, verified.origin) == (ID, AT, NAME)
    assert (verified.leaf_index, verified.tree_size, verified.status) == (1, 3, "unwitnessed")


def test_the_leaf_is_short_and_names_neither_party_nor_kind() -> None:
    assert len(EVENT.entry) == 137
    assert json.loads(EVENT.entry).keys() == {"at", "id", "sd", "v"}
    assert b"submission" not in EVENT.entry + EVENT.payload


def test_a_receipt_that_hides_a_field_still_verifies() -> None:
    receipt = receipt_with()
    receipt["event"]["disclosures"] = receipt["event"]["disclosures"][:1]

    assert len(verify_receipt(receipt, policy=POLICY).fields) == 1


def changed(path: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    receipt = copy.deepcopy(receipt_with())
    holder: Any = receipt
    *way, last = path.split(".")
    for step in way:
        holder = holder[step]
    holder[last] = change(holder[last])
    return receipt


FOREIGN = disclose({"kind": "submission.refused"}, KEY)[0]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("event", lambda _: None),
        ("event.entry", lambda text: text.replace("24T", "25T")),
        ("event.entry", lambda text: text + "\n"),
        ("event.entry", lambda _: 7),
        ("event.entry", lambda _: "\ud800"),
        ("event.payload", lambda text: text + " "),
        ("event.payload", lambda text: text.replace("sha-256", "sha-512")),
        ("event.disclosures", lambda _: None),
        ("event.disclosures", lambda all_: [*all_, FOREIGN]),
        ("event.disclosures", lambda all_: [*all_, all_[0]]),
        ("event.disclosures", lambda all_: [all_[0] + "=", *all_[1:]]),
        ("event.disclosures", lambda _: ["\ud800"]),
        ("event.disclosures", lambda _: [1]),
        ("event.disclosures", lambda _: ["x"] * 300),
        ("proof", lambda text: text.replace("index 1", "index 0")),
        ("proof", lambda text: text.replace("index 1", "index 01")),
        ("proof", lambda text: text.replace("\n3\n", "\n4\n")),
        ("proof", lambda text: text.replace("proof@v1", "proof@v2")),
        ("proof", lambda text: text[:-2]),
        ("proof", lambda _: ""),
        ("proof", lambda _: proof_text(signer=OTHER_LOG)),
        ("proof", lambda _: proof_text(name="gateway.example/other")),
        ("proof", lambda _: proof_text(origin="gateway.example/other")),
        ("log", lambda _: "x"),
        ("log.origin", lambda _: "gateway.example/log/2027"),
        ("log.vkey", lambda _: format_vkey(verifier_of(OTHER_LOG, NAME))),
        ("log.vkey", lambda _: None),
        ("log.policy", lambda _: "0" * 64),
        ("log.policy", lambda _: None),
        ("log", lambda log: {**log, "witness": "x"}),
        ("event", lambda event: {**event, "kind": "submission.accepted"}),
        ("event", lambda event: {name: event[name] for name in ("entry", "payload")}),
        ("proof", lambda text: text.replace("\nindex", "\nextra YW55\nindex")),
        ("proof", lambda text: text.replace("\nindex", "\nnote YW55\nindex")),
        ("proof", lambda text: text.replace("\n\n", "\nnote YW55\n\n", 1)),
        ("status", lambda _: "final"),
        ("status", lambda _: None),
    ],
)
def test_a_receipt_with_anything_changed_is_refused(path: str, change: Callable[[Any], Any]) -> None:
    with pytest.raises(ReceiptInvalid):
        verify_receipt(changed(path, change), policy=POLICY)


def test_a_receipt_has_no_further_members() -> None:
    """Who reads the file would take them for proven."""
    with pytest.raises(ReceiptInvalid, match="form"):
        verify_receipt({**receipt_with(), "records": 5}, policy=POLICY)


def test_the_key_inside_a_receipt_is_never_believed() -> None:
    """A forger writes a log of its own and puts that log's key into the receipt."""
    receipt = receipt_with(proof_text(signer=OTHER_LOG))
    receipt["log"]["vkey"] = format_vkey(verifier_of(OTHER_LOG, NAME))

    with pytest.raises(ReceiptInvalid, match="no known key"):
        verify_receipt(receipt, policy=POLICY)


@pytest.mark.parametrize(("cosigners", "threshold"), [(2, 2), (3, 2), (3, 3), (1, 1)])
def test_a_quorum_of_witnesses_makes_a_receipt_final(cosigners: int, threshold: int) -> None:
    policy = witnessed("g", threshold)
    receipt = receipt_with(proof_text(cosigners=cosigners), "final", policy)

    assert verify_receipt(receipt, policy=policy).status == "final"


@pytest.mark.parametrize(("cosigners", "threshold"), [(0, 1), (1, 2), (2, 3)])
def test_too_few_witnesses_prove_nothing_under_a_policy_with_a_quorum(cosigners: int, threshold: int) -> None:
    with pytest.raises(ReceiptInvalid, match="fewer witnesses"):
        verify_receipt(receipt_with(proof_text(cosigners=cosigners), "final"), policy=witnessed("g", threshold))


def test_a_witness_cannot_stand_in_for_the_log() -> None:
    text = format_checkpoint("witness.example", len(LEAVES), root_of(HASHES))
    private = WITNESSES[0]
    signature = private.sign(f"cosignature/v1\ntime 1\n{text}".encode())
    line = signature_line("witness.example", witness_of(private).key_hash, (1).to_bytes(8, "big") + signature)
    tiles = hash_reader(lambda _level, _index: b"".join(HASHES))
    proof = Proof(1, inclusion_proof(1, 3, tiles), f"{text}\n{line}".encode())

    with pytest.raises(ProofInvalid, match="no log"):
        verify_proof(proof, EVENT.entry, witnessed("w0"))


def test_groups_of_groups_count_each_witness_in_its_group() -> None:
    policy = witnessed("both", 2)
    policy = replace(policy, groups={**policy.groups, "both": WitnessGroup(1, ("g",))})
    keys = [witness_of(private) for private in WITNESSES]

    policy.require_quorum(keys[:2])
    for few in ([], keys[:1], [verifier_of(LOG, NAME)]):
        with pytest.raises(QuorumMissing):
            policy.require_quorum(few)


def test_extra_data_of_a_proof_is_carried_and_not_believed() -> None:
    proof = replace(parse_proof(proof_text()), extra=b"anything")

    assert parse_proof(format_proof(proof)) == proof
    assert verify_proof(proof, EVENT.entry, POLICY)[1] == POLICY.logs[0].verifier


VKEYS = [format_vkey(witness_of(private)) for private in WITNESSES]
LOG_LINE = f"log {format_vkey(verifier_of(LOG, NAME))}"


def test_a_policy_with_comments_and_groups_is_read() -> None:
    """The shape of the example in C2SP tlog-policy."""
    text = (
        f"# who is believed\n\n \t {LOG_LINE}  https://gateway.example/log\nwitness X1 {VKEYS[0]}\n"
        f"witness X2 {VKEYS[1]} https://w.example\ngroup X 2 X1 X2\nwitness Y {VKEYS[2]}\n"
        "group all all X Y\nquorum all\n"
    )
    policy = parse_policy(text)

    assert policy.quorum == "all"
    assert policy.groups == {"X": WitnessGroup(2, ("X1", "X2")), "all": WitnessGroup(2, ("X", "Y"))}
    assert parse_policy(format_policy(policy)) == policy
    assert policy.digest == sha256(format_policy(policy).encode()).hex()


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOG_LINE,
        "quorum",
        "quorum none none",
        "quorum none\nquorum none",
        "quorum X",
        "log",
        f"{LOG_LINE}\n{LOG_LINE}\nquorum none",
        f"{LOG_LINE} a b\nquorum none",
        f"log {VKEYS[0]}\nquorum none",
        f"witness X {format_vkey(verifier_of(LOG, NAME))}\nquorum none",
        "witness\nquorum none",
        f"witness none {VKEYS[0]}\nquorum none",
        f"witness X {VKEYS[0]}\nwitness X {VKEYS[1]}\nquorum X",
        f"witness X {VKEYS[0]}\nwitness Y {VKEYS[0]}\nquorum X",
        f"group G 1 X\nwitness X {VKEYS[0]}\nquorum G",
        f"witness X {VKEYS[0]}\ngroup G 0 X\nquorum G",
        f"witness X {VKEYS[0]}\ngroup G 2 X\nquorum G",
        f"witness X {VKEYS[0]}\ngroup G 01 X\nquorum G",
        f"witness X {VKEYS[0]}\ngroup G any X X\nquorum G",
        f"witness X {VKEYS[0]}\ngroup G any X\ngroup H any X\nquorum H",
        f"witness X {VKEYS[0]}\ngroup G any none\nquorum G",
        f"witness X {VKEYS[0]}\ngroup G any G\nquorum G",
        f"quorum X\nwitness X {VKEYS[0]}",
        "quorum none\r\n",
        "quorum\u00a0none",
        "monitor x\nquorum none",
        "# " + "x" * 70_000 + "\nquorum none",
    ],
)
def test_malformed_policies_are_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(text)


def test_salts_differ_by_field_and_key_and_personal_ones_have_a_key_of_their_own() -> None:
    def salt(disclosure: str) -> str:
        return json.loads(unb64url(disclosure))[0]

    (first,) = disclose({"a": 1}, KEY)

    assert len(unb64url(salt(first))) == 16
    assert salt(first) != salt(disclose({"b": 1}, KEY)[0])
    assert salt(first) != salt(disclose({"a": 1}, PERSONAL_KEY)[0])
    assert salt(first) == salt(disclose({"a": 2}, KEY)[0])


@pytest.mark.parametrize(
    ("fields", "key", "personal", "personal_key"),
    [
        ({"a": 1}, b"short", {}, b""),
        ({"a": 1}, KEY, {"b": 1}, b""),
        ({"a": 1}, KEY, {"b": 1}, KEY),
        ({"a": 1}, KEY, {"a": 1}, PERSONAL_KEY),
        ({"_sd": 1}, KEY, {}, b""),
        ({"...": 1}, KEY, {}, b""),
        ({"a": None}, KEY, {}, b""),
        ({"a": 1.5}, KEY, {}, b""),
        ({str(number): 1 for number in range(257)}, KEY, {}, b""),
    ],
)
def test_an_event_that_could_not_be_opened_or_forgotten_is_not_built(
    fields: dict[str, Any], key: bytes, personal: dict[str, Any], personal_key: bytes
) -> None:
    with pytest.raises(ValueError, match=r"."):
        build_event(event_id=ID, at=AT, fields=fields, key=key, personal=personal, personal_key=personal_key)


def payload_with(content: Any) -> tuple[bytes, bytes]:
    payload = canonical_bytes(content)
    leaf = {"at": "2026-11-24T02:00:00.123456Z", "id": ID, "sd": b64url(sha256(payload)), "v": 1}
    return canonical_bytes(leaf), payload


DIGEST = b64url(sha256(b"x"))


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"_sd": [DIGEST]},
        {"_sd": [DIGEST], "_sd_alg": "md5"},
        {"_sd": DIGEST, "_sd_alg": "sha-256"},
        {"_sd": [1], "_sd_alg": "sha-256"},
        {"_sd": [DIGEST, DIGEST], "_sd_alg": "sha-256"},
        {"_sd": ["b", "a"], "_sd_alg": "sha-256"},
        {"_sd": [DIGEST], "_sd_alg": "sha-256", "plain": "field"},
        {"_sd": sorted(str(number) for number in range(300)), "_sd_alg": "sha-256"},
    ],
)
def test_a_malformed_payload_is_refused(content: Any) -> None:
    entry, payload = payload_with(content)

    with pytest.raises(EntryInvalid):
        open_event(entry, payload, [])


@pytest.mark.parametrize("content", [[], ["salt", "name"], [1, "name", 1], ["s", 1, 1], ["s", "_sd", 1], {}, "x"])
def test_a_malformed_disclosure_is_refused_though_its_digest_is_there(content: Any) -> None:
    disclosure = b64url(canonical_bytes(content))
    entry, payload = payload_with({"_sd": [b64url(sha256(disclosure.encode()))], "_sd_alg": "sha-256"})

    with pytest.raises(EntryInvalid):
        open_event(entry, payload, [disclosure])


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"v": "1"},
        {"id": "x"},
        {"id": 1},
        {"sd": DIGEST[:-1]},
        {"sd": "AA"},
        {"at": "2026-11-24T02:00:00Z"},
        {"at": "2026-11-24T02:00:00.1Z"},
        {"at": "2026-1-4T02:00:00.123456Z"},
        {"extra": 1},
    ],
)
def test_a_malformed_leaf_is_refused(change: dict[str, Any]) -> None:
    leaf = {"at": "2026-11-24T02:00:00.123456Z", "id": ID, "sd": DIGEST, "v": 1, **change}

    with pytest.raises(EntryInvalid):
        parse_entry(canonical_bytes(leaf))
