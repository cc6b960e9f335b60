# SPDX-License-Identifier: Apache-2.0
"""The gateway as an asyncio program sees it; this file is about the same client with methods that are awaited.

Each call runs the synchronous one on a thread: hashing, compressing and checking proofs take the processor anyway,
and one code decides what is believed. A call that is cancelled ends by itself, within its bounds, unheard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from gateway.client.sdk import GatewayClient
from gateway.client.submit import submit_file

P = ParamSpec("P")
T = TypeVar("T")


def _on_a_thread(
    method: Callable[Concatenate[GatewayClient, P], T],
) -> Callable[Concatenate[AsyncGatewayClient, P], Coroutine[Any, Any, T]]:
    @wraps(method)
    async def call(self: AsyncGatewayClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.client, *args, **kwargs)

    return call


class AsyncGatewayClient:
    """`GatewayClient` for asyncio, made from one; it raises the same, and many calls may run at once."""

    def __init__(self, client: GatewayClient) -> None:
        self.client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    close = _on_a_thread(GatewayClient.close)
    submit_file = _on_a_thread(submit_file)
    submit_lines = _on_a_thread(GatewayClient.submit_lines)
    submit_body = _on_a_thread(GatewayClient.submit_body)
    submit_nil = _on_a_thread(GatewayClient.submit_nil)
    validate = _on_a_thread(GatewayClient.validate)
    validate_body = _on_a_thread(GatewayClient.validate_body)
    prepared_lines = _on_a_thread(GatewayClient.prepared_lines)
    send = _on_a_thread(GatewayClient.send)
    receipt = _on_a_thread(GatewayClient.receipt)
    own = _on_a_thread(GatewayClient.own)
    standing = _on_a_thread(GatewayClient.standing)
    contracts = _on_a_thread(GatewayClient.contracts)
    pull = _on_a_thread(GatewayClient.pull)
    pull_file = _on_a_thread(GatewayClient.pull_file)
    audit_list = _on_a_thread(GatewayClient.audit_list)
    audit_show = _on_a_thread(GatewayClient.audit_show)
    recall = _on_a_thread(GatewayClient.recall)
