# SPDX-License-Identifier: Apache-2.0
"""Every refusal of a signature; this file is about the gate that checks a submission's head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway import errors
from gateway.signing.head import VerifiedHead, verify_signature
from gateway.trip import ClaimedRecords, Partner, PeerCertificate, SignedRequest, SigningKey
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.fields import format_records
from gateway.wire.http_signature import request_covered, sign_request
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 2, 0, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
URI = "https://gateway.example/v1/submissions/flow/1.0.0"
ED = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
P256 = FileSigner.of(ec.derive_private_key(7, ec.SECP256R1()))
P384 = FileSigner.of(ec.derive_private_key(7, ec.SECP384R1()))
RSA = FileSigner.of(rsa.generate_private_key(65537, 3072))
SIGNERS = [ED, P256, P384, RSA]
STRANGER = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
NONCE = "0123456789abcdef"
BODY = b'{"a":1}\n'
HEADERS = {
    "content-digest": format_content_digest(sha256(BODY)),
    "content-type": "application/x-ndjson",
    "idempotency-key": "0123456789abcdef",
}


def key_of(signer: FileSigner, **changes: Any) -> SigningKey:
    key = SigningKey(signer.keyid, signer.algorithm, signer.public_der, NOW - timedelta(days=1), None)
    return replace(key, **changes)


PARTNER = Partner("MEX.SEGOB.UPMRIP", "MEX", "active", frozenset({"provider"}), tuple(map(key_of, SIGNERS)))


def request_with(headers: dict[str, str] | list[tuple[str, str]], body: bytes = BODY, uri: str = URI) -> SignedRequest:
    pairs = headers.items() if isinstance(headers, dict) else headers
    chunks: Iterator[bytes] = iter([body])
    return SignedRequest(
        request_id="r",
        method="POST",
        target_uri=uri,
        path="/v1/submissions/flow/1.0.0",
        headers=tuple((name.lower(), value) for name, value in pairs),
        peer=PeerCertificate(b"", b""),
        body=chunks,
        received_at=NOW,
    )


def signed(
    signer: FileSigner = ED,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> SignedRequest:
    headers = HEADERS if headers is None else headers
    covered = [name for name in request_covered(headers) if name.startswith("@") or name in headers]
    arguments = {"covered": covered, "created": SECONDS, "nonce": NONCE, **changes}
    return request_with(
        {**headers, **sign_request(signer, method="POST", target_uri=URI, headers=headers, **arguments)}
    )


def verify(request: SignedRequest, partner: Partner = PARTNER, **options: Any) -> VerifiedHead:
    return verify_signature(request, partner, at=NOW, **options)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.algorithm)
def test_a_signed_head_is_verified(signer: FileSigner) -> None:
    records = {**HEADERS, "gateway-records": format_records(1, bytes(32)), "content-encoding": "zstd"}
    head = verify(signed(signer, records))

    assert (head.keyid, head.algorithm, head.nonce) == (signer.keyid, signer.algorithm, NONCE)
    assert (head.created, head.media_type, head.encoding) == (NOW, "application/x-ndjson", "zstd")
    assert (head.digests, head.claimed_records) == ({"sha-256": sha256(BODY)}, ClaimedRecords(1, bytes(32)))
    assert head.signature_base.startswith(b'"@method": POST\n"@target-uri": https://gateway.example/')
    assert head.partner is PARTNER


def refused(refusal: type[errors.Refusal], request: SignedRequest, partner: Partner = PARTNER) -> errors.Refusal:
    with pytest.raises(refusal) as caught:
        verify(request, partner)
    caught.value.detail("en")
    caught.value.detail("es")
    return caught.value


def test_without_a_signature_nothing_else_is_looked_at() -> None:
    refused(errors.SignatureMissing, request_with({}))
    refused(errors.SignatureMissing, signed(tag="other"))


@pytest.mark.parametrize("nonce", ["short-by-one-345", "x" * 128])
def test_the_shortest_and_the_longest_nonce_pass(nonce: str) -> None:
    assert verify(signed(nonce=nonce)).nonce == nonce


@pytest.mark.parametrize("nonce", ["x" * 15, "x" * 129, ""])
def test_a_nonce_outside_its_bounds_is_malformed(nonce: str) -> None:
    refused(errors.SignatureMalformed, signed(nonce=nonce))


@pytest.mark.parametrize("parameter", ["created", "nonce", "keyid", "alg"])
def test_a_signature_without_a_required_parameter_is_malformed(parameter: str) -> None:
    request = signed()
    headers = [
        (name, ";".join(part for part in value.split(";") if not part.startswith(parameter)))
        if name == "signature-input"
        else (name, value)
        for name, value in request.headers
    ]

    refused(errors.SignatureMalformed, request_with(headers))


@pytest.mark.parametrize("name", ["@method", "@target-uri", "content-digest", "content-type", "idempotency-key"])
def test_each_required_component_must_be_covered(name: str) -> None:
    covered = [one for one in request_covered(HEADERS) if one != name]

    assert refused(errors.SignatureComponentMissing, signed(covered=covered)).facts == {"component": name}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-encoding", "gzip"),
        ("authorization", "Bearer x"),
        ("gateway-records", format_records(1, bytes(32))),
    ],
)
def test_what_is_present_must_be_covered(name: str, value: str) -> None:
    """Else someone on the way could add or change it: an encoding turns a signed body into another one."""
    request = signed(headers={**HEADERS, name: value}, covered=request_covered(HEADERS))

    assert refused(errors.SignatureComponentMissing, request).facts == {"component": name}
    verify(signed(headers={**HEADERS, name: value}))


def test_a_field_added_on_the_way_is_refused() -> None:
    request = signed()

    refused(errors.SignatureComponentMissing, request_with([*request.headers, ("content-encoding", "gzip")]))


def test_an_absent_digest_or_idempotency_key_has_a_reason_of_its_own() -> None:
    for name, refusal in [
        ("content-digest", errors.DigestMissing),
        ("idempotency-key", errors.IdempotencyKeyMissing),
    ]:
        refused(refusal, signed(headers={key: value for key, value in HEADERS.items() if key != name}))
    refused(errors.DigestMissing, signed(headers={**HEADERS, "content-digest": "md5=:AAAA:"}))


@pytest.mark.parametrize("key", ["short-by-one-34", "x" * 65, "with space 0123456789", "ñ" * 20, '"quoted-0123456789"'])
def test_an_idempotency_key_of_another_form_is_refused(key: str) -> None:
    if key.isascii():
        refused(errors.IdempotencyKeyMissing, signed(headers={**HEADERS, "idempotency-key": key}))
    else:
        request = request_with([(n, key if n == "idempotency-key" else v) for n, v in signed().headers])
        refused(errors.SignatureMalformed, request)


def test_a_key_that_is_not_this_partners_is_unknown() -> None:
    refused(errors.SignatureKeyUnknown, signed(STRANGER))
    refused(errors.SignatureKeyUnknown, signed(), replace(PARTNER, signing_keys=()))


@pytest.mark.parametrize(
    ("not_before", "not_after", "holds"),
    [
        (NOW, None, True),
        (NOW + timedelta(seconds=1), None, False),
        (NOW, NOW + timedelta(seconds=1), True),
        (NOW - timedelta(seconds=1), NOW, False),
    ],
)
def test_a_key_signs_within_its_own_time_only(not_before: datetime, not_after: datetime | None, holds: bool) -> None:
    partner = replace(PARTNER, signing_keys=(key_of(ED, not_before=not_before, not_after=not_after),))

    if holds:
        verify(signed(), partner)
    else:
        refused(errors.SignatureKeyUnknown, signed(), partner)


def test_the_algorithm_is_the_registered_keys_and_never_the_messages() -> None:
    request = signed()
    headers = [(name, value.replace('alg="ed25519"', 'alg="ecdsa-p256-sha256"')) for name, value in request.headers]

    refusal = refused(errors.SignatureAlgorithmMismatch, request_with(headers))

    assert refusal.facts == {"registered": "ed25519"}


@pytest.mark.parametrize("seconds", [30, 0, -300])
def test_a_signature_just_inside_its_window_holds(seconds: int) -> None:
    verify(signed(created=SECONDS + seconds))


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"created": SECONDS + 31}, errors.SignatureNotYetValid),
        ({"created": SECONDS - 301}, errors.SignatureExpired),
        ({"created": SECONDS - 10, "expires": SECONDS - 1}, errors.SignatureExpired),
        ({"created": SECONDS, "expires": SECONDS + 301}, errors.SignatureMalformed),
        ({"created": SECONDS, "expires": SECONDS - 1}, errors.SignatureMalformed),
        ({"created": 999_999_999_999_999}, errors.SignatureMalformed),
    ],
)
def test_a_signature_outside_its_window_is_refused(changes: dict[str, int], refusal: type[errors.Refusal]) -> None:
    refused(refusal, signed(**changes))


def test_a_clock_refusal_tells_the_gateways_time() -> None:
    refusal = refused(errors.SignatureExpired, signed(created=SECONDS - 301))

    assert "2026-11-24T02:00:00.000000Z" in refusal.detail("en")


def test_expires_at_this_very_second_still_holds() -> None:
    verify(signed(created=SECONDS - 10, expires=SECONDS))


def test_any_change_to_what_is_signed_makes_it_invalid() -> None:
    request = signed()
    digest = format_content_digest(sha256(b"other"))
    for changed in (
        replace(request, method="PUT"),
        replace(request, target_uri=URI + "?x"),
        replace(request, target_uri=URI.replace("flow", "border-event")),
        request_with([(n, digest if n == "content-digest" else v) for n, v in request.headers]),
        request_with([(n, v.replace('nonce="0', 'nonce="1')) for n, v in request.headers]),
        request_with([(n, v.replace(f"created={SECONDS}", f"created={SECONDS + 1}")) for n, v in request.headers]),
    ):
        assert refused(errors.SignatureInvalid, changed).hint == ""


def test_the_base_is_shown_only_where_it_may_be() -> None:
    request = replace(signed(), method="PUT")

    with pytest.raises(errors.SignatureInvalid) as caught:
        verify(request, reveal_base=True)

    assert caught.value.hint.startswith('"@method": PUT\n')


@pytest.mark.parametrize("name", ["content-type", "content-digest", "idempotency-key", "gateway-records"])
def test_a_field_that_stands_twice_is_refused_though_the_signature_holds(name: str) -> None:
    """Signed as one joined value, read as the first or the last elsewhere: nobody may have the choice."""
    headers = {**HEADERS, "gateway-records": format_records(1, bytes(32))}
    value = headers.pop(name)
    signature = sign_request(
        ED,
        method="POST",
        target_uri=URI,
        headers=[*headers.items(), (name, value), (name, value)],
        covered=request_covered({**headers, name: value}),
        created=SECONDS,
        nonce=NONCE,
    )

    request = request_with([*headers.items(), (name, value), (name, value), *signature.items()])

    assert refused(errors.RequestMalformed, request).facts == {"what": f"{name} appears more than once"}


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("content-type", "application/json", errors.MediaTypeUnsupported),
        ("content-type", "", errors.MediaTypeUnsupported),
        ("content-encoding", "br", errors.EncodingUnsupported),
        ("content-encoding", "gzip, zstd", errors.EncodingUnsupported),
        ("content-digest", "sha-256=:AAAA:", errors.RequestMalformed),
        ("gateway-records", "count=1", errors.RequestMalformed),
    ],
)
def test_what_the_signed_fields_say_is_checked_last(name: str, value: str, refusal: type[errors.Refusal]) -> None:
    refused(refusal, signed(headers={**HEADERS, name: value}))


@pytest.mark.parametrize(
    "content_type", ["application/x-ndjson", "Application/X-NDJSON; charset=utf-8", "application/vnd.gateway.nil+json"]
)
def test_both_media_types_are_known_whatever_their_parameters(content_type: str) -> None:
    head = verify(signed(headers={**HEADERS, "content-type": content_type}))

    assert head.media_type == content_type.split(";", maxsplit=1)[0].lower()


def test_the_first_of_several_faults_is_always_the_same() -> None:
    """Wrong key, wrong time, wrong signature, wrong type at once: the order is part of the API."""
    request = signed(STRANGER, {**HEADERS, "content-type": "x/y"}, created=SECONDS - 999)

    refused(errors.SignatureKeyUnknown, request)
