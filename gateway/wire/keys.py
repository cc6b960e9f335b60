# SPDX-License-Identifier: Apache-2.0
"""Who signed, in numbers; this file is about signing keys: Ed25519 and ECDSA P-256, their names and signatures.

A key is named by its RFC 7638 thumbprint. An ECDSA signature is r and s side by side, 64 bytes (RFC 9421,
section 3.3.4), never DER. The key decides the algorithm; a message may only repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from gateway.wire.canonical import canonical_bytes
from gateway.wire.digests import b64url, sha256, unb64url

ED25519: Final = "ed25519"
ECDSA_P256: Final = "ecdsa-p256-sha256"
_COORDINATE_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_ECDSA_SHA256: Final = ec.ECDSA(SHA256())

PublicKey: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class InvalidSignature(Exception):
    """These bytes were not signed by this key."""


class KeyUnsupported(ValueError):
    """A key of a kind that is not used here."""


class Signer(Protocol):
    """Someone who holds a private key: a file here, a hardware module elsewhere."""

    @property
    def keyid(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def public_der(self) -> bytes: ...
    def sign(self, data: bytes) -> bytes:
        """Return the signature over some bytes."""
        ...


@dataclass(frozen=True, slots=True)
class SigningPublic:
    """A public signing key; `der` is its SubjectPublicKeyInfo."""

    keyid: str
    algorithm: str
    der: bytes


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A signer whose private key was read from a file."""

    keyid: str
    algorithm: str
    public_der: bytes
    _key: PrivateKey = field(repr=False)

    @classmethod
    def load(cls, path: Path | str) -> FileSigner:
        """Read an unencrypted PKCS#8 PEM file; KeyUnsupported when it is none, of an Ed25519 or P-256 key."""
        try:
            key = load_pem_private_key(Path(path).read_bytes(), password=None)
        except (TypeError, ValueError, exceptions.UnsupportedAlgorithm) as error:
            raise KeyUnsupported(f"{path}: not an unencrypted PKCS#8 key") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise KeyUnsupported(f"{path}: neither Ed25519 nor P-256")
        return cls.of(key)

    @classmethod
    def of(cls, key: PrivateKey) -> FileSigner:
        """Return the signer of a private key that is at hand."""
        public = signing_public(key.public_key())
        return cls(public.keyid, public.algorithm, public.der, key)

    def sign(self, data: bytes) -> bytes:
        """Return the signature over some bytes."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = utils.decode_dss_signature(self._key.sign(data, _ECDSA_SHA256))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")


def algorithm_of(public: PublicKey) -> str:
    """Return the RFC 9421 name of a key's algorithm; KeyUnsupported when it is neither Ed25519 nor P-256."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ED25519
    if isinstance(public.curve, ec.SECP256R1):
        return ECDSA_P256
    raise KeyUnsupported("neither Ed25519 nor P-256")


def public_der(public: PublicKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_raw(der: bytes) -> bytes:
    """Return the 32 bytes of an Ed25519 key; KeyUnsupported when the key is another one."""
    key = _load(der)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise KeyUnsupported("not an Ed25519 key")
    return key.public_bytes_raw()


def ed25519_der(raw: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of the 32 bytes of an Ed25519 key; ValueError for another length."""
    return public_der(ed25519.Ed25519PublicKey.from_public_bytes(raw))


def jwk_of(public: PublicKey) -> dict[str, str]:
    """Return the members of a key's JWK that RFC 7638 requires, and no other."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(public.public_bytes_raw())}
    assert algorithm_of(public) == ECDSA_P256
    numbers = public.public_numbers()
    x, y = (b64url(number.to_bytes(_COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def published_jwk(signer: Signer) -> dict[str, str]:
    """Return a signer's public key as a JWK set publishes it: with kid, use and alg (RFC 7517, RFC 8037)."""
    algorithm = "EdDSA" if signer.algorithm == "ed25519" else "ES256"
    return {**jwk_of(_load(signer.public_der)), "kid": signer.keyid, "use": "sig", "alg": algorithm}


def signing_public(public: PublicKey) -> SigningPublic:
    """Return a key with its algorithm and the RFC 7638 thumbprint that names it."""
    algorithm = algorithm_of(public)
    thumbprint = b64url(sha256(canonical_bytes(jwk_of(public))))
    return SigningPublic(thumbprint, algorithm, public_der(public))


def public_of_der(der: bytes) -> SigningPublic:
    """Return the key of a SubjectPublicKeyInfo; KeyUnsupported when it is malformed, or neither Ed25519 nor P-256."""
    return signing_public(_load(der))


def public_of_jwk(jwk: Mapping[str, object]) -> SigningPublic:
    """Return the key of a JWK; KeyUnsupported when it is malformed, of another kind, or `kid` is no thumbprint."""
    try:
        x = unb64url(str(jwk["x"]))
        if (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519"):
            public = signing_public(ed25519.Ed25519PublicKey.from_public_bytes(x))
        elif (jwk["kty"], jwk["crv"]) == ("EC", "P-256"):
            point = b"\x04" + x + unb64url(str(jwk["y"]))
            public = signing_public(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
        else:
            raise KeyUnsupported("neither Ed25519 nor P-256")
    except (KeyError, ValueError) as error:
        raise KeyUnsupported("malformed JWK") from error
    if jwk.get("kid", public.keyid) != public.keyid:
        raise KeyUnsupported("kid is not the thumbprint")
    return public


def verify_bytes(algorithm: str, public: bytes, signature: bytes, data: bytes) -> None:
    """Check that a key (its SubjectPublicKeyInfo) signed some bytes with an algorithm, or raise InvalidSignature."""
    key = _load(public)
    if algorithm_of(key) != algorithm or len(signature) != _SIGNATURE_BYTES:
        raise InvalidSignature
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            r = int.from_bytes(signature[:_COORDINATE_BYTES], "big")
            s = int.from_bytes(signature[_COORDINATE_BYTES:], "big")
            key.verify(utils.encode_dss_signature(r, s), data, _ECDSA_SHA256)
    except exceptions.InvalidSignature as error:
        raise InvalidSignature from error


@lru_cache(maxsize=1024)
def _load(der: bytes) -> PublicKey:
    # Reading a key costs as much as a verification, so keys are kept; they are few, and public.
    try:
        key = load_der_public_key(der)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise KeyUnsupported("malformed key") from error
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise KeyUnsupported("neither Ed25519 nor P-256")
    algorithm_of(key)
    return key
