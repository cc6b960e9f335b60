# SPDX-License-Identifier: Apache-2.0
"""What two governments agreed about reading; this file is about agreements: read, checked, compiled to Cedar.

An agreement is a file in the closed YAML form of the contracts, with every key of its own form and no other;
the reader of that YAML is handed in. Its digest is that of its content, so that comments may change without
new signatures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gateway.wire.canonical import JSON, canonical_bytes
from gateway.wire.digests import sha256

ReadYaml = Callable[[Path], Mapping[str, Any]]

FLOOR_MIN = 10
CLAUSES_MAX = 64
# Closed: a purpose that is not here is in no agreement. Nothing about an individual is among them.
PURPOSES = frozenset({
    "STATISTICS", "RECEPTION_PLANNING", "HUMANITARIAN_PLANNING", "LAWFUL_PATHWAYS_PLANNING", "BORDER_INFRASTRUCTURE",
})  # fmt: skip
_NAME = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
_COUNTRY = re.compile(r"^[A-Z]{3}$")
_FIELD = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_AGREEMENT_KEYS = frozenset({
    "id", "revision", "parties", "title", "legal_basis", "valid_from", "valid_until", "suspension", "clauses",
})  # fmt: skip
_CLAUSE_KEYS = frozenset({
    "id", "owner", "reader", "product", "major", "dimensions", "floor", "embargo_days", "purposes",
    "requests_per_hour", "origin_release", "text",
})  # fmt: skip


class AgreementInvalid(ValueError):
    """An agreement's file does not have the closed form; the text names the file and the entry."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    en: str
    es: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One direction of sharing: which flow of the owner the reader's partners may pull, and under what conditions.

    `floor` is the smallest count that is served, `valid_until` the last day of the agreement.
    """

    id: str
    agreement: str
    owner: str
    reader: str
    product: str
    major: int
    dimensions: tuple[str, ...]
    floor: int
    embargo_days: int
    purposes: tuple[str, ...]
    requests_per_hour: int
    origin_release: bool
    valid_from: date
    valid_until: date
    text: Text

    @property
    def policy_id(self) -> str:
        """Return the id of the permit that this clause becomes."""
        return f"{self.agreement}#{self.id}"

    def compile(self) -> str:
        """Write the clause as one Cedar permit."""
        purposes = ", ".join(f'"{purpose}"' for purpose in self.purposes)
        end = self.valid_until + timedelta(days=1)
        return (
            f'@id("{self.policy_id}")\n'
            f'permit (principal is Partner, action == Action::"read-flow", resource == Flow::"{self.owner}")\n'
            f'when {{ principal.country == Country::"{self.reader}" && principal.roles.contains("reader") }}\n'
            f'when {{ context.product == "{self.product}" && context.major == {self.major} }}\n'
            f"when {{ [{purposes}].contains(context.purpose) }}\n"
            f'when {{ context.at >= datetime("{self.valid_from}") && context.at < datetime("{end}") }};\n'
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the parties sign: `digest` is SHA-256, hex, of the canonical bytes of its content."""

    id: str
    revision: int
    parties: tuple[str, ...]
    title: Text
    legal_basis: Text
    valid_from: date
    valid_until: date
    suspension: Text
    clauses: tuple[Clause, ...]
    digest: str

    @property
    def reference(self) -> str:
        """Return id and revision, `mex-usa/1`: what an approval names."""
        return f"{self.id}/{self.revision}"

    def as_json(self) -> dict[str, JSON]:
        """Return the agreement for people's pages and for the API."""
        plain = asdict(self)
        plain["valid_from"], plain["valid_until"] = str(self.valid_from), str(self.valid_until)
        for clause in plain["clauses"]:
            del clause["valid_from"], clause["valid_until"]
        return plain


def load_agreements(root: Path, read: ReadYaml) -> tuple[Agreement, ...]:
    """Read every revision of every agreement, `<root>/<id>/<revision>.yaml`.

    Raises:
        AgreementInvalid: when one of them does not have the closed form.
    """
    agreements = tuple(load_agreement(path, read) for path in sorted(root.glob("*/*.yaml")))
    ids = [clause.policy_id for agreement in _newest(agreements) for clause in agreement.clauses]
    if len(ids) != len(set(ids)):
        raise AgreementInvalid(f"{root}: two clauses have one id")
    return agreements


