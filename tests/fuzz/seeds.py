# SPDX-License-Identifier: Apache-2.0
"""Where fuzzing starts; this file is about valid inputs of every parser, made of the vectors of the other tests."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

import zstandard
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.contracting.load import packaged_root
from gateway.wire.checkpoint import format_checkpoint
from gateway.wire.digests import b64, b64url, format_content_digest
from gateway.wire.dsse import sign_envelope
from gateway.wire.fields import format_records
from gateway.wire.http_signature import sign_answer
from gateway.wire.keys import published_jwk
from gateway.wire.merkle import root_of
from gateway.wire.note import format_vkey, verifier_of
from gateway.wire.policy_file import format_policy
from gateway.wire.tiles import entry_bundle, tile_path
from tests.unit.aggregates.test_query import FLOW
from tests.unit.client.test_config import GOOD
from tests.unit.contracting.submissions import examples, line
from tests.unit.signing.test_head import ED, P256, signed
from tests.unit.wire.test_documents import ONE, TWO, TYPE
from tests.unit.wire.test_http_signature import ANSWER, REQUEST, SIGNER
from tests.unit.wire.test_note import GO_LINE, GO_TEXT, GO_VKEY, SUMDB_VKEY
from tests.unit.wire.test_receipt import AT, EVENT, HASHES, ID, LOG, NAME, POLICY, proof_text, receipt_with, witnessed

__all__ = ["EVENT", "FLOW", "LOG_TEXT", "POLICY", "PRODUCTS", "SEEDS", "SIGNED_HEAD"]

PRODUCTS: Final = ("flow", "border-event")
LOG_TEXT: Final = format_checkpoint(NAME, len(HASHES), root_of(HASHES))
SETTINGS: Final = """
public_origin = "https://gateway.example"
database_url = "sqlite:///gateway.db"
parties = ["USA", "MEX"]
tls_certificate = "key.pem"
tls_key = "key.pem"
answer_key = "key.pem"
log_key = "key.pem"
log_origin = "gateway.example/log/2026"
log_policy = "key.pem"
requests_per_second = 1.5
sandbox = true
[anchors]
USA = "key.pem"
MEX = "key.pem"
"""
_VECTORS: Final = Path(__file__).parents[1] / "vectors" / "http-signatures" / "rfc9421.json"


def _head(headers: Iterable[tuple[str, str]]) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in headers).encode()


def _signatures() -> list[bytes]:
    ours = [dict(signed(signer).headers) for signer in (ED, P256)]
    texts = [f"{one['signature-input']}\n{one['signature']}" for one in ours]
    for vector in json.loads(_VECTORS.read_bytes()):
        # The RFC's own examples, which are of other profiles, and with our tag behind.
        signature = f"s=:{vector['signature']}:"
        texts += [f"s={vector['params']}{tag}\n{signature}" for tag in ("", ';tag="gateway-submission"')]
    return [text.encode() for text in texts]


def _certificate(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return a certificate, of the authority itself or issued by it, that has the same bytes in every run."""
    start, is_authority = datetime(2026, 1, 1, tzinfo=UTC), key is _AUTHORITY_KEY
    subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (name, "authority"))
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), 7, start, start + timedelta(days=365))
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(is_authority, None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(_AUTHORITY_KEY.public_key()), False),
        (_SIGNS_CERTIFICATES, True),
        (x509.SubjectAlternativeName([x509.DNSName("agency.example")]), False),
        (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    ]
    for extension, critical in extensions[:4] if is_authority else extensions[:3] + extensions[4:]:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(_AUTHORITY_KEY, SHA256(), ecdsa_deterministic=True)


def _revocations() -> x509.CertificateRevocationList:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateRevocationListBuilder(AUTHORITY.subject, start, start + timedelta(days=365))
    revoked = x509.RevokedCertificateBuilder(9, start).build()
    return builder.add_revoked_certificate(revoked).sign(_AUTHORITY_KEY, SHA256(), ecdsa_deterministic=True)


def _peers() -> list[bytes]:
    encoded = base64.b64encode(CERTIFICATE.public_bytes(Encoding.DER)).decode()
    escaped = quote(CERTIFICATE.public_bytes(Encoding.PEM).decode(), safe="")
    return [f"client-cert: :{encoded}:".encode(), f"x-ssl-client-cert: {escaped}".encode()]


def _lines() -> list[bytes]:
    # The name of the product goes before the lines, by its length: even is flow, odd is border-event.
    return [
        prefix + b"\n" + line(example["record"])
        for product, prefix in zip(PRODUCTS, (b"", b"-"), strict=True)
        for example in examples(product, "valid").values()
    ]


def _yaml() -> list[bytes]:
    root = packaged_root()
    short = [root / "codelists" / name / "1.yaml" for name in ("sex", "action", "unit")]
    return [*(path.read_bytes() for path in short), b"a: 1\nb: [x, 'y', true]\nc: {d: NO, e: \"z\\n\"}\nf: |\n  text\n"]


def _queries() -> list[bytes]:
    queries = [
        "", "c[REF_AREA]=USA", "c[TIME_PERIOD]=ge:2024-01+le:2024-12", "c[REF_AREA]=USA,MEX&c[CITIZENSHIP]=ne:HND",
        "dimensionAtObservation=AllDimensions&attributes=all", "c[TIME_PERIOD]=gt:2023+lt:2025",
    ]  # fmt: skip
    keys = [
        "*",
        "M.*.USA.*.*.*.*",
        "..MEX%2BUSA....",
        "..MEX....,..USA....",
        "M.USA_DHS_CBP.USA.ENC_AT_PORT.EVT.HND._T",
    ]
    return [f"{key}\n{query}".encode() for key in keys for query in queries]


