# SPDX-License-Identifier: Apache-2.0
"""What an officer may ask the policies; this file is about why, what if, who may, who could see and who did, by HTTP.

An officer asks about the own country: its partners, its numbers, the decisions that its officers may see. A partner
asks why about itself alone. Each look of an officer is an event, like any search.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from gateway.clock import format_instant, parse_instant
from gateway.contracting.strict_yaml import read_yaml
from gateway.errors import NotFound, RequestMalformed
from gateway.policy.agreements import load_agreements
from gateway.policy.decide import DecisionPoint
from gateway.policy.explain import Explainer
from gateway.policy.load import PolicySet, compile_policies, load_rules
from gateway.policy.matrix import Line, could_see, matrix
from gateway.policy.requests import GOVERNING, ask_policies, supposed
from gateway.review.replay import did_see, evidence_of, principals, simulate
from gateway.review.search import ReviewDesk, ReviewRequest, record_look
from gateway.storage.changes import get_change
from gateway.storage.engine import Tx
from gateway.trip import Partner, Supposed
from gateway.wire.change import written_in

DAYS = timedelta(days=30)
CHANGES_SHOWN_MAX = 1000
# A longer time is asked in parts, each from where the last one ended.
EVENTS_MAX = 20_000
ACTIONS = frozenset({
    "submit", "validate", "read-own", "read-flow", "read-records", "contest", "review-audit", "ask-policies",
    *GOVERNING,
})  # fmt: skip
Words = Mapping[str, str]
Answer = dict[str, Any]


def explain_own(desk: ReviewDesk, partner: Partner, words: Words) -> Answer:
    """Say to a partner why a request of its own would be permitted or denied.

    Raises:
        RequestMalformed: when there is no such action.
        NotFound: when it names another.
    """
    if words.get("as", partner.id) != partner.id:
        raise NotFound
    return _explained(desk, Supposed("Partner", partner.id, partner.country, partner.roles), words)


def ask(desk: ReviewDesk, request: ReviewRequest, question: str, words: Words) -> Answer:
    """Answer an officer's question about the own country, and record that it was asked.

    Raises:
        DeniedByPolicy: when the officer may not review.
        RequestMalformed, NotFound: when a word has no form that is known, or names nobody of the country.
    """
    permit = desk.policy.decide(ask_policies(request.officer, country=request.officer.country))

    # Read first: a long look must not hold up whoever writes. It is told only once it is recorded.
    answer = desk.storage.read(lambda tx: QUESTIONS[question](tx, desk, request.officer.country, words))
    count = len(next((found for found in answer.values() if isinstance(found, list)), [answer]))
    asked = {"question": question, **words}
    desk.storage.write(lambda tx: record_look(tx, desk, request, permit, asked=asked, result_count=count))
    return answer


def _explain(tx: Tx, desk: ReviewDesk, country: str, words: Words) -> Answer:
    asker = principals(tx).get(words.get("as", ""))
    if asker is None or asker.country != country:
        raise NotFound
    return _explained(desk, asker, words)


def _explained(desk: ReviewDesk, asker: Supposed, words: Words) -> Answer:
    action = words.get("action", "")
    if action not in ACTIONS:
        raise RequestMalformed(what=f"action is one of {', '.join(sorted(ACTIONS))}")
    request = supposed(
        asker,
        action,
        owner=words.get("owner", ""),
        product=words.get("product", "flow"),
        purpose=words.get("purpose", ""),
        at=desk.clock.now(),
    )
    return asdict(Explainer(desk.policy).explain(request, viewer=asker.country))


def _matrix(tx: Tx, desk: ReviewDesk, country: str, _words: Words) -> Answer:
    return {"lines": [line._asdict() for line in _lines(tx, desk) if country in {line.owner, line.principal[:3]}]}


def _could_see(tx: Tx, desk: ReviewDesk, country: str, words: Words) -> Answer:
    found = could_see(_lines(tx, desk), owner=country, product=words.get("product", "flow"))
    return {"lines": [line._asdict() for line in found]}


def _did_see(tx: Tx, desk: ReviewDesk, country: str, words: Words) -> Answer:
    found = did_see(tx, owner=country, since=_since(desk, words), limit=EVENTS_MAX)
    return {"readers": [{"partner": partner, **one} for partner, one in found.items()]}


def _simulate(tx: Tx, desk: ReviewDesk, country: str, words: Words) -> Answer:
    """Say what would change without an agreement of the country, or with what a change would put in force."""
    proposed = _changed(tx, desk, words["change"]) if "change" in words else _without(desk, country, words)
    found = simulate(tx, DecisionPoint(proposed), since=_since(desk, words), country=country, limit=EVENTS_MAX)
    counts = {"replayed": found.replayed, "not_replayed": found.not_replayed, "change_count": len(found.changes)}
    until = {"until": format_instant(found.until)} if found.until else {}
    return {"changes": [evidence_of(change) for change in found.changes[:CHANGES_SHOWN_MAX]], **counts, **until}


def _without(desk: ReviewDesk, country: str, words: Words) -> PolicySet:
    policies = desk.policy.policies
    if not any(one.id == words.get("without") and country in one.parties for one in policies.agreements):
        raise NotFound
    return policies.without(words["without"])


def _changed(tx: Tx, desk: ReviewDesk, change_id: str) -> PolicySet:
    """Return the set in force with the rules and agreements that a change names."""
    stored = get_change(tx, change_id)
    if stored is None:
        raise NotFound
    named = set(written_in(json.loads(stored.envelope)).words.values())
    now = desk.policy.policies
    rules = next((one for one in load_rules(desk.root) if one.digest in named), None)
    agreements = {one.id: one for one in now.agreements}
    agreements |= {one.id: one for one in load_agreements(desk.root / "agreements", read_yaml) if one.digest in named}
    if rules is None and set(agreements.values()) == set(now.agreements):
        raise RequestMalformed(what="the change puts neither rules nor an agreement in force")
    rules = rules or next(one for one in load_rules(desk.root) if f"{one.floor}\n{one.roles}" == now.rules)
    return compile_policies(rules, tuple(agreements.values()), parties=now.parties, products=now.products)


def _lines(tx: Tx, desk: ReviewDesk) -> list[Line]:
    return list(matrix(desk.policy, principals(tx, active_only=True).values(), at=desk.clock.now()))


def _since(desk: ReviewDesk, words: Words) -> datetime:
    try:
        return parse_instant(words["since"]) if "since" in words else desk.clock.now() - DAYS
    except ValueError as error:
        raise RequestMalformed(what="since") from error


QUESTIONS: Mapping[str, Callable[[Tx, ReviewDesk, str, Words], Answer]] = {
    "explain": _explain,
    "matrix": _matrix,
    "who-could-see": _could_see,
    "who-did-see": _did_see,
    "simulate": _simulate,
}
