# SPDX-License-Identifier: Apache-2.0
"""One request while it is served; this file is about what the edge knows of it, and about who the caller is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.aggregates.quota import Allowance
from gateway.api.desk import Desk
from gateway.api.peer import peer_certificate
from gateway.auditlog.events import NO_PARTNER
from gateway.errors import CertificateRequired, UnknownPartner
from gateway.identifiers import is_id
from gateway.identity.identify import identify_officer, identify_partner
from gateway.trip import Officer, Partner, PeerCertificate


@dataclass(slots=True)
class Visit:
    """A request on its way: `caller` is set once the caller is known, `event_id` once there is an event.

    `place` is what an event says about where it went. The path itself is whatever a caller writes. `reason` is why it
    was refused. `allowances` are the limits that the request was counted under.
    """

    request_id: str
    at: datetime
    language: str
    path: str
    peer: PeerCertificate | None
    place: str = "unknown"
    caller: Partner | Officer | None = None
    event_id: str | None = None
    reason: str = ""
    allowances: list[Allowance] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Return what an event says about where the request came from: the certificate's SHA-256."""
        return self.peer.sha256.hex() if self.peer else NO_PARTNER


def visit_of(scope: Mapping[str, Any]) -> Visit:
    """Return the visit that the edge put into a request's state."""
    visit = scope["state"]["visit"]
    assert isinstance(visit, Visit)
    visit.place = place_of(scope)
    return visit


def place_of(scope: Mapping[str, Any]) -> str:
    """Return the pattern of the route that a request matched, its ids filled in and no other word of a caller."""
    place = str(getattr(scope.get("route"), "path", "unknown"))
    for name, value in scope.get("path_params", {}).items():
        if is_id(str(value)):
            place = place.replace(f"{{{name}}}", value)
    return place


def peer_of(scope: Mapping[str, Any], desk: Desk) -> PeerCertificate | None:
    """Return the caller's certificate for the records; without one there is nothing to say."""
    try:
        return peer_certificate(scope, desk.peer_mode)
    except CertificateRequired:
        return None


def partner_of(visit: Visit, desk: Desk) -> Partner:
    """Return the partner who calls.

    Raises:
        Refusal: when the certificate does not hold or is pinned for no active partner.
    """
    visit.caller = partner = identify_partner(_peer(visit), desk.intake.directory, desk.intake.anchors, at=visit.at)
    desk.rate.know(visit.source, partner.id)
    return partner


def officer_of(visit: Visit, desk: Desk) -> Officer:
    """Return the officer who calls.

    Raises:
        Refusal: when the certificate does not hold or is pinned for no active officer.
    """
    visit.caller = officer = identify_officer(_peer(visit), desk.intake.directory, desk.intake.anchors, at=visit.at)
    desk.rate.know(visit.source, officer.id)
    return officer


def known_caller(visit: Visit, desk: Desk) -> Partner | Officer:
    """Return whoever calls, partner or officer: both read contracts and the log.

    Raises:
        Refusal: when the certificate is neither's.
    """
    try:
        return partner_of(visit, desk)
    except UnknownPartner:
        return officer_of(visit, desk)


def _peer(visit: Visit) -> PeerCertificate:
    if visit.peer is None:
        raise CertificateRequired
    return visit.peer
