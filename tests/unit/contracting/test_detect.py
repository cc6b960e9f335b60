# SPDX-License-Identifier: Apache-2.0
"""Finding what must not be there; this file is about detectors of identifiers in free text and of names."""

from __future__ import annotations

import pytest

from gateway.contracting.detect import forbidden_names, forbidden_values, words_of
from gateway.errors import ContractViolated, ForbiddenField
from tests.unit.contracting.submissions import GTM, judged, line, record


@pytest.mark.parametrize(
    "note",
    [
        "CURP: PEGJ850101HDFRRN09.",
        "1234 56789 0101",
        "A12345678",
        "(a-123456789)",
        "I<UTOD231458907<<<<<<<<<<<<<<<",
        "ana.lopez+x@example.org",
        "+502 2345-6789",
        "tel. 555-123-4567",
    ],
)
def test_an_identifier_of_a_person_in_a_note_refuses_everything(note: str) -> None:
    """Free text is where identities slip in."""
    with pytest.raises(ForbiddenField) as refused:
        judged("flow", [line(record("flow", "cell", note=note))], provider=GTM)

    assert refused.value.facts["pointer"] == "/note"


@pytest.mark.parametrize(
    "note",
    [
        "Cifra preliminar.",
        "2024-10 a 2025-04, 12 vuelos",
        "Title 8 U.S.C. 1326",
        "véase cuadro 3.1.1, 1,234 eventos",
        "BOLETIN MENSUAL DE ESTADISTICAS",
        "A1234567",
        "100.5 %",
    ],
)
def test_an_ordinary_footnote_is_not_taken_for_an_identifier(note: str) -> None:
    """Detectors are anchored to whole tokens, so that a serial number inside a word is none."""
    assert forbidden_values({"note": note}, ["note"]) == []


def test_a_long_run_of_digits_in_a_note_is_refused_as_a_form() -> None:
    """Six digits may be a figure; seven are refused without being called an identity."""
    assert judged("flow", [line(record("flow", "cell", note="123456"))], provider=GTM).refused == ()
    with pytest.raises(ContractViolated) as refused:
        judged("flow", [line(record("flow", "cell", note="1234567"))], provider=GTM)
    assert refused.value.extra["counts"] == {"pattern": 1}


def test_names_are_cut_into_words_at_case_and_signs() -> None:
    """The same name in any spelling has the same words."""
    for name in ("EyeColor", "eye_color", "EYE-COLOR", "eye color", "éyeColor"):
        assert words_of(name) == ("eye", "color")
    assert words_of("") == ()
    assert forbidden_names(["FECHA_NAC", "fecha", "nac"], ["fecha_nac"]) == ["FECHA_NAC"]
