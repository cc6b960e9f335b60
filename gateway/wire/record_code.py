# SPDX-License-Identifier: Apache-2.0
"""Why one record is refused; this file is about the codes of reports, beside the ids of a contract's own rules."""

from __future__ import annotations

from enum import StrEnum


class RecordCode(StrEnum):
    """The closed list of codes for which a single record is refused; a broken rule is `rule:<id>`."""

    NOT_UTF8 = "not-utf8"
    NOT_CANONICAL = "not-canonical"
    DUPLICATE_KEY = "duplicate-key"
    UNKNOWN_FIELD = "unknown-field"
    REQUIRED = "required"
    TYPE = "type"
    CODE_NOT_IN_LIST = "code-not-in-list"
    RANGE = "range"
    PATTERN = "pattern"
    RECORD_CONFLICT = "record-conflict"
    SUPERSEDES_UNKNOWN = "supersedes-unknown"
