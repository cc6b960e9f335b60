# SPDX-License-Identifier: Apache-2.0
"""Certificates for a deployment that has none yet; this file is about authorities, certificates and revocation lists.

Every key is on the curve P-256. A country with an authority of its own brings that instead; the gateway never
needs an authority's private key.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
LEAF_DAYS = 397
REVOCATION_LIST_DAYS = 90
SUBJECT_URI = "urn:gateway:"
FINGERPRINT = SHA256()


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate holds."""

    not_before: datetime
    not_after: datetime

    @classmethod
    def days(cls, start: datetime, days: int) -> Validity:
        """Return the validity of so many days."""
        return cls(start, start + timedelta(days=days))


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key on P-256: half the handshake of P-384, and every stack has it."""
    return ec.generate_private_key(ec.SECP256R1())


def create_authority(name: str, organization: str, validity: Validity) -> Issued:
    """Return a self-signed authority that issues leaves only."""
    key = new_tls_key()
    subject = _name(name, organization)
    builder = (
        _builder(subject, subject, key.public_key(), validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Issued(builder.sign(key, SHA256()), key)


def issue_client(authority: Issued, subject_id: str, organization: str, validity: Validity) -> Issued:
    """Return a client certificate for a partner or officer; its name is for people, the pin decides."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"{SUBJECT_URI}{subject_id}")]
    return _issue(authority, _name(subject_id, organization), names, ExtendedKeyUsageOID.CLIENT_AUTH, validity)


def signing_request(key: ec.EllipticCurvePrivateKey, subject_id: str, organization: str) -> bytes:
    """Return what a country's authority is asked to certify (PKCS#10, PEM): names and uses as in `issue_client`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject_id, organization))
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{SUBJECT_URI}{subject_id}")])
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (names, False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def issue_server(authority: Issued, hosts: Iterable[str], organization: str, validity: Validity) -> Issued:
    """Return a server certificate for host names and addresses."""
    names = [_host(host) for host in hosts]
    return _issue(authority, _name("gateway", organization), names, ExtendedKeyUsageOID.SERVER_AUTH, validity)


def revocation_list(authority: Issued, revoked: Iterable[x509.Certificate], validity: Validity) -> bytes:
    """Return an authority's revocation list as PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(validity.not_before)
        .next_update(validity.not_after)
        .add_extension(_issued_by(authority), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(validity.not_before).build())
    return builder.sign(authority.key, SHA256()).public_bytes(Encoding.PEM)


def write_public(path: Path, content: bytes) -> Path:
    """Write a file that anyone may read, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pem_of_public(der: bytes) -> str:
    """Return a public key (SubjectPublicKeyInfo, DER) as PEM."""
    public = load_der_public_key(der)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def write_certificate(path: Path, certificate: x509.Certificate) -> Path:
    """Write a certificate as PEM."""
    return write_public(path, certificate.public_bytes(Encoding.PEM))


def write_key(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Path:
    """Write a private key as PKCS#8 PEM into a new file that only the owner can read.

    Raises:
        FileExistsError: when there is a file already; a key is never overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # The mode is set when the file is made, so that there is no moment in which others can open it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


def _issue(
    authority: Issued,
    subject: x509.Name,
    names: list[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    validity: Validity,
) -> Issued:
    key = new_tls_key()
    builder = (
        _builder(subject, authority.certificate.subject, key.public_key(), validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issued_by(authority), critical=False)
    )
    return Issued(builder.sign(authority.key, SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def _issued_by(authority: Issued) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _name(name: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
