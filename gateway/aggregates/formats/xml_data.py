# SPDX-License-Identifier: Apache-2.0
"""Observations as SDMX-ML; this file is about generic and structure-specific data, written while the cells are read.

Three messages differ in names only: generic 2.1, structure-specific 2.1, and structure-specific 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby

from gateway.aggregates.formats.forms import GENERIC, SPECIFIC_3, Form
from gateway.aggregates.observations import AGENCY, MEASURE, TIME, Observation, Structure
from gateway.aggregates.query import FLAT

_NAMESPACES = "http://www.sdmx.org/resources/sdmxml/schemas/"
_URN = "urn:sdmx:org.sdmx.infomodel.datastructure."
_Pair = tuple[str, object]


def xml_data(structure: Structure, form: Form, *, prepared: str, message_id: str, flat: bool) -> tuple[str, str]:
    """Return what stands before the observations of a message, and what stands after them."""
    version = "v3_0" if form is SPECIFIC_3 else "v2_1"
    generic = form is GENERIC
    root = "mes:GenericData" if generic else "mes:StructureSpecificData"
    at = FLAT if flat else TIME
    urn = f"{_URN}Dataflow={structure.reference}"
    flow = f'<Ref agencyID="{AGENCY}" id="{structure.id}" version="{structure.version}" class="Dataflow"/>'
    usage = f"<com:StructureUsage>{urn if form is SPECIFIC_3 else flow}</com:StructureUsage>"
    spaces = {
        "xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "mes": f"{_NAMESPACES}{version}/message",
        "com": f"{_NAMESPACES}{version}/common",
        **({"gen": f"{_NAMESPACES}{version}/data/generic"} if generic else {}),
        **({} if generic else {"ss": f"{_NAMESPACES}{version}/data/structurespecific"}),
        **({} if generic else {"ns1": f"{urn}:ObsLevelDim:{at}"}),
    }
    names = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in spaces.items())
    namespace = "" if generic else f' namespace="{urn}"'
    scope = "" if form is SPECIFIC_3 else ' ss:dataScope="DataStructure"'
    specific = f'ss:structureRef="{structure.id}" xsi:type="ns1:DataSetType"{scope}'
    about = f'structureRef="{structure.id}"' if generic else specific
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} {names}><mes:Header><mes:ID>{message_id}</mes:ID>'
        f'<mes:Test>false</mes:Test><mes:Prepared>{prepared}</mes:Prepared><mes:Sender id="{AGENCY}"/>'
        f'<mes:Structure structureID="{structure.id}"{namespace} dimensionAtObservation="{at}">{usage}'
        f"</mes:Structure></mes:Header>"
        f'<mes:DataSet {about} action="Information">\n'
    )
    return head, f"</mes:DataSet></{root}>\n"


def xml_rows(structure: Structure, form: Form, found: Iterator[Observation], *, flat: bool) -> Iterator[str]:
    """Yield the observations of a message, a line for each."""
    names = (*structure.key, TIME, *structure.names)
    if form is GENERIC:
        yield from _generic(structure, found, flat=flat)
    elif flat:
        for one in found:
            pairs = zip(names, (*one.key, one.period or None, *one.attributes), strict=True)
            yield f"<Obs{_attributes(pairs)}{_value(one)}/>\n"
    else:
        for key, series in groupby(found, key=lambda one: one.key):
            yield f"<Series{_attributes(zip(structure.key, key, strict=True))}>\n"
            for one in series:
                if one.period:
                    rest = zip((TIME, *structure.names), (one.period, *one.attributes), strict=True)
                    yield f"<Obs{_attributes(rest)}{_value(one)}/>\n"
            yield "</Series>\n"


def _generic(structure: Structure, found: Iterator[Observation], *, flat: bool) -> Iterator[str]:
    if flat:
        for one in found:
            key = _values([*zip(structure.key, one.key, strict=True), (TIME, one.period or None)])
            yield f"<gen:Obs><gen:ObsKey>{key}</gen:ObsKey>{_body(structure, one)}</gen:Obs>\n"
        return
    for key, series in groupby(found, key=lambda one: one.key):
        yield f"<gen:Series><gen:SeriesKey>{_values(zip(structure.key, key, strict=True))}</gen:SeriesKey>\n"
        for one in series:
            if one.period:
                at = f'<gen:ObsDimension value="{one.period}"/>'
                yield f"<gen:Obs>{at}{_body(structure, one)}</gen:Obs>\n"
        yield "</gen:Series>\n"


def _body(structure: Structure, one: Observation) -> str:
    value = "" if one.value is None else f'<gen:ObsValue value="{one.value}"/>'
    attributes = _values(zip(structure.names, one.attributes, strict=True))
    return value + (f"<gen:Attributes>{attributes}</gen:Attributes>" if attributes else "")


def _values(pairs: Iterator[_Pair] | list[_Pair] | zip[_Pair]) -> str:
    return "".join(
        f'<gen:Value id="{name}" value="{escape(str(value))}"/>' for name, value in pairs if value is not None
    )


def _attributes(pairs: zip[_Pair]) -> str:
    return "".join(f' {name}="{escape(str(value))}"' for name, value in pairs if value is not None)


def _value(one: Observation) -> str:
    return "" if one.value is None else f' {MEASURE}="{one.value}"'
