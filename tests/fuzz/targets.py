# SPDX-License-Identifier: Apache-2.0
"""What reads the bytes of others; this file is about the parsers that are fuzzed, and what each must keep.

A target takes any bytes. It may refuse them with the exceptions that its parser declares and with nothing else;
what it accepts must be the one spelling of its value, or whatever else the parser promises.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography import x509

from gateway.aggregates.query import parse_query
from gateway.api.language import LANGUAGES, language_of
from gateway.api.peer import peer_certificate
from gateway.client.config import load_config
from gateway.client.failures import ConfigInvalid
from gateway.clock import format_instant, parse_instant
from gateway.contracting.strict_yaml import parse_yaml
from gateway.errors import ContractViolated, ForbiddenField, Refusal, WrongProvider
from gateway.identifiers import is_id
from gateway.identity.anchors import AnchorsInvalid, CountryAnchors, load_anchors
from gateway.identity.identify import PinnedPartner, identify_partner
from gateway.importing.csv import InputUnreadable, lines_of_csv
from gateway.settings import SettingsInvalid, load_settings
from gateway.signing.decoding import BodyBroken, Decoder
from gateway.signing.head import verify_signature
from gateway.trip import PeerCertificate
from gateway.wire.canonical import canonical_bytes, parse_canonical
from gateway.wire.checkpoint import format_checkpoint, parse_checkpoint
from gateway.wire.digests import b64, b64url, parse_content_digest, sha256, unb64, unb64url
from gateway.wire.dsse import EnvelopeInvalid, verify_envelope
from gateway.wire.entry import EntryInvalid, open_event, parse_entry
from gateway.wire.fields import format_records, parse_dictionary, parse_records
from gateway.wire.http_message import RequestHead, SignatureRefused
from gateway.wire.http_signature import REQUEST_TAG, parse_signature, signature_base, verify_answer
from gateway.wire.keys import KeyUnsupported, public_of_der, public_of_jwk
from gateway.wire.merkle import ProofInvalid
from gateway.wire.note import NoteInvalid, format_vkey, open_note, parse_vkey, read_note
from gateway.wire.policy_file import PolicyInvalid, format_policy, parse_policy
from gateway.wire.proof import format_proof, parse_proof, verify_proof
from gateway.wire.receipt import ReceiptInvalid, verify_receipt
from gateway.wire.tiles import entry_bundle, parse_tile_path, split_bundle, split_tile, tile_path
from tests.fuzz.seeds import EVENT, FLOW, LOG_TEXT, POLICY, PRODUCTS, SEEDS, SIGNED_HEAD
from tests.unit.contracting.submissions import contract, judged
from tests.unit.signing.test_head import NOW, PARTNER, URI, request_with
from tests.unit.wire.test_documents import KEYS, TYPE
from tests.unit.wire.test_http_signature import ANSWER, REQUEST
from tests.unit.wire.test_http_signature import KEYS as ANSWER_KEYS

PIECE_BYTES_MAX: Final = 8 << 20
DECODED_BYTES_MAX: Final = 32 << 20


class Unfit(Exception):
    """These bytes are not what the parser is called with: no text, or no JSON object."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: what feeds it, how it may refuse, and valid inputs to start from."""

    name: str
    feed: Callable[[bytes], None]
    refuses: tuple[type[Exception], ...]

    @property
    def seeds(self) -> tuple[bytes, ...]:
        return SEEDS[self.name]

    def accepts(self, data: bytes) -> bool:
        """Say whether the parser takes some bytes; anything but a declared refusal is raised: a defect."""
        try:
            self.feed(data)
        except (Unfit, *self.refuses):
            return False
        return True


TARGETS: Final[dict[str, Target]] = {}
Feed = Callable[[bytes], None]


def target(name: str, *refuses: type[Exception]) -> Callable[[Feed], Feed]:
    """Make a target of what feeds a parser."""

    def register(feed: Feed) -> Feed:
        TARGETS[name] = Target(name, feed, refuses)
        return feed

    return register


@target("canonical", ValueError)
def _canonical(data: bytes) -> None:
    assert canonical_bytes(parse_canonical(data)) == data


@target("base64", ValueError)
def _base64(data: bytes) -> None:
    assert b64(unb64(_text(data))).encode() == data


@target("base64url", ValueError)
def _base64url(data: bytes) -> None:
    assert b64url(unb64url(_text(data))).encode() == data


@target("content_digest", ValueError)
def _content_digest(data: bytes) -> None:
    for algorithm, digest in parse_content_digest(data.decode("latin-1")).items():
        assert len(digest) == {"sha-256": 32, "sha-512": 64}[algorithm]


