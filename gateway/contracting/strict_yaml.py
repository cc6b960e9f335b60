# SPDX-License-Identifier: Apache-2.0
"""YAML with nothing surprising in it; this file is about reading the closed subset that contracts are written in.

Plain scalars are JSON literals or strings, so that `NO` is Norway and `1.0` is text. Keys are strings and stand
once. Tags, anchors, aliases, merge keys, floats and null are refused: three governments must read one meaning.
"""

from __future__ import annotations

import re
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
    except (yaml.YAMLError, ValueError) as error:
        raise ContractInvalid(f"{path}: {error}") from error
    return document


def parse_yaml(text: str) -> dict[str, Any]:
    """Return the one mapping that a text holds.

    Raises:
        ValueError: when the text leaves the closed subset.
        yaml.YAMLError: when it is no YAML.
    """
    depth = documents = 0
    # Before anything is composed, because composing follows aliases and applies tags.
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
            raise ValueError(f"line {_line(event)}: anchors, aliases and tags are not allowed")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise ValueError(f"line {_line(event)}: deeper than {DEPTH_MAX} levels")
    if documents > 1:
        raise ValueError("a file holds one document")
    node = yaml.compose(text, Loader=yaml.CSafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("the document is not a mapping")  # noqa: TRY004  (a malformed file, not a wrong argument)
    return _mapping(node)


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            raise ValueError(f"line {_line(key)}: a key is a plain string")
        if key.value in mapping:
            raise ValueError(f"line {_line(key)}: the key {key.value} stands twice")
        mapping[key.value] = _value(value)
    return mapping


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    assert isinstance(node, yaml.ScalarNode)
    text: str = node.value
    if node.style:  # quoted
        return text
    if text in {"", "~", "null"}:
        raise ValueError(f"line {_line(node)}: there is no null; leave the key out or quote the text")
    if text in _LITERALS:
        return _LITERALS[text]
    return int(text) if _INTEGER.match(text) else text


def _line(place: yaml.Event | yaml.Node) -> int:
    return place.start_mark.line + 1 if place.start_mark else 0
