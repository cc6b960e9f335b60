# SPDX-License-Identifier: Apache-2.0
"""What a reading is for; this file is about the purpose: named in the request, or the only one of the agreements."""

from __future__ import annotations

from collections.abc import Collection

from gateway.errors import PurposeMissing
from gateway.policy.agreements import PURPOSES, clauses_for
from gateway.policy.load import PolicySet
from gateway.trip import Partner

# The floor forbids it by name; that it was tried is worth telling.
NEVER = "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"
OTHER = "OTHER"


def purpose_of(policies: PolicySet, reader: Partner, owners: Collection[str], product: str, named: str) -> str:
    """Return the purpose of a reading; whether it is one of the agreement's is the decision point's to say.

    A word that is no purpose at all becomes `OTHER`, because the audit log takes no free text.

    Raises:
        PurposeMissing: when none is named and the agreements with these owners have several.
    """
    if named:
        return named if named in PURPOSES | {NEVER} else OTHER
    clauses = [
        clause
        for owner in (owners or policies.parties)
        for clause in clauses_for(policies.agreements, reader=reader.country, owner=owner, product=product)
    ]
    purposes = sorted({purpose for clause in clauses for purpose in clause.purposes})
    if len(purposes) > 1:
        raise PurposeMissing(purposes=", ".join(purposes))
    # Without an agreement there is no purpose either, and nothing permits what follows.
    return purposes[0] if purposes else ""
