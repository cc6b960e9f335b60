# SPDX-License-Identifier: Apache-2.0
"""How SDMX says no; this file is about error messages in SDMX-ML and SDMX-JSON, with the codes of the standard."""

from __future__ import annotations

from html import escape
from typing import Final

import orjson

from gateway.aggregates.observations import AGENCY

NO_RESULTS: Final = 100
# SDMX-REST, section "Error messages"; what it does not know begins at 1000.
_CODES = {400: 140, 401: 110, 403: 110, 404: NO_RESULTS, 413: 130, 422: 150, 503: 503}
_OTHER = 1000
_MESSAGE = "http://www.sdmx.org/resources/sdmxml/schemas/v2_1/message"
_COMMON = "http://www.sdmx.org/resources/sdmxml/schemas/v2_1/common"


def error_message(*, status: int, title: str, detail: str, language: str, xml: bool, about: tuple[str, str]) -> bytes:
    """Return an error message; `about` are its id and when it was prepared, which only JSON says."""
    code = _CODES.get(status, _OTHER)
    if xml:
        texts = "".join(f'<com:Text xml:lang="{language}">{escape(text)}</com:Text>' for text in (title, detail))
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<mes:Error xmlns:mes="{_MESSAGE}" xmlns:com="{_COMMON}">'
            f'<mes:ErrorMessage code="{code}">{texts}</mes:ErrorMessage></mes:Error>\n'
        ).encode()
    message_id, prepared = about
    meta = {"id": message_id, "prepared": prepared, "contentLanguages": [language], "sender": {"id": AGENCY}}
    return orjson.dumps({"meta": meta, "errors": [{"code": code, "title": title, "detail": detail}]})
