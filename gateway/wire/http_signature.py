# SPDX-License-Identifier: Apache-2.0
"""Signing what is asked and what is answered; this file is about HTTP message signatures (RFC 9421), one fixed profile.

Components are header fields and derived components of the request or status; the only component parameter is
`req`, in answers. What the profile leaves out is refused, never skipped (docs/CONFORMANCE.md lists it).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.wire.fields import Member, Parameters, parse_dictionary, serialize_bytes
from gateway.wire.http_message import AnswerHead, Headers, RequestHead, SignatureFlaw, SignatureRefused, pairs
from gateway.wire.keys import InvalidSignature, Signer, SigningPublic, verify_bytes

REQUEST_TAG: Final = "gateway-submission"
ANSWER_TAG: Final = "gateway-answer"
REQUEST_LABEL: Final = "submission"
ANSWER_LABEL: Final = "answer"
COMPONENTS_MAX: Final = 32

# What a request must cover always, and where it is present.
REQUEST_COVERED: Final = ("@method", "@target-uri", "content-digest", "content-type", "idempotency-key")
REQUEST_COVERED_IF_PRESENT: Final = ("content-encoding", "authorization", "gateway-records")
_ANSWER_COVERED: Final = ("@status", "content-type", "content-digest", "audit-event")
# The purpose decides what an answer to a reader may hold, so that it belongs to what was asked.
_ANSWER_COVERED_OF_REQUEST: Final = (
    "@method", "@target-uri", "content-digest", "gateway-purpose", "signature", "signature-input",
)  # fmt: skip

_INTEGERS: Final = frozenset({"created", "expires"})
_STRINGS: Final = frozenset({"nonce", "keyid", "alg", "tag"})


@dataclass(frozen=True, slots=True)
class Component:
    """A covered component; with `of_request` (`;req`) it is taken from the request that is answered."""

    name: str
    of_request: bool = False


@dataclass(frozen=True, slots=True)
class ParsedSignature:
    """One signature of a message, read and not yet verified; `params` is the line of `@signature-params`."""

    label: str
    components: tuple[Component, ...]
    params: str
    signature: bytes
    tag: str | None
    created: int | None
    expires: int | None
    nonce: str | None
    keyid: str | None
    alg: str | None


def request_covered(headers: Headers) -> tuple[str, ...]:
    """Return what the signature of a request with these headers must cover."""
    present = RequestHead.of("", "", headers).fields
    return (*REQUEST_COVERED, *(name for name in REQUEST_COVERED_IF_PRESENT if name in present))


def answer_covered(headers: Headers, request: tuple[str, str, Headers]) -> tuple[Component, ...]:
    """Return what the signature of an answer covers: its own parts, and those of the request that can be repeated.

    A field of the request that could not stand in a signature base (control characters, not ASCII) is left out:
    such a request is refused, and the refusal must still be signed.
    """
    answer, asked = AnswerHead.of(0, headers), RequestHead.of(*request)
    own = [Component(name) for name in _ANSWER_COVERED if name != "audit-event" or name in answer.fields]
    return (*own, *(Component(name, True) for name in _ANSWER_COVERED_OF_REQUEST if asked.can_give(name)))  # noqa: FBT003


def signature_base(
    components: Sequence[Component],
    params: str,
    *,
    request: RequestHead | None = None,
    answer: AnswerHead | None = None,
) -> bytes:
    """Return the bytes that are signed (RFC 9421, section 2.5), or raise SignatureRefused for a component."""
    lines: list[str] = []
    for component in components:
        source = request if component.of_request or answer is None else answer
        if source is None or (component.of_request and answer is None):
            raise SignatureRefused(SignatureFlaw.MALFORMED, f"{component.name} belongs to another message")
        identifier = f'"{component.name}";req' if component.of_request else f'"{component.name}"'
        lines.append(f"{identifier}: {source.give(component.name)}")
    lines.append(f'"@signature-params": {params}')
    return "\n".join(lines).encode("ascii")


def sign_request(  # noqa: PLR0913 one argument for each part that is signed
    signer: Signer,
    *,
    method: str,
    target_uri: str,
    headers: Headers,
    covered: Sequence[str],
    created: int,
    nonce: str,
    tag: str = REQUEST_TAG,
    expires: int | None = None,
) -> dict[str, str]:
    """Return the Signature-Input and Signature headers of a request."""
    components = tuple(map(Component, covered))
    _refuse_duplicates(components)
    window = {} if expires is None else {"expires": expires}
    values = {"created": created, **window, "nonce": nonce, "keyid": signer.keyid, "alg": signer.algorithm, "tag": tag}
    params = _write_params(components, values)
    base = signature_base(components, params, request=RequestHead.of(method, target_uri, headers))
    return _signature_headers(REQUEST_LABEL, params, signer.sign(base))


def sign_answer(
    signer: Signer,
    *,
    status: int,
    headers: Headers,
    request: tuple[str, str, Headers],
    created: int,
    covered: Sequence[Component] | None = None,
) -> dict[str, str]:
    """Return the Signature-Input and Signature headers of the answer to a request (method, target URI, headers)."""
    lines = list(pairs(headers))
    components = tuple(answer_covered(lines, request) if covered is None else covered)
    _refuse_duplicates(components)
    values = {"created": created, "keyid": signer.keyid, "alg": signer.algorithm, "tag": ANSWER_TAG}
    params = _write_params(components, values)
    base = signature_base(components, params, request=RequestHead.of(*request), answer=AnswerHead.of(status, lines))
    return _signature_headers(ANSWER_LABEL, params, signer.sign(base))


def verify_answer(
    *,
    status: int,
    headers: Headers,
    request: tuple[str, str, Headers],
    keys: Mapping[str, SigningPublic],
) -> ParsedSignature:
    """Check that an answer was signed, by one of these keys, as the answer to this request, or raise SignatureRefused.

    The caller compares Content-Digest with the body, and `created` with its clock.
    """
    answer = AnswerHead.of(status, headers)
    parsed = parse_signature(
        answer.fields.get("signature-input", ""), answer.fields.get("signature", ""), tag=ANSWER_TAG, answer=True
    )
    for component in answer_covered(headers, request):
        if component not in parsed.components:
            raise SignatureRefused(SignatureFlaw.COMPONENT_MISSING, component.name)
    key = keys.get(parsed.keyid or "")
    if key is None:
        raise SignatureRefused(SignatureFlaw.KEY_UNKNOWN, "keyid")
    if parsed.created is None or (parsed.alg or key.algorithm) != key.algorithm:
        raise SignatureRefused(SignatureFlaw.MALFORMED, "created or alg")
    base = signature_base(parsed.components, parsed.params, request=RequestHead.of(*request), answer=answer)
    try:
        verify_bytes(key.algorithm, key.der, parsed.signature, base)
    except InvalidSignature as error:
        raise SignatureRefused(SignatureFlaw.INVALID, "signature") from error
    return parsed


def parse_signature(signature_input: str, signature: str, *, tag: str | None, answer: bool = False) -> ParsedSignature:
    """Return the one signature with a tag (for None: without one) of two header fields; others are not looked at.

    Raises:
        SignatureRefused: when there is none, more than one, or it is malformed or outside the profile.
    """
    if not signature_input or not signature:
        raise SignatureRefused(SignatureFlaw.MISSING, "Signature-Input or Signature")
    try:
        inputs, signatures = parse_dictionary(signature_input), parse_dictionary(signature)
    except ValueError as error:
        raise SignatureRefused(SignatureFlaw.MALFORMED, "not a structured dictionary") from error
    tagged = [(label, member) for label, member in inputs.items() if _tag_of(member) == tag]
    if not tagged:
        raise SignatureRefused(SignatureFlaw.MISSING, f"tag {tag}")
    # Two signatures with our tag would let two readers each check another one.
    if len(tagged) > 1:
        raise SignatureRefused(SignatureFlaw.MALFORMED, f"two signatures with tag {tag}")
    label, (items, parameters) = tagged[0]
    if not isinstance(items, list):
        raise SignatureRefused(SignatureFlaw.MALFORMED, "Signature-Input is not an inner list")
    components = _read_components(items, answer=answer)
    values = _read_parameters(parameters)
    octets, octet_parameters = signatures.get(label, (None, {}))
    if not isinstance(octets, bytes) or octet_parameters:
        raise SignatureRefused(SignatureFlaw.MALFORMED, "Signature has no byte sequence of that label")
    params = _write_params(components, parameters)
    return ParsedSignature(label, components, params, octets, **values)


def _tag_of(member: Member) -> str | None:
    tag = member[1].get("tag")
    return tag if type(tag) is str else None  # A token equals a string in the library, and not in RFC 9421.


def _read_components(items: Sequence[Member], *, answer: bool) -> tuple[Component, ...]:
    if len(items) > COMPONENTS_MAX:
        raise SignatureRefused(SignatureFlaw.MALFORMED, "too many components")
    components: list[Component] = []
    for name, parameters in items:
        # Tokens and strings look alike in some readers: the name must be a string.
        if type(name) is not str:
            raise SignatureRefused(SignatureFlaw.MALFORMED, "component names are strings")
        # `req=1` equals `req` to Python and is another component to RFC 9421.
        if parameters and not (answer and len(parameters) == 1 and parameters.get("req") is True):
            raise SignatureRefused(SignatureFlaw.MALFORMED, "component parameter outside the profile")
        components.append(Component(name, bool(parameters)))
    _refuse_duplicates(components)
    return tuple(components)


def _refuse_duplicates(components: Collection[Component]) -> None:
    if len(set(components)) != len(components):  # RFC 9421, section 2: each identifier once.
        raise SignatureRefused(SignatureFlaw.MALFORMED, "a component is covered twice")


def _read_parameters(parameters: Parameters) -> dict[str, Any]:
    for name, value in parameters.items():
        # A boolean is an int to Python, and a token or date is no string or integer to RFC 9421.
        fits = (name in _STRINGS and type(value) is str) or (name in _INTEGERS and type(value) is int and value >= 0)
        if not fits:
            raise SignatureRefused(SignatureFlaw.MALFORMED, f"parameter {name}")
    return {name: parameters.get(name) for name in _INTEGERS | _STRINGS}


def _write_params(components: Sequence[Component], values: Parameters) -> str:
    """Write an inner list of strings with its parameters, strings and integers, as RFC 9651, section 4.1.1.1, says.

    Only these occur in the profile; written here because it is done for every message (a test compares the library).
    """
    items = " ".join([f"{_string(one.name)};req" if one.of_request else _string(one.name) for one in components])
    parameters = [f";{name}={value if type(value) is int else _string(value)}" for name, value in values.items()]
    return f"({items}){''.join(parameters)}"


def _string(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise SignatureRefused(SignatureFlaw.MALFORMED, "a name or parameter is not printable ASCII")
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _signature_headers(label: str, params: str, signature: bytes) -> dict[str, str]:
    return {"Signature-Input": f"{label}={params}", "Signature": f"{label}={serialize_bytes(signature)}"}
