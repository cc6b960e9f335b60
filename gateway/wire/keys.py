# SPDX-License-Identifier: Apache-2.0
"""Who signed, in numbers; this file is about signing keys: Ed25519, ECDSA and RSA-PSS, their names and signatures.

A key is named by its RFC 7638 thumbprint. An ECDSA signature is r and s side by side (RFC 9421, sections 3.3.4 and
3.3.5), never DER; an RSA-PSS signature has a salt of 64 bytes (section 3.3.1). The key decides the algorithm; a
message may only repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
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
ECDSA_P384: Final = "ecdsa-p384-sha384"
RSA_PSS: Final = "rsa-pss-sha512"
# Below, NIST SP 800-57 sees no strength for the coming years; above, a verification costs more than it protects.
RSA_BITS_MIN: Final = 3072
RSA_BITS_MAX: Final = 8192
_RSA_EXPONENT: Final = 65537
_ED25519_SIGNATURE_BYTES: Final = 64
_PSS: Final = padding.PSS(padding.MGF1(SHA512()), salt_length=64)
_KINDS: Final = "neither Ed25519, P-256, P-384 nor RSA of 3072 to 8192 bits"

PublicKey: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class _Curve:
    """A curve of NIST with what RFC 9421 and RFC 7518 call it."""

    kind: type[ec.EllipticCurve]
    hashed: ec.ECDSA
    jwk_name: str
    jwk_algorithm: str
    coordinate_bytes: int


_CURVES: Final = {
    ECDSA_P256: _Curve(ec.SECP256R1, ec.ECDSA(SHA256()), "P-256", "ES256", 32),
    ECDSA_P384: _Curve(ec.SECP384R1, ec.ECDSA(SHA384()), "P-384", "ES384", 48),
}


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
        """Read an unencrypted PKCS#8 PEM file; KeyUnsupported when it is none, or its key of a kind not used here."""
        try:
            key = load_pem_private_key(Path(path).read_bytes(), password=None)
        except (TypeError, ValueError, exceptions.UnsupportedAlgorithm) as error:
            raise KeyUnsupported(f"{path}: not an unencrypted PKCS#8 key") from error
        if not isinstance(key, PrivateKey):
            raise KeyUnsupported(f"{path}: {_KINDS}")
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
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, _PSS, SHA512())
        curve = _CURVES[self.algorithm]
        r, s = utils.decode_dss_signature(self._key.sign(data, curve.hashed))
        return r.to_bytes(curve.coordinate_bytes, "big") + s.to_bytes(curve.coordinate_bytes, "big")


def algorithm_of(public: PublicKey) -> str:
    """Return the RFC 9421 name of a key's algorithm; KeyUnsupported when the key is of a kind not used here."""
    match public:
        case ed25519.Ed25519PublicKey():
            return ED25519
        case ec.EllipticCurvePublicKey():
            for algorithm, curve in _CURVES.items():
                if isinstance(public.curve, curve.kind):
                    return algorithm
        case rsa.RSAPublicKey() if RSA_BITS_MIN <= public.key_size <= RSA_BITS_MAX:
            if public.public_numbers().e == _RSA_EXPONENT:
                return RSA_PSS
    raise KeyUnsupported(_KINDS)


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
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    curve, point = _CURVES[algorithm_of(public)], public.public_numbers()
    x, y = (b64url(number.to_bytes(curve.coordinate_bytes, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": curve.jwk_name, "x": x, "y": y}


def published_jwk(signer: Signer) -> dict[str, str]:
    """Return a signer's public key as a JWK set publishes it: with kid, use and alg (RFC 7517, 7518, 8037)."""
    curve = _CURVES.get(signer.algorithm)
    algorithm = curve.jwk_algorithm if curve else {ED25519: "EdDSA", RSA_PSS: "PS512"}[signer.algorithm]
    return {**jwk_of(_load(signer.public_der)), "kid": signer.keyid, "use": "sig", "alg": algorithm}


def signing_public(public: PublicKey) -> SigningPublic:
    """Return a key with its algorithm and the RFC 7638 thumbprint that names it."""
    algorithm = algorithm_of(public)
    thumbprint = b64url(sha256(canonical_bytes(jwk_of(public))))
    return SigningPublic(thumbprint, algorithm, public_der(public))


def public_of_der(der: bytes) -> SigningPublic:
    """Return the key of a SubjectPublicKeyInfo; KeyUnsupported when it is malformed, or of a kind not used here."""
    return signing_public(_load(der))


def public_of_jwk(jwk: Mapping[str, object]) -> SigningPublic:
    """Return the key of a JWK; KeyUnsupported when it is malformed, of another kind, or `kid` is no thumbprint."""
    try:
        public = signing_public(_read_jwk(jwk))
    except (KeyError, ValueError) as error:
        raise KeyUnsupported("malformed JWK, or of a kind not used here") from error
    if jwk.get("kid", public.keyid) != public.keyid:
        raise KeyUnsupported("kid is not the thumbprint")
    return public


def verify_bytes(algorithm: str, public: bytes, signature: bytes, data: bytes) -> None:
    """Check that a key (its SubjectPublicKeyInfo) signed some bytes with an algorithm, or raise InvalidSignature."""
    key = _load(public)
    if algorithm_of(key) != algorithm:
        raise InvalidSignature
    try:
        match key:
            case ed25519.Ed25519PublicKey():
                _of_length(signature, _ED25519_SIGNATURE_BYTES)
                key.verify(signature, data)
            case rsa.RSAPublicKey():
                _of_length(signature, (key.key_size + 7) // 8)
                key.verify(signature, data, _PSS, SHA512())
            case ec.EllipticCurvePublicKey():
                curve = _CURVES[algorithm]
                r, s = _halves(signature, curve.coordinate_bytes)
                key.verify(utils.encode_dss_signature(r, s), data, curve.hashed)
    except exceptions.InvalidSignature as error:
        raise InvalidSignature from error


@lru_cache(maxsize=1024)
def _load(der: bytes) -> PublicKey:
    # Reading a key costs as much as a verification, so keys are kept; they are few, and public.
    try:
        key = load_der_public_key(der)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise KeyUnsupported("malformed key") from error
    if not isinstance(key, PublicKey):
        raise KeyUnsupported(_KINDS)
    algorithm_of(key)
    return key


def _read_jwk(jwk: Mapping[str, object]) -> PublicKey:
    def octets(name: str) -> bytes:
        return unb64url(str(jwk[name]))

    if jwk["kty"] == "RSA":
        n, e = (int.from_bytes(octets(name), "big") for name in ("n", "e"))
        return rsa.RSAPublicNumbers(e, n).public_key()
    if (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519"):
        return ed25519.Ed25519PublicKey.from_public_bytes(octets("x"))
    for curve in _CURVES.values():
        if (jwk["kty"], jwk["crv"]) == ("EC", curve.jwk_name):
            return ec.EllipticCurvePublicKey.from_encoded_point(curve.kind(), b"\x04" + octets("x") + octets("y"))
    raise KeyUnsupported(_KINDS)


def _number(value: int) -> str:
    """Write a number as RFC 7518, section 2, says: no octet more than it needs."""
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _halves(signature: bytes, size: int) -> tuple[int, int]:
    _of_length(signature, 2 * size)
    return int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")


def _of_length(signature: bytes, size: int) -> None:
    if len(signature) != size:
        raise InvalidSignature
