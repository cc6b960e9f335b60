# SPDX-License-Identifier: Apache-2.0
"""How a refusal looks on the wire; this file is about problem documents (RFC 9457) and the pages of their types.

docs/ERRORS.md, which ships with the program, is the one place where a reason's status, title and advice stand.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.api.language import localized
from gateway.errors import Reason, Refusal
from gateway.wire.problem import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """What people are told about one reason, by language: `cause` says what happened, `mend` what to do."""

    status: int
    title: Mapping[str, str]
    cause: Mapping[str, str]
    mend: Mapping[str, str]


_ENTRY = re.compile(
    r"""^\#\#\#\ (?P<reason>[a-z-]+)\n
    (?P<status>\d{3})\ ·\ (?P<title_en>.+)\ ·\ \*(?P<title_es>.+)\*\n\n
    \*\*Cause\.\*\*\ (?P<cause_en>.+)\n\*\*Mend\.\*\*\ (?P<mend_en>.+)\n\n
    \*\*Causa\.\*\*\ (?P<cause_es>.+)\n\*\*Remedio\.\*\*\ (?P<mend_es>.+)$""",
    re.MULTILINE | re.VERBOSE,
)
_PAGE = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><title>{problem}: {title}</title></head>
<body>
<h1>{title}</h1>
<p><code>{reason}</code> · {status_word} {status}</p>
<h2>{happened}</h2>
<p>{cause}</p>
<h2>{to_do}</h2>
<p>{mend}</p>
<p><a href="?lang={other}" hreflang="{other}">{other_name}</a></p>
</body>
</html>
"""
_WORDS = {
    "en": {
        "problem": "Problem",
        "status_word": "Status",
        "happened": "What happened",
        "to_do": "What to do",
        "other": "es",
        "other_name": "en español",
    },
    "es": {
        "problem": "Problema",
        "status_word": "Estado",
        "happened": "Qué ocurrió",
        "to_do": "Qué hacer",
        "other": "en",
        "other_name": "in English",
    },
}


def problem_of(refusal: Refusal, *, public_origin: str, language: str) -> Problem:
    """Return the problem document of a refusal."""
    row = ROWS[refusal.reason]
    return Problem(
        type=f"{public_origin}/problems/{refusal.reason}",
        title=row.title[language],
        status=row.status,
        detail=refusal.detail(language),
        reason=refusal.reason.value,
        audit_event=refusal.audit_event or "",
        hint=refusal.hint,
        extra=localized(refusal.extra, language),
    )


def problem_page(reason: Reason, language: str) -> str:
    """Return the page of a reason."""
    row = ROWS[reason]
    texts = {"title": row.title, "cause": row.cause, "mend": row.mend}
    escaped = {name: html.escape(text[language]) for name, text in texts.items()}
    return _PAGE.format(language=language, reason=reason, status=row.status, **escaped, **_WORDS[language])


def _document() -> Path:
    """Return the document that came with the program: inside the wheel, or in the sources."""
    inside = Path(__file__).with_name("ERRORS.md")
    return inside if inside.is_file() else Path(__file__).parents[2] / "docs" / "ERRORS.md"


def _read_rows() -> dict[Reason, Row]:
    def in_both(entry: re.Match[str], name: str) -> Mapping[str, str]:
        return {language: entry[f"{name}_{language}"] for language in ("en", "es")}

    rows = {
        Reason(entry["reason"]): Row(
            int(entry["status"]), in_both(entry, "title"), in_both(entry, "cause"), in_both(entry, "mend")
        )
        for entry in _ENTRY.finditer(_document().read_text(encoding="utf-8"))
    }
    assert set(rows) == set(Reason), "a reason without an entry in docs/ERRORS.md could not be answered"
    return rows


ROWS = _read_rows()
