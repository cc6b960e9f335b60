# SPDX-License-Identifier: Apache-2.0
"""YAML with nothing surprising in it; this file is about reading the closed subset that contracts are written in.

Plain scalars are JSON literals or strings, so that `NO` is Norway and `1.0` is text. Keys are strings and stand
once. Tags, anchors, aliases, merge keys, floats and null are refused: three governments must read one meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPTH_MAX = 16
_INTEGER = re.compile(r"^-?(0|[1-9][0-9]{0,15})$")
_LITERALS: dict[str, bool] = {"true": True, "false": False}


class ContractInvalid(ValueError):
    """A file under `contracts/` does not follow its form; the text names the file and the place."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a file holds.

    Raises:
        ContractInvalid: when the file is not UTF-8 or leaves the closed subset.
    """
    try:
        document = parse_yaml(path.read_bytes().decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ContractInvalid(f"{path}: {error}") from error
    return document


def parse_yaml(text: str) -> dict[str, Any]:
    """Return the one mapping that a text holds.

    Raises:
        ValueError: when the text leaves the closed subset.
        yaml.YAMLError: when it is no YAML.
    """
    events = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
    next(events)
    start = next(events)
    if not isinstance(start, yaml.DocumentStartEvent):
        raise ValueError("the document is empty")  # noqa: TRY004  (a malformed file, not a wrong argument)
    document = _node(next(events), events, depth=0)
    next(events)
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise ValueError("a file holds one document")  # noqa: TRY004  (as above)
    if not isinstance(document, dict):
        raise ValueError("the document is not a mapping")  # noqa: TRY004  (as above)
    return document


def _node(event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Any:
    line = _line(event)
    if depth > DEPTH_MAX:
        raise ValueError(f"line {line}: deeper than {DEPTH_MAX} levels")
    if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
        raise ValueError(f"line {line}: anchors, aliases and tags are not allowed")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event, line)
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, depth)
    return _mapping(events, depth)


def _sequence(events: Iterator[yaml.Event], depth: int) -> list[Any]:
    items = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        items.append(_node(event, events, depth=depth + 1))
    return items


def _mapping(events: Iterator[yaml.Event], depth: int) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent) or event.value == "<<":
            raise ValueError(f"line {line}: a key is a plain string")
        if event.value in mapping:
            raise ValueError(f"line {line}: the key {event.value} stands twice")
        mapping[event.value] = _node(next(events), events, depth=depth + 1)
    return mapping


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _scalar(event: yaml.ScalarEvent, line: int) -> str | int | bool:
    text: str = event.value
    if not event.implicit[0]:  # quoted
        return text
    if text in {"", "~", "null"}:
        raise ValueError(f"line {line}: there is no null; leave the key out or quote the text")
    if text in _LITERALS:
        return _LITERALS[text]
    return int(text) if _INTEGER.match(text) else text
