# SPDX-License-Identifier: Apache-2.0
"""`gateway db`; this file is about the schema of the database."""

from __future__ import annotations

from pathlib import Path

import typer

from gateway.cli.operating import SettingsOption, settings_of, shown_url
from gateway.cli.speaker import speaker_of

app = typer.Typer(no_args_is_help=True, help="The schema of the database.")


@app.command("upgrade")
def upgrade(ctx: typer.Context, config: SettingsOption = Path("gateway.toml")) -> None:
    """Bring the database to this program's schema; a second run changes nothing."""
    from gateway.storage import migrate

    settings = settings_of(config)
    migrate.upgrade(settings.database_url)
    speaker_of(ctx).tell("db-upgraded", url=shown_url(settings.database_url))


@app.command("check")
def check(ctx: typer.Context, config: SettingsOption = Path("gateway.toml")) -> None:
    """Say whether the database is at this program's schema."""
    from gateway.storage import migrate

    settings = settings_of(config)
    migrate.check(settings.database_url)
    speaker_of(ctx).tell("db-upgraded", url=shown_url(settings.database_url))
