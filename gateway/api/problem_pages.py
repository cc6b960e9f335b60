# SPDX-License-Identifier: Apache-2.0
"""What a problem's address shows to a person; this file is about the page of each reason, in both languages."""

from __future__ import annotations

import html

from gateway.api.problems import ROWS
from gateway.errors import Reason, Refusal

_WORDS = {
    "en": ("Problem", "Status", "What happened", "What to do", "en español", "es"),
    "es": ("Problema", "Estado", "Qué ocurrió", "Qué hacer", "in English", "en"),
}


class _Blank(dict[str, object]):
    """Facts that are not known on a page about all cases: `{line}` reads `[line]`."""

    def __missing__(self, key: str) -> str:
        return f"[{key}]"


def sentence_of(reason: Reason, language: str) -> str:
    """Return what the refusal says, with its facts left open."""
    refusal = _CLASSES[reason]
    return (refusal.es if language == "es" else refusal.en).format_map(_Blank())


def problem_page(reason: Reason, language: str) -> str:
    """Return the page of a reason."""
    row = ROWS[reason]
    problem, status, happened, mend, other, other_code = _WORDS[language]
    title = html.escape(row.title_in(language))
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8"><title>{problem}: {title}</title>'
        f"</head>\n<body>\n<h1>{title}</h1>\n<p><code>{reason.value}</code> · {status} {row.status}</p>\n"
        f"<h2>{happened}</h2>\n<p>{html.escape(sentence_of(reason, language))}</p>\n"
        f"<h2>{mend}</h2>\n<p>{html.escape(row.mend_in(language))}</p>\n"
        f'<p><a href="?lang={other_code}" hreflang="{other_code}">{other}</a></p>\n</body>\n</html>\n'
    )


def _leaves(parent: type[Refusal]) -> dict[Reason, type[Refusal]]:
    found: dict[Reason, type[Refusal]] = {}
    for child in parent.__subclasses__():
        if "reason" in vars(child):
            found[child.reason] = child
        found |= _leaves(child)
    return found


_CLASSES = _leaves(Refusal)
