# SPDX-License-Identifier: Apache-2.0
"""`gateway init`, `join`, `doctor`, `conformance`; this file is about a partner's first steps, and what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.cli.connecting import (
    CONFIG,
    ConfigOption,
    ContractOption,
    ContractsOption,
    FileArgument,
    client_of,
    existing,
    product_and_version,
)
from gateway.cli.doctor_texts import DOCTOR_TEXTS
from gateway.cli.speaker import FINDING, speaker_of
from gateway.client.conformance import NEIGHBOURS, SAMPLE_MIN, Trial, examine_conformance, signed_report
from gateway.client.doctor import FAIL, examine
from gateway.client.failures import InputUnusable
from gateway.client.joining import join as answer_invitation
from gateway.client.records import lines_of, local_contract
from gateway.clock import SystemClock
from gateway.contracting.load import load_contracts, packaged_root
from gateway.identifiers import PARTNER_ID
from gateway.wire.keys import FileSigner

_CONFIG = """\
# How this partner speaks to the gateway; paths are relative to this folder. `gateway doctor` checks all of it.
partner = "{partner}"
gateway_url = "{url}"
# Yours. tls.pem is what your country's authority makes of tls.csr, with intermediate certificates behind it.
tls_cert = "tls.pem"
tls_key = "tls.key"
signing_key = "signing.key"
# The operator's, handed over by hand: what is pinned here is all that is believed.
server_ca = "server-ca.pem"
answer_keys = "answer-keys.json"
log_policy = "log.policy"
"""


def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A folder for keys and configuration; made if it is not there.")],
    partner: Annotated[str, typer.Option(help="The partner id that was agreed, MEX.SEGOB.UPMRIP.")],
    url: Annotated[str, typer.Option(help="Where the gateway is.")] = "https://gateway.example",
    p256: Annotated[bool, typer.Option("--p256", help="Make the signing key on P-256 instead of Ed25519.")] = False,
) -> None:
    """Make a transport key with its certificate request, a signing key, and client.toml; nothing is overwritten."""
    from gateway.onboarding import pki  # Pure, and needs no server; the client must not import this room.

    speaker = speaker_of(ctx)
    if not PARTNER_ID.fullmatch(partner):
        raise InputUnusable(f"--partner {partner}: MEX.SEGOB.UPMRIP")
    names = ("tls.key", "tls.csr", "signing.key", "signing.pub.pem", "client.toml")
    for path in (folder / name for name in names):
        if path.exists():
            raise InputUnusable(speaker.say("init-exists", path=path))
    transport, signing = pki.new_tls_key(), pki.new_tls_key() if p256 else ed25519.Ed25519PrivateKey.generate()
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki.write_key(folder / "tls.key", transport)
    pki.write_key(folder / "signing.key", signing)
    pki.write_public(folder / "tls.csr", pki.signing_request(transport, partner, partner[:3]))
    pki.write_public(folder / "signing.pub.pem", public)
    pki.write_public(folder / "client.toml", _CONFIG.format(partner=partner, url=url).encode())
    speaker.tell("init-made", folder=folder, keyid=FileSigner.of(signing).keyid)
    speaker.tell("init-next", folder=folder, partner=partner)


def join(
    ctx: typer.Context,
    invitation: Annotated[str, typer.Option(envvar="GATEWAY_INVITATION", help="The token that the operator gave.")],
    config: ConfigOption = CONFIG,
    contract: Annotated[
        list[str] | None, typer.Option(help="A contract that is accepted, flow/1.0.0; by default all of the package.")
    ] = None,
    contracts: ContractsOption = None,
) -> None:
    """Answer an invitation with this agency's certificate, key and accepted contracts; officers then activate it."""
    root = contracts or packaged_root()
    known = {f"{one.ref.product}/{one.ref.version}": one.ref.digest for one in load_contracts(root).contracts}
    if missing := set(contract or ()) - set(known):
        raise InputUnusable(f"--contract {min(missing)}: {', '.join(sorted(known))}")
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        done = answer_invitation(client, invitation, {name: known[name] for name in contract or known})
    speaker.tell("joined", partner=done["partner"], keyid=done["keyid"], certificate=done["certificate"])


def doctor(ctx: typer.Context, config: ConfigOption = CONFIG, contracts: ContractsOption = None) -> None:
    """Examine keys, certificate, connection, clock and standing, and say how to mend what is wrong (then exit with 1).

    The gateway keeps nothing of it but the record of one dry run.
    """
    speaker = speaker_of(ctx)
    spanish = speaker.language == "es"
    failed = False
    for finding in examine(config, clock=SystemClock(), contracts=contracts):
        what, mend = (text.format(**finding.facts) for text in DOCTOR_TEXTS[finding.code][spanish::2])
        typer.echo(f"{finding.level:4}  {what}")
        if mend:
            typer.echo(f"      -> {mend}")
        failed = failed or finding.level == FAIL
    if failed:
        raise typer.Exit(FINDING)


def conformance(
    ctx: typer.Context,
    file: FileArgument,
    contract: ContractOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the signed report goes.")],
    config: ConfigOption = CONFIG,
    contracts: ContractsOption = None,
) -> None:
    """Show against a sandbox that this agency's set-up does what is documented; the signed report goes to the operator.

    The file is a small sample of the agency's own and is submitted; what must be refused is made from it.
    """
    speaker, clock = speaker_of(ctx), SystemClock()
    agreed = local_contract(*product_and_version(contract), contracts)
    with client_of(config, speaker) as client:
        trial = Trial(client, agreed, list(lines_of(existing(file), agreed)), clock)
        if len(trial.sample) < SAMPLE_MIN or client.config.partner[:3] not in NEIGHBOURS:
            raise InputUnusable(f"{file}: a sample has {SAMPLE_MIN} or more records, and client.toml a partner")
        checks = []
        for check in examine_conformance(trial):
            checks.append(check)
            speaker.tell("conformance", mark="ok" if check.passed else "FAIL", **asdict(check))
        report = signed_report(trial, checks, at=clock.now())
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    failed = sum(not check.passed for check in checks)
    speaker.tell("conformance-report", path=output, count=len(checks), failed=failed)
    if failed:
        raise typer.Exit(FINDING)
