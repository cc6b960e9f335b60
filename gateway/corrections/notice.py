# SPDX-License-Identifier: Apache-2.0
"""What readers are told; this file is about a notice as a CloudEvent (1.0, JSON).

It names no cell and no value: a reader may see less than was contested. Where to look again it says, and which of the
reader's own pulls are concerned; in the answer there the mark stands on every cell that the reader may see.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.clock import format_instant
from gateway.corrections.desk import CorrectionsDesk
from gateway.identifiers import country_of, new_id
from gateway.storage.contests import StoredContest

MEDIA_TYPE: Final = "application/cloudevents+json"
OPENED: Final = "gateway.correction.opened.v1"
WITHDRAWN: Final = "gateway.correction.withdrawn.v1"


def cloud_event(
    desk: CorrectionsDesk, one: StoredContest, kind: str, number: int, *, at: datetime, events: Sequence[str]
) -> str:
    """Return the body of a partner's notice of that number; source and id name it for ever."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": new_id(at),
            "source": desk.origin,
            "type": kind,
            "time": format_instant(at),
            "subject": one.id,
            "datacontenttype": "application/json",
            # The sequence extension of CloudEvents: by partner, ascending without gaps.
            "sequence": f"{number:020d}",
            "data": {
                "correction_id": one.id,
                "dataflow": desk.dataflow,
                "owner": country_of(one.partner_id),
                "provider": one.partner_id,
                "cause": one.cause,
                "published_since": format_instant(one.since),
                "your_reads": list(events),
            },
        }
    )
