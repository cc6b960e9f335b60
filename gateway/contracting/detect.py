# SPDX-License-Identifier: Apache-2.0
"""What must never arrive; this file is about property names and values that show personal data of a forbidden kind.

Names are compared as whole words, so that `hair_color` is caught and `chair` is not, and only where the contract
does not know the property. Values are looked for only in free text, as whole tokens. Both run on records that
the schema refused already: a good record pays nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

_LEFT, _RIGHT = "(^|[^A-Za-z0-9])", "([^A-Za-z0-9]|$)"
VALUE_PATTERNS: dict[str, str] = {
    "curp": f"{_LEFT}[A-Za-z]{{4}}[0-9]{{6}}[HMXhmx][A-Za-z]{{5}}[A-Za-z0-9][0-9]{_RIGHT}",
    "cui": f"{_LEFT}[0-9]{{4}} ?[0-9]{{5}} ?[0-9]{{4}}{_RIGHT}",
    "a-number": f"{_LEFT}[Aa]-?[0-9]{{8,9}}{_RIGHT}",
    "mrz": "(^|[^A-Z0-9<])[A-Z0-9<]{30,44}([^A-Z0-9<]|$)",
    "e-mail": r"(^|[^A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}",
    "phone": r"(^|[^A-Za-z0-9+])(\+[0-9][0-9 ().-]{6,17}[0-9]|\(?[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4})" + _RIGHT,
}
_COMPILED = {name: re.compile(pattern) for name, pattern in VALUE_PATTERNS.items()}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_NAME_LENGTH_MAX = 256


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a property name, lower case and without accents: `EyeColor` and `eye-colour` have two."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub("_", name[:_NAME_LENGTH_MAX]))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return tuple(word for word in _SEPARATORS.split(plain.lower()) if word)


def forbidden_names(names: Iterable[str], forbidden: Iterable[str]) -> list[str]:
    """Return which of the names hold a forbidden word, or forbidden words in a row, in the order given."""
    sought = [words_of(entry) for entry in forbidden]
    return [name for name in names if any(_within(entry, words_of(name)) for entry in sought)]


def forbidden_values(record: Mapping[str, object], text_fields: Iterable[str]) -> list[str]:
    """Return the fields of free text in which a detector finds an identifier of a person."""
    return [
        name
        for name in text_fields
        if isinstance(text := record.get(name), str) and any(found.search(text) for found in _COMPILED.values())
    ]


def _within(sought: tuple[str, ...], words: tuple[str, ...]) -> bool:
    length = len(sought)
    return any(words[start : start + length] == sought for start in range(len(words) - length + 1))
