# SPDX-License-Identifier: Apache-2.0
"""What agencies push; this file is about the steps of the demo in which records are accepted."""

from __future__ import annotations

import json
import shutil
from http import HTTPStatus
from pathlib import Path

from gateway.cli.demo.stage import AGENCIES
from gateway.cli.demo.story import BORDER_EVENT, FLOW, Story
from gateway.cli.demo.synthetic import MARK
from gateway.client.records import lines_of, local_contract
from gateway.client.sdk import GatewayClient
from gateway.clock import SystemClock
from gateway.identifiers import new_id
from gateway.wire.canonical import canonical_bytes

EVENTS_PER_AGENCY = 200
AMENDED_BY = 7
USA, MEX, GTM = AGENCIES


def flows(story: Story) -> str:
    """Let three agencies push their published tables: by SDK from CSV, by command line, and as NDJSON."""
    paths = {agency: _own_copy(story, agency) for agency in AGENCIES}
    story.lines[GTM] = list(lines_of(paths[GTM], local_contract(*FLOW)))
    paths[GTM] = story.file("gtm.ndjson", story.lines[GTM])
    for agency in (USA, GTM):
        outcome = story.submit(agency, paths[agency], FLOW)
        story.expect(outcome.records.accepted == len(story.cells(agency)), "not every cell was accepted")
        story.tell(f"{agency}: {outcome.records.accepted} cells from {paths[agency].name} (SDK)")
        story.receipts[agency] = outcome.receipts[0]
    done = story.stage.run("submit", paths[MEX], "--contract", "/".join(FLOW), "--config", story.stage.config(MEX))
    story.expect(done.returncode == 0, f"gateway submit: {done.stderr}")
    story.tell(f"{MEX}: gateway submit {paths[MEX].name}: {done.stdout.splitlines()[0]}")
    total = sum(len(story.cells(agency)) for agency in AGENCIES)
    return f"{total} published cells accepted, each receipt verified ({outcome.receipt_status})"


def events(story: Story) -> str:
    """Push border events, generated from those totals, with recent dates and marked synthetic; one of them is bad."""
    accepted = 0
    for agency in AGENCIES:
        lines = story.events(agency, EVENTS_PER_AGENCY)
        if agency == USA:
            lines[99] = canonical_bytes({**json.loads(lines[99]), "person_count": 0})
        path = story.file(f"{agency.lower()}-events.ndjson", lines)
        outcome = story.submit(agency, path, BORDER_EVENT)
        accepted += outcome.records.accepted
        story.tell(f"{agency}: {outcome.records.accepted} of {len(lines)} synthetic events ({MARK})")
        if agency == USA:
            story.expect(outcome.records.refused == 1, "the bad record was not refused alone")
            table = path.with_name(path.name + ".refused.csv")
            refused = json.loads(path.with_name(path.name + ".refused.ndjson").read_bytes())
            where = refused["line"], refused["pointer"]
            story.tell(f"refused alone: line {where[0]} {where[1]}: {refused['code']}; see {table.name}")
            story.expect(where == (100, "/person_count"), "another line was refused")
            story.expect(table.is_file(), "no refused.csv")
    story.expect(accepted == len(AGENCIES) * EVENTS_PER_AGENCY - 1, f"{accepted} events accepted")
    return f"{accepted} synthetic events accepted, 1 refused with its reason"


def repeat(story: Story) -> str:
    """Show that the same bytes again are answered as a repeat; an old nonce under new content is a replay."""
    lines = story.events(GTM, 3, seed=2)
    with story.stage.client(GTM) as client:
        first = client.prepared_lines(*BORDER_EVENT, lines)
        accepted = client.send(first).document()
        again = client.send(first)
        story.expect(again.status == HTTPStatus.OK, f"the repeat was answered {again.status}")
        story.expect(again.document()["submission_id"] == accepted["submission_id"], "the repeat is another submission")
        story.tell(f"byte-identical repeat: 200, Idempotent-Replay: {again.header('idempotent-replay')}")
        replayed = client.prepared_lines(*BORDER_EVENT, lines[:2], nonce=first.nonce)
        story.refused("replayed", lambda: client.send(replayed))
    return "repeat: the same submission; replay: refused"


def amendment(story: Story) -> str:
    """Let an agency correct a figure: the old value stays visible in the history, the totals follow the new one."""
    old = json.loads(story.lines[GTM][0])
    changes = {"record_id": new_id(SystemClock().now()), "action": "amend", "supersedes": old["record_id"]}
    new = {**old, **changes, "count": old["count"] + AMENDED_BY}
    with story.stage.client(GTM) as client:
        before = _total(client)
        outcome = client.submit_lines(*FLOW, [canonical_bytes(new)])
        after = _total(client)
    story.tell(f"{old['period']}: {old['count']} becomes {new['count']}; own total {before} becomes {after}")
    story.expect(outcome.records.accepted == 1, "the amendment was not accepted")
    story.expect(after - before == AMENDED_BY, "the total does not follow the amendment")
    return "the new value counts, the old one is superseded"


def own_totals(story: Story) -> str:
    """Show that each agency sees exact totals of its own, and they are the sums of what it sent."""
    texts = []
    for agency in AGENCIES:
        sent = sum(int(cell["count"] or 0) for cell in story.cells(agency)) + (AMENDED_BY if agency == GTM else 0)
        with story.stage.client(agency) as client:
            total = _total(client)
        story.expect(total == sent, f"{agency}: the gateway says {total}, the agency sent {sent}")
        texts.append(f"{agency} {total:,}")
    story.tell("; ".join(texts))
    return "equal to the sums of what was sent"


def _total(client: GatewayClient) -> int:
    return sum(int(row["count"]) for row in client.own("flow")["totals"])


def _own_copy(story: Story, agency: str) -> Path:
    story.folder.mkdir(exist_ok=True)
    return Path(shutil.copy(story.tables[agency], story.folder / f"{agency.lower()}.csv"))
