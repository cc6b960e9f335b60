# SPDX-License-Identifier: Apache-2.0
"""In whose language we answer; this file is about choosing English or Spanish, and about texts that have both."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

LANGUAGES = ("en", "es")
_RANGES_MAX = 20
_RANGE = re.compile(r"([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


def language_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return `es` or `en`, whichever Accept-Language prefers (RFC 9110, section 12.5.4); English when in doubt."""
    best, best_weight = "en", 0.0
    wanted = b",".join(value for name, value in headers if name == b"accept-language").decode("latin-1")
    for entry in wanted.split(",")[:_RANGES_MAX]:
        found = _RANGE.fullmatch(entry.strip(" \t"))
        if found and found[1].lower() in LANGUAGES and (weight := float(found[2] or 1)) > best_weight:
            best, best_weight = found[1].lower(), weight
    return best


def localized(document: Any, language: str) -> Any:
    """Return a document in which every text that has both languages stands in one: `{en, es}` becomes a string."""
    if isinstance(document, dict):
        if document.keys() == {"en", "es"}:
            return document[language]
        return {name: localized(value, language) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [localized(value, language) for value in document]
    return document
