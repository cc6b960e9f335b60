# SPDX-License-Identifier: Apache-2.0
"""The YAML that governments sign; this file is about its closed form: JSON literals only.

So that NO is Norway and 1.10 is no number: plain scalars other than true, false and whole numbers are refused,
as are anchors, tags, merge keys, duplicate keys and null.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from gateway.wire.canonical import JSON

BYTES_MAX = 1 << 20
DEPTH_MAX = 16
_WHOLE = re.compile(r"^(0|-?[1-9][0-9]{0,14})$")


class ClosedYamlInvalid(ValueError):
    """The file uses YAML that the closed form leaves out; the text names the line."""


def read_closed(path: Path) -> JSON:
    """Read one file in the closed form.

    Raises:
        ClosedYamlInvalid: when it has any other form.
    """
    data = path.read_bytes()
    if len(data) > BYTES_MAX:
        raise ClosedYamlInvalid(f"more than {BYTES_MAX} bytes")
    try:
        text = data.decode()
        if any(isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken) for token in yaml.scan(text)):
            raise ClosedYamlInvalid("anchors, aliases and tags are not used")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ClosedYamlInvalid(str(error)) from error
    return _value(node, DEPTH_MAX)


def _value(node: yaml.Node | None, depth: int) -> JSON:
    if depth == 0 or node is None:
        raise ClosedYamlInvalid("empty, or nested too deeply")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, depth - 1) for item in node.value]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, depth: int) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<" or key.value in found:
            raise ClosedYamlInvalid(f"line {key.start_mark.line + 1}: a key that is no text, merged or double")
        found[key.value] = _value(value, depth - 1)
    return found


def _scalar(node: yaml.Node) -> JSON:
    text: str = node.value
    if node.style is not None:  # type: ignore[attr-defined]  # the stubs leave the style of scalar nodes out
        return text
    if text in {"true", "false"}:
        return text == "true"
    if _WHOLE.match(text):
        return int(text)
    raise ClosedYamlInvalid(f"line {node.start_mark.line + 1}: quote {text!r}")
