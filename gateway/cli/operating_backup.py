# SPDX-License-Identifier: Apache-2.0
"""`gateway backup`, `backup verify` and `restore`; this file is about the operator's copies and how they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli.operating import SETTINGS, SettingsOption, checked, counting, settings_of
from gateway.cli.speaker import FINDING, speaker_of
from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock

MAKE = "make"


class _MakeByDefault(TyperGroup):
    """`gateway backup FILE` makes one; `gateway backup verify FILE` is a command of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the name of the default command."""
        return super().parse_args(ctx, args if args and args[0] in {*self.commands, "--help"} else [MAKE, *args])


backup = typer.Typer(cls=_MakeByDefault, help="Encrypted copies of the database, made beside a running gateway.")

IdentityOption = Annotated[Path, typer.Option(help="The age private key, as age-keygen writes it.", exists=True)]
FileArgument = Annotated[Path, typer.Argument(help="The backup.", exists=True, dir_okay=False)]


@backup.command(MAKE, hidden=True)
def make(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file, or a folder for gateway-<time>.age.")],
    recipient: Annotated[
        list[str] | None, typer.Option(help="age public key; by default those of backup_recipients.")
    ] = None,
    config: SettingsOption = SETTINGS,
) -> None:
    """Write an encrypted backup that only the recipients' private keys open; the gateway goes on meanwhile."""
    from gateway.storage.backup import back_up

    settings, now = settings_of(config), SystemClock().now()
    recipients = recipient or settings.backup_recipients
    if not recipients:
        raise InputUnusable("--recipient or backup_recipients is needed; age-keygen makes a pair of keys")
    target = file / f"gateway-{now:%Y%m%dT%H%M%SZ}.age" if file.is_dir() else file
    with counting() as (progress, _):
        made = back_up(
            settings.database_url,
            target,
            recipients,
            programs=settings.postgresql_programs,
            at=now,
            progress=progress,
        )
    speaker_of(ctx).tell("backup-made", path=target, size=made.facts.tree_size, origin=made.facts.origin)


@backup.command("verify")
def verify(
    ctx: typer.Context,
    file: FileArgument,
    identity: IdentityOption,
    scratch: Annotated[str, typer.Option(help="Address of an empty database; by default one is made.")] = "",
    config: SettingsOption = SETTINGS,
) -> None:
    """Restore a backup into a database that is thrown away, and run fsck over it."""
    from gateway.storage.backup import restore as fill
    from gateway.storage.migrate import upgrade

    settings, speaker = settings_of(config), speaker_of(ctx)
    with _scratch(settings.database_url, scratch) as url:
        with counting() as (progress, _):
            made = fill(
                file,
                _identity(identity),
                url,
                programs=settings.postgresql_programs,
                at=SystemClock().now(),
                progress=progress,
                owners=False,
            )
        upgrade(url)
        found = checked(speaker, settings.model_copy(update={"database_url": url}))
    if found:
        raise typer.Exit(FINDING)
    speaker.tell("backup-verified", path=file, size=made.facts.tree_size, at=made.made_at)


def restore(
    ctx: typer.Context, file: FileArgument, identity: IdentityOption, config: SettingsOption = SETTINGS
) -> None:
    """Restore a backup into an empty database; its log is not signed before `gateway log confirm-restore`."""
    from gateway.storage.backup import restore as fill
    from gateway.storage.migrate import upgrade

    settings = settings_of(config)
    with counting() as (progress, _):
        made = fill(
            file,
            _identity(identity),
            settings.database_url,
            programs=settings.postgresql_programs,
            at=SystemClock().now(),
            progress=progress,
        )
    upgrade(settings.database_url)
    speaker_of(ctx).tell("restored", size=made.facts.tree_size, at=made.made_at)


@contextmanager
def _scratch(url: str, given: str) -> Iterator[str]:
    from gateway.storage.snapshot import scratch

    if given:
        yield given
        return
    with scratch(url) as made:
        yield made


def _identity(path: Path) -> str:
    """Return the key of an age identity file, whose other lines are comments."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1:
        raise InputUnusable(f"{path}: one line AGE-SECRET-KEY-1… is expected")
    return keys[0]
