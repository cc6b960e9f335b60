# SPDX-License-Identifier: Apache-2.0
"""Signatures under contracts and agreements; this file is about which of them count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.clock import format_instant
from gateway.identifiers import new_id
from gateway.onboarding.approvals import (
    PUT_IN_FORCE,
    ApprovalInvalid,
    Subject,
    SubjectKind,
    approvals_of,
    approved_digests,
)
from gateway.storage.registry import Approval, OfficerEntry
from gateway.wire.change import PAYLOAD_TYPE, Change
from gateway.wire.dsse import sign_envelope
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = "ab" * 32
CONTRACT = Subject(SubjectKind.CONTRACT, "flow/1.0.0", DIGEST, ("MEX", "USA"))
MEX_KEY = FileSigner.of(generate_private_key(SECP256R1()))
USA_KEY = FileSigner.of(Ed25519PrivateKey.generate())
ID = new_id(NOW)


def officer(country: str, key: FileSigner, *, role: str = "approver", status: str = "active") -> OfficerEntry:
    name = f"{country}.OFFICER.APPROVER"
    return OfficerEntry(name, country, name, frozenset({role}), status, key.keyid, key.public_der)


OFFICERS = [officer("MEX", MEX_KEY), officer("USA", USA_KEY)]


def envelope(
    *signers: FileSigner, act: str = PUT_IN_FORCE, change_id: str = ID, digest: str = DIGEST
) -> dict[str, str]:
    """Return the changes by id: one, which says what CONTRACT is, signed by some."""
    change = Change(act, format_instant(NOW), "https://gateway.example", change_id, {CONTRACT.word: digest})
    return {ID: json.dumps(sign_envelope(PAYLOAD_TYPE, change.payload, signers))}


def rows(*officers: OfficerEntry) -> Sequence[Approval]:
    return list(approvals_of(ID, [CONTRACT], officers, at=NOW))


def test_an_approval_counts_for_the_country_of_its_officer() -> None:
    both = envelope(MEX_KEY, USA_KEY)

    assert approved_digests(rows(OFFICERS[0]), both, OFFICERS) == {DIGEST: {"MEX"}}
    assert approved_digests(rows(*OFFICERS), both, OFFICERS) == {DIGEST: {"MEX", "USA"}}


def test_who_is_no_approver_has_approved_nothing() -> None:
    known = [OFFICERS[0], officer("USA", USA_KEY, role="security-officer")]

    assert approved_digests(rows(*OFFICERS), envelope(MEX_KEY, USA_KEY), known) == {DIGEST: {"MEX"}}
    assert rows(known[1]) == []


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_who_left_the_office_has_approved_what_they_signed(status: str) -> None:
    """A government that stands by it no longer withdraws it; a person who goes must not stop the exchange."""
    known = [OFFICERS[0], officer("USA", USA_KEY, status=status)]

    assert approved_digests(rows(*OFFICERS), envelope(MEX_KEY, USA_KEY), known) == {DIGEST: {"MEX", "USA"}}


def test_an_officer_of_no_party_of_the_subject_approves_nothing() -> None:
    assert rows(officer("GTM", FileSigner.of(Ed25519PrivateKey.generate()))) == []


def test_an_unknown_key_approves_nothing() -> None:
    stranger = FileSigner.of(Ed25519PrivateKey.generate())

    assert approved_digests(rows(officer("USA", stranger)), envelope(stranger), OFFICERS) == {}


@pytest.mark.parametrize(
    "change",
    [{"digest": "cd" * 32}, {"subject_id": "flow/1.1.0"}, {"subject_kind": "agreement"}, {"change_id": "none"}],
)
def test_a_row_that_was_changed_beside_the_gateway_is_an_alarm(change: dict[str, str]) -> None:
    """A signature for one digest can never be shown as one for another."""
    row = replace(rows(OFFICERS[1])[0], **change)

    with pytest.raises(ApprovalInvalid):
        approved_digests([row], envelope(USA_KEY), OFFICERS)


@pytest.mark.parametrize("bent", [{"act": "enrol"}, {"change_id": new_id(NOW)}, {"digest": "cd" * 32}])
def test_a_change_about_something_else_approves_nothing(bent: dict[str, str]) -> None:
    with pytest.raises(ApprovalInvalid):
        approved_digests(rows(OFFICERS[1]), envelope(USA_KEY, **bent), OFFICERS)


def test_a_forged_signature_is_an_alarm() -> None:
    whole = json.loads(envelope(USA_KEY)[ID])
    whole["signatures"][0]["sig"] = json.loads(envelope(MEX_KEY)[ID])["signatures"][0]["sig"]

    with pytest.raises(ApprovalInvalid):
        approved_digests(rows(OFFICERS[1]), {ID: json.dumps(whole)}, OFFICERS)


def test_one_officers_signature_does_not_count_under_anothers_name() -> None:
    with pytest.raises(ApprovalInvalid):
        approved_digests(rows(OFFICERS[1]), envelope(MEX_KEY), OFFICERS)
