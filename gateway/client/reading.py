# SPDX-License-Identifier: Apache-2.0
"""The pull of statistics; this file is about asking the SDMX data path and keeping what the gateway signed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypedDict
from urllib.parse import quote

from gateway.client.answers import fresh, refused, signed
from gateway.client.channel import Answer, Channel
from gateway.client.failures import AnswerNotTrusted, InputUnusable
from gateway.client.saved import PURPOSE, request_of
from gateway.clock import format_instant
from gateway.wire.digests import sha256
from gateway.wire.keys import SigningPublic

FLOW: Final = "FLOW"
CSV_TYPE: Final = "application/vnd.sdmx.data+csv;version=2.0.0"
_ID: Final = re.compile(r"[A-Za-z0-9_@$-]+")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Progress = Callable[[int, int | None], None]


class Asked(TypedDict, total=False):
    """What is asked of a dataflow, each of it optional.

    `key` an SDMX key; `where` values by dimension (`GTM`, `GTM,HND`, `ne:_T`); `start` and `end` periods; `as_of` a
    day or instant: the numbers as they stood then; `history` every version; `purpose` one of the agreement's.
    """

    key: str
    where: Mapping[str, str]
    start: str
    end: str
    as_of: str
    history: bool
    purpose: str


@dataclass(frozen=True, slots=True)
class Pull:
    """One question as it goes onto the wire, and what its answer must be signed with."""

    channel: Channel
    path: str
    purpose: str
    keys: Mapping[str, SigningPublic]
    now: Callable[[], datetime]

    @property
    def target_uri(self) -> str:
        """Return what the answer's signature binds."""
        return self.channel.target_uri(self.path)

    def fetch(self, keep: Callable[[Iterable[bytes]], None], progress: Progress | None = None) -> Answer | None:
        """Give the chunks of an answer to whoever keeps them, and return its head; None when there are no cells.

        The last chunk is followed by AnswerNotTrusted when the gateway did not sign them as the answer to this.

        Raises:
            Refused: when the gateway says no.
            CannotReach: when the answer broke off.
        """
        headers = {"accept": CSV_TYPE, **({PURPOSE: self.purpose} if self.purpose else {})}
        with self.channel.stream("GET", self.path, headers=headers) as (head, chunks):
            if head.status == HTTPStatus.OK:
                keep(self._proven(head, chunks, progress))
                return head
            answer = replace(head, body=b"".join(chunks))
        try:
            self._believed(answer, sha256(answer.body))
            proven = True
        except AnswerNotTrusted:
            proven = False
        # SDMX says "no results" with 404, too; a gateway's refusal is a problem document.
        if proven and answer.status == HTTPStatus.NOT_FOUND and "problem" not in (head.header("content-type") or ""):
            return None
        raise refused(answer, signed=proven)

    def _proven(self, head: Answer, chunks: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
        digest, size, length = hashlib.sha256(), 0, head.header("content-length")
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            if progress is not None:
                progress(size, int(length) if length else None)
            yield chunk
        self._believed(head, digest.digest())

    def _believed(self, head: Answer, digest: bytes) -> None:
        request = request_of(self.target_uri, self.purpose)
        fresh(signed(head, digest, request, self.keys), at=self.now())


def data_path(flow: str, asked: Asked) -> str:
    """Return path and query of an SDMX REST 2 data request; in a component filter `+` means AND, never a space.

    A dataflow is an id, for its latest version, or agency/id/version.
    """
    if _ID.fullmatch(flow):
        flow = f"*/{flow.upper()}/+"
    parameters = [(f"c%5B{quote(name, safe='')}%5D", value) for name, value in asked.get("where", {}).items()]
    span = (("ge", asked.get("start")), ("le", asked.get("end")))
    if bounds := [f"{sign}:{period}" for sign, period in span if period]:
        parameters.append(("c%5BTIME_PERIOD%5D", "+".join(bounds)))
    if as_of := asked.get("as_of", ""):
        parameters.append(("asOf", _instant(as_of)))
    if asked.get("history"):
        parameters.append(("includeHistory", "true"))
    query = "&".join(f"{name}={quote(value, safe=':+,')}" for name, value in parameters)
    path = f"/sdmx/v2/data/dataflow/{quote(flow, safe='/+~*.')}/{quote(asked.get('key', '*'), safe='*.+,')}"
    return f"{path}?{query}" if query else path


def _instant(text: str) -> str:
    """Return an instant as SDMX writes it, a day as its first moment in UTC; InputUnusable for anything else."""
    try:
        instant = datetime.fromisoformat(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
    except ValueError as error:
        raise InputUnusable(f"{text}: 2025-05-01, 2025-05-01T12:00:00Z") from error
    if instant.tzinfo is None:
        raise InputUnusable(f"{text}: 2025-05-01T12:00:00Z (Z)")
    return format_instant(instant)
