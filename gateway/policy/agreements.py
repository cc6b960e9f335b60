# SPDX-License-Identifier: Apache-2.0
"""What two governments agreed about reading; this file is about agreements: read, checked, compiled to Cedar.

An agreement is a file in the closed YAML form of the contracts, with every key of its own form and no other;
the reader of that YAML is handed in. Its digest is that of its content, so that comments may change without
new signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from gateway.wire.canonical import canonical_bytes
from gateway.wire.digests import sha256

ReadYaml = Callable[[Path], Mapping[str, Any]]

FLOOR_MIN = 10
CLAUSES_MAX = 64
# Closed: a purpose that is not here is in no agreement. Nothing about an individual is among them.
Purpose = Literal[
    "STATISTICS", "RECEPTION_PLANNING", "HUMANITARIAN_PLANNING", "LAWFUL_PATHWAYS_PLANNING", "BORDER_INFRASTRUCTURE"
]
PURPOSES = frozenset(get_args(Purpose))
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
NotBlank = Annotated[str, StringConstraints(pattern=r"\S")]
Day = Annotated[date, BeforeValidator(lambda value: date.fromisoformat(value) if isinstance(value, str) else value)]


class AgreementInvalid(ValueError):
    """An agreement's file does not have the closed form; the text names the file and the entry."""


class _ClosedForm(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_ClosedForm):
    """One text in both languages."""

    en: NotBlank
    es: NotBlank


class Protection(_ClosedForm):
    """That a country protects what it reads: where the finding is recorded, and until when it is good."""

    country: Country
    record: Text
    assessed_on: Day
    valid_until: Day


class Clause(_ClosedForm):
    """One direction of sharing: which flow of the owner the reader's partners may pull, and under what conditions.

    `floor` is the smallest count that is served, `valid_until` the last day of the agreement, `protected_until` that of
    the reader's record of protection. `origin_release` is always false: what it would release, a national and annual
    table of asylum, no product has.
    """

    id: Name
    agreement: Name
    owner: Country
    reader: Country
    product: Name
    major: Annotated[int, Field(strict=True, ge=1, le=999)]
    dimensions: tuple[FieldName, ...]
    floor: Annotated[int, Field(strict=True, ge=FLOOR_MIN, le=10_000)]
    embargo_days: Annotated[int, Field(strict=True, ge=0, le=3660)]
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)]
    requests_per_hour: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    origin_release: Literal[False]
    valid_from: Day
    valid_until: Day
    protected_until: Day
    text: Text

    @property
    def policy_id(self) -> str:
        """Return the id of the permit that this clause becomes."""
        return f"{self.agreement}#{self.id}"

    @property
    def readable_until(self) -> date:
        """Return the last day on which it permits anything."""
        return min(self.valid_until, self.protected_until)

    def compile(self) -> str:
        """Write the clause as one Cedar permit."""
        purposes = ", ".join(f'"{purpose}"' for purpose in self.purposes)
        end = self.readable_until + timedelta(days=1)
        return (
            f'@id("{self.policy_id}")\n'
            f'permit (principal is Partner, action == Action::"read-flow", resource == Flow::"{self.owner}")\n'
            f'when {{ principal.country == Country::"{self.reader}" && principal.roles.contains("reader") }}\n'
            f'when {{ context.product == "{self.product}" && context.major == {self.major} }}\n'
            f"when {{ [{purposes}].contains(context.purpose) }}\n"
            f'when {{ context.at >= datetime("{self.valid_from}") && context.at < datetime("{end}") }};\n'
        )


class Agreement(_ClosedForm):
    """What the parties sign: `digest` is SHA-256, hex, of the canonical bytes of its content."""

    id: Name
    revision: Annotated[int, Field(strict=True, ge=1, le=9999)]
    parties: tuple[Country, Country]
    title: Text
    legal_basis: Text
    valid_from: Day
    valid_until: Day
    suspension: Text
    protection: tuple[Protection, Protection]
    clauses: Annotated[tuple[Clause, ...], Field(min_length=1, max_length=CLAUSES_MAX)]
    digest: str

    @property
    def reference(self) -> str:
        """Return id and revision, `mex-usa/1`: what an approval names."""
        return f"{self.id}/{self.revision}"

    @model_validator(mode="after")
    def _of_one_pair(self) -> Agreement:
        if not self.parties[0] < self.parties[1]:
            raise ValueError("parties: two countries in order")
        if self.valid_from > self.valid_until:
            raise ValueError("valid_until: before valid_from")
        if tuple(record.country for record in self.protection) != self.parties:
            raise ValueError("protection: a record of each party, in their order")
        for clause in self.clauses:
            if {clause.owner, clause.reader} != set(self.parties):
                raise ValueError(f"clause {clause.id}: owner and reader are the two parties")
        return self


def load_agreements(root: Path, read: ReadYaml) -> tuple[Agreement, ...]:
    """Read every revision of every agreement, `<root>/<id>/<revision>.yaml`.

    Raises:
        AgreementInvalid: when one of them does not have the closed form.
    """
    agreements = tuple(load_agreement(path, read) for path in root.glob("*/*.yaml"))
    in_order = tuple(sorted(agreements, key=lambda agreement: (agreement.id, agreement.revision)))
    newest = {agreement.id: agreement for agreement in in_order}
    ids = [clause.policy_id for agreement in newest.values() for clause in agreement.clauses]
    if len(ids) != len(set(ids)):
        raise AgreementInvalid(f"{root}: two clauses have one id")
    return in_order


def load_agreement(path: Path, read: ReadYaml) -> Agreement:
    """Read one agreement.

    Raises:
        AgreementInvalid: when it does not have the closed form.
    """
    try:
        content = dict(read(path))
        # What a clause has of its agreement is handed in by name: its own entry of that name would be one too many.
        whole = {"agreement": content["id"], "valid_from": content["valid_from"], "valid_until": content["valid_until"]}
        until = {record["country"]: record["valid_until"] for record in content["protection"]}
        clauses = tuple(
            Clause(**whole, **clause, protected_until=until[clause["reader"]]) for clause in content["clauses"]
        )
        digest = sha256(canonical_bytes(content)).hex()
        agreement = Agreement(**{**content, "clauses": clauses}, digest=digest)
    except (OSError, ValueError, TypeError, KeyError) as error:
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
