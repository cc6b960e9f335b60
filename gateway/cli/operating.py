# SPDX-License-Identifier: Apache-2.0
"""`gateway serve`, `config`, `fsck`, `db`, `privacy` and `sandbox`; this file is about the operator's commands.

Each imports the server when it runs: the base package has these commands, and says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gateway.cli.connecting import log_policy_of
from gateway.cli.speaker import FINDING, Speaker, on_terminal, speaker_of
from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock

if TYPE_CHECKING:
    from gateway.contracting.contract import ContractSet
    from gateway.review.findings import Progress as Counting
    from gateway.settings import Settings
    from gateway.storage.engine import Storage

SETTINGS = Path("gateway.toml")
SettingsOption = Annotated[Path, typer.Option("--config", envvar="GATEWAY_SETTINGS", help="The gateway.toml.")]

config_app = typer.Typer(no_args_is_help=True, help="The settings: what they are, and whether they hold.")
db = typer.Typer(no_args_is_help=True, help="The schema of the database.")
privacy = typer.Typer(no_args_is_help=True, help="Where personal data may lie, and its deletion.")
sandbox = typer.Typer(no_args_is_help=True, help="A test deployment: three countries, their agencies and officers.")


def serve(config: SettingsOption = SETTINGS) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C); it never makes a log or a schema by itself."""
    from gateway.app import serve as run
    from gateway.settings import SettingsInvalid

    try:
        run(settings_of(config))
    except SettingsInvalid as error:
        raise InputUnusable(str(error)) from error


@config_app.command("check")
def check_config(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Look at all that the settings point to, as the gateway does before it starts; exit code 2 for any problem."""
    from gateway.preflight import problems, warnings

    speaker, settings, now = speaker_of(ctx), settings_of(config), SystemClock().now()
    for sentence in warnings(settings, at=now):
        speaker.complain("warning", detail=sentence)
    found = list(problems(settings, at=now))
    if found:
        raise InputUnusable("\n".join(found))
    speaker.tell("config-ok", path=config)


@config_app.command("show")
def show_config(config: SettingsOption = SETTINGS) -> None:
    """Print every setting: its value here, its default, its bound, and what it is. Keys are paths, never contents."""
    from gateway.settings import bound_of

    settings = settings_of(config)
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        shown = _without_password(value) if name == "database_url" else value
        default = "" if field.is_required() else f", default {field.get_default(call_default_factory=True)}"
        bound = f", {found}" if (found := bound_of(name)) else ""
        typer.echo(f"{name} = {_plain(shown)}{default}{bound}\n    {field.description}")


def fsck(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Fold the log again, open every event and rebuild every record's line; it only reads, beside a running gateway."""
    if checked(speaker_of(ctx), settings_of(config)):
        raise typer.Exit(FINDING)


def checked(speaker: Speaker, settings: Settings) -> int:
    """Run fsck over a database, tell of it, and return the number of findings."""
    from gateway.review.fsck import fsck as check

    verifier = log_policy_of(settings.log_policy).logs[0].verifier
    found = 0
    with storage_of(settings, read_only=True) as (storage, contracts), counting() as (progress, counts):
        for finding in check(storage, contracts, verifier, progress=progress):
            found += 1
            speaker.tell("fsck-finding", finding=finding)
    if found:
        speaker.tell("fsck-count", count=found)
    else:
        speaker.tell("fsck-clean", checked=", ".join(f"{count} {what}" for what, count in counts.items()) or "-")
    return found


@db.command("upgrade")
def upgrade(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Bring the database to this program's schema; a second run changes nothing."""
    from gateway.storage import migrate

    url = settings_of(config).database_url
    migrate.upgrade(url)
    speaker_of(ctx).tell("db-upgraded", url=_without_password(url))


@db.command("check")
def check(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Say whether the database is at this program's schema."""
    from gateway.storage import migrate

    url = settings_of(config).database_url
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
    with storage_of(settings_of(config), read_only=True) as (storage, contracts):
        for kept in take(storage, contracts.shapes):
            table.add_row(kept.table, f"{kept.count}", kept.oldest or "-", kept.why)
    for place, why in ELSEWHERE.items():
        table.add_row(place, "-", "-", why)
    Console(soft_wrap=True).print(table)


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


def settings_of(path: Path) -> Settings:
    """Read the settings, or raise InputUnusable with a sentence for each that does not hold."""
    from gateway.settings import SettingsInvalid, load_settings

    try:
        return load_settings(path)
    except SettingsInvalid as error:
        raise InputUnusable(str(error)) from error


@contextmanager
def storage_of(settings: Settings, *, read_only: bool = False) -> Iterator[tuple[Storage, ContractSet]]:
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


def _plain(value: object) -> object:
    return {key: str(part) for key, part in value.items()} if isinstance(value, dict) else value


@contextmanager
def counting() -> Iterator[tuple[Counting, dict[str, int]]]:
    """Yield what keeps the counts of a long command and, on a terminal, shows them."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    counts: dict[str, int] = {}
    tasks = {}
    with Progress(*columns, console=Console(stderr=True), disable=not on_terminal()) as bar:

        def show(what: str, number: int, /) -> None:
            counts[what] = number
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            bar.update(tasks[what], completed=number)

        yield show, counts
