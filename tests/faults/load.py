# SPDX-License-Identifier: Apache-2.0
"""More than can be taken; this file is about sending signed requests at a rate, whatever comes back."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.running import Running

ANSWER_SECONDS_MAX = 60


@dataclass(slots=True)
class Tally:
    """What came back: statuses, refusals without `Retry-After`, connections turned away, and milliseconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    cut: int = 0
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0


def offer(gateway: Running, requests: Mapping[str, Sequence[bytes]], *, per_second: float, connections: int) -> Tally:
    """Send each partner's requests once, at their time or as soon after it as one of its connections is free."""
    return asyncio.run(_offer(gateway, requests, per_second / len(requests), connections))


async def _offer(
    gateway: Running, requests: Mapping[str, Sequence[bytes]], per_second: float, connections: int
) -> Tally:
    tally, start = Tally(), time.monotonic()
    await asyncio.gather(
        *(
            _talk(gateway, partner, waiting, per_second, tally)
            for partner, waiting in ((partner, deque(some)) for partner, some in requests.items())
            for _ in range(connections)
        )
    )
    tally.seconds = time.monotonic() - start
    return tally


async def _talk(gateway: Running, partner: str, waiting: deque[bytes], per_second: float, tally: Tally) -> None:
    context = ssl.create_default_context(cafile=str(gateway.files.server_ca))
    credentials = gateway.credentials(partner)
    context.load_cert_chain(credentials.tls_cert, credentials.tls_key)
    start, total = time.monotonic(), len(waiting)
    reader = writer = None
    while waiting:
        due = start + (total - len(waiting)) / per_second
        request = waiting.popleft()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        try:
            if writer is None:
                names = {"ssl": context, "server_hostname": "localhost"}
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.files.port, **names)
            await _exchange(reader, writer, request, tally)
        except (OSError, EOFError):
            # The bound on connections, or on their age: the client's next attempt opens another.
            tally.cut += 1
            if writer is not None:
                writer.transport.abort()
            writer = None
    if writer is not None:
        writer.transport.abort()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, tally: Tally) -> None:
    start = time.monotonic()
    writer.write(request)
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
    status = int(head[9:12])
    tally.statuses[status] += 1
    tally.milliseconds.append(1000 * (time.monotonic() - start))
    if status in {429, 503} and b"\r\nretry-after: " not in head:
        tally.without_retry_after += 1
