# SPDX-License-Identifier: Apache-2.0
"""The gateway as a partner's program sees it; this file is about the synchronous client."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final, Self, Unpack
from urllib.parse import quote, urlencode

import httpx2

from gateway.client.answers import about, accepted, load_answer_keys, proven, refused, trusted
from gateway.client.channel import Answer, Channel
from gateway.client.config import ClientConfig
from gateway.client.failures import AnswerNotTrusted, ConfigInvalid, ReceiptPending
from gateway.client.journal import put
from gateway.client.outcome import RefusedLine, SubmitOutcome, refused_lines
from gateway.client.reading import FLOW, Asked, Progress, Pull, data_path
from gateway.client.retry import Pace
from gateway.client.saved import document_of, signature_path, signed_path
from gateway.client.sending import Body, Prepared, body_of_lines, body_of_nil, idempotency_key_of, prepare
from gateway.client.tables import check_form, count_rows, frame_of, library, write_table
from gateway.clock import Clock, SystemClock, format_instant
from gateway.wire.canonical import canonical_bytes
from gateway.wire.keys import FileSigner, Signer, SigningPublic
from gateway.wire.policy_file import LogPolicy, parse_policy
from gateway.wire.receipt import VerifiedReceipt

if TYPE_CHECKING:
    from pandas import DataFrame

_ACCEPTED: Final = frozenset({200, 201, 202})
_JSON: Final = "application/json"


class GatewayClient:
    """A partner's (or officer's) client of one gateway; use it as a context manager, or call `close`.

    What it returns is proven: answers to submissions are signed by a pinned key, receipts verify under the pinned
    log policy. Connection failures, 429, 502, 503 and 504 are tried again within bounds, each time signed anew and
    always with the same idempotency key. Every call may raise `Refused`, when the gateway says no, `CannotReach`,
    when no answer came within the bounds (the same call may be made again), and `AnswerNotTrusted` or
    `ReceiptNotTrusted`, when what came back proves nothing.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        clock: Clock | None = None,
        pace: Pace | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.config = config
        self._clock = clock or SystemClock()
        self._pace = pace or Pace(config.seconds_total_max)
        self.channel = Channel(config, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.channel.close()

    @cached_property
    def signer(self) -> Signer:
        """Return the partner's signing key, or raise ConfigInvalid."""
        try:
            return FileSigner.load(self.config.needed("signing_key"))
        except (OSError, ValueError) as error:
            raise ConfigInvalid(f"signing_key: {error}") from error

    @cached_property
    def policy(self) -> LogPolicy:
        """Return the pinned log policy, or raise ConfigInvalid."""
        try:
            return parse_policy(self.config.needed("log_policy").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigInvalid(f"log_policy: {error}") from error

    @cached_property
    def _answer_keys(self) -> Mapping[str, SigningPublic]:
        return load_answer_keys(self.config.needed("answer_keys"))

    # Submitting

    def submit_lines(self, product: str, version: str, lines: Iterable[bytes]) -> SubmitOutcome:
        """Send canonical lines as one submission and return when its acceptance is proven."""
        return self.submit_body(product, version, body_of_lines(lines))

    def submit_nil(self, product: str, version: str, period: str) -> SubmitOutcome:
        """Send the statement that there was nothing in a period."""
        return self.submit_body(product, version, body_of_nil(canonical_bytes({"period": period})))

    def submit_body(self, product: str, version: str, body: Body) -> SubmitOutcome:
        """Send a body as one submission and return when its acceptance is proven."""
        answer = self._deliver(body, product, version)
        document = answer.document()
        event_id = answer.header("audit-event") or ""
        receipt = document.get("receipt")
        if not isinstance(receipt, dict):
            receipt, _ = self.receipt(event_id)
        verified = about(proven(receipt, self.policy, event_id=event_id), body)
        sender = {"partner": self.config.partner} if self.config.partner else {"keyid": self.signer.keyid}
        submission_id, counts = accepted(document, verified, {**sender, "product": product, "version": version})
        return SubmitOutcome(
            submission_id=submission_id,
            event_id=event_id,
            replay=(answer.header("idempotent-replay") or "").lower() == "true",
            records=counts,
            refused=self._refused_lines(document, counts.refused),
            receipt=receipt,
            receipt_status=verified.status,
            answer=document,
        )

    def validate(self, product: str, version: str, lines: Iterable[bytes]) -> dict[str, Any]:
        """Ask the gateway to judge lines without keeping anything, and return what it says."""
        return self.validate_body(product, version, body_of_lines(lines))

    def validate_body(self, product: str, version: str, body: Body) -> dict[str, Any]:
        """Ask the gateway to judge a body without keeping anything, and return what it says."""
        return self._deliver(body, product, version, suffix="/validate").document()

    def prepared_lines(
        self, product: str, version: str, lines: Iterable[bytes], *, nonce: str | None = None
    ) -> Prepared:
        """Sign lines as a submission, now, without sending it."""
        return self._prepared(body_of_lines(lines), product, version, nonce=nonce)

    def _prepared(
        self, body: Body, product: str, version: str, *, suffix: str = "", nonce: str | None = None
    ) -> Prepared:
        path = f"/v1/submissions/{product}/{version}{suffix}"
        partner = self.config.partner or self.signer.keyid
        return prepare(
            body,
            signer=self.signer,
            path=path,
            target_uri=self.channel.target_uri(path),
            idempotency_key=idempotency_key_of(partner=partner, product=product, version=version, body=body),
            at=self._clock.now(),
            nonce=nonce,
        )

    def send(self, prepared: Prepared) -> Answer:
        """Send a signed request once and return the answer of 2xx, proven to be the gateway's."""
        headers = {**prepared.headers, "accept": _JSON}
        answer = self.channel.send("POST", prepared.path, headers=headers, content=prepared.content)
        positive = answer.status in _ACCEPTED
        try:
            answer = trusted(answer, prepared, self._answer_keys, at=self._clock.now())
        except AnswerNotTrusted:
            if positive:
                raise
            # A refusal is believed unsigned too (a proxy's 502 has no signature): nothing counts as kept by it.
            raise refused(answer, signed=False) from None
        if positive:
            return answer
        raise refused(answer, signed=True)

    def _deliver(self, body: Body, product: str, version: str, *, suffix: str = "") -> Answer:
        # Each attempt is signed anew: a signature is good for minutes, its nonce for one request.
        return self._pace.tried(lambda: self.send(self._prepared(body, product, version, suffix=suffix)))

    def _refused_lines(self, document: Mapping[str, Any], count: int) -> tuple[RefusedLine, ...]:
        entries = document.get("refused") or []
        try:
            if count > len(entries) and (url := document.get("report_url")):
                # The answer shows the first hundred; the report has them all.
                body = self._get(str(url).removeprefix(self.channel.origin), accept="application/x-ndjson").body
                entries = [json.loads(line) for line in body.splitlines() if line]
            return refused_lines(entries, self.config.language)
        except ValueError as error:
            raise AnswerNotTrusted("the answer lists refused records in an unknown form") from error

    # Reading

    def receipt(self, event_id: str) -> tuple[dict[str, Any], VerifiedReceipt]:
        """Return a receipt and what it proves; ReceiptPending when it is not published within the time bound."""
        attempts = self._pace.started()
        while True:
            answer = self._get(f"/v1/receipts/{quote(event_id, safe='')}")
            if answer.status != httpx2.codes.ACCEPTED:
                document = answer.document()
                return document, proven(document, self.policy, event_id=event_id)
            attempts.poll(retry_after=answer.header("retry-after"), failure=ReceiptPending(event_id))

    def own(self, product: str, *, start: str = "", end: str = "", by: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the exact totals of the caller's own records."""
        query = {"from": start, "to": end, "by": ",".join(by)}
        return self._get(_with_query(f"/v1/own/{product}", query)).document()

    def standing(self) -> dict[str, Any]:
        """Return how the partner stands: its roles and keys, and what of its own ends when."""
        return self._get("/v1/partner").document()

    def contracts(self) -> dict[str, Any]:
        """Return the contracts in force."""
        return self._get("/v1/contracts").document()

    def pull(self, flow: str = FLOW, **asked: Unpack[Asked]) -> DataFrame:
        """Return the cells of a question as a pandas data frame (see `frame_of`), proven to be what the gateway said.

        Its `attrs` say what was asked, and which event of the audit log says so. No observation gives no rows.
        """
        pandas, question = library("pandas"), self._question(flow, asked)
        with TemporaryFile() as spool:

            def keep(chunks: Iterable[bytes]) -> None:
                spool.seek(0)
                spool.truncate()
                spool.writelines(chunks)

            head = self._pace.tried(lambda: question.fetch(keep))
            spool.seek(0)
            frame: DataFrame = frame_of(spool) if head else pandas.DataFrame()
        frame.attrs = {"target_uri": question.target_uri, "purpose": question.purpose}
        if head:
            frame.attrs["audit_event"] = head.header("audit-event")
        return frame

    def pull_file(
        self, output: Path, flow: str = FLOW, *, progress: Progress | None = None, **asked: Unpack[Asked]
    ) -> int:
        """Write the cells of a question to a `.csv`, `.xlsx` or `.parquet`, and return how many observations there are.

        The file appears when it is whole and proven to be what the gateway said; `verify_saved` proves it again, with
        what is kept beside it. No observation gives 0 and no file.
        """
        check_form(output)
        question = self._question(flow, asked)
        kept, signature = signed_path(output), signature_path(output)

        def replacing(chunks: Iterable[bytes]) -> Iterator[bytes]:
            yield from chunks
            # Proven: from here to its own signature a crash leaves a file with none, never one with another's.
            signature.unlink(missing_ok=True)

        head = self._pace.tried(lambda: question.fetch(lambda chunks: put(kept, replacing(chunks)), progress))
        if head is None:
            return 0
        if kept != output:
            write_table(kept, output)
        keys = self.config.needed("answer_keys")
        document = document_of(head, target_uri=question.target_uri, purpose=question.purpose, keys=keys)
        put(signature, [document])
        return count_rows(kept)

    def _question(self, flow: str, asked: Asked) -> Pull:
        path = data_path(flow, asked)
        return Pull(self.channel, path, asked.get("purpose", ""), self._answer_keys, self._clock.now)

    def audit_list(
        self, *, kind: str = "", partner: str = "", after: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return audit events of the officer's own country, oldest first."""
        query = {"kind": kind, "partner": partner, "after": after, "limit": str(limit)}
        return list(self._get(_with_query("/v1/audit/events", query)).document().get("events", []))

    def audit_show(self, event_id: str) -> tuple[dict[str, Any], VerifiedReceipt]:
        """Return one event of the officer's own country as its receipt proves it, with the receipt; nothing else."""
        receipt = self._get(f"/v1/audit/events/{quote(event_id, safe='')}").document().get("receipt")
        if receipt is None:  # Seen before a signed checkpoint covered it.
            receipt, _ = self.receipt(event_id)
        verified = proven(receipt, self.policy, event_id=event_id)
        shown = {"event_id": event_id, "at": format_instant(verified.at), "fields": verified.fields}
        return {**shown, "receipt": receipt}, verified

    def recall(self, correction_id: str) -> dict[str, Any]:
        """Return who read the numbers of a contest, for an officer of the owner's country."""
        return self._get(f"/v1/corrections/{quote(correction_id, safe='')}/recall").document()

    def _get(self, path: str, *, accept: str = _JSON) -> Answer:
        def ask() -> Answer:
            answer = self.channel.send("GET", path, headers={"accept": accept})
            if answer.status not in _ACCEPTED:
                raise refused(answer, signed=False)
            return answer

        return self._pace.tried(ask)


def _with_query(path: str, query: Mapping[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path
