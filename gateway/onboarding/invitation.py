# SPDX-License-Identifier: Apache-2.0
"""From stranger to partner; this file is about invitation, answer and activation.

An invitation is a secret that counts once and for a time. The invited body answers it over mutual TLS, with the
certificate of its country's authority and a statement under its new signing key; that changes nothing but the
invitation. Only activation, which widens, enters partner, certificate and key, all or nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.auditlog.event_kinds_life import InvitationAnswered, PartnerActivated, PartnerInvited
from gateway.auditlog.events import NO_PARTNER, record_event
from gateway.clock import format_instant
from gateway.contracting.contract import Contracts
from gateway.errors import InvitationInvalid
from gateway.identifiers import country_of
from gateway.identity.identify import ACTIVE
from gateway.onboarding import enrol
from gateway.onboarding.enrol import THE_OPERATOR, By
from gateway.onboarding.life import LifeRefused
from gateway.storage import life, registry
from gateway.storage.engine import Tx
from gateway.storage.life import Invitation
from gateway.storage.registry import PartnerEntry
from gateway.trip import PeerCertificate, SigningKey
from gateway.wire.canonical import canonical_bytes
from gateway.wire.digests import sha256
from gateway.wire.joining import Joining, StatementInvalid, read_joining
from gateway.wire.keys import SigningPublic

DAYS_MAX: Final = 30
# Said of every token that does not hold: who guesses must not learn which bodies were invited.
_NO_SUCH: Final = "it is unknown, used or past its time"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came, over a connection whose certificate `country` vouches for."""

    partner_id: str
    country: str
    peer: PeerCertificate
    token: str
    envelope: Mapping[str, Any]
    path: str
    request_id: str


@dataclass(frozen=True, slots=True)
class SignedFor:
    """What officers signed of a body that is to be activated; key and certificate by thumbprint and SHA-256, hex."""

    name: str
    roles: frozenset[str]
    keyid: str
    certificate: str


def invite(tx: Tx, entry: Invitation, *, at: datetime) -> None:
    """Let a body answer once; an invitation that it had before is worth nothing from now on.

    Raises:
        LifeRefused: when it is a partner already.
    """
    if any(known.id == entry.partner_id for known in registry.partners(tx)):
        raise LifeRefused(f"{entry.partner_id} is enrolled already")
    life.put_invitation(tx, entry)
    event = PartnerInvited(
        subject=entry.partner_id,
        country=country_of(entry.partner_id),
        roles=tuple(sorted(entry.roles)),
        expires_at=format_instant(entry.expires_at),
    )
    enrol.record(tx, event, {country_of(entry.partner_id)}, at=at)


def answer(tx: Tx, given: Answer, contracts: Contracts, *, origin: str, at: datetime) -> tuple[Joining, str, str]:
    """Keep what an invited body says of itself, and return it with the id of its key and of the event.

    Raises:
        InvitationInvalid: when the invitation does not hold, or the statement is not about all this.
    """
    invited = life.get_invitation(tx, given.partner_id)
    digest = sha256(given.token.encode())
    if invited is None or not hmac.compare_digest(invited.token_sha256, digest) or at >= invited.expires_at:
        raise InvitationInvalid(what=_NO_SUCH)
    said, key = _statement(given.envelope)
    expected = (given.partner_id, origin, digest.hex(), given.peer.sha256.hex(), given.country)
    found = (said.partner, said.gateway, said.invitation, said.certificate, country_of(said.partner))
    if found != expected:
        raise InvitationInvalid(what="the statement is about another body, gateway or certificate")
    in_force = {f"{one.ref.product}/{one.ref.version}": one.ref.digest for one in contracts.contracts}
    if not said.contracts or not said.contracts.items() <= in_force.items():
        raise InvitationInvalid(what="it accepts no contract, or one that is not in force here")
    if registry.find_pin(tx, given.peer.sha256) or life.holder_of_key(tx, key.keyid):
        raise InvitationInvalid(what="the certificate or the key is registered already")
    text = canonical_bytes(dict(given.envelope)).decode()
    if not life.note_answer(tx, given.partner_id, envelope=text, certificate=given.peer.der, at=at):
        raise InvitationInvalid(what=_NO_SUCH)
    event = InvitationAnswered(
        path=given.path,
        source=given.peer.sha256.hex(),
        subject=said.partner,
        certificate=said.certificate,
        keyid=key.keyid,
        contracts=tuple(sorted(said.contracts)),
        statement_digest=sha256(text.encode()).hex(),
    )
    audience = frozenset({given.country})
    event_id = record_event(
        tx, event, at=at, partner_id=NO_PARTNER, audience=audience, actor=NO_PARTNER, request_id=given.request_id
    )
    return said, key.keyid, event_id


def activate(tx: Tx, partner_id: str, wanted: SignedFor, *, at: datetime, by: By = THE_OPERATOR) -> None:
    """Enter an invited body as officers signed for it.

    Raises:
        LifeRefused: when it has not answered, was activated before, said something else, or its certificate has
            ended meanwhile.
    """
    invited = life.get_invitation(tx, partner_id)
    if invited is None or invited.envelope is None or invited.certificate is None or invited.activated_at:
        raise LifeRefused(f"{partner_id} has no answered invitation that waits")
    said, key = _statement(json.loads(invited.envelope))
    if (key.keyid, said.certificate) != (wanted.keyid, wanted.certificate):
        raise LifeRefused(f"{partner_id} answered with the key {key.keyid} and the certificate {said.certificate}")
    if (invited.name, invited.roles) != (wanted.name, wanted.roles):
        raise LifeRefused(f"{partner_id} is invited as {invited.name}, {','.join(sorted(invited.roles))}")
    leaf = x509.load_der_x509_certificate(invited.certificate)
    if leaf.fingerprint(SHA256()).hex() != wanted.certificate:
        raise LifeRefused("the certificate that was kept is not the one that was answered with")
    if leaf.not_valid_after_utc <= at:
        raise LifeRefused("the certificate has ended; invite the body again")
    entry = PartnerEntry(partner_id, country_of(partner_id), invited.name, ACTIVE, invited.roles, at)
    enrol.enrol_partner(tx, entry, at=at, by=by)
    enrol.pin_certificate(tx, entry, leaf, at=at, by=by)
    enrol.add_key(tx, entry, SigningKey(key.keyid, key.algorithm, key.der, at, None), at=at, by=by)
    life.note_activation(tx, partner_id, at=at)
    event = PartnerActivated(
        subject=partner_id,
        country=entry.country,
        contracts=tuple(sorted(said.contracts)),
        statement_digest=sha256(invited.envelope.encode()).hex(),
    )
    enrol.record(tx, event, entry, at=at, by=by)


def _statement(envelope: Mapping[str, Any]) -> tuple[Joining, SigningPublic]:
    try:
        return read_joining(envelope)
    except StatementInvalid as error:
        raise InvitationInvalid(what=str(error)) from error
