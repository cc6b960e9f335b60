# SPDX-License-Identifier: Apache-2.0
"""Ready to go live; this file is about what an agency's set-up must show against a sandbox, and the signed report.

The agency's own sample is sent and must be accepted with a receipt that verifies; then it is bent in ways for which
docs/ERRORS.md names a reason, and each must be refused with that reason, in an answer that the gateway signed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.client.failures import ClientFailure, Refused
from gateway.client.sdk import GatewayClient
from gateway.client.sending import Prepared, body_of_lines, prepare
from gateway.clock import Clock, format_instant
from gateway.contracting.contract import Contract
from gateway.wire.canonical import JSON, canonical_bytes
from gateway.wire.digests import sha256
from gateway.wire.dsse import sign_envelope
from gateway.wire.keys import ED25519, FileSigner, Signer

REPORT_TYPE: Final = "application/vnd.gateway.conformance+json"
ACCEPTED: Final = "accepted"
SAMPLE_MIN: Final = 2
# Anybody's record but the agency's own.
NEIGHBOURS: Final = {"USA": "MEX.SEGOB.UPMRIP", "MEX": "GTM.IGM", "GTM": "USA.DHS.CBP"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried: what must come of it, and what came of it; reasons are those of docs/ERRORS.md."""

    name: str
    expected: str
    found: str

    @property
    def passed(self) -> bool:
        """Say whether it is as documented."""
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Trial:
    """A set-up under trial: the sample has two or more records, each its canonical line."""

    client: GatewayClient
    contract: Contract
    sample: Sequence[bytes]
    clock: Clock

    def prepared(self, lines: Sequence[bytes], *, signer: Signer | None = None, **more: Any) -> Prepared:
        """Sign lines as this agency would, or bent: by another key, at another time, with an old nonce."""
        made = self.client.prepared_lines(self.contract.ref.product, self.contract.ref.version, lines)
        words = {"at": self.clock.now(), "idempotency_key": made.headers["idempotency-key"], **more}
        body = words.pop("body", None) or body_of_lines(lines)
        signer = signer or self.client.signer
        return prepare(body, signer=signer, path=made.path, target_uri=made.target_uri, **words)


def examine_conformance(trial: Trial) -> Iterator[Check]:
    """Yield what came of (1) the sample itself, (2) its repeat and replay, (3) bent records, (4) bent requests."""
    ref, client, sample = trial.contract.ref, trial.client, list(trial.sample)
    yield _tried("the sample", ACCEPTED, lambda: client.submit_lines(ref.product, ref.version, sample))  # (1)
    # Under a key of its own: a mere repeat spends no nonce, and the whole trial may be run again.
    first = trial.prepared(sample, idempotency_key=secrets.token_urlsafe(24))
    yield _tried("the same records again", ACCEPTED, lambda: client.send(first))  # (2)
    yield _tried("the same bytes again", ACCEPTED, lambda: client.send(first))
    replay = trial.prepared(sample[:-1], nonce=first.nonce)
    yield _tried("an old nonce for other content", "replayed", lambda: client.send(replay))
    for name, reason, line in _bent_records(trial):  # (3)
        yield _tried(name, reason, partial(client.validate, ref.product, ref.version, [line]))
    for name, reason, bent in _bent_requests(trial):  # (4)
        yield _tried(name, reason, partial(client.send, bent))


def signed_report(trial: Trial, checks: Sequence[Check], *, at: datetime) -> dict[str, Any]:
    """Return the report as a DSSE envelope under the agency's signing key."""
    ref, config = trial.contract.ref, trial.client.config
    report: dict[str, JSON] = {
        "at": format_instant(at),
        "checks": [{**asdict(check), "passed": check.passed} for check in checks],
        "contract": {"product": ref.product, "version": ref.version, "digest": ref.digest},
        "gateway": config.origin,
        "partner": config.partner,
        "passed": all(check.passed for check in checks),
        "program": version("gateway"),
        "sample": {"records": len(trial.sample), "sha256": sha256(b"\n".join(trial.sample)).hex()},
    }
    return sign_envelope(REPORT_TYPE, canonical_bytes(report), [trial.client.signer])


def _tried(name: str, expected: str, act: Callable[[], object]) -> Check:
    try:
        act()
    except Refused as refused:
        return Check(name, expected, refused.reason if refused.signed else f"{refused.reason} (unsigned)")
    except ClientFailure as failure:
        return Check(name, expected, type(failure).__name__)
    return Check(name, expected, ACCEPTED)


def _bent_records(trial: Trial) -> Iterator[tuple[str, str, bytes]]:
    contract, record = trial.contract, json.loads(trial.sample[0])
    own = {contract.provider_field, contract.country_field, contract.shape.id_column}
    dropped = next(one.name for one in contract.shape.columns if one.required and one.name not in own)
    without = {name: value for name, value in record.items() if name != dropped}
    neighbour = NEIGHBOURS[trial.client.config.partner[:3]]
    strange = {contract.provider_field: neighbour, contract.country_field: neighbour[:3]}
    yield "a required field is missing", "contract-violated", canonical_bytes(without)
    yield "a field is in no contract", "contract-violated", canonical_bytes({**record, "surplus": "x"})
    yield "a line is not canonical", "contract-violated", trial.sample[0].replace(b":", b": ", 1)
    yield "a field names a person", "forbidden-field", canonical_bytes({**record, "full_name": "Specimen"})
    yield "a record of another agency", "wrong-provider", canonical_bytes({**record, **strange})


def _bent_requests(trial: Trial) -> Iterator[tuple[str, str, Prepared]]:
    sample, now, real = list(trial.sample), trial.clock.now(), trial.client.signer
    key = ed25519.Ed25519PrivateKey.generate() if real.algorithm == ED25519 else ec.generate_private_key(ec.SECP256R1())
    forger, honest = FileSigner.of(key), trial.prepared(sample)
    body = body_of_lines(sample)
    unsigned = {name: value for name, value in honest.headers.items() if not name.lower().startswith("signature")}
    yield "no signature", "signature-missing", replace(honest, headers=unsigned)
    yield "a key that is not registered", "signature-key-unknown", trial.prepared(sample, signer=forger)
    forged = trial.prepared(sample, signer=replace(forger, keyid=real.keyid))
    yield "a signature by another key", "signature-invalid", forged
    yield "an old signature", "signature-expired", trial.prepared(sample, at=now - timedelta(hours=1))
    yield "a signature from the future", "signature-not-yet-valid", trial.prepared(sample, at=now + timedelta(hours=1))
    yield "another body than was signed", "digest-mismatch", replace(honest, content=honest.content + b"\n")
    miscounted = trial.prepared(
        sample, body=replace(body, count=body.count + 1), idempotency_key="conformance-miscount"
    )
    yield "another number of records", "records-root-mismatch", miscounted
