# SPDX-License-Identifier: Apache-2.0
"""What keeps a partner from submitting; this file is about examining files, clock, connection and standing, in order.

Each step needs the ones before it, so that the first failure is the cause and not its consequence: (1) the
configuration; (2) keys and certificate, by themselves; (3) name, port and TLS, without asking for anything; (4) what
the gateway knows of this partner; (5) what both sides agreed on. Nothing is kept by the gateway: one dry run is sent.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.client.answers import load_answer_keys
from gateway.client.channel import Answer, tls_context
from gateway.client.config import ClientConfig, load_config
from gateway.client.failures import (
    CannotReach,
    ClientFailure,
    ConfigInvalid,
    HandshakeRefused,
    InputUnusable,
    Refused,
)
from gateway.client.records import local_contract
from gateway.client.retry import Pace
from gateway.client.sdk import GatewayClient
from gateway.client.sending import body_of_nil
from gateway.clock import Clock, parse_instant
from gateway.wire.canonical import canonical_bytes
from gateway.wire.keys import FileSigner
from gateway.wire.policy_file import parse_policy

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
EXPIRES_SOON: Final = timedelta(days=30)
LAST_DAY: Final = timedelta(days=1)
# What the gateway allows a signature to lie before and behind its own time; a few seconds are the network's.
AHEAD_SECONDS_MAX: Final = 30
BEHIND_SECONDS_MAX: Final = 300
SKEW_SECONDS_WARN: Final = 10
_CONNECT_SECONDS: Final = 10
_CALL_SECONDS: Final = 20
_OTHERS_BITS: Final = 0o077
_ABOUT_KEY: Final = frozenset({"signature-key-unknown", "signature-algorithm-mismatch", "signature-invalid"})
_ABOUT_CLOCK: Final = frozenset({"signature-expired", "signature-not-yet-valid"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined: `code` names it, `level` is ok, warn or fail, `facts` are the values."""

    code: str
    level: str
    facts: dict[str, object] = field(default_factory=dict)


class _Ends(Exception):
    """A failure behind which nothing can be examined."""

    def __init__(self, code: str, **facts: object) -> None:
        self.finding = Finding(code, FAIL, facts)
        super().__init__(code)


def examine(path: Path, *, clock: Clock, contracts: Path | None = None) -> Iterator[Finding]:
    """Examine a partner's set-up and yield what is found, as it is found."""
    try:
        config = _config(path)  # (1)
        yield Finding("config", OK, {"path": path})
        yield from _files(config, at=clock.now())  # (2)
        yield from _connection(config, at=clock.now())  # (3)
        with GatewayClient(config, clock=clock, pace=Pace(_CALL_SECONDS, attempts_max=1)) as client:
            answer = _greeting(client)
            yield from _clocks(answer, at=clock.now())  # (4)
            yield from _standing(answer)
            offered = answer.document().get("contracts", [])
            if config.partner:
                yield from _dry_run(client, offered, at=clock.now())
            yield from _agreed(client, offered, contracts)  # (5)
            if config.partner:
                yield from _ending(client, at=clock.now())
    except _Ends as end:
        yield end.finding
    except HandshakeRefused as refused:
        yield Finding("cert-refused", FAIL, {"detail": refused})
    except ClientFailure as failure:
        yield Finding("call-failed", FAIL, {"detail": failure})


def _config(path: Path) -> ClientConfig:
    try:
        return load_config(path)
    except ConfigInvalid as error:
        raise _Ends("config-invalid", detail=error) from error


