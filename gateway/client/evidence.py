# SPDX-License-Identifier: Apache-2.0
"""Is it my file; this file is about comparing a receipt with the lines that the sender kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.client.answers import same_digest
from gateway.client.failures import ReceiptNotTrusted
from gateway.wire.merkle import RunningRoot, leaf_hash
from gateway.wire.receipt import VerifiedReceipt


def matches_file(verified: VerifiedReceipt, path: Path) -> int:
    """Return how many records a file has, once their root and digest are those that the receipt commits to.

    Raises:
        ReceiptNotTrusted: when the file holds other lines, or other bytes, than were received.
    """
    root = RunningRoot()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for line in file:
            digest.update(line)
            root.append(leaf_hash(line.removesuffix(b"\n")))
    fields = verified.fields
    if fields.get("received_count") != root.size or not same_digest(fields.get("root_received"), root.root()):
        raise ReceiptNotTrusted(f"{path}: the records are not those of the receipt")
    if not same_digest(fields.get("decoded_digest"), digest.digest()):
        raise ReceiptNotTrusted(f"{path}: the records are the same, the bytes between them are not")
    return root.size