def load_agreement(path: Path, read: ReadYaml) -> Agreement:
    """Read one agreement.

    Raises:
        AgreementInvalid: when it does not have the closed form.
    """
    try:
        content = read(path)
        agreement = _agreement(content, sha256(canonical_bytes(dict(content))).hex())
    except (OSError, ValueError, TypeError) as error:
        raise AgreementInvalid(f"{path}: {error}") from error
    if (agreement.id, str(agreement.revision)) != (path.parent.name, path.stem):
        raise AgreementInvalid(f"{path}: id and revision are not those of the path")
    return agreement


def clauses_for(agreements: Iterable[Agreement], *, reader: str, owner: str, product: str) -> tuple[Clause, ...]:
    """Return the clauses under which a country reads a product of another, whatever their validity."""
    return tuple(
        clause
        for agreement in agreements
        for clause in agreement.clauses
        if (clause.reader, clause.owner, clause.product) == (reader, owner, product)
    )


def _newest(agreements: Iterable[Agreement]) -> tuple[Agreement, ...]:
    newest: dict[str, Agreement] = {}
    for agreement in agreements:
        if agreement.id not in newest or newest[agreement.id].revision < agreement.revision:
            newest[agreement.id] = agreement
    return tuple(newest.values())


def _agreement(content: Mapping[str, Any], digest: str) -> Agreement:
    _keys(content, _AGREEMENT_KEYS, "agreement")
    start, end = date.fromisoformat(content["valid_from"]), date.fromisoformat(content["valid_until"])
    parties = tuple(_matched(party, _COUNTRY, "parties") for party in content["parties"])
    if len(set(parties)) != len(parties) or list(parties) != sorted(parties) or len(parties) != 2:  # noqa: PLR2004 - a pair
        raise ValueError("parties: two countries in order")
    if start > end:
        raise ValueError("valid_until: before valid_from")
    if not 0 < len(content["clauses"]) <= CLAUSES_MAX:
        raise ValueError(f"clauses: from 1 to {CLAUSES_MAX}")
    name = _matched(content["id"], _NAME, "id")
    clauses = tuple(_clause(item, name, parties, (start, end)) for item in content["clauses"])
    return Agreement(
        id=name,
        revision=_whole(content, "revision", 1, 9999),
        parties=parties,
        title=_text(content["title"], "title"),
        legal_basis=_text(content["legal_basis"], "legal_basis"),
        valid_from=start,
        valid_until=end,
        suspension=_text(content["suspension"], "suspension"),
        clauses=clauses,
        digest=digest,
    )


def _clause(item: Any, agreement: str, parties: tuple[str, ...], validity: tuple[date, date]) -> Clause:
    _keys(item, _CLAUSE_KEYS, "clause")
    if {item["owner"], item["reader"]} != set(parties):
        raise ValueError(f"clause {item['id']}: owner and reader are the two parties")
    if not item["purposes"] or not set(item["purposes"]) <= PURPOSES:
        raise ValueError(f"clause {item['id']}: purposes out of {', '.join(sorted(PURPOSES))}")
    if type(item["origin_release"]) is not bool:
        raise ValueError(f"clause {item['id']}: origin_release is true or false")
    return Clause(
        id=_matched(item["id"], _NAME, "clause id"),
        agreement=agreement,
        owner=item["owner"],
        reader=item["reader"],
        product=_matched(item["product"], _NAME, "product"),
        major=_whole(item, "major", 1, 999),
        dimensions=tuple(_matched(name, _FIELD, "dimensions") for name in item["dimensions"]),
        floor=_whole(item, "floor", FLOOR_MIN, 10_000),
        embargo_days=_whole(item, "embargo_days", 0, 3660),
        purposes=tuple(item["purposes"]),
        requests_per_hour=_whole(item, "requests_per_hour", 1, 1_000_000),
        origin_release=item["origin_release"],
        valid_from=validity[0],
        valid_until=validity[1],
        text=_text(item["text"], "clause text"),
    )


def _keys(item: Any, expected: frozenset[str], what: str) -> None:
    if not isinstance(item, dict) or item.keys() != expected:
        wrong = sorted(set(item) ^ expected) if isinstance(item, dict) else [type(item).__name__]
        raise ValueError(f"{what}: missing or unknown {', '.join(wrong)}")


def _text(item: Any, what: str) -> Text:
    _keys(item, frozenset({"en", "es"}), what)
    if not all(isinstance(text, str) and text.strip() for text in item.values()):
        raise ValueError(f"{what}: a text in each language")
    return Text(item["en"], item["es"])


def _matched(value: Any, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise ValueError(f"{what}: {value!r} does not match {pattern.pattern}")
    return value


def _whole(item: Any, name: str, lowest: int, highest: int) -> int:
    value = item[name]
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"{name}: a whole number from {lowest} to {highest}")
    return value
