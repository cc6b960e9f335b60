# SPDX-License-Identifier: Apache-2.0
"""An agency answers its invitation; this file is about the statement that it signs and sends, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.client.answers import refused
from gateway.client.failures import ConfigInvalid
from gateway.client.sdk import GatewayClient
from gateway.wire.digests import sha256
from gateway.wire.joining import Joining, sign_joining


def join(client: GatewayClient, token: str, contracts: Mapping[str, str]) -> dict[str, Any]:
    """Name this agency's certificate and key and the contracts that it accepts, by name and digest.

    Raises:
        Refused: when the invitation does not hold.
    """
    config = client.config
    try:
        leaf = x509.load_pem_x509_certificates(config.tls_cert.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"tls_cert: {error}") from error
    said = Joining(
        partner=config.partner,
        gateway=config.origin,
        invitation=sha256(token.encode()).hex(),
        certificate=leaf.fingerprint(SHA256()).hex(),
        contracts=contracts,
    )
    body = json.dumps({"token": token, "envelope": sign_joining(said, client.signer)}).encode()
    headers = {"content-type": "application/json", "accept": "application/json"}
    answer = client.channel.send("POST", f"/v1/invitations/{config.partner}", headers=headers, content=body)
    if answer.status != HTTPStatus.CREATED:
        raise refused(answer, signed=False)
    return answer.document()
