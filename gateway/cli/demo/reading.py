# SPDX-License-Identifier: Apache-2.0
"""Who may see what; this file is about the steps of the demo in which partners and officers read and check."""

from __future__ import annotations

import csv

from gateway.cli.demo.stage import AGENCIES
from gateway.cli.demo.story import Story

USA, MEX, GTM = AGENCIES
_EVENTS_MAX = 1000


def pull(story: Story) -> str:
    """Show that a partner pulls another country's cells under their agreement, and is denied what it does not open."""
    output, denied = story.folder / "gtm-for-mex.csv", story.folder / "denied.csv"
    with story.stage.client(MEX) as client:
        rows = client.pull_file(output, where={"REF_AREA": "GTM"}, purpose="STATISTICS")
    with output.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    story.tell(f"{MEX} pulls Guatemala's cells: {rows} observations, columns {', '.join(columns[:6])}, …")
    story.expect(rows > 0, "there are no observations")
    story.expect("OBS_VALUE" in columns, "the CSV has no OBS_VALUE")
    purpose = "IMMIGRATION_ENFORCEMENT_INDIVIDUAL"
    with story.stage.client(GTM) as client:
        story.refused("denied-by-policy", lambda: client.pull_file(denied, where={"REF_AREA": "USA"}, purpose=purpose))
    story.expect(not denied.exists(), "a denied pull left a file")
    story.tell(f"{GTM} asked {USA}'s cells for a purpose that no agreement opens")
    return f"{rows} observations allowed; another purpose denied"


def review(story: Story) -> str:
    """Show that a security officer reviews the own country's events, verifies them, and cannot see another's."""
    officer = story.stage.files.officer("GTM", "security-officer").id
    foreign, domestic = (story.receipts[agency].name.partition(".")[0] for agency in (USA, GTM))
    with story.stage.client(officer) as client:
        events = client.audit_list(limit=_EVENTS_MAX)
        kinds = sorted({str(event["kind"]) for event in events})
        story.tell(f"{officer} sees {len(events)} events: {', '.join(kinds)}")
        story.expect({"submission.accepted", "submission.refused"} <= set(kinds), f"events are missing: {kinds}")
        story.expect(all(event["event_id"] != foreign for event in events), "another country's event is listed")
        _, verified = client.audit_show(domestic)
        story.expect(verified.event_id == domestic, "another event was shown")
        story.tell(
            f"event {domestic} of {verified.fields.get('partner')}: receipt verified, {len(verified.fields)} fields"
        )
        story.refused("not-found", lambda: client.audit_show(foreign))
    return "own country's events verified; another's: not-found"


def offline(story: Story) -> str:
    """Show that anyone with the log policy verifies a receipt offline, and the sender's own file against it."""
    receipt, policy = story.receipts[GTM], story.stage.files.log_policy
    done = story.stage.run("verify", receipt, "--policy", policy, "--data", story.folder / "gtm.ndjson")
    story.expect(done.returncode == 0, f"gateway verify: {done.stdout}{done.stderr}")
    told = done.stdout.splitlines()
    story.tell(f"gateway verify: {told[0]}")
    story.tell(told[-1])
    first, *others = story.lines[GTM]
    one_more = first.replace(b'"count":', b'"count":1', 1)
    done = story.stage.run(
        "verify", receipt, "--policy", policy, "--data", story.file("changed.ndjson", [one_more, *others])
    )
    story.expect(done.returncode == 1, "a changed file passes for the one that was sent")
    story.tell(f"one digit more: {done.stderr.strip()}")
    return "receipt and file verified offline; a changed file is found"


def fsck(story: Story) -> str:
    """Check the whole store: every row against its leaf hash, every event against the signed log."""
    done = story.stage.run("fsck", "--config", story.stage.files.settings)
    story.expect(done.returncode == 0, f"gateway fsck: {done.stdout}{done.stderr}")
    line = done.stdout.strip().splitlines()[-1]
    story.tell(line)
    return line
