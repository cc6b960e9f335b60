# SPDX-License-Identifier: Apache-2.0
"""Who may widen and who may narrow; this file is about changes that officers sign, against a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from typer.testing import CliRunner

from gateway.cli.program import app
from gateway.clock import format_instant
from gateway.identifiers import new_id
from gateway.onboarding import pki
from gateway.onboarding.sandbox_files import PartyFiles
from gateway.storage import log
from gateway.storage.changes import Status, get_change, insert_change, move_change
from gateway.storage.engine import Tx, open_storage
from gateway.wire.change import Change, sign_change
from gateway.wire.keys import FileSigner
from tests.governing import (
    approved,
    approver,
    denied,
    events,
    of_change,
    own,
    public,
    refused,
    said,
    settled,
    standing,
    widened,
)
from tests.running import GTM, MEX, USA, Running, running

ROOT = Path(__file__).parents[2] / "contracts"
PARTIES = ("GTM", "MEX", "USA")
USA_APPROVER, MEX_APPROVER, GTM_APPROVER = (approver(name) for name in ("USA", "MEX", "GTM"))
DPO, SECURITY = "MEX.OFFICER.DPO", "MEX.OFFICER.SECURITY"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(request.param)
    url = request.getfixturevalue("postgresql_server").fresh() if request.param == "postgresql" else None
    with running(folder / "sandbox", engine_url=url) as started:
        yield started


def test_what_narrows_holds_at_once_and_what_widens_waits_for_a_second_government(gateway: Running) -> None:
    """Suspended by one officer with the next request; resumed only by two governments, under a checkpoint."""
    own(gateway, MEX)
    narrowed = said(gateway, DPO, "suspend", id=MEX)
    assert narrowed["status"] == "in-force"
    refused(lambda: own(gateway, MEX), "partner-suspended")

    proposed = said(gateway, MEX_APPROVER, "resume", id=MEX)
    refused(lambda: own(gateway, MEX), "partner-suspended")
    after = approved(gateway, USA_APPROVER, proposed["change_id"])
    assert (proposed["status"], after["status"]) == ("waiting", "approved")
    shown = settled(gateway, proposed["change_id"])

    assert (shown["status"], shown["governments"]) == ("in-force", ["MEX", "USA"])
    own(gateway, MEX)
    enacted = of_change(gateway, "change.enacted", shown["change_id"])
    assert (enacted["policies"], len(enacted["policy_set"])) == (["role#approver-widens"], 64)
    resumed = events(gateway, "partner.resumed", "MEX")[-1]
    assert (resumed["source"], resumed["actor"]) == (shown["change_id"], USA_APPROVER)


def test_it_takes_effect_only_under_a_checkpoint_that_shows_the_last_signature(gateway: Running) -> None:
    done = widened(gateway, "GTM", "add-key", id=GTM, signing_key=public())

    approval, effect = (of_change(gateway, f"change.{name}", done["change_id"]) for name in ("approved", "enacted"))
    with gateway.storage() as storage:
        leaf, later = storage.read(
            lambda tx: (log.leaf_of_event(tx, approval["event_id"]), log.leaf_of_event(tx, effect["event_id"]))
        )
        newest = storage.read(log.latest_checkpoint)
    assert leaf is not None
    assert newest is not None
    assert leaf.leaf_index < newest.tree_size
    assert later is None or leaf.leaf_index < later.leaf_index


def test_nobody_approves_what_they_proposed(gateway: Running) -> None:
    proposed = said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public())

    # A government has spoken, too, whose officer proposed.
    both = ("floor#nobody-approves-own", "floor#one-voice-a-government")
    denied(gateway, lambda: approved(gateway, MEX_APPROVER, proposed["change_id"]), *both)

    assert standing(gateway, proposed["change_id"])["status"] == "waiting"


def test_two_officers_of_one_government_are_one_voice(gateway: Running) -> None:
    named = "MEX.OFFICER.SECOND"
    second = officer(gateway, named)
    proposed = said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public())

    denied(gateway, lambda: approved(second, named, proposed["change_id"]), "floor#one-voice-a-government")

    assert standing(gateway, proposed["change_id"])["status"] == "waiting"


def officer(gateway: Running, named: str) -> Running:
    """Enrol an approver as two governments do, and return the gateway as seen with their files beside the others."""
    folder = gateway.files.folder / "officers" / named
    authority = pki.Issued(*_authority(gateway, named[:3]))
    issued = pki.issue_client(authority, named, named[:3], pki.Validity.days(datetime.now(UTC), 90))
    key = ed25519.Ed25519PrivateKey.generate()
    pki.write_certificate(folder / "tls.pem", issued.certificate)
    pki.write_key(folder / "tls.key", issued.key)
    like = gateway.party(approver(named[:3]))
    client = pki.write_public(folder / "client.toml", like.client.read_bytes())
    words = {"name": "Second", "roles": "approver", "certificate": (folder / "tls.pem").read_text()}
    widened(gateway, named[:3], "enrol-officer", id=named, signing_key=public(key), **words)
    files = PartyFiles(
        tls_cert=folder / "tls.pem", tls_key=folder / "tls.key", id=named, country=named[:3], roles=("approver",),
        signing_key=pki.write_key(folder / "signing.key", key), keyid=FileSigner.of(key).keyid, client=client,
        active=True,
    )  # fmt: skip
    known = {**gateway.files.officers, named: files}
    object.__setattr__(gateway.files, "officers", known)
    return gateway


def _authority(gateway: Running, country: str) -> tuple[Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    folder = gateway.files.folder / "authorities" / country
    key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    return x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()), key


def test_who_proposes_is_an_approver_of_a_government_concerned(gateway: Running) -> None:
    key = public()

    denied(gateway, lambda: said(gateway, GTM_APPROVER, "add-key", id=MEX, signing_key=key), "floor#concerned-proposes")
    denied(gateway, lambda: said(gateway, SECURITY, "add-key", id=MEX, signing_key=key))
    denied(gateway, lambda: said(gateway, DPO, "suspend", id=USA), "floor#concerned-narrows")


def test_what_two_governments_share_is_lifted_by_both_and_stopped_by_one(gateway: Running) -> None:
    """A stop of a direction concerns two, of a product all: nobody is missing when it moves again."""
    said(gateway, "GTM.OFFICER.DPO", "stop", kind="direction", subject="GTM>USA")
    said(gateway, "USA.OFFICER.SECURITY", "stop", kind="product", subject="border-event")

    denied(
        gateway,
        lambda: said(gateway, MEX_APPROVER, "lift", kind="direction", subject="GTM>USA"),
        "floor#concerned-proposes",
    )
    assert widened(gateway, "GTM", "lift", kind="direction", subject="GTM>USA")["governments"] == ["GTM", "USA"]
    proposed = said(gateway, MEX_APPROVER, "lift", kind="product", subject="border-event")
    assert approved(gateway, USA_APPROVER, proposed["change_id"])["status"] == "waiting"
    assert approved(gateway, GTM_APPROVER, proposed["change_id"])["status"] == "approved"
    assert settled(gateway, proposed["change_id"])["status"] == "in-force"


def test_a_stop_closes_what_waits_to_undo_it(gateway: Running) -> None:
    """What was signed before the stop was known is not an answer to it."""
    waiting = said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public())

    said(gateway, DPO, "suspend", id=MEX)

    assert standing(gateway, waiting["change_id"])["status"] == "rejected"
    refused(lambda: approved(gateway, USA_APPROVER, waiting["change_id"]), "change-closed")
    widened(gateway, "MEX", "resume", id=MEX)
    again = refused(lambda: said(gateway, MEX_APPROVER, "resume", id=MEX), "change-invalid")
    assert "is not suspended" in again["detail"]


def test_a_rejected_change_is_closed(gateway: Running) -> None:
    proposed = said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public())

    said(gateway, SECURITY, "reject", change=proposed["change_id"])

    assert standing(gateway, proposed["change_id"])["status"] == "rejected"
    problem = refused(lambda: approved(gateway, USA_APPROVER, proposed["change_id"]), "change-closed")
    assert "rejected" in problem["detail"]


def signed_by(at_gateway: Running, named: str, **bent: Any) -> dict[str, Any]:
    """Return an envelope of a suspension, bent before it is signed."""
    signer = FileSigner.load(at_gateway.party(bent.pop("key_of", named)).signing_key)
    now = bent.pop("at", datetime.now(UTC))
    plain = {"act": "suspend", "gateway": at_gateway.files.public_origin, "id": new_id(now), "words": {"id": MEX}}
    return sign_change(Change(at=format_instant(now), **{**plain, **bent}), signer)


def post(gateway: Running, named: str, envelope: Any, path: str = "/v1/changes") -> tuple[int, dict[str, Any]]:
    headers = {"content-type": "application/json"}
    with gateway.client(named) as client:
        answer = client.channel.send("POST", path, headers=headers, content=json.dumps(envelope).encode())
    return answer.status, answer.document()


@pytest.mark.parametrize(
    ("bent", "why"),
    [
        ({"key_of": USA_APPROVER}, "not signed with the key"),
        ({"gateway": "https://other.example"}, "it is for"),
        ({"at": datetime.now(UTC) - timedelta(minutes=20)}, "within ten minutes"),
        ({"id": "ffffffff-ffff-7fff-bfff-ffffffffffff"}, "its id is a UUID"),
        ({"act": "crown"}, "an act is one of"),
        ({"words": {}}, "it needs id"),
        ({"words": {"id": MEX, "why": "x"}}, "it has no why"),
        ({"words": {"id": "MEX.NOBODY"}}, "there is no"),
        ({"words": {"id": "CAN.CBSA"}}, "reads like"),
        ({"act": "stop", "words": {"kind": "agreement", "subject": "can-usa"}}, "concerns nobody"),
        ({"act": "stop", "words": {"kind": "weather", "subject": "rain"}}, "what stops is"),
        ({"act": "lift", "words": {"kind": "product", "subject": "flow"}}, "is not stopped"),
        ({"act": "reject", "words": {"change": "none"}}, "no such change"),
        ({"act": "put-in-force", "words": {}}, "it names nothing"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_why(gateway: Running, bent: dict[str, Any], why: str) -> None:
    named = MEX_APPROVER

    status, problem = post(gateway, named, signed_by(gateway, named, **bent))

    assert (status, problem["reason"]) == (422, "change-invalid"), problem
    assert why in problem["detail"]
    assert problem["audit_event"] in {one["event_id"] for one in events(gateway, "change.refused")}


def test_one_document_is_heard_once_and_another_under_its_id_never(gateway: Running) -> None:
    """A stop that somebody recorded cannot be played again after it was lifted."""
    named = "MEX.OFFICER.DPO"
    envelope = signed_by(gateway, named, act="stop", words={"kind": "direction", "subject": "MEX>GTM"})
    first = post(gateway, named, envelope)
    widened(gateway, "MEX", "lift", kind="direction", subject="MEX>GTM")
    second = post(gateway, named, envelope)
    other = post(gateway, named, signed_by(gateway, named, id=first[1]["change_id"]))

    assert (first[0], second[0], other[0]) == (201, 201, 422)
    assert second[1]["audit_event"] == first[1]["audit_event"]
    with gateway.storage() as storage:
        from gateway.storage import registry

        assert ("direction", "MEX>GTM") not in {(one.kind, one.subject) for one in storage.read(registry.stops)}


def test_a_signature_counts_for_the_document_that_it_is_under(gateway: Running) -> None:
    proposed = said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public())
    other = signed_by(gateway, USA_APPROVER)

    status, problem = post(gateway, USA_APPROVER, other, f"/v1/changes/{proposed['change_id']}/approvals")

    assert (status, problem["reason"]) == (422, "change-invalid")
    assert "another document" in problem["detail"]
    assert post(gateway, USA_APPROVER, other, f"/v1/changes/{new_id(datetime.now(UTC))}/approvals")[0] == 404


def test_an_officer_governs_by_commands(gateway: Running, tmp_path: Path) -> None:
    """Propose with a file, look, approve after reading, and see it in force."""
    key = tmp_path / "next.pub.pem"
    key.write_text(public())

    def command(named: str, *words: object, typed: str = "") -> str:
        arguments = ["--language", "es", "officer", *map(str, words), "--config", str(gateway.party(named).client)]
        done = CliRunner().invoke(app, arguments, input=typed)
        assert done.exit_code == 0, done.output
        return done.stdout

    proposed = command(USA_APPROVER, "act", "add-key", f"id={USA}", f"signing_key=@{key}")
    change_id = proposed.split()[0]
    waiting = command(MEX_APPROVER, "changes")
    signed = command(MEX_APPROVER, "approve", change_id, typed="y\n")
    settled(gateway, change_id)
    shown = command(GTM_APPROVER, "show", change_id)

    assert "firmado por USA.OFFICER.APPROVER" in proposed
    assert change_id in waiting
    assert '"signing_key": "-----BEGIN PUBLIC KEY-----' in signed
    assert f"{change_id} add-key: in-force" in shown


def test_nothing_is_proposed_that_nobody_could_approve(tmp_path: Path) -> None:
    """The approver set of every other government is empty: what was possible before is denied."""
    with running(tmp_path / "sandbox") as gateway:
        for country in ("USA", "GTM"):
            said(gateway, f"{country}.OFFICER.SECURITY", "suspend", id=approver(country))

        denied(
            gateway,
            lambda: said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public()),
            "floor#somebody-to-approve",
        )
        refused(lambda: said(gateway, USA_APPROVER, "resume", id=approver("USA")), "partner-suspended")


def test_a_signature_of_an_officer_who_was_suspended_counts_no_more(tmp_path: Path) -> None:
    """Between the signatures and the checkpoint: the change fails, and says so in the log."""
    with running(tmp_path / "sandbox", environment={"GATEWAY_ENACT_CHANGES": "false"}) as gateway:
        proposed = said(gateway, MEX_APPROVER, "add-key", id=MEX, signing_key=public())
        approved(gateway, USA_APPROVER, proposed["change_id"])
        said(gateway, "USA.OFFICER.DPO", "suspend", id=USA_APPROVER)
        gateway.stop()
        done = CliRunner().invoke(app, ["govern", "enact", "--config", str(gateway.files.settings)])
        gateway.start()

        assert done.exit_code == 0, done.output
        assert standing(gateway, proposed["change_id"], officer=MEX_APPROVER)["status"] == "failed"
        assert of_change(gateway, "change.ended", proposed["change_id"])["status"] == "failed"


def test_a_change_that_is_in_force_is_not_brought_back_by_who_can_write_rows(tmp_path: Path) -> None:
    """The same document again, under its own id or another: the log does not show that anybody approved that row."""
    with running(tmp_path / "sandbox") as gateway:
        said(gateway, DPO, "suspend", id=MEX)
        done = widened(gateway, "MEX", "resume", id=MEX)
        said(gateway, DPO, "suspend", id=MEX)
        gateway.stop()
        copied = new_id(datetime.now(UTC))
        storage = open_storage(gateway.files.database_url)

        def bend(tx: Tx) -> None:
            one = get_change(tx, done["change_id"])
            assert one is not None
            insert_change(tx, replace(one, id=copied, status="approved"))
            move_change(tx, one, Status.APPROVED, event_id=one.event_id)

        storage.write(bend)
        storage.close()
        enacted = CliRunner().invoke(app, ["govern", "enact", "--config", str(gateway.files.settings)])
        gateway.start()

        assert enacted.exit_code == 0, enacted.output
        with gateway.storage() as reading:
            left = reading.read(lambda tx: [get_change(tx, one) for one in (done["change_id"], copied)])
        assert [one.status for one in left if one] == ["failed", "failed"]
        refused(lambda: own(gateway, MEX), "partner-suspended")


def test_the_operator_has_no_hand_on_officers(gateway: Running) -> None:
    done = CliRunner().invoke(
        app, ["--language", "en", "partners", "suspend", USA_APPROVER, "--config", str(gateway.files.settings)]
    )

    assert (done.exit_code, f"there is no {USA_APPROVER}" in done.stderr) == (1, True), done.output
