# SPDX-License-Identifier: Apache-2.0
"""An officer governs; this file is about the documents that they sign and send: to stop, to propose, to approve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from gateway.client.answers import refused
from gateway.client.failures import AnswerNotTrusted, InputUnusable
from gateway.client.sdk import GatewayClient
from gateway.clock import format_instant
from gateway.identifiers import new_id
from gateway.wire.change import Change, ChangeMalformed, countersign, sign_change, written_in

_JSON: Final = "application/json"


def submit_change(client: GatewayClient, act: str, words: Mapping[str, str], *, at: datetime) -> dict[str, Any]:
    """Sign an act and send it, and return how it stands: in force when it narrows, else waiting for others.

    Raises:
        InputUnusable: when a word holds a private key.
        Refused: when the gateway says no.
    """
    try:
        change = Change(act, format_instant(at), client.config.origin, new_id(at), words)
    except ChangeMalformed as error:
        raise InputUnusable(str(error), "una clave privada es solo de su dueño") from error
    return _post(client, "/v1/changes", sign_change(change, client.signer))


def list_changes(client: GatewayClient, status: str = "waiting") -> list[dict[str, Any]]:
    """Return changes of some statuses, joined by commas, the newest first."""
    return list(_get(client, f"/v1/changes?status={quote(status, safe=',')}")["changes"])


def get_change(client: GatewayClient, change_id: str) -> tuple[dict[str, Any], Change]:
    """Return how a change stands, and the document itself, from which alone one should judge it.

    Raises:
        AnswerNotTrusted: when what came is no such document.
    """
    shown = _get(client, f"/v1/changes/{quote(change_id, safe='')}")
    try:
        change = written_in(shown["envelope"])
    except (ChangeMalformed, KeyError) as error:
        raise AnswerNotTrusted("the gateway shows no document of a change") from error
    if (change.id, change.gateway) != (change_id, client.config.origin):
        raise AnswerNotTrusted("the gateway shows the document of another change, or of another gateway")
    return shown, change


def approve_change(client: GatewayClient, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Sign the document of a change as it was shown, and return how it stands then.

    Raises:
        Refused: when the gateway says no.
    """
    path = f"/v1/changes/{quote(shown['change_id'], safe='')}/approvals"
    return _post(client, path, countersign(shown["envelope"], client.signer))


def _post(client: GatewayClient, path: str, envelope: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"content-type": _JSON, "accept": _JSON}
    answer = client.channel.send("POST", path, headers=headers, content=json.dumps(dict(envelope)).encode())
    if answer.status != HTTPStatus.CREATED:
        raise refused(answer, signed=False)
    return answer.document()


def _get(client: GatewayClient, path: str) -> dict[str, Any]:
    answer = client.channel.send("GET", path, headers={"accept": _JSON})
    if answer.status != HTTPStatus.OK:
        raise refused(answer, signed=False)
    return answer.document()
