# SPDX-License-Identifier: Apache-2.0
"""The other side; this file is about the process that sends requests made beforehand over kept-open connections.

It reads its order as one JSON line, opens the connections, says "ready", and at "go" sends every request once, each
connection taking the next when its answer is whole; what was turned away for the rate is sent again. It knows nothing
of the gateway, and makes and checks no signature.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import uvloop

LENGTH_BYTES = 4
TOO_MANY = 429


def packed(requests: list[bytes]) -> bytes:
    """Return requests as the file that this process reads."""
    return b"".join(len(request).to_bytes(LENGTH_BYTES, "big") + request for request in requests)


def unpacked(data: bytes) -> deque[bytes]:
    requests: deque[bytes] = deque()
    at = 0
    while at < len(data):
        end = at + LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES], "big")
        requests.append(data[at + LENGTH_BYTES : end])
        at = end
    return requests


async def run(order: dict[str, Any], requests: deque[bytes]) -> None:
    context = tls(order) if order.get("ca") else None
    names = {"ssl": context, "server_hostname": "localhost"} if context else {}
    connections = [
        await asyncio.open_connection("127.0.0.1", order["port"], limit=1 << 24, **names)
        for _ in range(min(order["connections"], len(requests)))
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    statuses: Counter[int] = Counter()
    milliseconds: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(talk(*pair, requests, statuses, milliseconds) for pair in connections))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "statuses": statuses, "milliseconds": milliseconds}), flush=True)
    for _, writer in connections:
        writer.transport.abort()


async def talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: deque[bytes],
    statuses: Counter[int],
    milliseconds: list[float],
) -> None:
    while requests:
        request = requests.popleft()
        start = time.perf_counter()
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        milliseconds.append(1000 * (time.perf_counter() - start))
        status = int(head[9:12])
        statuses[status] += 1
        if status == TOO_MANY:
            requests.append(request)


def tls(order: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=order["ca"])
    context.load_cert_chain(order["certificate"], order["key"])
    return context


if __name__ == "__main__":
    what = json.loads(sys.stdin.readline())
    uvloop.run(run(what, unpacked(Path(what["requests"]).read_bytes())))
