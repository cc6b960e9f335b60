# SPDX-License-Identifier: Apache-2.0
"""The dataflows as SDMX artefacts; this file is about what is generated from the contracts, written by pysdmx.

For each dataflow: the dataflow, its data structure, a concept scheme, the code lists and a constraint that says which
codes each dimension takes. pysdmx keeps one name for each thing, so that Spanish joins when a message is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape, unescape
from typing import Any, Final

import orjson
from msgspec.structs import replace
from pysdmx.io.format import Format
from pysdmx.io.writer import write_sdmx
from pysdmx.model import (
    Agency,
    AgencyScheme,
    Code,
    Codelist,
    Component,
    Components,
    Concept,
    ConceptScheme,
    Dataflow,
    DataStructureDefinition,
    DataType,
    Organisation,
    Role,
)
from pysdmx.model.constraint import ConstraintAttachment, CubeKeyValue, CubeRegion, CubeValue, DataConstraint
from pysdmx.model.message import Header

from gateway.aggregates.formats.forms import JSON_STRUCTURE, ML_2, Form
from gateway.aggregates.observations import AGENCY, MEASURE, TIME, Structure
from gateway.aggregates.observations import Component as Described
from gateway.contracting.contract import Text

AGENCY_SCHEME: Final = "agencyscheme"
CODE_LIST: Final = "codelist"
CONCEPT_SCHEME: Final = "conceptscheme"
DATA_STRUCTURE: Final = "datastructure"
DATAFLOW: Final = "dataflow"
CONSTRAINT: Final = "dataconstraint"
KINDS: Final = (AGENCY_SCHEME, CODE_LIST, CONCEPT_SCHEME, DATA_STRUCTURE, DATAFLOW, CONSTRAINT)
_URN = "urn:sdmx:org.sdmx.infomodel."
_TIME = Described(TIME, Text("Calendar month", "Mes calendario"))
_VALUE = Described(MEASURE, Text("Value", "Valor"))
_GATEWAY = Text("Gateway", "Gateway")
_AGENCIES = Text("Agencies", "Agencias")
_FORMATS = {JSON_STRUCTURE: Format.STRUCTURE_SDMX_JSON_2_0_0, ML_2: Format.STRUCTURE_SDMX_ML_2_1}
# Joins no words and has no width: "Unknown" is "desconocido" of a country and "desconocida" of a person.
_MARK = "\u2060"
_INSIDE = "dataStructureComponents"
_EMPTY = "<str:DataStructureComponents></str:DataStructureComponents>"
# With one measure it says nothing, and sdmx1 2.28 in its 3.0 mode cannot read it.
_OF_THE_MEASURE = re.compile(r"<str:MeasureRelationship>.*?</str:MeasureRelationship>")
_NAMED = re.compile(r'<com:(Name|Description) xml:lang="en">([^<]*)</com:\1>')


@dataclass(frozen=True, slots=True)
class Artefact:
    """One maintainable artefact; `uses` are the ids of artefacts that it refers to, kind first."""

    kind: str
    id: str
    version: str
    model: Any
    uses: frozenset[tuple[str, str]] = frozenset()

    @property
    def place(self) -> tuple[str, str]:
        """Return kind and id, by which others refer to it."""
        return self.kind, self.id


@dataclass(slots=True)
class Catalogue:
    """All artefacts, in the order in which they are written, and the Spanish of every English text in them."""

    artefacts: dict[tuple[str, str], Artefact] = field(default_factory=dict)
    spanish: dict[str, str] = field(default_factory=dict)
    # The codes of a list that some component takes.
    taken: dict[str, set[str]] = field(default_factory=dict)

    def add(self, artefact: Artefact) -> None:
        """Add an artefact, once."""
        self.artefacts.setdefault(artefact.place, artefact)

    def say(self, text: Text) -> str:
        """Return the English of a text, and keep its Spanish; marked, where that English has another Spanish too."""
        key = text.en
        while self.spanish.setdefault(key, text.es) != text.es:
            key += _MARK
        return key


def catalogue_of(structures: Sequence[Structure]) -> Catalogue:
    """Return all artefacts of some dataflows."""
    found = Catalogue()
    agency = Agency(AGENCY, name=found.say(_GATEWAY))
    scheme = AgencyScheme(id="AGENCIES", name=found.say(_AGENCIES), agency="SDMX", version="1.0", items=[agency])
    found.add(Artefact(AGENCY_SCHEME, scheme.id, scheme.version, scheme))
    for structure in structures:
        _add(found, structure)
    return found


def allowed(structure: Structure, narrowed: Mapping[str, frozenset[str]] | None = None) -> CubeRegion:
    """Return which codes the dimensions of a dataflow take, `narrowed` or all."""
    codes = {c.id: c.allowed or frozenset(c.codes) for c in structure.dimensions if c.codes}
    values = narrowed if narrowed is not None else codes
    return CubeRegion(
        [CubeKeyValue(name, [CubeValue(code) for code in sorted(values[name])]) for name in values], is_included=True
    )


def attachment_of(structure: Structure) -> ConstraintAttachment:
    """Return the attachment of a constraint to a dataflow."""
    return ConstraintAttachment(None, dataflows=[f"{_URN}datastructure.Dataflow={structure.reference}"])


def written(catalogue: Catalogue, models: Sequence[Any], form: Form, *, prepared: datetime, language: str) -> bytes:
    """Return a structure message, in both languages; where a form has one name beside the others, in this one."""
    header = Header(id="GATEWAY_STRUCTURES", prepared=prepared, sender=Organisation(AGENCY))
    kind = _FORMATS.get(form, Format.STRUCTURE_SDMX_ML_3_0)
    text = write_sdmx(list(models), kind, prettyprint=False, header=header)
    assert text is not None
    if form is JSON_STRUCTURE:
        return orjson.dumps(_translated(orjson.loads(text), catalogue.spanish, language))
    text = _OF_THE_MEASURE.sub("", text.replace("\t", "").replace(_EMPTY, ""))
    return _NAMED.sub(lambda match: _both(match, catalogue.spanish), text).encode()


def _both(match: re.Match[str], spanish: Mapping[str, str]) -> str:
    said = escape(spanish.get(unescape(match[2]), unescape(match[2])), quote=False)
    return f'{match[0].replace(_MARK, "")}<com:{match[1]} xml:lang="es">{said}</com:{match[1]}>'


def _translated(value: Any, spanish: Mapping[str, str], language: str) -> Any:
    if isinstance(value, list):
        return [_translated(item, spanish, language) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for name, item in value.items():
        # pysdmx writes empty lists where the schema wants none, and a stub's structure has nothing in it.
        if item == [] or (name == _INSIDE and not item["dimensionList"]["dimensions"]):
            continue
        out[name] = _translated(item, spanish, language)
        if name in {"name", "description"} and isinstance(item, str):
            texts = {"en": item.rstrip(_MARK), "es": spanish.get(item, item)}
            out[name] = texts.get(language, texts["en"])
            out[f"{name}s"] = texts
    return out


def _add(found: Catalogue, structure: Structure) -> None:
    concepts = ConceptScheme(
        id=f"CS_{structure.id}",
        name=found.say(structure.title),
        agency=AGENCY,
        version=structure.version,
        items=[_concept(found, structure, one) for one in _all(structure)],
    )
    by_id = {concept.id: concept for concept in concepts.items}
    lists = {c.list_id: _code_list(found, c) for c in (*structure.dimensions, *structure.attributes) if c.codes}
    definition = DataStructureDefinition(
        id=structure.id,
        name=found.say(structure.title),
        agency=AGENCY,
        version=structure.version,
        components=Components([_component(structure, one, by_id[one.id], lists) for one in _all(structure)]),
    )
    flow = Dataflow(
        id=structure.id,
        name=found.say(structure.title),
        agency=AGENCY,
        version=structure.version,
        structure=definition,
        description=found.say(structure.description) or None,
    )
    constraint = DataConstraint(
        id=f"CR_{structure.id}",
        name=found.say(structure.title),
        agency=AGENCY,
        version=structure.version,
        constraint_attachment=attachment_of(structure),
        cube_regions=[allowed(structure)],
    )
    used = frozenset((CODE_LIST, list_id) for list_id in lists) | {(CONCEPT_SCHEME, concepts.id)}
    for code_list in lists.values():
        found.add(Artefact(CODE_LIST, code_list.id, code_list.version, code_list))
    version = structure.version
    found.add(Artefact(CONCEPT_SCHEME, concepts.id, version, concepts))
    found.add(Artefact(DATA_STRUCTURE, definition.id, version, definition, used))
    found.add(Artefact(DATAFLOW, flow.id, version, flow, frozenset({(DATA_STRUCTURE, structure.id)})))
    found.add(Artefact(CONSTRAINT, constraint.id, version, constraint, frozenset({(DATAFLOW, structure.id)})))


def _all(structure: Structure) -> tuple[Described, ...]:
    return (*structure.dimensions, _TIME, _VALUE, *structure.attributes)


def _concept(found: Catalogue, structure: Structure, described: Described) -> Concept:
    urn = f"{_URN}conceptscheme.Concept={AGENCY}:CS_{structure.id}({structure.version}).{described.id}"
    return Concept(described.id, name=found.say(described.title), dtype=_type(described), urn=urn)


def _component(
    structure: Structure, described: Described, concept: Concept, lists: Mapping[str, Codelist]
) -> Component:
    measured = described.id == MEASURE
    attribute = described in structure.attributes
    role = Role.MEASURE if measured else Role.ATTRIBUTE if attribute else Role.DIMENSION
    codes = lists.get(described.list_id)
    return Component(
        described.id,
        required=described.required and not measured,
        role=role,
        concept=concept,
        local_codes=codes,
        # The JSON writer takes the reference, the XML writer the list.
        local_enum_ref=f"{_URN}codelist.Codelist={AGENCY}:{codes.id}({codes.version})" if codes else None,
        local_dtype=None if codes else _type(described),
        attachment_level="O" if attribute else None,
    )


def _type(described: Described) -> DataType:
    return {TIME: DataType.PERIOD, MEASURE: DataType.LONG}.get(described.id, DataType.STRING)


def _code_list(found: Catalogue, described: Described) -> Codelist:
    found.taken.setdefault(described.list_id, set()).update(described.allowed or described.codes)
    return Codelist(
        id=described.list_id,
        name=found.say(described.list_title or described.title),
        agency=AGENCY,
        version=described.list_version,
        items=[Code(code, name=found.say(text)) for code, text in described.codes.items()],
    )


def stub_of(artefact: Artefact, *, complete: bool) -> Any:
    """Return an artefact without what is in it; a dataflow keeps its structure, which says where to go on."""
    bare: dict[str, Any] = {} if complete else {"description": None}
    if artefact.kind in {CODE_LIST, CONCEPT_SCHEME, AGENCY_SCHEME}:
        bare["items"] = []
    if artefact.kind == DATA_STRUCTURE:
        bare["components"] = Components([])
    if artefact.kind == CONSTRAINT:
        bare["cube_regions"] = []
    return replace(artefact.model, is_external_reference=True, **bare)
