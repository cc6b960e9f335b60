# SPDX-License-Identifier: Apache-2.0
"""The parts of a message that can be signed; this file is about component values (RFC 9421, sections 2.1 and 2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Headers: TypeAlias = Iterable[tuple[str, str]] | Mapping[str, str]

# Field names as RFC 9110 writes tokens, lower case only; RFC 9421 asks for that in component names.
_NAME: Final = re.compile(r"@?[a-z0-9!#$%&'*+.^_`|~-]+")
# Printable ASCII and, inside a field, tabs. A newline in a value could forge the next line of a signature base.
_VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}


class SignatureFlaw(StrEnum):
    """Why a signature is not accepted."""

    MISSING = "missing"
    MALFORMED = "malformed"
    COMPONENT_MISSING = "component-missing"
    KEY_UNKNOWN = "key-unknown"
    INVALID = "invalid"


class SignatureRefused(Exception):
    """A signature that is not there, malformed, outside the profile, or wrong; `what` names the part."""

    def __init__(self, flaw: SignatureFlaw, what: str) -> None:
        super().__init__(f"{flaw}: {what}")
        self.flaw = flaw
        self.what = what


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The signable parts of a request; `fields` has lower-case names and combined values."""

    method: str
    target_uri: str
    fields: Mapping[str, str]

    @classmethod
    def of(cls, method: str, target_uri: str, headers: Headers) -> RequestHead:
        """Return the head of a request with its header lines combined."""
        return cls(method, target_uri, combine(headers))

    def give(self, name: str) -> str:
        """Return the value of a component, or raise SignatureRefused."""
        return _component(name, self._derived() if name.startswith("@") else self.fields)

    def can_give(self, name: str) -> bool:
        """Say whether a component exists and may stand in a signature base."""
        try:
            self.give(name)
        except SignatureRefused:
            return False
        return True

    def _derived(self) -> dict[str, str]:
        whole = {"@method": self.method, "@target-uri": self.target_uri}
        try:
            url = urlsplit(self.target_uri)
        except ValueError:  # A caller may send anything; it then has no parts.
            return whole
        return {
            **whole,
            "@scheme": url.scheme.lower(),
            "@authority": url.netloc.lower().removesuffix(_DEFAULT_PORTS.get(url.scheme.lower(), "")),
            "@path": url.path or "/",
            "@query": f"?{url.query}",
            "@request-target": (url.path or "/") + (f"?{url.query}" if "?" in self.target_uri else ""),
        }


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """The signable parts of an answer."""

    status: int
    fields: Mapping[str, str]

    @classmethod
    def of(cls, status: int, headers: Headers) -> AnswerHead:
        """Return the head of an answer with its header lines combined."""
        return cls(status, combine(headers))

    def give(self, name: str) -> str:
        """Return the value of a component, or raise SignatureRefused."""
        return _component(name, {"@status": str(self.status)} if name.startswith("@") else self.fields)


def pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    """Return header lines one by one."""
    return headers.items() if isinstance(headers, Mapping) else headers


def combine(headers: Headers) -> dict[str, str]:
    """Return fields by lower-case name, lines of one name joined by a comma and a space (RFC 9421, section 2.1)."""
    combined: dict[str, str] = {}
    for name, value in pairs(headers):
        key, stripped = name.lower(), value.strip(" \t")
        combined[key] = f"{combined[key]}, {stripped}" if key in combined else stripped
    return combined


def _component(name: str, values: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        raise SignatureRefused(SignatureFlaw.MALFORMED, "component name is not a lower-case field name")
    if name not in values:
        # RFC 9421, section 3.2: a component that the message or the profile does not have is an error, not a skip.
        raise SignatureRefused(SignatureFlaw.MALFORMED, f"{name} is covered and not there")
    if not _VALUE.fullmatch(values[name]):
        raise SignatureRefused(SignatureFlaw.MALFORMED, f"{name} is not printable ASCII")
    return values[name]
