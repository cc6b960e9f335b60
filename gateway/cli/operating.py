# SPDX-License-Identifier: Apache-2.0
"""`gateway serve`, `fsck`, `db`, `privacy` and `sandbox`; this file is about the operator's commands.

Each imports the server when it runs: the base package has these commands, and says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gateway.cli.connecting import log_policy_of
from gateway.cli.speaker import FINDING, on_terminal, speaker_of
from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock

if TYPE_CHECKING:
    from gateway.contracting.contract import ContractSet
    from gateway.review.findings import Progress as Counting
    from gateway.settings import Settings
    from gateway.storage.engine import Storage

SETTINGS = Path("gateway.toml")
SettingsOption = Annotated[Path, typer.Option("--config", envvar="GATEWAY_SETTINGS", help="The gateway.toml.")]

db = typer.Typer(no_args_is_help=True, help="The schema of the database.")
privacy = typer.Typer(no_args_is_help=True, help="Where personal data may lie, and its deletion.")
sandbox = typer.Typer(no_args_is_help=True, help="A test deployment: three countries, their agencies and officers.")


def serve(config: SettingsOption = SETTINGS) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C); it never makes a log or a schema by itself."""
    from gateway.app import serve as run

    run(_settings(config))


def fsck(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Fold the log again, open every event and rebuild every record's line; it only reads, beside a running gateway."""
    from gateway.review.fsck import fsck as check

    speaker = speaker_of(ctx)
    settings = _settings(config)
    verifier = log_policy_of(settings.log_policy).logs[0].verifier
    counts: dict[str, int] = {}
    found = 0
    with _storage(settings, read_only=True) as (storage, contracts), ExitStack() as stack:
        for finding in check(storage, contracts, verifier, progress=_counting(stack, counts)):
            found += 1
            speaker.tell("fsck-finding", finding=finding)
    if found:
        speaker.tell("fsck-count", count=found)
        raise typer.Exit(FINDING)
    speaker.tell("fsck-clean", checked=", ".join(f"{count} {what}" for what, count in counts.items()) or "-")


@db.command("upgrade")
def upgrade(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Bring the database to this program's schema; a second run changes nothing."""
    from gateway.storage import migrate

    url = _settings(config).database_url
    migrate.upgrade(url)
    speaker_of(ctx).tell("db-upgraded", url=_without_password(url))


@db.command("check")
def check(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Say whether the database is at this program's schema."""
    from gateway.storage import migrate

    url = _settings(config).database_url
    migrate.check(url)
    speaker_of(ctx).tell("db-upgraded", url=_without_password(url))


@privacy.command("inventory")
def inventory(config: SettingsOption = SETTINGS) -> None:
    """Print what may concern a person: counts and oldest dates, never a row."""
    from gateway.review.inventory import ELSEWHERE
    from gateway.review.inventory import inventory as take

    table = Table(show_lines=False)
    for name in ("where", "count", "oldest", "what and how long"):
        table.add_column(name, overflow="fold", justify="right" if name == "count" else "left")
    with _storage(_settings(config), read_only=True) as (storage, contracts):
        for kept in take(storage, contracts.shapes):
            table.add_row(kept.table, f"{kept.count}", kept.oldest or "-", kept.why)
    for place, why in ELSEWHERE.items():
        table.add_row(place, "-", "-", why)
    Console(soft_wrap=True).print(table)


@privacy.command("delete-expired")
def delete_expired(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Delete records whose last day has passed, as the running gateway does each day; their proofs stay."""
    from gateway.intake.retention import delete_expired as delete

    with _storage(_settings(config)) as (storage, contracts):
        count = delete(storage, contracts.shapes, clock=SystemClock())
    speaker_of(ctx).tell("expired-deleted", count=count)


@sandbox.command("init")
def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8443,
    database_url: Annotated[str, typer.Option(help="postgresql+psycopg://…; by default SQLite in the folder.")] = "",
) -> None:
    """Make CAs, certificates, keys, officers, approvals, agreements, a log and a database. All keys are test keys."""
    from gateway.onboarding.sandbox import create_sandbox

    speaker = speaker_of(ctx)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputUnusable(speaker.say("exists", path=folder))
    files = create_sandbox(folder, port=port, engine_url=database_url or None)
    speaker.tell("sandbox-made", folder=folder)
    speaker.tell("sandbox-serve", path=files.settings)


def _settings(path: Path) -> Settings:
    from gateway.settings import SettingsInvalid, load_settings

    try:
        return load_settings(path)
    except SettingsInvalid as error:
        raise InputUnusable(str(error)) from error


@contextmanager
def _storage(settings: Settings, *, read_only: bool = False) -> Iterator[tuple[Storage, ContractSet]]:
    """Open the database for the time of one command; to write, no gateway may run on the same SQLite file."""
    from gateway.contracting.load import load_contracts, packaged_root
    from gateway.storage import migrate
    from gateway.storage.engine import open_storage

    migrate.check(settings.database_url)
    # All contracts, whether approved or not: their tables exist all the same.
    contracts = load_contracts(settings.contracts_dir or packaged_root())
    storage = open_storage(settings.database_url, read_only=read_only)
    try:
        yield storage, contracts
    finally:
        storage.close()


def _without_password(url: str) -> str:
    head, at, host = url.rpartition("@")
    return f"{head.partition('://')[0]}://…@{host}" if at else url


def _counting(stack: ExitStack, counts: dict[str, int]) -> Counting:
    """Return what keeps the counts of a check and, on a terminal, shows them."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), disable=not on_terminal()))
    tasks = {}

    def show(what: str, number: int, /) -> None:
        counts[what] = number
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=None)
        bar.update(tasks[what], completed=number)

    return show
