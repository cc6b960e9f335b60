# SPDX-License-Identifier: Apache-2.0
"""Who may see what; this file is about the steps of the demo in which partners and officers read and check."""

from __future__ import annotations

import csv
from pathlib import Path

from gateway.cli.demo.stage import AGENCIES
from gateway.cli.demo.story import Story

_EVENTS_MAX = 1000


def pull(story: Story) -> str:
    """Show that a partner pulls another country's cells under their agreement, and is denied what it does not open."""
    usa, mex, gtm = AGENCIES
    output = story.folder / "gtm-for-mex.csv"
    with story.stage.client(mex) as client:
        rows = client.pull(output, filters={"REF_AREA": "GTM"}, purpose="STATISTICS")
    with output.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    story.tell(f"{mex} pulls Guatemala's cells: {rows} observations, columns {', '.join(columns[:6])}, …")
    story.expect(rows > 0, "there are no observations")
    story.expect("OBS_VALUE" in columns, "the CSV has no OBS_VALUE")
    with story.stage.client(gtm) as client:
        story.refused(
            "denied-by-policy",
            lambda: client.pull(
                story.folder / "denied.csv", filters={"REF_AREA": "USA"}, purpose="IMMIGRATION_ENFORCEMENT_INDIVIDUAL"
            ),
        )
    story.expect(not (story.folder / "denied.csv").exists(), "a denied pull left a file")
    story.tell(f"{gtm} asked {usa}'s cells for a purpose that no agreement opens")
    return f"{rows} observations allowed; another purpose denied"


def review(story: Story) -> str:
    """Show that a security officer reviews the own country's events, verifies them, and cannot see another's."""
    officer = story.stage.officer("GTM", "security-officer")
    foreign = story.outcomes[AGENCIES[0]].event_id
    with story.stage.client(officer) as client:
        events = client.audit_list(limit=_EVENTS_MAX)
        kinds = sorted({str(event["kind"]) for event in events})
        story.tell(f"{officer} sees {len(events)} events: {', '.join(kinds)}")
        story.expect({"submission.accepted", "submission.refused"} <= set(kinds), f"events are missing: {kinds}")
        story.expect(all(event["event_id"] != foreign for event in events), "another country's event is listed")
        shown, verified = client.audit_show(story.outcomes[AGENCIES[2]].event_id)
        story.expect(verified.event_id == story.outcomes[AGENCIES[2]].event_id, "another event was shown")
        story.tell(
            f"event {verified.event_id} of {verified.fields.get('partner')}: receipt verified, {len(shown)} members"
        )
        story.refused("not-found", lambda: client.audit_show(foreign))
    return "own country's events verified; another's: not-found"


def offline(story: Story) -> str:
    """Show that anyone with the log policy verifies a receipt offline, and the sender's own file against it."""
    receipt = story.receipts[AGENCIES[2]]
    data = story.folder / "gtm.ndjson"
    policy = str(story.stage.policy)
    done = story.stage.run("verify", str(receipt), "--policy", policy, "--data", str(data))
    story.expect(done.returncode == 0, f"gateway verify: {done.stdout}{done.stderr}")
    story.tell(f"gateway verify: {done.stdout.splitlines()[0]}")
    story.tell(done.stdout.splitlines()[-1])
    changed = Path(story.folder / "changed.ndjson")
    changed.write_bytes(data.read_bytes().replace(b'"count":', b'"count":1', 1))
    done = story.stage.run("verify", str(receipt), "--policy", policy, "--data", str(changed))
    story.expect(done.returncode == 1, "a changed file passes for the one that was sent")
    story.tell(f"one digit changed: {done.stderr.strip()}")
    return "receipt and file verified offline; a changed file is found"


def fsck(story: Story) -> str:
    """Check the whole store: every row against its leaf hash, every event against the signed log."""
    done = story.stage.run("fsck", "--config", str(story.stage.settings))
    story.expect(done.returncode == 0, f"gateway fsck: {done.stdout}{done.stderr}")
    line = done.stdout.strip().splitlines()[-1]
    story.tell(line)
    return line
