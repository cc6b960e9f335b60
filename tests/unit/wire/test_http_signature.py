# SPDX-License-Identifier: Apache-2.0
"""What a forger tries; this file is about HTTP signatures that must be refused, and how answers bind to requests."""

from __future__ import annotations

from typing import Any

import http_sf
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http_message import RequestHead, SignatureFlaw, SignatureRefused, combine
from gateway.wire.http_signature import (
    ANSWER_TAG,
    REQUEST_COVERED,
    REQUEST_TAG,
    Component,
    answer_covered,
    parse_signature,
    request_covered,
    sign_answer,
    sign_request,
    signature_base,
    verify_answer,
)
from gateway.wire.keys import FileSigner, public_of_der

SIGNER = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
KEYS = {SIGNER.keyid: public_of_der(SIGNER.public_der)}
URI = "https://gateway.example/v1/submissions/flow/1.0.0"
HEADERS = [("content-digest", "sha-256=:AAAA:"), ("content-type", "a/b"), ("idempotency-key", "k")]
PARAMS = f'created=1;nonce="n";keyid="k";alg="ed25519";tag="{REQUEST_TAG}"'
ANSWER = [("content-type", "a/b"), ("content-digest", "sha-256=:AAAA:"), ("audit-event", "e")]


def flaw_of(signature_input: str, signature: str = "a=:AAAA:", *, answer: bool = False) -> SignatureFlaw:
    with pytest.raises(SignatureRefused) as caught:
        parse_signature(signature_input, signature, tag=REQUEST_TAG, answer=answer)
    return caught.value.flaw


@pytest.mark.parametrize(
    ("signature_input", "signature"),
    [
        ("", "a=:AAAA:"),
        (f'a=("x");{PARAMS}', ""),
        ('a=("x");created=1', "a=:AAAA:"),
        ('a=("x");tag="other"', "a=:AAAA:"),
        (f"a=1;tag={REQUEST_TAG}", "a=:AAAA:"),
    ],
)
def test_without_a_signature_of_our_tag_it_is_missing(signature_input: str, signature: str) -> None:
    flaw = flaw_of(signature_input, signature)

    # A tag that is a token looks the same to a careless reader; it is not our tag.
    assert flaw is SignatureFlaw.MISSING


@pytest.mark.parametrize(
    ("signature_input", "signature"),
    [
        # Labels: two signatures with our tag, one label twice, a label without signature, labels that only look alike.
        (f'a=("x");{PARAMS}, b=("x");{PARAMS}', "a=:AAAA:, b=:AAAA:"),
        (f'a=("x");{PARAMS}, a=("y");{PARAMS}', "a=:AAAA:"),
        (f'a=("x");{PARAMS}', "a=:AAAA:, a=:BBBB:"),
        (f'a=("x");{PARAMS}', "b=:AAAA:"),
        (f'A=("x");{PARAMS}', "A=:AAAA:"),
        # The signature is a byte sequence and nothing else.
        (f'a=("x");{PARAMS}', 'a="AAAA"'),
        (f'a=("x");{PARAMS}', "a=AAAA"),
        (f'a=("x");{PARAMS}', "a"),
        (f'a=("x");{PARAMS}', "a=(:AAAA:)"),
        (f'a=("x");{PARAMS}', "a=:AAAA:;x=1"),
        (f'a=("x");{PARAMS}', "a=:A:"),
        (f'a=("x");{PARAMS}', "a=:AA AA:"),
        # The input is an inner list of strings.
        (f'a="x";{PARAMS}', "a=:AAAA:"),
        (f"a=(x);{PARAMS}", "a=:AAAA:"),
        (f"a=(1);{PARAMS}", "a=:AAAA:"),
        (f"a=(:AAAA:);{PARAMS}", "a=:AAAA:"),
        (f'a=(%"x");{PARAMS}', "a=:AAAA:"),
        (f'a=("x"  "x");{PARAMS}', "a=:AAAA:"),
        (f'a=("x""y");{PARAMS}', "a=:AAAA:"),
        (f'a=("x";{PARAMS}', "a=:AAAA:"),
        (f'a=("x" "\\n");{PARAMS}x', "a=:AAAA:"),
        # Component parameters: all of them change what is signed, so none is passed over.
        (f'a=("x";sf);{PARAMS}', "a=:AAAA:"),
        (f'a=("x";bs);{PARAMS}', "a=:AAAA:"),
        (f'a=("x";tr);{PARAMS}', "a=:AAAA:"),
        (f'a=("x";key="y");{PARAMS}', "a=:AAAA:"),
        (f'a=("@query-param";name="y");{PARAMS}', "a=:AAAA:"),
        (f'a=("x";req);{PARAMS}', "a=:AAAA:"),
        (f'a=("x";req=?0);{PARAMS}', "a=:AAAA:"),
        (f'a=("x";unknown);{PARAMS}', "a=:AAAA:"),
        (f'a=("x";req;req);{PARAMS}', "a=:AAAA:"),
        # Signature parameters of another type or value, twice, or unknown.
        ('a=("x");created="1";tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");created;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");created=1.0;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");created=@1;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");created=-1;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");created=1;created=2;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");nonce=n;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");nonce=:AAAA:;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");keyid=%"k";tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");alg=ed25519;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");other=1;tag="gateway-submission"', "a=:AAAA:"),
        ('a=("x");tag="gateway-submission";tag="gateway-submission"', "a=:AAAA:"),
        # Folding, other bytes, and size.
        (f'a=("x");{PARAMS}\r\n', "a=:AAAA:"),
        (f'a=("x");\n{PARAMS}', "a=:AAAA:"),
        (f'a=("é");{PARAMS}', "a=:AAAA:"),
        (f'a=("x");{PARAMS}' + " " * 8200, "a=:AAAA:"),
        (f'a=("x");{PARAMS}', "a=:" + "A" * 8200 + ":"),
        ("a=(" + " ".join(f'"x{at}"' for at in range(33)) + f");{PARAMS}", "a=:AAAA:"),
    ],
)
def test_a_signature_outside_the_profile_is_malformed(signature_input: str, signature: str) -> None:
    assert flaw_of(signature_input, signature) is SignatureFlaw.MALFORMED


