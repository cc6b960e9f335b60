# SPDX-License-Identifier: Apache-2.0
"""Officers at work; this file is about doing to a running gateway what two governments sign."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.client.failures import Refused
from gateway.client.governing import approve_change, get_change, submit_change
from gateway.onboarding import pki
from gateway.storage import log
from gateway.storage.log import EventQuery
from gateway.wire.keys import FileSigner
from tests.running import Running

EFFECT_SECONDS_MAX = 30


def approver(country: str) -> str:
    return f"{country}.OFFICER.APPROVER"


def said(gateway: Running, officer: str, act: str, **words: str) -> dict[str, Any]:
    """Let an officer sign and send an act, and return how it stands."""
    with gateway.client(officer) as client:
        return submit_change(client, act, words, at=datetime.now(UTC))


def approved(gateway: Running, officer: str, change_id: str) -> dict[str, Any]:
    """Let an officer sign what waits, and return how it stands."""
    with gateway.client(officer) as client:
        return approve_change(client, get_change(client, change_id)[0])


def standing(gateway: Running, change_id: str, *, officer: str = "USA.OFFICER.APPROVER") -> dict[str, Any]:
    with gateway.client(officer) as client:
        return get_change(client, change_id)[0]


def settled(gateway: Running, change_id: str) -> dict[str, Any]:
    """Return a change once it is approved no longer, but in force or failed."""
    deadline = time.monotonic() + EFFECT_SECONDS_MAX
    while (shown := standing(gateway, change_id))["status"] == "approved":
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def widened(gateway: Running, country: str, act: str, **words: str) -> dict[str, Any]:
    """Let a country's approver propose and others approve until it is enough, and return it once it is in force."""
    proposed = standing_now = said(gateway, approver(country), act, **words)
    for other in ("USA", "MEX", "GTM"):
        if other != country and standing_now["status"] == "waiting":
            standing_now = approved(gateway, approver(other), proposed["change_id"])
    shown = settled(gateway, proposed["change_id"])
    assert shown["status"] == "in-force", shown
    return {**shown, "told": proposed["told"]}


def events(gateway: Running, kind: str, country: str = "USA") -> list[dict[str, Any]]:
    with gateway.storage() as storage:
        found = storage.read(lambda tx: log.list_events(tx, country, EventQuery(kind=kind, limit=1000)))
    return [{**json.loads(event.fields), "actor": event.actor, "event_id": event.id} for event in found]


def of_change(gateway: Running, kind: str, change_id: str) -> dict[str, Any]:
    """Return the one event of a kind about a change."""
    (found,) = [one for one in events(gateway, kind) if one["change_id"] == change_id]
    return found


def own(gateway: Running, party: str) -> None:
    with gateway.client(party) as client:
        client.own("flow")


def public(key: ed25519.Ed25519PrivateKey | None = None) -> str:
    return pki.pem_of_public(FileSigner.of(key or ed25519.Ed25519PrivateKey.generate()).public_der)


def refused(work: Callable[[], object], reason: str) -> dict[str, Any]:
    with pytest.raises(Refused) as problem:
        work()
    assert problem.value.reason == reason, problem.value.detail
    return dict(problem.value.problem)


def denied(gateway: Running, work: Callable[[], object], *policies: str) -> None:
    """A denial names its policies, to the officer and in the log."""
    problem = refused(work, "denied-by-policy")
    event = next(one for one in events(gateway, "change.refused") if one["event_id"] == problem["audit_event"])
    assert event["policies"] == list(policies)
    assert len(event["policy_set"]) == 64
