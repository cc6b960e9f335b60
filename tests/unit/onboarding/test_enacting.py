# SPDX-License-Identifier: Apache-2.0
"""When a change counts, on both engines; this file is about what takes effect before the log shows it: nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.auditlog.publisher import Publisher
from gateway.auditlog.sequencer import sequence
from gateway.clock import SystemClock, format_instant
from gateway.contracting.load import packaged_root
from gateway.errors import ChangeClosed, ChangeInvalid
from gateway.identifiers import new_id
from gateway.onboarding import changes, enacting
from gateway.onboarding.acts import contradicts
from gateway.onboarding.changes import ChangesDesk, Saying, approve, submit
from gateway.onboarding.enacting import enact_due
from gateway.onboarding.in_force import load_in_force
from gateway.onboarding.live import Live
from gateway.onboarding.pki import pem_of_public
from gateway.onboarding.sandbox import create_sandbox
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.policy.load import PoliciesInvalid, load_rules
from gateway.storage import registry
from gateway.storage.changes import Status, get_change
from gateway.storage.engine import Storage, open_storage
from gateway.trip import Officer
from gateway.wire.change import VALID, Change, sign_change
from gateway.wire.keys import FileSigner

PARTIES = ("GTM", "MEX", "USA")
SUSPENDED = "MEX.SPECIMEN"


@dataclass
class Hand:
    """The time, moved by the test."""

    shift: timedelta = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.shift


@dataclass
class Office:
    """A sandbox whose gateway does not run: nobody sequences and nobody signs unless the test does."""

    files: SandboxFiles
    storage: Storage
    desk: ChangesDesk
    clock: Hand

    def saying(self, country: str, change: Change, role: str = "APPROVER") -> Saying:
        named = f"{country}.OFFICER.{role}"
        party = self.files.officers[named]
        officer = Officer(named, country, frozenset(party.roles))
        return Saying(officer, sign_change(change, FileSigner.load(party.signing_key)), "/v1/changes", "ab" * 32, "r")

    def written(self, act: str, **words: str) -> Change:
        now = self.clock.now()
        return Change(act, format_instant(now), self.files.public_origin, new_id(now), words)

    def status_of(self, change: Change) -> str:
        stored = self.storage.read(lambda tx: get_change(tx, change.id))
        assert stored is not None
        return stored.status

    def approved(self, act: str, **words: str) -> Change:
        """Let Mexico propose and the United States approve."""
        change = self.written(act, **words)
        submit(self.desk, self.saying("MEX", change))
        assert approve(self.desk, self.saying("USA", change), change.id).change.status == Status.APPROVED
        return change

    def publish(self) -> None:
        signer = FileSigner.load(self.files.folder / "gateway" / "log.key")
        assert Publisher(self.storage, signer, self.files.log_origin, self.clock).publish() is not None


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[Office]:
    url = database_url if database_url.startswith("postgresql") else None
    files, clock, root = create_sandbox(tmp_path / "sandbox", engine_url=url), Hand(), packaged_root()
    storage = open_storage(files.database_url)
    live = Live(storage, root, parties=PARTIES, clock=clock)
    desk = ChangesDesk(storage, live.policy, clock, frozenset(PARTIES), files.public_origin, root)
    yield Office(files, storage, desk, clock)
    storage.close()


def status_of_partner(office: Office) -> str:
    return office.storage.read(lambda tx: registry.get_partner(tx, SUSPENDED)).status


def test_nothing_takes_effect_before_a_signed_checkpoint_shows_the_last_signature(office: Office) -> None:
    change = office.approved("resume", id=SUSPENDED)

    assert enact_due(office.desk) == 0
    sequence(office.storage, office.clock)
    # In the tree, under a checkpoint that nobody signed.
    assert enact_due(office.desk) == 0
    assert (status_of_partner(office), office.status_of(change)) == ("suspended", Status.APPROVED)
    office.publish()
    assert enact_due(office.desk) == 1

    assert (status_of_partner(office), office.status_of(change)) == ("active", Status.IN_FORCE)
    assert enact_due(office.desk) == 0


def test_what_waits_too_long_expires_and_takes_no_signature(office: Office) -> None:
    change = office.written("resume", id=SUSPENDED)
    submit(office.desk, office.saying("MEX", change))
    office.clock.shift = VALID

    with pytest.raises(ChangeClosed):
        approve(office.desk, office.saying("USA", change), change.id)
    assert enact_due(office.desk) == 1
    assert office.status_of(change) == Status.EXPIRED


def test_a_change_that_breaks_is_ended_and_those_behind_it_go_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen fault in the first must neither come again each half second nor hold the second up."""
    first = office.approved("resume", id=SUSPENDED)
    key = FileSigner.load(office.files.officers["GTM.OFFICER.DPO"].signing_key)
    second = office.approved("add-key", id="MEX.SEGOB.UPMRIP", signing_key=pem_of_public(key.public_der))
    sequence(office.storage, office.clock)
    office.publish()
    known: Callable[..., frozenset[str]] = enacting.concerned_by

    def broken(act: object, doing: object) -> frozenset[str]:
        if getattr(doing, "change_id", "") == first.id:
            raise ZeroDivisionError
        return known(act, doing)

    monkeypatch.setattr(enacting, "concerned_by", broken)

    assert enact_due(office.desk) == 2
    assert (office.status_of(first), office.status_of(second)) == (Status.FAILED, Status.IN_FORCE)


