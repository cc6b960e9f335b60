# SPDX-License-Identifier: Apache-2.0
"""The gateway as a partner's program sees it; this file is about the synchronous client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import httpx2

from gateway.client.answers import AnswerKeys, about, answer_keys_of, proven, refused, trusted
from gateway.client.channel import Answer, Channel
from gateway.client.config import ClientConfig, answer_keys
from gateway.client.failures import AnswerNotTrusted, CannotReach, ConfigInvalid, HandshakeRefused, Refused
from gateway.client.outcome import RecordCounts, RefusedLine, SubmitOutcome, refused_line
from gateway.client.reading import data_path, save_csv
from gateway.client.retry import RETRY_STATUSES, Pace
from gateway.client.sending import Body, Prepared, body_of_lines, body_of_nil, idempotency_key_of, prepare
from gateway.clock import Clock, SystemClock
from gateway.wire.canonical import canonical_bytes
from gateway.wire.keys import FileSigner, KeyUnsupported, Signer
from gateway.wire.policy_file import LogPolicy, parse_policy
from gateway.wire.receipt import VerifiedReceipt

_ACCEPTED: Final = frozenset({200, 201, 202})
_JSON: Final = {"accept": "application/json"}


class ReceiptPending(CannotReach):
    """The submission is stored, its receipt did not come in time; a repeat of the call takes it up."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        super().__init__(f"stored as {event_id}, the receipt is still pending")


