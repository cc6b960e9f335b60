# SPDX-License-Identifier: Apache-2.0
"""When it counts; this file is about putting in force what everyone signed, once the log shows it.

Nothing is ever in force of which the log could still be made to know nothing: the event of the last signature is under
a published checkpoint before the act is done. Each signature is verified again, and whoever is an approver no more has
not signed.
"""

from __future__ import annotations

import json
from functools import partial

import structlog

from gateway.auditlog.event_kinds_governance import ChangeApproved, ChangeEnacted, ChangeEnded
from gateway.auditlog.events import NO_PARTNER, OPERATOR
from gateway.auditlog.keeper import covered_events
from gateway.auditlog.receipts import fields_of
from gateway.errors import InvitationInvalid, StorageUnavailable
from gateway.identity.identify import ACTIVE
from gateway.onboarding.acts import ACTS, WIDENING, Doing
from gateway.onboarding.approvals import APPROVER, PUT_IN_FORCE
from gateway.onboarding.changes import ChangesDesk, concerned_by, recorded, signers_of
from gateway.onboarding.enrol import By, PartyEnded
from gateway.onboarding.life import LifeRefused
from gateway.onboarding.proven import check_proven
from gateway.policy import requests
from gateway.storage import log as log_rows
from gateway.storage.changes import Status, StoredChange, due_changes, get_change, move_change
from gateway.storage.engine import Tx
from gateway.trip import Supposed
from gateway.wire.change import VALID, Change, written_in
from gateway.wire.digests import sha256

log = structlog.get_logger()


def enact_due(desk: ChangesDesk) -> int:
    """Put in force what everyone signed and the log shows under a checkpoint, end what is past its time; count both."""
    moved = 0
    for one in desk.storage.read(lambda tx: due_changes(tx, desk.clock.now())):
        if one.status == Status.WAITING:
            moved += _ended(desk, one, Status.EXPIRED)
            continue
        try:
            moved += _enact(desk, one)
        except StorageUnavailable:
            raise
        except Exception:  # The edge of one change: those behind it are not to wait for it, now or at the next turn.
            log.exception("change not enacted", change=one.id, act=one.act)
            moved += _ended(desk, one, Status.FAILED)
    return moved


def _enact(desk: ChangesDesk, one: StoredChange) -> int:
    if not desk.storage.read(lambda tx: covered_events(tx, (one.event_id,))):
        return 0
    try:
        if one.act == PUT_IN_FORCE:
            check_proven(desk.storage, desk.root, written_in(json.loads(one.envelope)).words, parties=desk.parties)
        return desk.storage.write(lambda tx: _put(tx, desk, one.id))
    except (LifeRefused, PartyEnded, InvitationInvalid, LookupError, ValueError) as error:
        # Between the signatures and now something became another, an officer who signed among it.
        log.warning("change not enacted", change=one.id, act=one.act, cause=str(error))
        return _ended(desk, one, Status.FAILED)


def _put(tx: Tx, desk: ChangesDesk, change_id: str) -> int:
    stored = get_change(tx, change_id, to_change=True)
    if stored is None or stored.status != Status.APPROVED:
        return 0
    signers = [officer for officer in signers_of(tx, stored) if officer.status == ACTIVE and APPROVER in officer.roles]
    if not signers:
        raise LifeRefused("nobody who signed it is an approver any more")
    change, last = written_in(json.loads(stored.envelope)), signers[-1]
    _check_own(tx, desk, stored, change)
    by = By(last.id, stored.id)
    doing = Doing(tx, change.words, desk.clock.now(), by, desk.parties, desk.root, stored.id, tuple(signers))
    act, officer = ACTS[change.act], Supposed("Officer", last.id, last.country, last.roles)
    governments = {one.country for one in signers}
    weighed = desk.policy.weigh(
        requests.enact(officer, change.id, concerned=concerned_by(act, doing), governments=governments)
    )
    if not weighed.permits:
        raise LifeRefused(f"those who signed it are not enough any more ({', '.join(weighed.policies)})")
    act.do(doing)
    event = ChangeEnacted(
        path=NO_PARTNER,
        source=OPERATOR,
        change_id=stored.id,
        act=stored.act,
        change_digest=sha256(change.payload).hex(),
        policy_set=desk.policy.policies.digest,
        policies=weighed.policies,
    )
    event_id = recorded(tx, desk, event, actor=OPERATOR)
    move_change(tx, stored, Status.IN_FORCE, event_id=event_id)
    return 1


def _check_own(tx: Tx, desk: ChangesDesk, stored: StoredChange, change: Change) -> None:
    """Return when a row is what its document and the log say of it: who can write rows cannot bring an old one back."""
    event = log_rows.get_visible_event(tx, min(desk.parties), stored.event_id)
    approved = fields_of(event.fields) if event and event.kind == ChangeApproved.kind else {}
    if (change.gateway, change.act) != (desk.origin, stored.act) or change.act not in WIDENING:
        raise LifeRefused("the row is not what its document says")
    if change.id != stored.id or approved.get("change_id") != stored.id:
        raise LifeRefused("the log does not show that this change was approved")
    if desk.clock.now() > change.expires_at + VALID:
        raise LifeRefused("it was approved too long ago")


def _ended(desk: ChangesDesk, one: StoredChange, status: Status) -> int:
    return desk.storage.write(partial(_end, desk=desk, one=one, status=status))


def _end(tx: Tx, *, desk: ChangesDesk, one: StoredChange, status: Status) -> int:
    stored = get_change(tx, one.id, to_change=True)
    if stored is None or stored.status != one.status:
        return 0
    event = ChangeEnded(path=NO_PARTNER, source=OPERATOR, change_id=stored.id, act=stored.act, status=status.value)
    move_change(tx, stored, status, event_id=recorded(tx, desk, event, actor=OPERATOR))
    return 1
