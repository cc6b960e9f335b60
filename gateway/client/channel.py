# SPDX-License-Identifier: Apache-2.0
"""One mutual TLS connection to the gateway; this file is about sending requests and receiving bounded answers."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx2

from gateway.client.config import ClientConfig
from gateway.client.failures import AnswerNotTrusted, CannotReach, ConfigInvalid, HandshakeRefused

ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
_TIMEOUT = httpx2.Timeout(connect=10, read=120, write=120, pool=10)
# With TLS 1.3 the gateway judges the client certificate after the client's side of the handshake is over, so its
# alert arrives with the first read or write; an end of stream is no alert and may be tried again.
_TRANSIENT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came, whole; nothing in it is trusted yet."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a field's values joined, or None when it is absent."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def document(self) -> dict[str, Any]:
        """Return the JSON object that the body is, or raise AnswerNotTrusted."""
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise AnswerNotTrusted(f"the answer ({self.status}) is not JSON") from error
        if not isinstance(document, dict):
            raise AnswerNotTrusted(f"the answer ({self.status}) is not a JSON object")
        return document


class Channel:
    """A connection pool with the partner's certificate, trusting the pinned CA and nothing else."""

    def __init__(self, config: ClientConfig, *, transport: httpx2.BaseTransport | None = None) -> None:
        self.origin = config.origin
        # trust_env is off: a proxy or a CA bundle named by some shell variable must not come between.
        self._http = httpx2.Client(
            base_url=config.gateway_url.rstrip("/"),
            verify=tls_context(config),
            proxy=config.proxy or None,
            transport=transport,
            trust_env=False,
            timeout=_TIMEOUT,
            # Digests of answers are over the bytes as sent, so no transparent decompression.
            headers={"accept-encoding": "identity", "user-agent": "gateway-client", "accept-language": config.language},
        )
        # What nobody asked for is not asked: the library would say "anything", which is another question (proxy.py).
        del self._http.headers["accept"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def target_uri(self, path: str) -> str:
        """Return the target URI of a path, as the gateway sees it: its public origin and the raw path and query."""
        raw = self._http.build_request("GET", path).url.raw_path
        return self.origin + raw.decode("ascii")

    def send(self, method: str, path: str, *, headers: Mapping[str, str], content: bytes = b"") -> Answer:
        """Send one request and return the whole answer; raises as `stream`."""
        with self.stream(method, path, headers=headers, content=content) as (head, chunks):
            return replace(head, body=b"".join(chunks))

    @contextmanager
    def stream(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes = b"", target: bytes = b""
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send one request and hand out the answer without its body, and the body in chunks.

        A `target` is sent in the place of the path, byte for byte.

        Raises:
            CannotReach: when no whole answer came; `HandshakeRefused` where a certificate is the cause.
            AnswerNotTrusted: when the body is larger than anything that this gateway sends.
        """
        try:
            exact = {"target": target} if target else {}
            with self._http.stream(
                method, path, headers=dict(headers), content=content or None, extensions=exact
            ) as response:
                fields = tuple((name.lower(), value.strip()) for name, value in response.headers.multi_items())
                yield Answer(response.status_code, fields, b""), _bounded(response.iter_bytes())
        except httpx2.TransportError as error:
            raise _unreachable(error) from error


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise AnswerNotTrusted(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
        yield chunk


def tls_context(config: ClientConfig) -> ssl.SSLContext:
    """Return what a connection is made with; ConfigInvalid when a file cannot be loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=config.server_ca)
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(f"the certificate, its key or the CA cannot be loaded: {error}") from error
    return context


def _unreachable(error: BaseException) -> CannotReach:
    cause: BaseException | None = error
    for _ in range(8):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _TRANSIENT):
            return HandshakeRefused(f"TLS: {cause.reason or cause}")
        cause = cause and (cause.__cause__ or cause.__context__)
    return CannotReach(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
