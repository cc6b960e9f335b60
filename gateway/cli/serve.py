# SPDX-License-Identifier: Apache-2.0
"""`gateway serve`; this file is about running the gateway in this process."""

from __future__ import annotations

from pathlib import Path

import typer

from gateway.cli.operating import SettingsOption, settings_of


def serve(ctx: typer.Context, config: SettingsOption = Path("gateway.toml")) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C); it never makes a log or a schema by itself."""
    del ctx
    from gateway.app import serve as run

    run(settings_of(config))
