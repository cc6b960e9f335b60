# SPDX-License-Identifier: Apache-2.0
"""How a refusal looks outside; this file is about the problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

PROBLEM_JSON: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document; `extra` holds members of single reasons, such as `errors`."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    audit_event: str = ""
    hint: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object; members that are empty are left out, and extra members replace none of the named."""
        named = {name: getattr(self, name) for name in _NAMED}
        return {**self.extra, **{name: value for name, value in named.items() if value or name in _ALWAYS}}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Problem:
        """Read a problem document from anyone: a member of a wrong type counts as absent (RFC 9457, section 3.1)."""
        texts = {name: value for name in _TEXTS if isinstance(value := document.get(name), str)}
        status = document.get("status")
        return cls(
            **{"type": "about:blank", "title": "", "detail": "", "reason": "", **texts},
            status=status if type(status) is int else 0,
            extra={name: value for name, value in document.items() if name not in _NAMED},
        )


_NAMED: Final = tuple(one.name for one in fields(Problem) if one.name != "extra")
_TEXTS: Final = tuple(name for name in _NAMED if name != "status")
_ALWAYS: Final = frozenset({"type", "title", "status", "detail", "reason"})
