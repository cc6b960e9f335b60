# SPDX-License-Identifier: Apache-2.0
"""An agency joins; this file is about its statement: which keys are its own and which contracts it accepts.

The statement is one DSSE envelope under the very signing key that it names, and is sent under the certificate that it
names, so that whoever holds it has seen both private keys at work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.wire.canonical import canonical_bytes, parse_canonical
from gateway.wire.digests import b64, unb64
from gateway.wire.dsse import sign_envelope, verify_envelope
from gateway.wire.keys import Signer, SigningPublic, public_of_der

PAYLOAD_TYPE: Final = "application/vnd.gateway.joining+json"
CONTRACTS_MAX: Final = 100


class StatementInvalid(ValueError):
    """It is no statement of this form, or not signed by the key that it names."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What is said: `gateway` is its public origin, digests are SHA-256, hex; contracts by `product/version`."""

    partner: str
    gateway: str
    invitation: str
    certificate: str
    contracts: Mapping[str, str]


def sign_joining(said: Joining, signer: Signer) -> dict[str, Any]:
    """Return the statement as an envelope."""
    words = {**asdict(said), "signing_key": b64(signer.public_der)}
    return sign_envelope(PAYLOAD_TYPE, canonical_bytes(words), [signer])


def read_joining(envelope: Mapping[str, Any]) -> tuple[Joining, SigningPublic]:
    """Return a statement and the key that signed it.

    Raises:
        StatementInvalid: when it does not hold.
    """
    try:
        named = json.loads(unb64(envelope["payload"]))["signing_key"]
        key = public_of_der(unb64(named))
        payload, _ = verify_envelope(envelope, {key.keyid: key}, payload_type=PAYLOAD_TYPE)
        words: Any = parse_canonical(payload)
        del words["signing_key"]
        said = Joining(**words)
        texts = (said.partner, said.gateway, said.invitation, said.certificate, *said.contracts.values())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StatementInvalid("no statement of an agency that joins") from error
    if len(said.contracts) > CONTRACTS_MAX or not all(isinstance(text, str) for text in texts):
        raise StatementInvalid("not the statement's form")
    return said, key
