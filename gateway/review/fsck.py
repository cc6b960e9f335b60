# SPDX-License-Identifier: Apache-2.0
"""Is all that is stored what was signed and logged; this file is about fsck, which only reads.

(1) The tree is folded again from its entries; (2) every event is opened; (3) every record's line is rebuilt.
Each part reads one unchanging view, so it may run while the gateway does. It shows that what is here fits together
and fits the log's signatures; that nothing was left out before it was logged, only receipts in other hands show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from gateway.contracting.contract import Contracts
from gateway.review.check_log import check_events, check_tree
from gateway.review.check_records import check_records
from gateway.review.findings import Finding, Progress, silent
from gateway.storage.engine import Storage, Tx
from gateway.wire.note import Verifier

# A broken disk would else fill the memory with findings; the first thousand are enough to act on.
FINDINGS_MAX = 1000


def fsck(
    storage: Storage, contracts: Contracts, log_verifier: Verifier, *, progress: Progress = silent
) -> Iterator[Finding]:
    """Yield every defect of what is stored, at most `FINDINGS_MAX` of each part; nothing means clean."""
    parts: tuple[Callable[[Tx], Iterator[Finding]], ...] = (
        partial(check_tree, verifier=log_verifier, progress=progress),  # (1)
        partial(check_events, progress=progress),  # (2)
        partial(check_records, shapes=contracts.shapes, progress=progress),  # (3)
    )
    for part in parts:
        yield from storage.read(partial(_first, part))


def _first(part: Callable[[Tx], Iterator[Finding]], tx: Tx) -> list[Finding]:
    return list(islice(part(tx), FINDINGS_MAX))