@target("structured", ValueError)
def _structured(data: bytes) -> None:
    assert all(len(member) == 2 for member in parse_dictionary(data.decode("latin-1")).values())


@target("records_field", ValueError)
def _records_field(data: bytes) -> None:
    count, root = parse_records(data.decode("latin-1"))
    assert parse_records(format_records(count, root)) == (count, root)


@target("http_signature", SignatureRefused)
def _http_signature(data: bytes) -> None:
    signature_input, _, signature = data.decode("latin-1").partition("\n")
    parsed = parse_signature(signature_input, signature, tag=REQUEST_TAG)
    # Written again it is read as the same, so that two readers of one message cannot differ.
    again = parse_signature(
        f"{parsed.label}={parsed.params}", f"{parsed.label}=:{b64(parsed.signature)}:", tag=parsed.tag
    )
    assert again == parsed
    base = signature_base(parsed.components, parsed.params, request=RequestHead.of("POST", URI, _fields(SIGNED_HEAD)))
    assert base.count(b"\n") == len(parsed.components)


@target("submission_head", Refusal)
def _submission_head(data: bytes) -> None:
    head = verify_signature(request_with(_fields(data)), PARTNER, at=NOW)
    # Only what the partner signed gets here: every signed field is in the base, whatever the mutation did around it.
    assert f'"content-type": {dict(_fields(SIGNED_HEAD))["content-type"]}'.encode() in head.signature_base
    assert head.partner is PARTNER


@target("answer", SignatureRefused)
def _answer(data: bytes) -> None:
    verify_answer(status=201, headers=_fields(data), request=REQUEST, keys=ANSWER_KEYS)
    signed = dict(_fields(data))
    assert all(signed[name] == value for name, value in ANSWER)


def _fields(data: bytes) -> list[tuple[str, str]]:
    lines = (line.partition(": ") for line in data.decode("latin-1").split("\n"))
    return [(name.lower(), value) for name, _, value in lines]


@target("note", NoteInvalid)
def _note(data: bytes) -> None:
    read_note(data)
    # Nothing but the text that was signed opens, however its note was changed.
    with suppress(NoteInvalid):
        assert open_note(data, POLICY.verifiers)[0] == LOG_TEXT


@target("vkey", ValueError)
def _vkey(data: bytes) -> None:
    assert format_vkey(parse_vkey(_text(data))).encode() == data


@target("checkpoint", ValueError)
def _checkpoint(data: bytes) -> None:
    checkpoint = parse_checkpoint(_text(data))
    assert format_checkpoint(checkpoint.origin, checkpoint.tree_size, checkpoint.root).encode() == data


@target("proof", ProofInvalid)
def _proof(data: bytes) -> None:
    proof = parse_proof(_text(data))
    assert format_proof(proof).encode() == data
    with suppress(ProofInvalid):
        assert verify_proof(proof, EVENT.entry, POLICY)[0].tree_size == 3


@target("receipt", ReceiptInvalid)
def _receipt(data: bytes) -> None:
    document = _object(data)
    verified = verify_receipt(document, policy=POLICY)
    assert document["event"]["entry"] == EVENT.entry.decode()
    assert (verified.leaf_index, verified.tree_size) == (1, 3)


@target("policy_file", PolicyInvalid)
def _policy_file(data: bytes) -> None:
    policy = parse_policy(_text(data))
    assert parse_policy(format_policy(policy)) == policy


@target("entry", EntryInvalid)
def _entry(data: bytes) -> None:
    entry = parse_entry(data)
    assert format_instant(entry.at).encode() in data
    assert len(entry.event_id) == 36


@target("event", EntryInvalid)
def _event(data: bytes) -> None:
    payload, *disclosures = data.split(b"\n")
    opened = open_event(EVENT.entry, payload, [_text(one) for one in disclosures])
    whole = open_event(EVENT.entry, EVENT.payload, EVENT.disclosures)
    assert opened.items() <= whole.items()


@target("dsse", EnvelopeInvalid)
def _dsse(data: bytes) -> None:
    payload, signers = verify_envelope(_object(data), KEYS, payload_type=TYPE)
    assert payload == b"{}"
    assert signers <= KEYS.keys()


@target("jwk", KeyUnsupported)
def _jwk(data: bytes) -> None:
    public_of_jwk(_object(data))


@target("public_key", KeyUnsupported)
def _public_key(data: bytes) -> None:
    assert public_of_der(public_of_der(data).der).keyid == public_of_der(data).keyid