def _files(config: ClientConfig, *, at: datetime) -> Iterator[Finding]:
    for path in filter(None, (config.tls_key, config.signing_key)):
        mode = path.stat().st_mode & 0o777
        yield Finding("key-mode" if mode & _OTHERS_BITS else "key-private", FAIL if mode & _OTHERS_BITS else OK,
                      {"path": path, "mode": f"{mode:o}"})  # fmt: skip
    chain = _read(config.tls_cert, x509.load_pem_x509_certificates)
    key = _read(config.tls_key, lambda data: load_pem_private_key(data, None))
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public:
        raise _Ends("key-mismatch", cert=config.tls_cert, key=config.tls_key)
    yield Finding("key-matches", OK)
    yield from _certificate(chain, at=at)
    if config.signing_key:
        signer = _read(config.signing_key, lambda _: FileSigner.load(str(config.signing_key)))
        yield (
            Finding("same-key", WARN)
            if signer.public_der == public
            else Finding("signing-key", OK, {"keyid": signer.keyid, "algorithm": signer.algorithm})
        )
    if config.answer_keys and not _read(config.answer_keys, lambda _: load_answer_keys(config.needed("answer_keys"))):
        raise _Ends("file-unreadable", path=config.answer_keys, detail="no key that is known here")
    if config.log_policy:
        _read(config.log_policy, lambda data: parse_policy(data.decode()))


def _certificate(chain: list[x509.Certificate], *, at: datetime) -> Iterator[Finding]:
    yield _validity("cert", chain[0], at=at)
    try:
        uses = list(chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        uses = []
    client = ExtendedKeyUsageOID.CLIENT_AUTH in uses
    yield Finding("cert-use" if client else "cert-use-missing", OK if client else FAIL)
    for lower, upper in pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            names: dict[str, object] = {
                "lower": lower.subject.rfc4514_string(),
                "upper": upper.subject.rfc4514_string(),
            }
            yield Finding("cert-chain", FAIL, names)


def _validity(whose: str, certificate: x509.Certificate, *, at: datetime) -> Finding:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    facts: dict[str, object] = {"first": f"{first:%Y-%m-%d}", "last": f"{last:%Y-%m-%d}", "days": (last - at).days}
    if at < first:
        return Finding(f"{whose}-early", FAIL, facts)
    if at > last:
        return Finding(f"{whose}-expired", FAIL, facts)
    return (
        Finding(f"{whose}-expiring", WARN, facts) if last - at < EXPIRES_SOON else Finding(f"{whose}-valid", OK, facts)
    )


def _connection(config: ClientConfig, *, at: datetime) -> Iterator[Finding]:
    url = urlsplit(config.proxy or config.gateway_url)
    host, port = url.hostname or "", url.port or 443
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        yield Finding("name", OK, {"host": host})
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS) as raw:
            yield Finding("port", OK, {"host": host, "port": port})
            if not config.proxy:  # Through a proxy the first request shows the same.
                with tls_context(config).wrap_socket(raw, server_hostname=host) as tls:
                    yield Finding("tls", OK, {"version": tls.version(), "cipher": (tls.cipher() or "?")[0]})
                    yield _validity(
                        "server", x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b""), at=at
                    )
    except socket.gaierror as error:
        raise _Ends("name-unknown", host=host, detail=error.strerror) from error
    except ssl.SSLCertVerificationError as error:
        raise _Ends("server-untrusted", host=host, detail=error.verify_message) from error
    except ssl.SSLError as error:
        raise _Ends("tls-refused", host=host, detail=error.reason or error) from error
    except OSError as error:
        raise _Ends("port-closed", host=host, port=port, detail=error.strerror or error) from error


def _greeting(client: GatewayClient) -> Answer:
    try:
        return client.channel.send("GET", "/v1/contracts", headers={"accept": "application/json"})
    except HandshakeRefused:
        raise
    except CannotReach as failure:
        raise _Ends("call-failed", detail=failure) from failure


def _clocks(answer: Answer, *, at: datetime) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.header("date") or "")
    except ValueError:
        return
    seconds = round((at - theirs).total_seconds())
    if not -BEHIND_SECONDS_MAX <= seconds <= AHEAD_SECONDS_MAX:
        raise _Ends("clock-wrong", seconds=seconds)
    close = abs(seconds) <= SKEW_SECONDS_WARN
    yield Finding("clock" if close else "clock-off", OK if close else WARN, {"seconds": seconds})


