# SPDX-License-Identifier: Apache-2.0
"""Published keys and signatures; this file is about keys, their names, and what they did not sign."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from gateway.wire.digests import b64url, parse_content_digest, sha256, unb64
from gateway.wire.keys import (
    FileSigner,
    InvalidSignature,
    KeyUnsupported,
    algorithm_of,
    jwk_of,
    public_der,
    public_of_der,
    public_of_jwk,
    public_raw,
    published_jwk,
    signing_public,
    verify_bytes,
)

# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ED = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
P256 = FileSigner.of(ec.derive_private_key(7, ec.SECP256R1()))
P384 = FileSigner.of(ec.derive_private_key(7, ec.SECP384R1()))
# RFC 7638, section 3.1: the example's modulus.
RFC7638 = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw"
)


@cache
def rsa_signer(bits: int = 3072) -> FileSigner:
    return FileSigner.of(rsa.generate_private_key(65537, bits))


SIGNERS = {
    "ed25519": lambda: ED, "ecdsa-p256-sha256": lambda: P256, "ecdsa-p384-sha384": lambda: P384,
    "rsa-pss-sha512": rsa_signer,
}  # fmt: skip
SIGNATURE_BYTES = {"ed25519": 64, "ecdsa-p256-sha256": 64, "ecdsa-p384-sha384": 96, "rsa-pss-sha512": 384}


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC8032)
def test_ed25519_signs_and_verifies_as_published(secret: str, public: str, message: str, signature: str) -> None:
    signer = FileSigner.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)))

    assert public_raw(signer.public_der).hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    verify_bytes("ed25519", signer.public_der, bytes.fromhex(signature), bytes.fromhex(message))


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    """RFC 8037, appendix A.3."""
    key = public_of_jwk({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})

    assert key.keyid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_thumbprint_of_a_p256_key_is_computed_over_its_four_required_members() -> None:
    jwk = jwk_of(ec.derive_private_key(7, ec.SECP256R1()).public_key())
    written = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'

    assert b64url(sha256(written.encode())) == P256.keyid
    assert public_of_jwk({**jwk, "kid": P256.keyid, "use": "sig"}) == public_of_der(P256.public_der)


def test_the_thumbprint_of_an_rsa_key_is_that_of_rfc_7638(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3.1. Its key has 2048 bits, which nobody may sign with here."""
    jwk = {
        "kty": "RSA",
        "n": RFC7638,
        "e": "AQAB",
        "alg": "RS256",
        "kid": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    }
    with pytest.raises(KeyUnsupported):
        public_of_jwk(jwk)

    monkeypatch.setattr("gateway.wire.keys.RSA_BITS_MIN", 2048)

    assert public_of_jwk(jwk).keyid == jwk["kid"]


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_only_these_bytes_by_this_key_with_this_algorithm_hold(algorithm: str) -> None:
    signer = SIGNERS[algorithm]()
    signature = signer.sign(b"text")
    verify_bytes(signer.algorithm, signer.public_der, signature, b"text")

    assert (signer.algorithm, len(signature)) == (algorithm, SIGNATURE_BYTES[algorithm])
    other = P256 if signer is ED else ED
    size = len(signature)
    for named, public, given, data in [
        (signer.algorithm, signer.public_der, signature, b"texT"),
        (signer.algorithm, signer.public_der, signature[:-1], b"text"),
        (signer.algorithm, signer.public_der, signature + b"\x00", b"text"),
        (signer.algorithm, signer.public_der, b"", b"text"),
        (signer.algorithm, signer.public_der, bytes(size), b"text"),
        (signer.algorithm, signer.public_der, b"\xff" * size, b"text"),
        (other.algorithm, signer.public_der, signature, b"text"),
        (other.algorithm, other.public_der, signature, b"text"),
    ]:
        with pytest.raises(InvalidSignature):
            verify_bytes(named, public, given, data)


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_a_key_is_the_same_key_in_every_form(algorithm: str) -> None:
    """In a registry, in a JWK set, in a file."""
    signer = SIGNERS[algorithm]()

    published = published_jwk(signer)

    assert public_of_jwk(published) == public_of_der(signer.public_der)
    assert published["alg"] == dict(zip(SIGNERS, ("EdDSA", "ES256", "ES384", "PS512"), strict=True))[algorithm]


def test_an_rsa_signature_of_the_older_padding_is_not_accepted() -> None:
    """RFC 9421, section 3.3.2, is another algorithm; so is PSS with another salt."""
    private = rsa_signer()._key
    assert isinstance(private, rsa.RSAPrivateKey)
    for pad in (padding.PKCS1v15(), padding.PSS(padding.MGF1(SHA512()), salt_length=32)):
        with pytest.raises(InvalidSignature):
            verify_bytes("rsa-pss-sha512", rsa_signer().public_der, private.sign(b"text", pad, SHA512()), b"text")


def test_a_der_signature_is_not_accepted_for_ecdsa() -> None:
    """RFC 9421, section 3.3.4: r and s side by side; two encodings would be two signatures for one statement."""
    from cryptography.hazmat.primitives.hashes import SHA256

    der = ec.derive_private_key(7, ec.SECP256R1()).sign(b"text", ec.ECDSA(SHA256()))

    with pytest.raises(InvalidSignature):
        verify_bytes(P256.algorithm, P256.public_der, der, b"text")


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    strangers = [
        rsa.generate_private_key(65537, 3064), rsa.generate_private_key(3, 3072),
        ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP256K1()),
    ]  # fmt: skip
    for private in strangers:
        path = tmp_path / "key.pem"
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(KeyUnsupported):
            FileSigner.load(path)
        with pytest.raises(KeyUnsupported):
            public_of_der(public_der(private.public_key()))
    with pytest.raises(KeyUnsupported):
        algorithm_of(strangers[0].public_key())
    with pytest.raises(KeyUnsupported):
        public_of_der(b"no key")


def test_an_encrypted_or_malformed_key_file_is_refused(tmp_path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    secret = BestAvailableEncryption(b"password")
    for content in (private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret), b"no key", b""):
        path = tmp_path / "key.pem"
        path.write_bytes(content)
        with pytest.raises(KeyUnsupported):
            FileSigner.load(path)


def test_a_key_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    signer = FileSigner.load(path)

    assert (signer.keyid, signer.algorithm) == (signing_public(private.public_key()).keyid, "ed25519")
    assert "_key" not in repr(signer)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "RSA", "n": "é", "e": "AQAB"},
        {"kty": "RSA", "e": "AQAB"},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "other"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ],
)
def test_a_jwk_that_is_no_key_of_ours_is_refused(jwk: dict[str, object]) -> None:
    with pytest.raises(KeyUnsupported):
        public_of_jwk(jwk)


def test_content_digests_are_those_of_rfc_9530() -> None:
    """RFC 9530, appendix B: the digests of `{"hello": "world"}` with and without its newline."""
    body = b'{"hello": "world"}'
    with_newline = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="

    assert parse_content_digest(f"sha-256=:{with_newline}:") == {"sha-256": sha256(body + b"\n")}
    assert sha256(body) == unb64("X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=")
    assert list(parse_content_digest(f"md5=:AAAA:, sha-256=:{with_newline}:, sha=:AAAA:")) == ["sha-256"]


@pytest.mark.parametrize(
    "field",
    [
        "sha-256",
        "sha-256=abc",
        "sha-256=:AAAA:",
        "sha-512=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:;a=1",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, sha-256=:AAAA:",
        "é=:AAAA:",
        "sha-256=:" + "A" * 9000 + ":",
    ],
)
def test_a_malformed_content_digest_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_content_digest(field)