def test_a_stop_rejects_what_is_approved_already_and_would_undo_it(office: Office) -> None:
    change = office.approved("resume", id=SUSPENDED)
    submit(office.desk, office.saying("MEX", office.written("suspend", id=SUSPENDED), role="DPO"))
    sequence(office.storage, office.clock)
    office.publish()

    assert enact_due(office.desk) == 0
    assert (status_of_partner(office), office.status_of(change)) == ("suspended", Status.REJECTED)


def test_a_government_lets_no_more_than_so_many_changes_wait(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one approver could fill the table that everybody's changes wait in."""
    monkeypatch.setattr(changes, "WAITING_MAX", 1)
    submit(office.desk, office.saying("MEX", office.written("resume", id=SUSPENDED)))

    with pytest.raises(ChangeInvalid) as refused:
        submit(office.desk, office.saying("MEX", office.written("resume", id=SUSPENDED)))

    assert "wait already" in refused.value.detail("en")


def test_a_file_that_is_missing_brings_no_earlier_revision_back(office: Office, tmp_path: Path) -> None:
    """Whoever has the machine must not undo by deleting what two governments signed."""
    root = Path(shutil.copytree(packaged_root(), tmp_path / "contracts"))
    (root / "agreements" / "mex-usa" / "1.yaml").unlink()

    with pytest.raises(PoliciesInvalid, match="not in the contracts folder: agreement mex-usa/1"):
        load_in_force(office.storage, root, parties=PARTIES, at=office.clock.now())


def test_a_copy_of_the_rules_under_a_later_number_is_not_what_was_signed(office: Office, tmp_path: Path) -> None:
    root = Path(shutil.copytree(packaged_root(), tmp_path / "contracts"))
    shutil.copytree(root / "policies" / "1", root / "policies" / "2")
    first, second = load_rules(root)

    assert first.digest != second.digest
    in_force = load_in_force(office.storage, root, parties=PARTIES, at=office.clock.now())
    assert in_force.policies.digest == office.desk.policy.policies.digest


AGREEMENT = {"subject": "agreement mex-usa/2"}


@pytest.mark.parametrize(
    ("narrowing", "done", "widening", "wanted", "closes"),
    [
        ("suspend", {"id": "A"}, "resume", {"id": "A"}, True),
        ("suspend", {"id": "A"}, "pin", {"id": "A", "certificate": "x"}, True),
        ("suspend", {"id": "A"}, "resume", {"id": "B"}, False),
        # The last key's end belongs to a rotation, and the next key is not what it takes away.
        ("end-key", {"id": "A", "keyid": "k"}, "add-key", {"id": "A", "signing_key": "x"}, False),
        ("unpin", {"id": "A", "sha256": "x"}, "pin", {"id": "A", "certificate": "x"}, False),
        ("stop", {"kind": "product", "subject": "flow"}, "lift", {"kind": "product", "subject": "flow"}, True),
        ("stop", {"kind": "product", "subject": "flow"}, "lift", {"kind": "agreement", "subject": "flow"}, False),
        ("withdraw", AGREEMENT, "put-in-force", {"agreement mex-usa/3": "d"}, True),
        ("withdraw", AGREEMENT, "put-in-force", {"agreement gtm-usa/2": "d"}, False),
        ("withdraw", {"subject": "contract flow/1.0.0"}, "put-in-force", {"contract flow/1.0.0": "d"}, True),
        ("withdraw", {"subject": "contract flow/1.0.0"}, "put-in-force", {"contract flow/2.0.0": "d"}, False),
        ("withdraw", AGREEMENT, "enrol", {"id": "A"}, False),
    ],
)
def test_what_a_stop_contradicts(
    narrowing: str, done: dict[str, str], widening: str, wanted: dict[str, str], closes: bool
) -> None:
    assert contradicts(narrowing, done, widening, wanted) is closes