class GatewayClient:
    """A partner's (or officer's) client of one gateway; use it as a context manager, or call `close`.

    What it returns is proven: answers to submissions are signed by a pinned key, receipts verify under the pinned
    log policy. Connection failures, 429, 502, 503 and 504 are tried again within bounds, each time signed anew and
    always with the same idempotency key.
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
        self._channel = Channel(config, transport=transport)
        self._signer: Signer | None = None
        self._keys: AnswerKeys | None = None
        self._policy: LogPolicy | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    @property
    def signer(self) -> Signer:
        """Return the partner's signing key."""
        if self._signer is None:
            try:
                self._signer = FileSigner.load(self.config.needed("signing_key"))
            except (OSError, KeyUnsupported, ValueError, TypeError) as error:
                raise ConfigInvalid(f"signing_key: {error}") from error
        return self._signer

    @property
    def policy(self) -> LogPolicy:
        """Return the pinned log policy."""
        if self._policy is None:
            path = self.config.needed("log_policy")
            try:
                self._policy = parse_policy(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ConfigInvalid(f"log_policy: {error}") from error
        return self._policy

    # Submitting

    def submit_lines(
        self, product: str, version: str, lines: Iterable[bytes], *, idempotency_key: str | None = None
    ) -> SubmitOutcome:
        """Send canonical lines as one submission and return when its acceptance is proven.

        Raises:
            Refused: when the gateway says no.
            CannotReach: when no answer came within the bounds; the same call may be made again.
            AnswerNotTrusted, ReceiptNotTrusted: when what came back proves nothing.
        """
        return self._submit(product, version, body_of_lines(lines), idempotency_key)

    def submit_nil(self, product: str, version: str, period: str) -> SubmitOutcome:
        """Send the statement that there was nothing in a period.

        Raises:
            Refused, CannotReach, AnswerNotTrusted, ReceiptNotTrusted: as `submit_lines`.
        """
        return self._submit(product, version, body_of_nil(canonical_bytes({"period": period})), None)

    def validate(self, product: str, version: str, lines: Iterable[bytes]) -> dict[str, Any]:
        """Ask the gateway to judge lines without keeping anything, and return what it says.

        Raises:
            Refused, CannotReach, AnswerNotTrusted: as `submit_lines`.
        """
        body = body_of_lines(lines)
        path = f"/v1/submissions/{product}/{version}/validate"
        answer, _ = self._deliver(lambda: self.prepared(body, product, version, path=path))
        return answer.document()

    def prepared(
        self,
        body: Body,
        product: str,
        version: str,
        *,
        path: str = "",
        idempotency_key: str | None = None,
        nonce: str | None = None,
    ) -> Prepared:
        """Sign a body as a submission, now."""
        path = path or f"/v1/submissions/{product}/{version}"
        partner = self.config.partner or self.signer.keyid
        key = idempotency_key or idempotency_key_of(partner=partner, product=product, version=version, body=body)
        return prepare(
            body,
            signer=self.signer,
            path=path,
            target_uri=self._channel.target_uri(path),
            idempotency_key=key,
            at=self._clock.now(),
            nonce=nonce,
        )

    def prepared_lines(
        self, product: str, version: str, lines: Iterable[bytes], *, nonce: str | None = None
    ) -> Prepared:
        """Sign lines as a submission, now, without sending it."""
        return self.prepared(body_of_lines(lines), product, version, nonce=nonce)

    def send(self, prepared: Prepared) -> Answer:
        """Send a signed request once and return the answer of 2xx, proven to be the gateway's.

        Raises:
            Refused: when the gateway says no.
            AnswerNotTrusted: when an acceptance is not signed as it must be.
        """
        answer = self._channel.send(
            prepared.method, prepared.path, headers={**prepared.headers, **_JSON}, content=prepared.content
        )
        if answer.status in _ACCEPTED:
            return trusted(answer, prepared, self._answer_keys(), at=self._clock.now())
        raise self._refusal(answer, prepared)

    def _submit(self, product: str, version: str, body: Body, key: str | None) -> SubmitOutcome:
        answer, _ = self._deliver(lambda: self.prepared(body, product, version, idempotency_key=key))
        document = answer.document()
        event_id = answer.header("audit-event") or ""
        receipt = document.get("receipt")
        if not isinstance(receipt, dict):
            receipt, _ = self.receipt(event_id)
        verified = about(proven(receipt, self.policy), body, event_id=event_id)
        try:
            counts = RecordCounts(**{name: int(value) for name, value in document["records"].items()})
            submission_id = str(document["submission_id"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnswerNotTrusted("the answer lacks what an acceptance says") from error
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

    def _deliver(self, make: Callable[[], Prepared]) -> tuple[Answer, Prepared]:
        # Each attempt is signed anew: a signature is good for minutes, its nonce for one request.
        attempts = self._pace.started()
        while True:
            prepared = make()
            try:
                return self.send(prepared), prepared
            except HandshakeRefused:
                raise
            except CannotReach as failure:
                attempts.wait(retry_after=None, failure=failure)
            except Refused as failure:
                if failure.status not in RETRY_STATUSES:
                    raise
                attempts.wait(retry_after=failure.retry_after, failure=CannotReach(str(failure)))

    def _refusal(self, answer: Answer, prepared: Prepared) -> Refused:
        # A refusal is believed unsigned too (a proxy's 502 has no signature): nothing counts as kept because of it.
        try:
            return refused(trusted(answer, prepared, self._answer_keys(), at=self._clock.now()), signed=True)
        except AnswerNotTrusted:
            return refused(answer, signed=False)

    def _answer_keys(self) -> AnswerKeys:
        if self._keys is None:
            self._keys = answer_keys_of(answer_keys(self.config.needed("answer_keys")))
        return self._keys

    def _refused_lines(self, document: Mapping[str, Any], count: int) -> tuple[RefusedLine, ...]:
        entries = document.get("refused") or []
        if count > len(entries) and (url := document.get("report_url")):
            # The answer shows the first hundred; the report has them all.
            body = self._get(str(url).removeprefix(self._channel.origin), accept="application/x-ndjson").body
            entries = [json.loads(line) for line in body.splitlines() if line]
        try:
            return tuple(refused_line(entry, self.config.language) for entry in entries)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnswerNotTrusted("the answer lists refused records in an unknown form") from error

    # Reading

    def receipt(self, event_id: str) -> tuple[dict[str, Any], VerifiedReceipt]:
        """Return a receipt and what it proves, waiting until it is published.

        Raises:
            ReceiptPending: when it is not published within the time bound.
            Refused: when there is no such event of the caller.
            ReceiptNotTrusted: when it does not verify.
        """
        attempts = self._pace.started()
        while True:
            answer = self._get(f"/v1/receipts/{quote(event_id, safe='')}")
            if answer.status != 202:  # noqa: PLR2004 - HTTP Accepted: not published yet
                document = answer.document()
                return document, proven(document, self.policy)
            attempts.poll(retry_after=answer.header("retry-after"), failure=ReceiptPending(event_id))

    def own(self, product: str, *, start: str = "", end: str = "", by: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the exact totals of the caller's own records.

        Raises:
            Refused, CannotReach: as `submit_lines`.
        """
        query = {name: value for name, value in (("from", start), ("to", end), ("by", ",".join(by))) if value}
        return self._get(_with_query(f"/v1/own/{product}", query)).document()

    def contracts(self) -> dict[str, Any]:
        """Return the contracts in force.

        Raises:
            Refused, CannotReach: as `submit_lines`.
        """
        return self._get("/v1/contracts").document()

    def pull(
        self,
        output: Path,
        *,
        dataflow: str = "",
        key: str = "*",
        filters: Mapping[str, str] | None = None,
        start: str = "",
        end: str = "",
        purpose: str = "",
    ) -> int:
        """Write the flow cells of a query as SDMX-CSV to a file and return how many observations there are.

        The file appears when it is whole. No observation gives 0 and no file.

        Raises:
            Refused, CannotReach: as `submit_lines`.
        """
        path = data_path(dataflow=dataflow, key=key, filters=filters or {}, start=start, end=end)
        return save_csv(self._channel, output, path=path, purpose=purpose)

    def audit_list(
        self, *, kind: str = "", partner: str = "", after: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return audit events of the officer's own country, oldest first.

        Raises:
            Refused, CannotReach: as `submit_lines`.
        """
        asked = (("kind", kind), ("partner", partner), ("after", after), ("limit", str(limit)))
        query = {name: value for name, value in asked if value}
        return list(self._get(_with_query("/v1/audit/events", query)).document().get("events", []))

    def audit_show(self, event_id: str) -> tuple[dict[str, Any], VerifiedReceipt]:
        """Return one event of the officer's own country, and what its receipt proves.

        Raises:
            Refused, CannotReach: as `submit_lines`.
            ReceiptNotTrusted: when the receipt does not verify.
        """
        document = self._get(f"/v1/audit/events/{quote(event_id, safe='')}").document()
        if document.get("receipt"):
            return document, proven(document["receipt"], self.policy)
        receipt, verified = self.receipt(event_id)  # Seen before a signed checkpoint covered it.
        return {**document, "receipt": receipt}, verified

    def _get(self, path: str, *, accept: str = "application/json") -> Answer:
        attempts = self._pace.started()
        while True:
            try:
                answer = self._channel.send("GET", path, headers={"accept": accept})
            except HandshakeRefused:
                raise
            except CannotReach as failure:
                attempts.wait(retry_after=None, failure=failure)
                continue
            if answer.status in _ACCEPTED:
                return answer
            said_no = refused(answer, signed=False)
            if answer.status not in RETRY_STATUSES:
                raise said_no
            attempts.wait(retry_after=said_no.retry_after, failure=CannotReach(str(said_no)))


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
