# SPDX-License-Identifier: Apache-2.0
"""What the gateway does not take; this file is about the steps of the demo in which something is refused."""

from __future__ import annotations

import json
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.cli.demo.stage import AGENCIES, BORDER_EVENT, FLOW
from gateway.cli.demo.story import Story
from gateway.cli.demo.synthetic import border_events
from gateway.client.sending import body_of_lines, prepare
from gateway.wire.canonical import canonical_bytes
from gateway.wire.keys import ED25519, FileSigner


def other_country(story: Story) -> str:
    """Show that an agency that signs records of another country is refused whole, even with a perfect signature."""
    mex, gtm = AGENCIES[1], AGENCIES[2]
    with story.stage.client(mex) as client:
        story.refused("wrong-provider", lambda: client.submit_lines(*FLOW, story.lines[gtm]))
    return "wrong-provider, nothing kept"


def forged_signature(story: Story) -> str:
    """Show that who signs in an agency's name needs the agency's key; its name alone proves nothing."""
    gtm = AGENCIES[2]
    lines = _events(story, gtm)
    with story.stage.client(gtm) as client:
        real = client.signer
        stranger = ed25519.Ed25519PrivateKey.generate() if real.algorithm == ED25519 else None
        forger = FileSigner.of(stranger or ec.generate_private_key(ec.SECP256R1()))
        honest = client.prepared_lines(*BORDER_EVENT, lines)
        forged = prepare(
            body_of_lines(lines),
            signer=replace(forger, keyid=real.keyid),
            path=honest.path,
            target_uri=honest.target_uri,
            idempotency_key=honest.headers["idempotency-key"],
            at=story.now,
        )
        refused = story.refused("signature-invalid", lambda: client.send(forged))
    story.expect(refused.signed, "the refusal is not signed")
    return "signature-invalid, refused before the body is read"


def forbidden_field(story: Story) -> str:
    """Show that a field that names a person is refused at the door and its value is kept nowhere."""
    usa = AGENCIES[0]
    lines = _events(story, usa)
    lines[1] = canonical_bytes({**json.loads(lines[1]), "full_name": "Specimen Person"})
    with story.stage.client(usa) as client:
        refused = story.refused("forbidden-field", lambda: client.submit_lines(*BORDER_EVENT, lines))
    story.expect("Specimen" not in json.dumps(dict(refused.problem)), "the refusal repeats the value")
    files = list(story.stage.folder.glob("gateway.db*"))
    kept = [path.name for path in files if b"Specimen Person" in path.read_bytes()]
    story.expect(not kept, f"the value lies in {kept}")
    if files:
        story.tell(f"the value is in none of {', '.join(sorted(path.name for path in files))}")
    return "forbidden-field, value dropped, officer alerted by the event"


def broken_table(story: Story) -> str:
    """Show that a table is taken whole or not at all: one cell that breaks the contract, and nothing is kept."""
    gtm = AGENCIES[2]
    lines = list(story.lines[gtm][:20])
    lines[3] = canonical_bytes({**json.loads(lines[3]), "count": -1})
    with story.stage.client(gtm) as client:
        refused = story.refused("contract-violated", lambda: client.submit_lines(*FLOW, lines))
    errors = refused.problem.get("errors") or [{}]
    story.expect(errors[0].get("pointer") == "/count", f"other errors than expected: {errors[:2]}")
    story.tell(f"line {errors[0]['line']} {errors[0]['pointer']}: {errors[0]['code']}")
    return "contract-violated, line and field named"


def _events(story: Story, agency: str) -> list[bytes]:
    made = border_events(story.examples_of(agency), provider=agency, count=5, now=story.now, seed=3)
    return [canonical_bytes(event) for event in made]
