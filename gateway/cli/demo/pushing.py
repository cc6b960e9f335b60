# SPDX-License-Identifier: Apache-2.0
"""What agencies push; this file is about the steps of the demo in which records are accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gateway.cli.demo.stage import AGENCIES, BORDER_EVENT, FLOW
from gateway.cli.demo.story import Story
from gateway.cli.demo.synthetic import MARK, border_events
from gateway.client.records import lines_of, local_contract
from gateway.client.submit import submit_file
from gateway.identifiers import new_id
from gateway.wire.canonical import canonical_bytes

EVENTS_PER_AGENCY = 200


def flows(story: Story) -> str:
    """Let three agencies push their published tables: by SDK from CSV, by command line, and as NDJSON."""
    total = 0
    usa, mex, gtm = AGENCIES
    path = _own_copy(story, usa)
    with story.stage.client(usa) as client:
        outcome = submit_file(client, path, *FLOW)
    story.tell(f"{usa}: {outcome.records.accepted} cells from {path.name} (SDK)")
    story.outcomes[usa], story.receipts[usa] = outcome.parts[0], outcome.receipts[0]
    total += outcome.records.accepted

    path = _own_copy(story, mex)
    done = story.stage.run("submit", str(path), "--contract", "/".join(FLOW), "--config", str(story.stage.config(mex)))
    story.expect(done.returncode == 0, f"gateway submit: {done.stderr}")
    for line in done.stdout.splitlines()[:1]:
        story.tell(f"{mex}: gateway submit {path.name}: {line}")
    story.receipts[mex] = next(path.with_name(path.name + ".receipts").glob("*.receipt.json"))
    total += len(story.examples_of(mex))

    path = story.folder / "gtm.ndjson"
    story.lines[gtm] = list(lines_of(_own_copy(story, gtm), local_contract(*FLOW)))
    path.write_bytes(b"".join(line + b"\n" for line in story.lines[gtm]))
    with story.stage.client(gtm) as client:
        outcome = submit_file(client, path, *FLOW)
    story.tell(f"{gtm}: {outcome.records.accepted} cells from {path.name} (SDK)")
    story.outcomes[gtm], story.receipts[gtm] = outcome.parts[0], outcome.receipts[0]
    story.expect(outcome.records.accepted == len(story.lines[gtm]), "not every cell was accepted")
    total += outcome.records.accepted
    return f"{total} published cells accepted, each receipt verified ({outcome.parts[0].receipt_status})"


def events(story: Story) -> str:
    """Push border events, generated from those totals, with recent dates and marked synthetic; one of them is bad."""
    accepted = 0
    for agency in AGENCIES:
        made = border_events(story.examples_of(agency), provider=agency, count=EVENTS_PER_AGENCY, now=story.now)
        lines = [canonical_bytes(event) for event in made]
        if agency == AGENCIES[0]:
            lines[99] = canonical_bytes({**json.loads(lines[99]), "person_count": 0})
        path = story.folder / f"{agency.lower()}-events.ndjson"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with story.stage.client(agency) as client:
            outcome = submit_file(client, path, *BORDER_EVENT)
        accepted += outcome.records.accepted
        story.tell(f"{agency}: {outcome.records.accepted} of {len(lines)} synthetic events ({MARK})")
        if agency == AGENCIES[0]:
            story.expect(outcome.records.refused == 1, "the bad record was not refused alone")
            refused = outcome.parts[0].refused[0]
            story.tell(
                f"refused alone: line {refused.line} {refused.pointer}: {refused.code}; see {path.name}.refused.csv"
            )
            story.expect((refused.line, refused.pointer) == (100, "/person_count"), "another line was refused")
            story.expect(path.with_name(path.name + ".refused.csv").is_file(), "no refused.csv")
    story.expect(accepted == len(AGENCIES) * EVENTS_PER_AGENCY - 1, f"{accepted} events accepted")
    return f"{accepted} synthetic events accepted, 1 refused with its reason"


def repeat(story: Story) -> str:
    """Show that the same bytes again are answered as a repeat; an old nonce under new content is a replay."""
    gtm = AGENCIES[2]
    with story.stage.client(gtm) as client:
        lines = [canonical_bytes(event) for event in border_events(
            story.examples_of(gtm), provider=gtm, count=3, now=story.now, seed=2
        )]  # fmt: skip
        first = client.prepared_lines(*BORDER_EVENT, lines)
        accepted = client.send(first).document()
        again = client.send(first)
        story.expect(again.status == 200, f"the repeat was answered {again.status}")  # noqa: PLR2004 - HTTP OK
        story.expect(again.document()["submission_id"] == accepted["submission_id"], "the repeat is another submission")
        story.tell(f"byte-identical repeat: 200, Idempotent-Replay: {again.header('idempotent-replay')}")
        replayed = client.prepared_lines(*BORDER_EVENT, lines[:2], nonce=first.nonce)
        story.refused("replayed", lambda: client.send(replayed))
    return "repeat: the same submission; replay: refused"


def amendment(story: Story) -> str:
    """Let an agency correct a figure: the old value stays visible in the history, the totals follow the new one."""
    gtm = AGENCIES[2]
    old = json.loads(story.lines[gtm][0])
    with story.stage.client(gtm) as client:
        before = _total(client.own("flow"))
        new = {**old, "record_id": new_id(story.now), "action": "amend", "supersedes": old["record_id"]}
        new["count"] = old["count"] + 7
        outcome = client.submit_lines(*FLOW, [canonical_bytes(new)])
        after = _total(client.own("flow"))
        story.tell(f"{old['period']}: {old['count']} becomes {new['count']}; own total {before} becomes {after}")
        story.expect(outcome.records.accepted == 1, "the amendment was not accepted")
        story.expect(after - before == 7, "the total does not follow the amendment")  # noqa: PLR2004 - as above
    return "the new value counts, the old one is superseded"


def own_totals(story: Story) -> str:
    """Show that each agency sees exact totals of its own, and they are the sums of what it sent."""
    texts = []
    for agency in AGENCIES:
        sent = sum(int(row["count"] or 0) for row in story.examples_of(agency)) + (7 if agency == AGENCIES[2] else 0)
        with story.stage.client(agency) as client:
            total = _total(client.own("flow"))
        story.expect(total == sent, f"{agency}: the gateway says {total}, the agency sent {sent}")
        texts.append(f"{agency} {total:,}")
    story.tell("; ".join(texts))
    return "equal to the sums of what was sent"


def _total(document: object) -> int:
    rows = document["totals"] if isinstance(document, dict) else []
    return sum(int(row["count"]) for row in rows)


def _own_copy(story: Story, agency: str) -> Path:
    return Path(shutil.copy(story.examples[agency], story.folder / f"{agency.lower()}.csv"))
