# SPDX-License-Identifier: Apache-2.0
"""An agreement as a page for people; this file is about one HTML page in English and one in Spanish, made from it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Literal

from gateway.policy.agreements import Agreement, Clause, ReadYaml, Text
from gateway.policy.load import newest_of

Language = Literal["en", "es"]

_WORDS: dict[str, tuple[str, str]] = {
    "agreement": ("Agreement", "Acuerdo"),
    "revision": ("revision", "revisión"),
    "parties": ("Parties", "Partes"),
    "basis": ("Legal basis", "Fundamento jurídico"),
    "validity": ("Valid, both days included", "Vigencia, ambos días incluidos"),
    "suspension": ("Suspension", "Suspensión"),
    "digest": ("Digest that the parties sign (SHA-256)", "Resumen que firman las partes (SHA-256)"),
    "protection": ("Protection of what is read", "Protección de lo que se lee"),
    "assessed": ("assessed on {}, good until {}", "evaluada el {}, válida hasta el {}"),
    "clause": ("Clause", "Cláusula"),
    "reads": (
        "{reader} reads {product}, version {major}, of {owner}",
        "{reader} lee {product}, versión {major}, de {owner}",
    ),
    "purposes": ("For these purposes and no other", "Para estas finalidades y ninguna otra"),
    "floor": ("Smallest count that is told", "Menor cifra que se muestra"),
    "embargo": ("Days until a number may be read", "Días hasta que una cifra puede leerse"),
    "rate": ("Requests in an hour, at most", "Solicitudes por hora, como máximo"),
    "asylum": ("Asylum of the reader's own nationals", "Asilo de los nacionales del lector"),
    "never": ("never", "nunca"),
    "dimensions": ("Breakdowns", "Desgloses"),
    "denied": (
        "What no clause permits is denied. No clause can permit what the floor forbids.",
        "Lo que ninguna cláusula permite se niega. Ninguna cláusula puede permitir lo que prohíbe el piso.",
    ),
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "dt{font-weight:600}code{word-break:break-word}"
)


def write_pages(root: Path, read: ReadYaml) -> list[Path]:
    """Write the pages of every agreement of a contracts folder, and return those that were not as they should be."""
    changed = []
    for path, page in pages_of(root, read).items():
        if not path.is_file() or path.read_text("utf-8") != page:
            path.parent.mkdir(exist_ok=True)
            path.write_text(page, "utf-8")
            changed.append(path)
    return changed


def pages_of(root: Path, read: ReadYaml) -> dict[Path, str]:
    """Return the pages of the newest revision of every agreement, by where they belong."""
    languages: tuple[Language, ...] = ("en", "es")
    return {
        root / "agreements" / agreement.id / "generated" / f"page.{language}.html": page_of(agreement, language)
        for agreement in newest_of(root, read)
        for language in languages
    }


def page_of(agreement: Agreement, language: Language) -> str:
    """Return the page of an agreement in a language."""
    title = f"{_said(agreement.title, language)} · {agreement.reference}"
    facts = [
        (_word("parties", language), ", ".join(agreement.parties)),
        (_word("basis", language), _said(agreement.legal_basis, language)),
        (_word("validity", language), f"{agreement.valid_from} – {agreement.valid_until}"),
        (_word("suspension", language), _said(agreement.suspension, language)),
        (_word("digest", language), agreement.digest),
    ]
    records = [
        (record.country, f"{_said(record.record, language)} ({_word('assessed', language)})".format(*days))
        for record in agreement.protection
        for days in [(record.assessed_on, record.valid_until)]
    ]
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
            f"<h1>{_word('agreement', language)}: {escape(title)}</h1>",
            _list(facts),
            f"<h2>{_word('protection', language)}</h2>\n{_list(records)}",
            *(_clause(clause, language) for clause in agreement.clauses),
            f"<p>{_word('denied', language)}</p>\n</main>\n</body>\n</html>\n",
        ]
    )


def _clause(clause: Clause, language: Language) -> str:
    reads = _word("reads", language).format(
        reader=clause.reader, product=clause.product, major=clause.major, owner=clause.owner
    )
    facts = [
        (_word("purposes", language), ", ".join(clause.purposes)),
        (_word("validity", language), f"{clause.valid_from} – {clause.readable_until}"),
        (_word("floor", language), str(clause.floor)),
        (_word("embargo", language), str(clause.embargo_days)),
        (_word("rate", language), str(clause.requests_per_hour)),
        (_word("asylum", language), _word("never", language)),
        (_word("dimensions", language), ", ".join(clause.dimensions)),
    ]
    heading = f"<h2>{_word('clause', language)} {clause.policy_id}: {escape(reads)}</h2>"
    return f"{heading}\n<p>{escape(_said(clause.text, language))}</p>\n{_list(facts)}"


def _list(facts: list[tuple[str, str]]) -> str:
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>\n{rows}\n</dl>"


def _word(name: str, language: Language) -> str:
    return _WORDS[name][language == "es"]


def _said(text: Text, language: Language) -> str:
    return text.es if language == "es" else text.en
