# SPDX-License-Identifier: Apache-2.0
"""The table of reasons; this file is about every reason having a row, a page and texts in both languages."""

from __future__ import annotations

import html
from collections.abc import Iterator

import pytest

from gateway.api.problems import ROWS, problem_of, problem_page
from gateway.errors import CertificateRefused, ContractViolated, Reason, Refusal

STATUSES = {
    400: "digest-missing digest-mismatch body-incomplete request-malformed idempotency-key-missing purpose-missing "
    "records-root-mismatch grant-unsupported scope-not-granted",
    401: "certificate-required certificate-untrusted certificate-expired certificate-not-yet-valid "
    "certificate-revoked unknown-partner signature-missing signature-malformed signature-component-missing "
    "signature-key-unknown signature-algorithm-mismatch signature-invalid signature-expired signature-not-yet-valid "
    "replayed client-unauthenticated token-invalid",
    403: "partner-suspended invitation-invalid denied-by-policy scope-insufficient",
    404: "not-found",
    409: "idempotency-conflict change-closed",
    410: "contract-retired",
    413: "body-too-large",
    415: "media-type-unsupported encoding-unsupported",
    422: "contract-unknown contract-violated forbidden-field wrong-provider not-a-published-table units-differ "
    "change-invalid",
    429: "rate-limited",
    503: "log-stalled storage-unavailable rules-not-in-force",
}


def classes(parent: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for child in parent.__subclasses__():
        if child is not CertificateRefused:
            yield child
        yield from classes(child)


def test_every_reason_has_the_status_that_the_protocol_gives_it() -> None:
    """Integrators branch on the status; it is part of the API."""
    expected = {Reason(name): status for status, names in STATUSES.items() for name in names.split()}

    assert {reason: row.status for reason, row in ROWS.items()} == expected
    assert set(expected) == set(Reason)


def test_every_reason_has_exactly_one_refusal_class() -> None:
    """A reason that nothing raises, or that two classes raise, is a lie in the documents."""
    assert sorted(child.reason for child in classes()) == sorted(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_texts_in_both_languages(reason: Reason) -> None:
    """People of three countries read these pages."""
    row = ROWS[reason]

    for text in (row.title, row.cause, row.mend):
        assert text["en"] != text["es"]
    for language in ("en", "es"):
        page = problem_page(reason, language)
        assert f'<html lang="{language}">' in page
        assert reason.value in page
        assert all(html.escape(text[language]) in page for text in (row.title, row.cause, row.mend))


def test_what_a_gate_adds_never_replaces_a_member_of_the_rfc() -> None:
    """A gate that adds `status` must not change what the status is."""
    refusal = ContractViolated(received=3, refused=3, extra={"errors": [], "status": 200})
    refusal.audit_event = "0190"

    document = problem_of(refusal, public_origin="https://gw.example", language="es").to_dict()

    assert document["status"] == 422
    assert document["type"] == "https://gw.example/problems/contract-violated"
    assert document["detail"].startswith("3 de 3 registros")
    assert document["audit_event"] == "0190"
    assert document["errors"] == []


def test_what_a_gate_adds_is_in_the_language_of_the_caller() -> None:
    """An error of a record has both languages inside, and one on the wire, as in answers."""
    errors = [{"line": 1, "detail": {"en": "Not a number.", "es": "No es un número."}}]
    refusal = ContractViolated(received=1, refused=1, extra={"errors": errors})

    document = problem_of(refusal, public_origin="https://gw.example", language="es").to_dict()

    assert document["errors"] == [{"line": 1, "detail": "No es un número."}]
