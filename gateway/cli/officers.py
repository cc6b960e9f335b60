# SPDX-License-Identifier: Apache-2.0
"""`gateway officer`; this file is about what an officer of a government does: stop, propose, approve, and look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.connecting import CONFIG, ConfigOption, client_of
from gateway.cli.speaker import Speaker, speaker_of
from gateway.client.failures import InputUnusable
from gateway.client.governing import approve_change, get_change, list_changes, submit_change
from gateway.clock import SystemClock
from gateway.wire.change import Change, ChangeMalformed, countersign, joined, written_in
from gateway.wire.digests import sha256
from gateway.wire.keys import FileSigner

app = typer.Typer(
    no_args_is_help=True,
    help="An officer's acts: to stop at once, to propose what widens, to approve what others propose.",
)
ChangeArgument = Annotated[str, typer.Argument(help="The id of the change.")]


@app.command("act")
def act(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="At once: suspend, revoke, unpin, end-key, stop, withdraw, reject. For others to approve: enrol, "
            "activate, enrol-officer, pin, add-key, resume, lift, put-in-force."
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(help="WORD=VALUE, WORD=@FILE for what a file holds, or @FILE with a WORD=VALUE in each line."),
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Sign an act and send it. What narrows holds at once; what widens waits for other governments, seven days."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        done = submit_change(client, name, read_words(words or []), at=SystemClock().now())
    _tell(speaker, done)
    if done["told"]:
        typer.echo("  ".join(f"{word} {value}" for word, value in done["told"].items()))


@app.command("changes")
def changes(
    ctx: typer.Context,
    status: Annotated[
        str, typer.Option(help="waiting, approved, in-force, rejected, expired, failed; several with commas.")
    ] = "waiting",
    config: ConfigOption = CONFIG,
) -> None:
    """List changes, the newest first."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        for one in list_changes(client, status):
            _tell(speaker, one)


@app.command("show")
def show(ctx: typer.Context, change_id: ChangeArgument, config: ConfigOption = CONFIG) -> None:
    """Show a change: the document as it was signed, who signed it, and how far it came."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        shown, change = get_change(client, change_id)
    _tell(speaker, shown)
    _print(change)


@app.command("approve")
def approve(
    ctx: typer.Context,
    change_id: ChangeArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without being asked; you have read it.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Read what another government proposed, and sign the same document."""
    speaker = speaker_of(ctx)
    with client_of(config, speaker) as client:
        shown, change = get_change(client, change_id)
        _tell(speaker, shown)
        _print(change)
        if not yes:
            typer.confirm(speaker.say("sign-this"), abort=True)
        _tell(speaker, approve_change(client, shown))


@app.command("sign")
def sign(
    ctx: typer.Context,
    document: Annotated[Path, typer.Argument(help="A founding, or another document of a change; it is rewritten.")],
    signing_key: Annotated[Path, typer.Option(help="Your private signing key, PEM.", exists=True)],
    yes: Annotated[bool, typer.Option("--yes", help="Sign without being asked; you have read it.")] = False,
) -> None:
    """Add your signature to a document in a file, without any gateway."""
    speaker = speaker_of(ctx)
    try:
        envelope: dict[str, Any] = json.loads(document.read_text(encoding="utf-8"))
        change = written_in(envelope)
        signer = FileSigner.load(signing_key)
    except (OSError, ValueError, ChangeMalformed) as error:
        raise InputUnusable(f"{document}: {error}") from error
    if any(one["keyid"] == signer.keyid for one in envelope["signatures"]):
        raise InputUnusable(f"{document}: {signer.keyid}: signed already", f"{document}: {signer.keyid}: ya firmado")
    _print(change)
    if not yes:
        typer.confirm(speaker.say("sign-this"), abort=True)
    whole = joined(envelope, countersign(envelope, signer))
    aside = document.with_name(f"{document.name}.partial")
    aside.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    aside.replace(document)
    speaker.tell("document-signed", path=document, count=len(whole["signatures"]), digest=sha256(change.payload).hex())


def read_words(given: list[str]) -> dict[str, str]:
    """Return the words of an act, or raise InputUnusable."""
    words: dict[str, str] = {}
    for text in given:
        if text.startswith("@"):
            words |= read_words([line for line in _content(text[1:]).splitlines() if line.strip()])
            continue
        word, equals, value = text.partition("=")
        if not equals or not word:
            raise InputUnusable(f"{text}: WORD=VALUE", f"{text}: PALABRA=VALOR")
        words[word] = _content(value[1:]) if value.startswith("@") else value
    return words


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputUnusable(f"{path}: {error}") from error


def _tell(speaker: Speaker, one: dict[str, Any]) -> None:
    said = {"change": one["change_id"], "act": one["act"], "status": one["status"], "until": one["expires_at"]}
    speaker.tell("change", **said, signed=", ".join(one["signed_by"]))


def _print(change: Change) -> None:
    text = json.dumps(json.loads(change.payload), indent=1, ensure_ascii=False)
    # What a terminal would act on, or show in another order, must not hide a word from who signs it.
    typer.echo("".join(sign if sign == "\n" or sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text))