@pytest.mark.parametrize(
    "parameter", ["req=?0", "req=1", "req=1.0", 'req="1"', "req;sf", "sf", 'req;key="a"', "bs;req"]
)
def test_in_an_answer_too_only_a_plain_req_is_known(parameter: str) -> None:
    assert flaw_of(f'a=("x";{parameter});{PARAMS}', answer=True) is SignatureFlaw.MALFORMED


@pytest.mark.parametrize("items", ['"x" "x"', '"x";req "x";req', '"x";req=?1 "x";req'])
def test_a_component_covered_twice_is_malformed(items: str) -> None:
    assert flaw_of(f"a=({items});{PARAMS}", answer=True) is SignatureFlaw.MALFORMED


def test_a_signature_of_someone_else_beside_ours_is_passed_over() -> None:
    parsed = parse_signature(
        f'proxy=("x";sf);created=1;tag="proxy", a=("x");{PARAMS}', "proxy=:AAAA:, a=:BBBB:", tag=REQUEST_TAG
    )

    assert (parsed.label, parsed.components, parsed.signature) == ("a", (Component("x"),), b"\x04\x10A")


def test_the_params_line_is_written_anew_whatever_spaces_came() -> None:
    """RFC 9421, section 2.3: the value is serialized, so spaces between members cannot make two readings."""
    parsed = parse_signature(f'a=( "x"   "y" );{PARAMS.replace(";", "; ")}', "a=:AAAA:", tag=REQUEST_TAG)

    assert parsed.params == f'("x" "y");{PARAMS}'


def base(name: str, headers: list[tuple[str, str]], method: str = "POST", uri: str = URI) -> bytes:
    return signature_base([Component(name)], "()", request=RequestHead.of(method, uri, headers))


@pytest.mark.parametrize(
    "name", ["X-A", "x a", "", "x:", "x\n", "@status", "@unknown", "@signature-params", "@query-param", "x-absent"]
)
def test_a_component_that_is_no_part_of_the_request_is_refused(name: str) -> None:
    with pytest.raises(SignatureRefused) as caught:
        base(name, [("x-a", "1")])

    assert caught.value.flaw is SignatureFlaw.MALFORMED


@pytest.mark.parametrize("value", ['a\n"@method": GET', "a\r\n b", "a\x00b", "é", "a\x7f", "a\x0bb", "\u2028"])
def test_a_value_that_could_forge_a_line_of_the_base_is_refused(value: str) -> None:
    for make in (lambda: base("x-a", [("x-a", value)]), lambda: base("@method", [], method=value)):
        with pytest.raises(SignatureRefused):
            make()
    with pytest.raises(SignatureRefused):
        base("@target-uri", [], uri=value)


def test_lines_of_one_field_are_joined_in_order_and_stripped() -> None:
    headers = [("X-A", " 1 "), ("x-b", "\t"), ("x-a", "2\t"), ("X-a", "")]

    assert combine(headers) == {"x-a": "1, 2, ", "x-b": ""}
    assert base("x-b", headers) == b'"x-b": \n"@signature-params": ()'
    # RFC 9421 ends no value with a space; what would is refused rather than read in two ways.
    with pytest.raises(SignatureRefused):
        base("x-a", headers)


def test_what_is_present_must_be_covered() -> None:
    assert request_covered(HEADERS) == REQUEST_COVERED
    assert request_covered([*HEADERS, ("Authorization", "x"), ("Content-Encoding", "gzip")])[-2:] == (
        "content-encoding",
        "authorization",
    )


REQUEST = ("POST", URI, [*HEADERS, ("signature-input", "a=()"), ("signature", "a=:AAAA:")])


def signed_answer(**changes: object) -> list[tuple[str, str]]:
    arguments = {"status": 201, "headers": ANSWER, "request": REQUEST, "created": 1, **changes}
    return [*ANSWER, *sign_answer(SIGNER, **arguments).items()]