def _standing(answer: Answer) -> Iterator[Finding]:
    if answer.status != 200:  # noqa: PLR2004 - OK
        problem = answer.document() if "json" in (answer.header("content-type") or "") else {}
        reason = str(problem.get("reason") or f"http-{answer.status}")
        code = {"unknown-partner": "not-pinned", "partner-suspended": "suspended"}.get(reason, "cert-refused")
        raise _Ends(code, detail=f"{reason}: {problem.get('detail', '')}")
    yield Finding("pinned", OK)


def _dry_run(client: GatewayClient, offered: list[dict[str, Any]], *, at: datetime) -> Iterator[Finding]:
    """Let the gateway judge a nil return: its answer shows that it knows the signing key, and is known itself."""
    try:
        for contract in offered[:1]:
            client.validate_body(
                str(contract["product"]),
                str(contract["version"]),
                body_of_nil(canonical_bytes({"period": f"{at:%Y-%m}"})),
            )
    except Refused as refused:
        if not refused.signed:
            raise _Ends("answer-keys-other", detail=refused) from refused
        if refused.reason in _ABOUT_KEY:
            raise _Ends("signing-unknown", keyid=client.signer.keyid, detail=refused) from refused
        if refused.reason in _ABOUT_CLOCK:
            raise _Ends("clock-wrong", seconds="?") from refused
        # Anything else was decided after the signature was proven.
    except ClientFailure as failure:
        raise _Ends("answer-keys-other", detail=failure) from failure
    yield Finding("signing-known", OK, {"keyid": client.signer.keyid})


def _agreed(client: GatewayClient, offered: list[dict[str, Any]], contracts: Path | None) -> Iterator[Finding]:
    theirs = parse_policy(client.channel.send("GET", "/log/policy", headers={}).body.decode())
    if client.config.log_policy:
        same = theirs.digest == client.policy.digest
        yield Finding("policy" if same else "policy-differs", OK if same else FAIL, {"digest": theirs.digest})
    if not offered:
        yield Finding("contracts-none", WARN)
    for contract in offered:
        yield _contract(contract, contracts)
    for product in sorted({str(contract["product"]) for contract in offered if client.config.partner}):
        try:
            client.own(product)
            yield Finding("own", OK, {"product": product})
        except Refused as refused:
            yield Finding("own-refused", WARN, {"product": product, "detail": refused})


def _ending(client: GatewayClient, *, at: datetime) -> Iterator[Finding]:
    """Tell of what the gateway knows to end within 30 days; a thing of its last day is as good as broken."""
    for one in client.standing()["ends"]:
        left = parse_instant(str(one["at"])) - at
        if left < EXPIRES_SOON:
            facts = {"what": one["what"], "subject": one["subject"], "at": one["at"], "days": max(0, left.days)}
            yield Finding("ends-soon", FAIL if left < LAST_DAY else WARN, facts)


def _contract(contract: dict[str, Any], contracts: Path | None) -> Finding:
    product, version = str(contract["product"]), str(contract["version"])
    facts: dict[str, object] = {"contract": f"{product}/{version}", "state": contract["state"]}
    try:
        ours = local_contract(product, version, contracts).ref.digest
    except InputUnusable:
        return Finding("contract-absent", WARN, facts)
    if ours != contract["digest"]:
        return Finding("contract-differs", FAIL, {**facts, "ours": ours, "theirs": contract["digest"]})
    return Finding("contract", OK, facts) if contract["state"] == "active" else Finding("contract-ends", WARN, facts)


def _read(path: Path, reader: Callable[[bytes], Any]) -> Any:
    try:
        return reader(path.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, ConfigInvalid) as error:
        raise _Ends("file-unreadable", path=path, detail=error) from error