@target("tile_path", ValueError)
def _tile(data: bytes) -> None:
    ref = parse_tile_path(_text(data))
    assert tile_path(ref.level, ref.index, ref.width).encode() == data


@target("entry_bundle", ValueError)
def _bundle(data: bytes) -> None:
    assert entry_bundle(split_bundle(data)) == data
    with suppress(ValueError):
        assert b"".join(split_tile(data)) == data


@target("instant", ValueError)
def _instant(data: bytes) -> None:
    parse_instant(_text(data))


@target("identifier")
def _identifier(data: bytes) -> None:
    text = _text(data)
    if not is_id(text):
        raise Unfit
    assert len(text) == 36


@target("strict_yaml", ValueError, yaml.YAMLError)
def _strict_yaml(data: bytes) -> None:
    assert isinstance(parse_yaml(_text(data)), dict)


@target("sdmx_query", Refusal)
def _sdmx_query(data: bytes) -> None:
    key, _, query = data.decode("latin-1").partition("\n")
    structures = (FLOW.structure,)
    _, asked = parse_query(structures, agency="GATEWAY", dataflow="FLOW", version="1.0.0", key=key, query=query)
    for month in (asked.first_month, asked.last_month):
        assert len(month) == 7
        assert month.isascii()
        assert (month[:4] + month[5:]).isdecimal()
        assert month[4] == "-"
    asked.selects(FLOW.structure, ["_T"] * len(FLOW.structure.key))
    canonical_bytes(asked.as_json())


@target("csv", InputUnreadable)
def _csv(data: bytes) -> None:
    for line in lines_of_csv(_file("input.csv", data), contract("flow"), new_id=lambda: "x"):
        parse_canonical(line)


@target("records", ContractViolated, ForbiddenField, WrongProvider)
def _records(data: bytes) -> None:
    product, _, body = data.partition(b"\n")
    valid = judged(PRODUCTS[len(product) % 2], body.split(b"\n"))
    assert valid.received_count == body.count(b"\n") + 1


@target("gzip", BodyBroken)
def _gzip(data: bytes) -> None:
    _decode(data, "gzip")


@target("zstd", BodyBroken)
def _zstd(data: bytes) -> None:
    _decode(data, "zstd")


def _decode(data: bytes, encoding: str) -> None:
    decoder, size = Decoder(encoding), 0
    for piece in decoder.decode(data):
        assert len(piece) <= PIECE_BYTES_MAX
        size += len(piece)
        if size > DECODED_BYTES_MAX:  # the caller stops
            return
    decoder.finish()


@target("peer", Refusal)
def _peer(data: bytes) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in _fields(data)]
    certificate = peer_certificate({"headers": headers, "state": {}}, "proxy")
    assert len(certificate.sha256) == 32


class _Directory:
    """Everyone whose certificate holds is pinned."""

    def pinned_partner(self, _sha256: bytes) -> PinnedPartner:
        return PinnedPartner("active", "USA.DHS.CBP", "USA", "active", frozenset(), ())

    def pinned_officer(self, _sha256: bytes) -> None:
        raise AssertionError


@cache
def _authority() -> CountryAnchors:
    return load_anchors({"USA": _file("authority.pem", SEEDS["anchors"][0])}, {})


@target("certificate", Refusal)
def _certificate(data: bytes) -> None:
    identify_partner(PeerCertificate(data, sha256(data)), _Directory(), _authority(), at=NOW)
    # The authority signed one certificate only. Its signature has several spellings; the pin is of every byte.
    signed = [x509.load_der_x509_certificate(one).tbs_certificate_bytes for one in (data, SEEDS["certificate"][0])]
    assert signed[0] == signed[1]


@target("anchors", AnchorsInvalid)
def _anchors(data: bytes) -> None:
    path = _file("anchors.pem", data)
    load_anchors({"USA": path}, {"USA": path})  # both are read from one file


@target("accept_language")
def _accept_language(data: bytes) -> None:
    assert language_of([(b"accept-language", data)]) in LANGUAGES


@target("client_toml", ConfigInvalid)
def _client_toml(data: bytes) -> None:
    assert load_config(_file("client.toml", data)).origin.startswith("https://")


@target("settings", SettingsInvalid)
def _settings(data: bytes) -> None:
    assert load_settings(_file("gateway.toml", data)).public_origin.startswith("https://")


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unfit from error
    if not isinstance(document, dict):
        raise Unfit
    return document


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unfit from error


_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")


def _file(name: str, data: bytes) -> Path:
    folder = Path(_FOLDER.name)
    (folder / "key.pem").touch()
    path = folder / name
    path.write_bytes(data)
    return path
