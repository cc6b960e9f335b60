# SPDX-License-Identifier: Apache-2.0
"""Every way to be refused when pushing; this file is about reason, problem document, signature and audit event."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.errors import Reason
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.fields import format_records
from gateway.wire.keys import FileSigner
from gateway.wire.merkle import leaf_hash, root_of
from tests.api.asking import Asked, kept_count, line, refused, send, signed, stored_event
from tests.running import GTM, MEX, USA, Running


def stranger(gateway: Running, keyid: str | None = None) -> FileSigner:
    own = FileSigner.of(ed25519.Ed25519PrivateKey.generate())
    return replace(own, keyid=keyid) if keyid else own


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def bomb() -> bytes:
    return zstandard.ZstdCompressor().compress(b"0" * (8 << 20))


def zstd(gateway: Running, content: bytes) -> Asked:
    return signed(gateway, body=content, headers={"content-encoding": "zstd"})


def without_signature(gateway: Running) -> Asked:
    return signed(gateway, [line()]).with_header("Signature", None).with_header("Signature-Input", None)


CASES: dict[str, tuple[Reason, Any]] = {
    "no signature": (Reason.SIGNATURE_MISSING, without_signature),
    "another tag": (Reason.SIGNATURE_MISSING, lambda g: signed(g, [line()], tag="other")),
    "no structured field": (
        Reason.SIGNATURE_MALFORMED,
        lambda g: signed(g, [line()]).with_header("Signature-Input", 'submission=("@method'),
    ),
    "a short nonce": (Reason.SIGNATURE_MALFORMED, lambda g: signed(g, [line()], nonce="short")),
    "too little covered": (
        Reason.SIGNATURE_COMPONENT_MISSING,
        lambda g: signed(g, [line()], covered=["@method", "@target-uri", "content-digest", "content-type"]),
    ),
    "an encoding that is not covered": (
        Reason.SIGNATURE_COMPONENT_MISSING,
        lambda g: signed(g, [line()]).with_header("content-encoding", "gzip"),
    ),
    "a key of nobody": (Reason.SIGNATURE_KEY_UNKNOWN, lambda g: signed(g, [line()], signer=stranger(g))),
    "another's key": (
        Reason.SIGNATURE_KEY_UNKNOWN,
        lambda g: signed(g, [line()], signer=FileSigner.load(g.party(GTM).signing_key)),
    ),
    "another algorithm": (
        Reason.SIGNATURE_ALGORITHM_MISMATCH,
        lambda g: signed(g, [line(MEX)], partner=MEX, signer=stranger(g, g.party(MEX).keyid)),
    ),
    "a forged signature": (
        Reason.SIGNATURE_INVALID,
        lambda g: signed(g, [line()], signer=stranger(g, g.party(USA).keyid)),
    ),
    "another path": (
        Reason.SIGNATURE_INVALID,
        lambda g: replace(signed(g, [line()]), path="/v1/submissions/flow/1.0.0"),
    ),
    "a query that was not signed": (
        Reason.SIGNATURE_INVALID,
        lambda g: replace(signed(g, [line()]), path="/v1/submissions/border-event/1.0.0?a=b"),
    ),
    "an old signature": (Reason.SIGNATURE_EXPIRED, lambda g: signed(g, [line()], at=ago(302))),
    "a signature of the future": (Reason.SIGNATURE_NOT_YET_VALID, lambda g: signed(g, [line()], at=ago(-35))),
    "no digest": (Reason.DIGEST_MISSING, lambda g: signed(g, [line()], headers={"content-digest": None})),
    "a weak digest": (
        Reason.DIGEST_MISSING,
        lambda g: signed(g, [line()], headers={"content-digest": "md5=:AAAAAAAAAAAAAAAAAAAAAA==:"}),
    ),
    "another body": (Reason.DIGEST_MISMATCH, lambda g: replace(signed(g, [line()]), body=line() + b"\n")),
    "a broken encoding": (Reason.BODY_INCOMPLETE, lambda g: zstd(g, b"\x28\xb5\x2f\xfd not zstd")),
    "a doubled field": (
        Reason.REQUEST_MALFORMED,
        lambda g: replace(signed(g, [line()]), extra=(("Content-Type", "application/x-ndjson"),)),
    ),
    "a field with underscores": (
        Reason.REQUEST_MALFORMED,
        lambda g: replace(signed(g, [line()]), extra=(("content_digest", "x"),)),
    ),
    "no record at all": (Reason.REQUEST_MALFORMED, lambda g: signed(g, [])),
    "a line without end": (Reason.REQUEST_MALFORMED, lambda g: signed(g, [b'{"a":"' + b"x" * (65 << 10) + b'"}'])),
    "no idempotency key": (
        Reason.IDEMPOTENCY_KEY_MISSING,
        lambda g: signed(g, [line()], headers={"idempotency-key": None}),
    ),
    "a short idempotency key": (Reason.IDEMPOTENCY_KEY_MISSING, lambda g: signed(g, [line()], key="short")),
    "another root": (
        Reason.RECORDS_ROOT_MISMATCH,
        lambda g: signed(g, [line()], headers={"gateway-records": format_records(1, root_of([leaf_hash(b"{}")]))}),
    ),
    "a role that may not submit": (
        Reason.DENIED_BY_POLICY,
        lambda g: signed(g, [line("GTM.SEGEPLAN")], partner="GTM.SEGEPLAN"),
    ),
    "too large as declared": (Reason.BODY_TOO_LARGE, lambda g: replace(signed(g, [line()]), declared=(64 << 20) + 1)),
    "too large once decoded": (Reason.BODY_TOO_LARGE, lambda g: zstd(g, bomb())),
    "another media type": (
        Reason.MEDIA_TYPE_UNSUPPORTED,
        lambda g: signed(g, [line()], headers={"content-type": "application/json"}),
    ),
    "another encoding": (
        Reason.ENCODING_UNSUPPORTED,
        lambda g: signed(g, [line()], headers={"content-encoding": "br"}),
    ),
    "no such version": (Reason.CONTRACT_UNKNOWN, lambda g: signed(g, [line()], version="9.9.9")),
    "half a version": (Reason.CONTRACT_UNKNOWN, lambda g: signed(g, [line()], version="1.0")),
    "only broken records": (Reason.CONTRACT_VIOLATED, lambda g: signed(g, [line(person_count=0)])),
    "a name": (Reason.FORBIDDEN_FIELD, lambda g: signed(g, [line(), line(apellido="Specimen")])),
    "another provider": (Reason.WRONG_PROVIDER, lambda g: signed(g, [line(), line(provider="USA.DHS.ICE")])),
    "another country": (Reason.WRONG_PROVIDER, lambda g: signed(g, [line(MEX)])),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_signed_recorded_and_keeps_nothing(gateway: Running, case: str) -> None:
    """Each gate has its own reason, and no gate leaves anything but the evidence that it said no."""
    reason, make = CASES[case]
    asked: Asked = make(gateway)
    before = kept_count(gateway, asked.partner)

    refused(gateway, asked, reason)

    assert kept_count(gateway, asked.partner) == before


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        (Reason.FORBIDDEN_FIELD, [line(), line(apellido="Specimen")]),
        (Reason.WRONG_PROVIDER, [line(MEX)]),
        (Reason.CONTRACT_VIOLATED, [line(person_count=0)]),
    ],
)
def test_a_dry_run_is_refused_like_the_submission(gateway: Running, reason: Reason, lines: list[bytes]) -> None:
    """Who tries first learns the same."""
    refused(gateway, signed(gateway, lines, action="/validate"), reason)


def test_a_certificate_that_is_not_pinned_names_no_partner(gateway: Running) -> None:
    """Issued by a trusted authority is not enough, and the pin may have been withdrawn."""
    for name in ("unpinned", "withdrawn"):
        answer = refused(gateway, signed(gateway, [line()]), Reason.UNKNOWN_PARTNER, name=name)

        assert stored_event(gateway, answer.headers["audit-event"]).partner_id == "-"


def test_an_officer_may_not_submit(gateway: Running) -> None:
    """A person's certificate is no agency's."""
    refused(gateway, signed(gateway, [line()]), Reason.UNKNOWN_PARTNER, name="USA.OFFICER.SECURITY")


def test_a_suspended_partner_is_told_about_itself(gateway: Running) -> None:
    """It proved a key of a trusted authority; what is said is its own status."""
    answer = refused(gateway, signed(gateway, [line("MEX.SPECIMEN")], partner="MEX.SPECIMEN"), Reason.PARTNER_SUSPENDED)

    assert "MEX.SPECIMEN" in answer.document["detail"]


def test_a_nonce_is_good_for_one_request(gateway: Running) -> None:
    """Another request under a nonce that was used is a replay, whatever it holds."""
    nonce = secrets.token_urlsafe(24)
    assert send(gateway, signed(gateway, [line()], nonce=nonce)).status == 201

    refused(gateway, signed(gateway, [line()], nonce=nonce), Reason.REPLAYED)


def test_a_refused_request_may_not_come_back_byte_for_byte(gateway: Running) -> None:
    """Else it would be accepted once the reason has gone, without anybody asking for it again."""
    asked = signed(gateway, [line(person_count=0)])
    refused(gateway, asked, Reason.CONTRACT_VIOLATED)

    answer = send(gateway, asked)

    assert answer.document["reason"] in {Reason.REPLAYED, Reason.CONTRACT_VIOLATED}
    assert answer.status != 201


def test_an_idempotency_key_is_bound_to_its_content(gateway: Running) -> None:
    """The same key with other content is a mistake of the sender, and never overwrites."""
    key = secrets.token_urlsafe(24)
    assert send(gateway, signed(gateway, [line()], key=key)).status == 201

    refused(gateway, signed(gateway, [line()], key=key), Reason.IDEMPOTENCY_CONFLICT)


def test_the_hint_of_a_sandbox_shows_the_signature_base(gateway: Running) -> None:
    """The first thing that an integrator needs."""
    asked = signed(gateway, [line()], signer=stranger(gateway, gateway.party(USA).keyid))

    answer = refused(gateway, asked, Reason.SIGNATURE_INVALID)

    assert f'"@target-uri": {gateway.files.public_origin}{asked.path}' in answer.document["hint"]


def test_a_clock_refusal_tells_the_time(gateway: Running) -> None:
    """A wrong clock cannot be mended without knowing the right one."""
    answer = refused(gateway, signed(gateway, [line()], at=ago(400)), Reason.SIGNATURE_EXPIRED)

    assert datetime.now(UTC).strftime("%Y-%m-%dT%H:") in answer.document["detail"]


def test_a_refusal_speaks_spanish_when_asked(gateway: Running) -> None:
    """The languages of the three countries."""
    asked = replace(signed(gateway, [line()]), extra=(("Accept-Language", "es-GT, en;q=0.5"),))
    asked = replace(asked, body=line() + b"\n")

    answer = send(gateway, asked)

    assert answer.document["title"] == "El cuerpo no es el que se firmó"
    assert answer.headers["content-language"] == "es"


def test_a_refused_value_is_never_echoed(gateway: Running) -> None:
    """Neither in the answer nor in the operational log nor in the database."""
    secret = f"Specimen{secrets.token_hex(8)}"

    answer = refused(gateway, signed(gateway, [line(), line(apellido=secret)]), Reason.FORBIDDEN_FIELD)

    assert secret not in str(answer.document)
    for path in gateway.files.folder.rglob("gateway*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_digest_of_sha_512_alone_is_enough(gateway: Running) -> None:
    """RFC 9530 names both."""
    import base64
    import hashlib

    content = line() + b"\n"
    value = f"sha-512=:{base64.b64encode(hashlib.sha512(content).digest()).decode()}:"

    assert send(gateway, signed(gateway, body=content, headers={"content-digest": value})).status == 201
    assert format_content_digest(sha256(content)).startswith("sha-256=:")
