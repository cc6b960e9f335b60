# SPDX-License-Identifier: Apache-2.0
"""In which form an answer comes; this file is about content negotiation for data and structures.

REST 2 gives SDMX-CSV 2.0, JSON and SDMX-ML 3.0, REST 1.5 SDMX-ML 2.1; whoever names a form gets it from both. A
client that names none gets CSV from REST 2 (pandas); one that takes anything gets SDMX-ML, which is what it can read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.errors import RequestMalformed

V1, V2 = "v1", "v2"
ACCEPT_MAX = 32
_QUALITY = re.compile(r";\s*q=([01](?:\.[0-9]{0,3})?)")


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """One form: what it is called in `format=`, its media type, and the plain types that mean it, by interface."""

    names: frozenset[str]
    media_type: str
    plain: dict[str, frozenset[str]]

    @property
    def is_xml(self) -> bool:
        """Say whether it is SDMX-ML."""
        return "+xml" in self.media_type


def _form(names: str, media_type: str, v1: str = "", v2: str = "") -> Form:
    return Form(frozenset(names.split()), media_type, {V1: frozenset(v1.split()), V2: frozenset(v2.split())})


_ANYTHING = "*/* application/* application/xml text/xml text/*"
_CSV, _JSON = "text/csv", "application/json"
CSV_2 = _form("csv csvfile csvdata", "application/vnd.sdmx.data+csv;version=2.0.0", _CSV, _CSV)
CSV_1 = _form("csv1", "application/vnd.sdmx.data+csv;version=1.0.0")
JSON_DATA = _form("json jsondata", "application/vnd.sdmx.data+json;version=2.0.0", _JSON, _JSON)
GENERIC = _form("generic genericdata", "application/vnd.sdmx.genericdata+xml;version=2.1", _ANYTHING)
SPECIFIC_2 = _form("xml21 structurespecificdata", "application/vnd.sdmx.structurespecificdata+xml;version=2.1")
SPECIFIC_3 = _form("xml", "application/vnd.sdmx.data+xml;version=3.0.0", "", _ANYTHING)
DATA_FORMS = (CSV_2, CSV_1, JSON_DATA, GENERIC, SPECIFIC_2, SPECIFIC_3)
JSON_STRUCTURE = _form("json jsonstructure", "application/vnd.sdmx.structure+json;version=2.0.0", _JSON, _JSON)
ML_2 = _form("xml21", "application/vnd.sdmx.structure+xml;version=2.1", _ANYTHING)
ML_3 = _form("xml", "application/vnd.sdmx.structure+xml;version=3.0.0", "", _ANYTHING)
STRUCTURE_FORMS = (JSON_STRUCTURE, ML_2, ML_3)
_UNASKED = {V1: (GENERIC, ML_2), V2: (CSV_2, JSON_STRUCTURE)}
# Generic data for a time series is the same message, with a rule that ours keeps anyway; 3.0 has one kind of data.
_SAME = {
    "application/vnd.sdmx.generictimeseriesdata+xml": "application/vnd.sdmx.genericdata+xml",
    "application/vnd.sdmx.structurespecifictimeseriesdata+xml": "application/vnd.sdmx.structurespecificdata+xml",
    "application/vnd.sdmx.schema+xml": "application/vnd.sdmx.structure+xml",
    "application/vnd.sdmx.schema+json": "application/vnd.sdmx.structure+json",
}


def negotiated(forms: tuple[Form, ...], *, interface: str, accept: str, named: str = "") -> tuple[Form, str]:
    """Return the form of an answer and the media type that it is sent with; `named` is the parameter `format`.

    Raises:
        RequestMalformed: when nothing that is accepted is offered.
    """
    if named:
        for form in forms:
            if named in form.names:
                return form, form.media_type
    elif not accept.strip():
        form = next(form for form in _UNASKED[interface] if form in forms)
        return form, form.media_type
    else:
        for kind in _by_preference(accept):
            for form in sorted(forms, key=lambda form: _is_foreign(form, interface)):
                if _names(kind, form):
                    return form, form.media_type
                if kind.partition(";")[0] in form.plain[interface]:
                    return form, _plainly(kind, form)
    raise RequestMalformed(what="the answer is offered as " + ", ".join(form.media_type for form in forms))


def _names(kind: str, form: Form) -> bool:
    """Say whether a media type is the form's, with its version, or without any."""
    name, _, parameters = kind.partition(";")
    offered, _, version = form.media_type.partition(";")
    return _SAME.get(name, name) == offered and (not parameters or parameters in {version, f"{version}.0"})


def _is_foreign(form: Form, interface: str) -> bool:
    return interface == V2 and "2.1" in form.media_type


def _plainly(kind: str, form: Form) -> str:
    """Return a plain type where that is what was asked for by name: who asks for text/csv may know no other."""
    name = kind.partition(";")[0]
    return form.media_type if "*" in name else f"{name}; charset=utf-8" if name.startswith("text/") else name


def _by_preference(accept: str) -> Iterator[str]:
    """Yield the media types of an Accept field, the preferred first, without blanks, in small letters."""
    weighed = []
    for part in accept.lower().split(",")[:ACCEPT_MAX]:
        match = _QUALITY.search(part)
        if weight := float(match[1] or 0) if match else 1.0:
            weighed.append((weight, _QUALITY.sub("", part).replace(" ", "").split(";labels=")[0]))
    for _, kind in sorted(weighed, key=lambda pair: -pair[0]):
        yield kind
