# SPDX-License-Identifier: Apache-2.0
"""Smaller formats; this file is about envelopes, problem documents and the records field."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.wire.digests import b64, unb64
from gateway.wire.dsse import (
    EnvelopeInvalid,
    pre_authentication_encoding,
    sign_envelope,
    verify_envelope,
)
from gateway.wire.fields import format_records, parse_records
from gateway.wire.keys import FileSigner, SigningPublic, public_der, public_of_der, verify_bytes
from gateway.wire.problem import Problem

ONE = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
TWO = FileSigner.of(ec.derive_private_key(7, ec.SECP256R1()))
KEYS: dict[str, SigningPublic] = {signer.keyid: public_of_der(signer.public_der) for signer in (ONE, TWO)}
TYPE = "application/vnd.gateway.approval+json"


def test_the_encoding_and_signature_of_the_dsse_specification() -> None:
    """DSSE protocol, test vector: an ECDSA P-256 signature over the example payload."""
    numbers = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    )
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    signature = unb64("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")

    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    verify_bytes("ecdsa-p256-sha256", public_der(numbers.public_key()), signature, encoded)


def test_lengths_are_of_bytes_not_characters() -> None:
    assert pre_authentication_encoding("té", "é".encode()) == "DSSEv1 3 té 2 é".encode()


def test_two_officers_sign_one_document() -> None:
    envelope = sign_envelope(TYPE, b"digest", [ONE, TWO])

    assert verify_envelope(envelope, KEYS, payload_type=TYPE) == (b"digest", {ONE.keyid, TWO.keyid})
    only_one = {ONE.keyid: KEYS[ONE.keyid]}
    assert verify_envelope(envelope, only_one, payload_type=TYPE)[1] == {ONE.keyid}
    with pytest.raises(EnvelopeInvalid, match="no known key"):
        verify_envelope(envelope, {}, payload_type=TYPE)


def test_a_signature_for_one_kind_of_document_is_none_for_another() -> None:
    envelope = sign_envelope("application/vnd.gateway.other+json", b"digest", [ONE])
    relabelled = {**envelope, "payloadType": TYPE}

    for shown in (envelope, relabelled):
        with pytest.raises(EnvelopeInvalid):
            verify_envelope(shown, KEYS, payload_type=TYPE)


def test_a_key_under_another_name_counts_as_itself() -> None:
    """A caller's table that names one key twice must not turn one signature into two."""
    envelope = sign_envelope(TYPE, b"digest", [ONE])
    envelope["signatures"].append({**envelope["signatures"][0], "keyid": "alias"})

    verified = verify_envelope(envelope, {**KEYS, "alias": KEYS[ONE.keyid]}, payload_type=TYPE)

    assert verified[1] == {ONE.keyid}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("payload", b64(b"digesT")),
        ("payload", "ZGlnZXN0="),
        ("payload", None),
        ("payloadType", 1),
        ("signatures", None),
        ("signatures", [None]),
        ("signatures", [{"keyid": ONE.keyid}]),
        ("signatures", [{"keyid": ONE.keyid, "sig": "AA"}]),
        ("signatures", [{"keyid": ONE.keyid, "sig": "AAAA"}]),
        ("signatures", [{"keyid": "k", "sig": "AAAA"}] * 65),
        ("signatures", []),
    ],
)
def test_a_malformed_or_altered_envelope_is_refused(member: str, value: Any) -> None:
    envelope = copy.deepcopy(sign_envelope(TYPE, b"digest", [ONE]))
    envelope[member] = value

    with pytest.raises(EnvelopeInvalid):
        verify_envelope(envelope, KEYS, payload_type=TYPE)


@pytest.mark.parametrize(
    "field",
    [
        "",
        "count=1",
        f"root=:{b64(bytes(32))}:",
        f"count=-1, root=:{b64(bytes(32))}:",
        f"count=1.0, root=:{b64(bytes(32))}:",
        f'count="1", root=:{b64(bytes(32))}:',
        f"count, root=:{b64(bytes(32))}:",
        f"count=1, root=:{b64(bytes(31))}:",
        f"count=1, root={b64(bytes(3))}",
        f"count=1, root=:{b64(bytes(32))}:, more=1",
        f"count=1, count=1, root=:{b64(bytes(32))}:",
        f"count=1;a, root=:{b64(bytes(32))}:",
        f"count=(1), root=:{b64(bytes(32))}:",
        f"count=1, root=:{b64(bytes(32))}:,",
        f"Count=1, root=:{b64(bytes(32))}:",
        f"count=1, root=:{b64(bytes(32))}:\n",
    ],
)
def test_a_malformed_records_field_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_records(field)


def test_the_records_field_is_written_as_documented() -> None:
    assert format_records(2, bytes(32)) == f"count=2, root=:{b64(bytes(32))}:"


def test_extra_members_never_replace_the_named_ones() -> None:
    problem = Problem("t", "T", 401, "d", "replayed", extra={"reason": "other", "counts": {}})

    assert problem.to_dict() == {
        "type": "t",
        "title": "T",
        "status": 401,
        "detail": "d",
        "reason": "replayed",
        "counts": {},
    }
