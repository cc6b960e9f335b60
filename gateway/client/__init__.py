# SPDX-License-Identifier: Apache-2.0
"""The SDK for partners; this file is about its public names."""

from __future__ import annotations

from gateway.client.concurrent import AsyncGatewayClient
from gateway.client.config import ClientConfig, load_config
from gateway.client.failures import (
    AnswerNotTrusted,
    CannotReach,
    ClientFailure,
    ConfigInvalid,
    HandshakeRefused,
    InputUnusable,
    ReceiptNotTrusted,
    ReceiptPending,
    Refused,
)
from gateway.client.outcome import FileOutcome, RecordCounts, RefusedLine, SubmitOutcome
from gateway.client.saved import Said, verify_saved
from gateway.client.sdk import GatewayClient
from gateway.client.submit import submit_file

__all__ = [
    "AnswerNotTrusted",
    "AsyncGatewayClient",
    "CannotReach",
    "ClientConfig",
    "ClientFailure",
    "ConfigInvalid",
    "FileOutcome",
    "GatewayClient",
    "HandshakeRefused",
    "InputUnusable",
    "ReceiptNotTrusted",
    "ReceiptPending",
    "RecordCounts",
    "Refused",
    "RefusedLine",
    "Said",
    "SubmitOutcome",
    "load_config",
    "submit_file",
    "verify_saved",
]
