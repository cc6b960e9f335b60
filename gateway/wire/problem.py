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
        """Return the JSON object, without what is empty; extra members replace none of the named."""
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "extra"}
        for name in ("audit_event", "hint"):
            if not named[name]:
                del named[name]
        return {**self.extra, **named}
