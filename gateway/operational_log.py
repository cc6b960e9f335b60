# SPDX-License-Identifier: Apache-2.0
"""What the machine tells its operator; this file is about the operational log: JSON lines, fixed phrases, no secrets.

It is not evidence and may be lost; evidence is the audit log. Only the fields listed here leave the process, so
that a payload, a key or a person cannot slip in by way of a field that nobody thought of.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

# A field joins this list after someone asked: could its value be personal, secret or submitted?
FIELDS = frozenset({
    "address", "audit_event", "cause", "count", "country", "database", "deleted", "error", "event", "frames",
    "level", "limit", "method", "path", "product", "reason", "request_id", "seconds", "size", "status", "timestamp",
    "trouble", "until", "version",
})  # fmt: skip
FRAMES_MAX = 12


def configure_log() -> None:
    """Send structlog and the libraries' own logging to standard error as JSON lines."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_the_fault,
            _only_known_fields,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=_Lossy()),
        cache_logger_on_first_use=True,
    )
    # Libraries may put anything into their messages; of them only who complained is told.
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


class _Lossy(io.StringIO):
    """Standard error as long as it takes lines: a full disk under it must not stop a request or the audit log."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


class _LibraryHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning("library warning", cause=record.name, trouble=record.levelname)


def _name_the_fault(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its type and the places it passed; its text could quote a value."""
    if entry.pop("exc_info", None):
        kind, error, _ = sys.exc_info()
        entry["error"] = kind.__name__ if kind else "unknown"
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:] if error else []
        entry["frames"] = [f"{frame.filename.rpartition('gateway/')[2]}:{frame.lineno}" for frame in frames]
    return entry


def _only_known_fields(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in entry.items() if name in FIELDS}
