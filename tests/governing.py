# SPDX-License-Identifier: Apache-2.0
"""Officers at work; this file is about doing to a running gateway what two governments sign."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from gateway.client.governing import approve_change, get_change, submit_change
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