def _json(*documents: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(document).encode() for document in documents)


_TEXT: Final = b"".join(line(one["record"]) + b"\n" for one in examples("flow", "valid").values())
_PATHS: Final = [
    tile_path(level, index, width) for level, index, width in [(None, 0, 1), (0, 1_234_067, 256), (63, 5, 12)]
]

_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_AUTHORITY_KEY: Final = ec.derive_private_key(11, ec.SECP256R1())
AUTHORITY: Final = _certificate("authority", _AUTHORITY_KEY)
CERTIFICATE: Final = _certificate("agency", ec.derive_private_key(7, ec.SECP256R1()))
_TABLES: Final = sorted((packaged_root() / "flow/1.0.0/examples").glob("*.csv"))

SEEDS: Final[dict[str, tuple[bytes, ...]]] = {
    "canonical": (
        EVENT.entry,
        EVENT.payload,
        b"[]",
        b'{"a":[1,-2,true,"\\u0000\\n\xc3\xa9"],"b":{}}',
        line(examples("flow", "valid")["cell"]["record"]),
    ),
    "base64": (b"", b64(b"a").encode(), b64(bytes(range(256))).encode()),
    "base64url": (b"", b64url(b"a").encode(), b64url(bytes(range(256))).encode()),
    "content_digest": (
        format_content_digest(bytes(32)).encode(),
        b"sha-512=:" + base64.b64encode(bytes(64)) + b":, md5=:AA==:",
    ),
    "structured": (
        b'a=1, b=2.5;x, c="d\\"";y=?0, d=:AAAA:, e=(1 "b";c);d, f=@1659578233, g=%"f%c3%bc", h=t/o:k*, i=?1, j',
        b"count=2, root=:AAAA:",
    ),
    "records_field": (format_records(2, bytes(32)).encode(), format_records(0, bytes(32)).encode()),
    "http_signature": tuple(_signatures()),
    "submission_head": tuple(_head(signed(signer).headers) for signer in (ED, P256)),
    "answer": (_head([*ANSWER, *sign_answer(SIGNER, status=201, headers=ANSWER, request=REQUEST, created=1).items()]),),
    "note": (
        f"{GO_TEXT}\n{GO_LINE}".encode(),
        *(proof_text(cosigners=n).partition("\n\n")[2].encode() for n in (0, 3)),
    ),
    "vkey": (GO_VKEY.encode(), SUMDB_VKEY.encode(), format_vkey(verifier_of(LOG, NAME)).encode()),
    "checkpoint": (LOG_TEXT.encode(),),
    "proof": (proof_text().encode(), proof_text(cosigners=2).encode()),
    "receipt": _json(receipt_with()),
    "policy_file": (format_policy(POLICY).encode(), b"# note\n\n" + format_policy(witnessed("g")).encode()),
    "entry": (EVENT.entry,),
    "event": (EVENT.payload, "\n".join([EVENT.payload.decode(), *EVENT.disclosures]).encode()),
    "dsse": _json(sign_envelope(TYPE, b"{}", [ONE, TWO]), sign_envelope(TYPE, b"{}", [ONE])),
    "jwk": _json(*(published_jwk(signer) for signer in (ED, P256))),
    "public_key": (ED.public_der, P256.public_der),
    "tile_path": tuple(path.encode() for path in _PATHS),
    "entry_bundle": (entry_bundle([EVENT.entry, b"", b"x"]), entry_bundle([b"a" * 300]), b"".join(HASHES)),
    "instant": (b"2026-11-24T02:00:00.123456Z", AT.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()),
    "identifier": (ID.encode(), b"019aa3f1-2c00-7abc-8000-000000000001"),
    "strict_yaml": tuple(_yaml()),
    "sdmx_query": tuple(_queries()),
    "csv": tuple(b"".join(path.read_bytes().splitlines(keepends=True)[:9]) for path in _TABLES),
    "records": tuple(_lines()),
    "gzip": (gzip.compress(_TEXT, mtime=0), gzip.compress(b"", mtime=0) + gzip.compress(bytes(5000), mtime=0)),
    "zstd": (
        zstandard.ZstdCompressor().compress(_TEXT),
        zstandard.ZstdCompressor(write_checksum=True).compress(bytes(5000)) * 2,
        b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstandard.ZstdCompressor().compress(b"a"),
    ),
    "peer": tuple(_peers()),
    "certificate": (CERTIFICATE.public_bytes(Encoding.DER),),
    "anchors": (AUTHORITY.public_bytes(Encoding.PEM) + _revocations().public_bytes(Encoding.PEM),),
    "accept_language": (b"es", b"es-MX,es;q=0.9,en;q=0.8", b"fr; q=1, en ; q=0.1, es; q=0.5", b"*"),
    "client_toml": (re.sub(r'"[a-z]+\.(pem|key)"', '"key.pem"', GOOD).encode(),),
    "settings": (SETTINGS.encode(),),
}
SIGNED_HEAD: Final = SEEDS["submission_head"][0]
