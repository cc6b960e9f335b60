# SPDX-License-Identifier: Apache-2.0
"""What would go wrong, said before the port opens; this file is about looking at all that the settings point to.

`gateway config check` prints these sentences and `gateway serve` does not start with one: each names the setting, what
is wrong with it, and how to mend it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.clock import format_instant
from gateway.errors import Fault, StorageUnavailable
from gateway.identity.anchors import load_anchors
from gateway.settings import Settings
from gateway.storage import log
from gateway.storage.engine import open_storage
from gateway.storage.migrate import check
from gateway.tokens.access import TokenKey
from gateway.wire.keys import FileSigner, KeyUnsupported
from gateway.wire.note import Verifier, verifier_of
from gateway.wire.policy_file import PolicyInvalid, parse_policy

SOCKET_PATH_MAX = 107


def problems(settings: Settings, *, at: datetime) -> Iterator[str]:
    """Yield a sentence for each thing that would keep the gateway from starting, or from being safe."""
    yield from _modes(settings)
    yield from _server_certificate(settings, at)
    yield from _anchors(settings)
    yield from _log_keys(settings)
    yield from _sockets(settings)
    yield from _database(settings)


def warnings(settings: Settings, *, at: datetime) -> Iterator[str]:
    """Yield a sentence for each thing that locks out one country; the others go on."""
    try:
        trust = load_anchors(settings.anchors, settings.revocation_lists).current
    except (OSError, ValueError):
        return  # A problem, and told as one.
    for country, anchor in trust.by_country.items():
        if all(certificate.not_valid_after_utc <= at for certificate in anchor.certificates):
            yield f"anchors: every CA certificate of {country} has ended; install the country's new one"
        if anchor.crl_until is not None and anchor.crl_until <= at:
            yield f"revocation_lists: the list of {country} is due since {_day(anchor.crl_until)}; fetch the new one"


def _modes(settings: Settings) -> Iterator[str]:
    for name in ("tls_key", "answer_key", "token_key", "log_key"):
        path: Path | None = getattr(settings, name)
        if path and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            yield f"{name}: {path} has mode {mode:04o}, others could take the key; chmod 600, and make a new key"


def _server_certificate(settings: Settings, at: datetime) -> Iterator[str]:
    if settings.peer_mode == "proxy" or not (settings.tls_certificate and settings.tls_key):
        return
    name = f"tls_certificate: {settings.tls_certificate}"
    try:
        certificate = x509.load_pem_x509_certificates(settings.tls_certificate.read_bytes())[0]
        key = load_pem_private_key(settings.tls_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        yield f"{name} or tls_key cannot be read ({error}); both are PEM, the key without a password"
        return
    if certificate.public_key() != key.public_key():
        yield f"{name} and tls_key do not belong together; install the pair that was issued"
    if certificate.not_valid_after_utc <= at:
        yield f"{name} ended {_day(certificate.not_valid_after_utc)}; install a new one"
    if certificate.not_valid_before_utc > at:
        begins = format_instant(certificate.not_valid_before_utc)
        yield f"{name} begins {begins} and the clock says {format_instant(at)}; set the clock (chrony, timedatectl)"


def _anchors(settings: Settings) -> Iterator[str]:
    try:
        load_anchors(settings.anchors, settings.revocation_lists)
    except (OSError, ValueError) as error:
        yield f"anchors, revocation_lists: {error}; install the files that the country publishes"


def _log_keys(settings: Settings) -> Iterator[str]:
    try:
        FileSigner.load(settings.answer_key)
    except (OSError, KeyUnsupported) as error:
        yield f"answer_key: {error}; it is a PKCS#8 PEM file without a password"
    try:
        if settings.token_key:
            TokenKey.load(settings.token_key)
    except (OSError, ValueError) as error:
        yield f"token_key: {error}; it is a P-256 key in a PKCS#8 PEM file without a password"
    try:
        verifier = verifier_of(FileSigner.load(settings.log_key), settings.log_origin)
    except (OSError, ValueError) as error:
        yield f"log_key: {error}; it is an Ed25519 key in a PKCS#8 PEM file without a password"
        return
    yield from _log_policy(settings, verifier)


def _log_policy(settings: Settings, verifier: Verifier) -> Iterator[str]:
    try:
        policy = parse_policy(settings.log_policy.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, PolicyInvalid) as error:
        yield f"log_policy: {settings.log_policy}: {error}; it is a tlog-policy text"
        return
    if verifier not in {key.verifier for key in policy.logs}:
        yield f"log_policy: it names another key for {settings.log_origin} than log_key; write its verifier key there"


def _sockets(settings: Settings) -> Iterator[str]:
    for name in ("listen_socket", "operator_socket"):
        path: Path | None = getattr(settings, name)
        if path is None or (name == "listen_socket" and settings.peer_mode == "direct"):
            continue
        if len(str(path)) > SOCKET_PATH_MAX:
            yield f"{name}: {path} has more than {SOCKET_PATH_MAX} characters; take a shorter path"
        folder = path.parent
        if not folder.is_dir():
            if name == "listen_socket" or not folder.parent.is_dir():
                yield f"{name}: there is no folder {folder}; make it with mode 0750"
        elif (mode := stat.S_IMODE(folder.stat().st_mode)) & 0o027:
            yield f"{name}: {folder} has mode {mode:04o}, others could enter; chmod 0750"


def _database(settings: Settings) -> Iterator[str]:
    try:
        check(settings.database_url)
        with closing(open_storage(settings.database_url, read_only=True)) as storage:
            origin = storage.read(log.get_head).origin
    except StorageUnavailable:
        yield "database_url: the database cannot be reached; start it, or correct the address, role and password"
    except log.LogMissing:
        yield "database_url: there is no log in the database; if it is new, run `gateway log create`"
    except Fault as error:
        yield f"database_url: {error}"
    else:
        if origin != settings.log_origin:
            yield f"log_origin: the database holds the log {origin}; correct log_origin or database_url"


def _day(at: datetime) -> str:
    return at.date().isoformat()
