# SPDX-License-Identifier: Apache-2.0
"""Who may widen and who may narrow; this file is about changes that officers sign, against a running gateway."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from typer.testing import CliRunner

from gateway.cli.program import app
from gateway.client.failures import Refused
from gateway.clock import format_instant
from gateway.identifiers import new_id
from gateway.onboarding import pki
from gateway.onboarding.acts import offered_in
from gateway.onboarding.sandbox_files import PartyFiles
from gateway.storage import log
from gateway.storage.log import EventQuery
from gateway.wire.change import Change, sign_change
from gateway.wire.keys import FileSigner
from tests.api.contesting import publish
from tests.governing import approved, approver, said, settled, standing, widened
from tests.running import GTM, MEX, USA, Running, running

ROOT = Path(__file__).parents[2] / "contracts"
PARTIES = ("GTM", "MEX", "USA")
USA_APPROVER, MEX_APPROVER, GTM_APPROVER = (approver(name) for name in ("USA", "MEX", "GTM"))
DPO, SECURITY = "MEX.OFFICER.DPO", "MEX.OFFICER.SECURITY"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose contracts folder may grow, as an operator lets it."""
    folder = tmp_path_factory.mktemp(request.param)
    url = request.getfixturevalue("postgresql_server").fresh() if request.param == "postgresql" else None
    contracts = shutil.copytree(ROOT, folder / "contracts")
    with running(folder / "sandbox", engine_url=url, environment={"GATEWAY_CONTRACTS_DIR": str(contracts)}) as started:
        yield started


def contracts_of(gateway: Running) -> Path:
    return Path(gateway.environment["GATEWAY_CONTRACTS_DIR"])


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


def test_a_new_revision_of_an_agreement_is_in_force_once_both_signed_it(gateway: Running) -> None:
    folder = contracts_of(gateway) / "agreements" / "mex-usa"
    text = (folder / "1.yaml").read_text(encoding="utf-8")
    (folder / "2.yaml").write_text(text.replace("revision: 1", "revision: 2"), encoding="utf-8")
    digest = offered_in(contracts_of(gateway), PARTIES)["agreement mex-usa/2"].digest
    words = {"agreement mex-usa/2": digest}

    refused(lambda: said(gateway, MEX_APPROVER, "put-in-force", **{"agreement mex-usa/2": "0" * 64}), "change-invalid")
    denied(gateway, lambda: said(gateway, GTM_APPROVER, "put-in-force", **words), "floor#concerned-proposes")
    proposed = said(gateway, MEX_APPROVER, "put-in-force", **words)
    assert told(gateway, USA_APPROVER, f"simulate?change={proposed['change_id']}")["change_count"] == 0
    approved(gateway, USA_APPROVER, proposed["change_id"])
    assert settled(gateway, proposed["change_id"])["status"] == "in-force"

    activated = events(gateway, "policy.activated")[-1]
    assert "mex-usa/2" in activated["agreements"]
    again = refused(lambda: said(gateway, MEX_APPROVER, "put-in-force", **words), "change-invalid")
    assert "in force already" in again["detail"]


def told(gateway: Running, named: str, question: str) -> dict[str, Any]:
    status, _, body = gateway.get(named, f"/v1/policy/{question}")
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


def test_an_approver_sees_what_a_change_would_do_before_signing_it(gateway: Running) -> None:
    """Mexico pulls the United States' numbers for statistics; the next revision has another purpose only."""
    reading = "/sdmx/v2/data/dataflow/GATEWAY/FLOW/+/*?c[REF_AREA]=USA"
    publish(gateway)
    status, headers, body = gateway.get(MEX, reading, {"Gateway-Purpose": "STATISTICS"})
    assert status == 200, body
    folder = contracts_of(gateway) / "agreements" / "mex-usa"
    newest = max(folder.glob("*.yaml"), key=lambda path: int(path.stem))
    number = int(newest.stem)
    text = newest.read_text(encoding="utf-8").replace(f"revision: {number}", f"revision: {number + 1}")
    (folder / f"{number + 1}.yaml").write_text(text.replace("STATISTICS", "RECEPTION_PLANNING"), encoding="utf-8")
    word = f"agreement mex-usa/{number + 1}"

    proposed = said(
        gateway, MEX_APPROVER, "put-in-force", **{word: offered_in(contracts_of(gateway), PARTIES)[word].digest}
    )
    found = told(gateway, USA_APPROVER, f"simulate?change={proposed['change_id']}")
    nothing = gateway.get(USA_APPROVER, f"/v1/policy/simulate?change={new_id(datetime.now(UTC))}")[0]

    (change,) = [one for one in found["changes"] if one["event"] == headers["audit-event"]]
    assert (change["was"]["permitted"], change["would_be"]["permitted"]) == (True, False)
    assert nothing == 404
    said(gateway, SECURITY, "reject", change=proposed["change_id"])


def test_rules_that_leave_a_hole_in_the_floor_are_refused_before_anybody_signs_them(gateway: Running) -> None:
    rules = shutil.copytree(contracts_of(gateway) / "policies" / "1", contracts_of(gateway) / "policies" / "2")
    floor = (rules / "floor.cedar").read_text(encoding="utf-8")
    hole = floor.index('@id("floor#asylum-of-nationals")')
    (rules / "floor.cedar").write_text(floor[:hole] + floor[floor.index("@id(", hole + 1) :], encoding="utf-8")
    digest = offered_in(contracts_of(gateway), PARTIES)["rules floor-and-roles/2"].digest

    problem = refused(
        lambda: said(gateway, USA_APPROVER, "put-in-force", **{"rules floor-and-roles/2": digest}), "change-invalid"
    )

    assert "asylum-of-nationals overridden" in problem["detail"]
    shutil.rmtree(rules)


def test_a_government_that_withdraws_ends_an_agreement_for_both(gateway: Running) -> None:
    before = len(events(gateway, "approval.withdrawn"))

    said(gateway, "GTM.OFFICER.DPO", "withdraw", subject="agreement gtm-mex/1")
    twice = refused(
        lambda: said(gateway, "GTM.OFFICER.DPO", "withdraw", subject="agreement gtm-mex/1"), "change-invalid"
    )

    assert "no approval" in twice["detail"]
    assert len(events(gateway, "approval.withdrawn")) == before + 1
    with gateway.client("GTM.OFFICER.SECURITY") as client:
        status = client.channel.send("GET", "/v1/policy/who-could-see?product=flow", headers={"accept": "*/*"})
    assert "MEX.SEGOB.UPMRIP" not in {line["principal"] for line in status.document()["lines"]}


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