def test_an_answer_verifies_for_its_request_only() -> None:
    headers = signed_answer()
    parsed = verify_answer(status=201, headers=headers, request=REQUEST, keys=KEYS)

    assert [f"{one.name}{';req' if one.of_request else ''}" for one in parsed.components] == [
        "@status",
        "content-type",
        "content-digest",
        "audit-event",
        "@method;req",
        "@target-uri;req",
        "content-digest;req",
        "signature;req",
        "signature-input;req",
    ]
    other_signature = [*HEADERS, ("signature-input", "a=()"), ("signature", "a=:BBBB:")]
    for status, request in [
        (200, REQUEST),
        (201, ("PUT", URI, REQUEST[2])),
        (201, ("POST", URI + "/x", REQUEST[2])),
        (201, ("POST", URI, other_signature)),
    ]:
        with pytest.raises(SignatureRefused) as caught:
            verify_answer(status=status, headers=headers, request=request, keys=KEYS)
        assert caught.value.flaw is SignatureFlaw.INVALID


@pytest.mark.parametrize("left_out", range(9))
def test_an_answer_that_covers_one_part_less_is_refused(left_out: int) -> None:
    covered = list(answer_covered(ANSWER, REQUEST))
    del covered[left_out]

    with pytest.raises(SignatureRefused) as caught:
        verify_answer(status=201, headers=signed_answer(covered=covered), request=REQUEST, keys=KEYS)

    assert caught.value.flaw is SignatureFlaw.COMPONENT_MISSING


def test_an_answer_stripped_of_its_audit_event_is_refused() -> None:
    stripped = [(name, value) for name, value in signed_answer() if name != "audit-event"]

    with pytest.raises(SignatureRefused):
        verify_answer(status=201, headers=stripped, request=REQUEST, keys=KEYS)


def test_an_answer_of_an_unknown_key_or_for_another_tag_is_refused() -> None:
    relabelled = [(name, value.replace(ANSWER_TAG, REQUEST_TAG)) for name, value in signed_answer()]

    for headers, keys, flaw in [
        (signed_answer(), {}, SignatureFlaw.KEY_UNKNOWN),
        (signed_answer(), {SIGNER.keyid: public_of_der(STRANGER.public_der)}, SignatureFlaw.INVALID),
        (relabelled, KEYS, SignatureFlaw.MISSING),
        (ANSWER, KEYS, SignatureFlaw.MISSING),
    ]:
        with pytest.raises(SignatureRefused) as caught:
            verify_answer(status=201, headers=headers, request=REQUEST, keys=keys)
        assert caught.value.flaw is flaw


def test_a_requests_own_signature_is_never_taken_for_an_answer() -> None:
    """Tags part the two uses of a signature, and an answer without @status is none."""
    signed = sign_request(
        SIGNER,
        method="POST",
        target_uri=URI,
        headers=HEADERS,
        covered=("content-type", "content-digest"),
        created=1,
        nonce="n",
        tag=ANSWER_TAG,
    )

    with pytest.raises(SignatureRefused) as caught:
        verify_answer(status=201, headers=[*ANSWER, *signed.items()], request=REQUEST, keys=KEYS)
    assert caught.value.flaw is SignatureFlaw.COMPONENT_MISSING


def test_an_answer_to_a_request_with_unprintable_fields_is_signed_without_them() -> None:
    request = ("POST", URI, [("content-digest", "é"), ("signature", "a\nb"), ("signature-input", "a=()")])

    names = [one.name for one in answer_covered(ANSWER, request) if one.of_request]
    verify_answer(
        status=400,
        headers=[*ANSWER, *sign_answer(SIGNER, status=400, headers=ANSWER, request=request, created=1).items()],
        request=request,
        keys=KEYS,
    )

    assert names == ["@method", "@target-uri", "signature-input"]


@given(
    names=st.lists(st.sampled_from(["@method", "x-a", "date", 'quo"te', "back\\slash"]), unique=True),
    nonce=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    created=st.integers(0, 10**15 - 1),
)
def test_the_params_line_is_what_the_structured_field_library_writes(
    names: list[str], nonce: str, created: int
) -> None:
    inner: Any = ([(name, {}) for name in names], {"created": created, "nonce": nonce, "tag": REQUEST_TAG})
    written = http_sf.ser([inner])

    assert parse_signature(f"a={written}", "a=:AAAA:", tag=REQUEST_TAG).params == written


@pytest.mark.parametrize("nonce", ["a\nb", "é", "a\x00"])
def test_a_parameter_that_is_not_printable_is_not_signed(nonce: str) -> None:
    with pytest.raises(SignatureRefused):
        sign_request(
            SIGNER, method="POST", target_uri=URI, headers=HEADERS, covered=REQUEST_COVERED, created=1, nonce=nonce
        )


def test_a_nonce_with_quotes_cannot_break_out_of_its_string() -> None:
    nonce = 'a";created=9;x="\\'
    signed = sign_request(
        SIGNER, method="POST", target_uri=URI, headers=HEADERS, covered=REQUEST_COVERED, created=1, nonce=nonce
    )
    parsed = parse_signature(signed["Signature-Input"], signed["Signature"], tag=REQUEST_TAG)

    assert (parsed.nonce, parsed.created) == (nonce, 1)
