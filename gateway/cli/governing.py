# SPDX-License-Identifier: Apache-2.0
"""`gateway govern`; this file is about the founding, about stops, and about putting in force what officers signed."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.operating import SETTINGS, SettingsOption, settings_of, storage_of
from gateway.cli.operating_partners import act, tell
from gateway.cli.speaker import speaker_of
from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock

if TYPE_CHECKING:
    from gateway.onboarding.approvals import Subject
    from gateway.settings import Settings

WATCH_SECONDS = 2

app = typer.Typer(no_args_is_help=True, help="How a deployment is founded, what is stopped, and what officers signed.")
KindArgument = Annotated[str, typer.Argument(help="agreement, product or direction.")]
SubjectArgument = Annotated[str, typer.Argument(help="mex-usa, flow, or 'GTM>USA', whose numbers first.")]


@app.command("stop")
def stop(ctx: typer.Context, kind: KindArgument, subject: SubjectArgument, config: SettingsOption = SETTINGS) -> None:
    """Let an agreement, a data product or a direction move no longer; every process sees it with its next request."""
    tell(ctx, act(settings_of(config), "stop", kind=kind, subject=subject))


@app.command("stops")
def list_stops(config: SettingsOption = SETTINGS) -> None:
    """List what is stopped; officers lift it again (gateway officer act lift)."""
    from gateway.storage import registry

    with storage_of(settings_of(config), read_only=True) as (storage, _):
        for one in storage.read(registry.stops):
            typer.echo(f"{one.kind:10} {one.subject:24} {one.since.isoformat()} {one.actor}")


@app.command("offer")
def offer(config: SettingsOption = SETTINGS) -> None:
    """Print what the contracts folder offers and is not in force, as words of put-in-force: kind, id, digest."""
    from gateway.onboarding.approvals import stored_approvals

    settings = settings_of(config)
    with storage_of(settings, read_only=True) as (storage, _):
        signed = storage.read(stored_approvals)
    for word, subject in _offered(settings).items():
        if not set(subject.parties) <= signed.get(subject.digest, frozenset()):
            typer.echo(f"{word}={subject.digest}")


@app.command("draft")
def draft(
    ctx: typer.Context,
    officers: Annotated[Path, typer.Argument(help="TOML: a table for each officer id, see docs/GOVERNANCE.md.")],
    document: Annotated[Path, typer.Argument(help="Where the founding is written, a new file.")],
    config: SettingsOption = SETTINGS,
) -> None:
    """Write the founding of this deployment for its approvers to sign: officers, and all that the folder offers."""
    from gateway.onboarding.founding import founding
    from gateway.wire.change import PAYLOAD_TYPE
    from gateway.wire.dsse import sign_envelope

    speaker, settings = speaker_of(ctx), settings_of(config)
    if document.exists():
        raise InputUnusable(speaker.say("exists", path=document))
    named = [_officer(officers, name, table) for name, table in _tables(officers).items()]
    origin, parties, now = settings.public_origin, settings.parties, SystemClock().now()
    try:
        change = founding(named, _offered(settings), gateway=origin, parties=parties, at=now)
    except ValueError as error:
        raise InputUnusable(f"{officers}: {error}") from error
    envelope = sign_envelope(PAYLOAD_TYPE, change.payload, [])
    document.write_text(json.dumps(envelope, indent=1) + "\n", encoding="utf-8")
    speaker.tell("founding-written", path=document)


@app.command("found")
def found(
    ctx: typer.Context,
    document: Annotated[Path, typer.Argument(help="The founding, signed by every approver in it.", exists=True)],
    config: SettingsOption = SETTINGS,
) -> None:
    """Enter the first officers and put the first rules in force; once, before the gateway is started."""
    tell(ctx, act(settings_of(config), "found", envelope=document.read_text(encoding="utf-8")))


@app.command("enact")
def enact(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until SIGTERM; a look every two seconds.")] = False,
    config: SettingsOption = SETTINGS,
) -> None:
    """Put in force what everyone signed and the log shows, where the gateway does not (enact_changes = false)."""
    from gateway.contracting.load import packaged_root
    from gateway.onboarding.changes import ChangesDesk
    from gateway.onboarding.enacting import enact_due
    from gateway.onboarding.live import Live

    settings, clock = settings_of(config), SystemClock()
    root, parties = settings.contracts_dir or packaged_root(), tuple(settings.parties)
    with storage_of(settings) as (storage, _):
        live = Live(storage, root, parties=parties, clock=clock)
        desk = ChangesDesk(storage, live.policy, clock, frozenset(parties), settings.public_origin, root)
        while True:
            live.look(storage)
            if (count := enact_due(desk)) or not watch:
                speaker_of(ctx).tell("enacted", count=count)
            if not watch:
                return
            time.sleep(WATCH_SECONDS)


def _offered(settings: Settings) -> dict[str, Subject]:
    from gateway.contracting.load import packaged_root
    from gateway.onboarding.approvals import offered_in

    return offered_in(settings.contracts_dir or packaged_root(), settings.parties)


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputUnusable(f"{path}: {error}") from error
    if not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise InputUnusable(f'{path}: ["USA.OFFICER.ONE"] name, roles, certificate, signing_key')
    return tables


def _officer(path: Path, named: str, table: dict[str, Any]) -> Any:
    from gateway.onboarding.founding import FirstOfficer

    try:
        files = {
            name: (path.parent / table[name]).read_text(encoding="ascii") for name in ("certificate", "signing_key")
        }
        return FirstOfficer(id=named, name=table["name"], roles=frozenset(table["roles"]), **files)
    except (KeyError, TypeError, OSError, UnicodeDecodeError) as error:
        raise InputUnusable(f"{path}: {named}: {error}") from error
