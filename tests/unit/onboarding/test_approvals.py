# SPDX-License-Identifier: Apache-2.0
"""Signatures under contracts and agreements; this file is about which of them count."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.onboarding.approvals import (
    ApprovalInvalid,
    Subject,
    SubjectKind,
    approved_digests,
    sign_approval,
)
from gateway.storage.registry import OfficerEntry
from gateway.wire.keys import FileSigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = "ab" * 32
CONTRACT = Subject(SubjectKind.CONTRACT, "flow/1.0.0", DIGEST, ("MEX", "USA"))
MEX_KEY = FileSigner.of(generate_private_key(SECP256R1()))
USA_KEY = FileSigner.of(Ed25519PrivateKey.generate())


def officer(country: str, key: FileSigner, *, role: str = "approver", status: str = "active") -> OfficerEntry:
    name = f"{country}.OFFICER.APPROVER"
    return OfficerEntry(name, country, name, frozenset({role}), status, key.keyid, key.public_der)


OFFICERS = [officer("MEX", MEX_KEY), officer("USA", USA_KEY)]


def test_an_approval_counts_for_the_country_of_its_officer() -> None:
    rows = [sign_approval(CONTRACT, MEX_KEY, at=NOW)]

    assert approved_digests(rows, OFFICERS) == {DIGEST: {"MEX"}}
    rows.append(sign_approval(CONTRACT, USA_KEY, at=NOW))
    assert approved_digests(rows, OFFICERS) == {DIGEST: {"MEX", "USA"}}


@pytest.mark.parametrize(
    "signer_is",
    [
        officer("USA", USA_KEY, role="security-officer"),
        officer("USA", USA_KEY, status="revoked"),
        officer("USA", USA_KEY, status="suspended"),
    ],
)
def test_who_is_no_approver_or_was_revoked_has_approved_nothing(signer_is: OfficerEntry) -> None:
    rows = [sign_approval(CONTRACT, USA_KEY, at=NOW)]

    assert approved_digests(rows, [officer("MEX", MEX_KEY), signer_is]) == {}


def test_an_unknown_key_approves_nothing() -> None:
    stranger = FileSigner.of(Ed25519PrivateKey.generate())

    assert approved_digests([sign_approval(CONTRACT, stranger, at=NOW)], OFFICERS) == {}


@pytest.mark.parametrize(
    "change",
    [{"digest": "cd" * 32}, {"subject_id": "flow/1.1.0"}, {"subject_kind": "agreement"}, {"envelope": "{"}],
)
def test_a_row_that_was_changed_beside_the_gateway_is_an_alarm(change: dict[str, str]) -> None:
    """A signature for one digest can never be shown as one for another."""
    row = replace(sign_approval(CONTRACT, USA_KEY, at=NOW), **change)

    with pytest.raises(ApprovalInvalid):
        approved_digests([row], OFFICERS)


def test_a_forged_signature_is_an_alarm() -> None:
    row = sign_approval(CONTRACT, USA_KEY, at=NOW)
    envelope = json.loads(row.envelope)
    envelope["signatures"][0]["sig"] = json.loads(sign_approval(CONTRACT, MEX_KEY, at=NOW).envelope)["signatures"][0][
        "sig"
    ]

    with pytest.raises(ApprovalInvalid):
        approved_digests([replace(row, envelope=json.dumps(envelope))], OFFICERS)


def test_one_officers_envelope_does_not_count_under_anothers_name() -> None:
    row = replace(sign_approval(CONTRACT, MEX_KEY, at=NOW), keyid=USA_KEY.keyid)

    with pytest.raises(ApprovalInvalid):
        approved_digests([row], OFFICERS)
