# SPDX-License-Identifier: Apache-2.0
"""What the gateway does not take; this file is about the steps of the demo in which something is refused."""

from __future__ import annotations

import json
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.cli.demo.stage import AGENCIES
from gateway.cli.demo.story import BORDER_EVENT, FLOW, Story
from gateway.client.sending import body_of_lines, prepare
from gateway.clock import SystemClock
from gateway.wire.canonical import canonical_bytes
from gateway.wire.keys import ED25519, FileSigner

USA, MEX, GTM = AGENCIES


def other_country(story: Story) -> str:
    """Show that an agency that signs records of another country is refused whole, even with a perfect signature."""
    with story.stage.client(MEX) as client:
        story.refused("wrong-provider", lambda: client.submit_lines(*FLOW, story.lines[GTM]))
    return "wrong-provider, nothing kept"


def forged_signature(story: Story) -> str:
    """Show that who signs in an agency's name needs the agency's key; its name alone proves nothing."""
    lines = story.events(GTM, 5, seed=3)
    with story.stage.client(GTM) as client:
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
            at=SystemClock().now(),
        )
        refused = story.refused("signature-invalid", lambda: client.send(forged))
    story.expect(refused.signed, "the refusal is not signed")
    return "signature-invalid, refused before the body is read"


def forbidden_field(story: Story) -> str:
    """Show that a field that names a person is refused at the door and its value is kept nowhere."""
    lines = story.events(USA, 5, seed=3)
    lines[1] = canonical_bytes({**json.loads(lines[1]), "full_name": "Specimen Person"})
    with story.stage.client(USA) as client:
        refused = story.refused("forbidden-field", lambda: client.submit_lines(*BORDER_EVENT, lines))
    story.expect("Specimen" not in json.dumps(dict(refused.problem)), "the refusal repeats the value")
    files = sorted(story.stage.files.folder.glob("gateway.db*"))
    kept = [path.name for path in files if b"Specimen Person" in path.read_bytes()]
    story.expect(not kept, f"the value lies in {kept}")
    if files:
        story.tell(f"the value is in none of {', '.join(path.name for path in files)}")
    return "forbidden-field, value dropped, officer alerted by the event"


def broken_table(story: Story) -> str:
    """Show that a table is taken whole or not at all: one cell that breaks the contract, and nothing is kept."""
    lines = story.lines[GTM][:20]
    lines[3] = canonical_bytes({**json.loads(lines[3]), "count": -1})
    with story.stage.client(GTM) as client:
        refused = story.refused("contract-violated", lambda: client.submit_lines(*FLOW, lines))
    blamed = refused.lines("en")
    story.expect(blamed and blamed[0].pointer == "/count", f"other errors than expected: {blamed[:2]}")
    story.tell(f"line {blamed[0].line} {blamed[0].pointer}: {blamed[0].code}")
    return "contract-violated, line and field named"
