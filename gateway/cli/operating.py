# SPDX-License-Identifier: Apache-2.0
"""What the operator's commands share; this file is about settings and storage, imported only when they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.speaker import BadInput
from gateway.wire.policy_file import LogPolicy, parse_policy

if TYPE_CHECKING:
    from gateway.contracting.contract import ContractSet
    from gateway.settings import Settings
    from gateway.storage.engine import Storage

SettingsOption = Annotated[Path, typer.Option("--config", envvar="GATEWAY_SETTINGS", help="The gateway.toml.")]


def settings_of(path: Path) -> Settings:
    """Read the operator's settings.

    Raises:
        BadInput: when they do not hold.
    """
    from gateway.settings import SettingsInvalid, load_settings

    try:
        return load_settings(path)
    except SettingsInvalid as error:
        raise BadInput(str(error)) from error


def shown_url(url: str) -> str:
    """Return a database URL without the password in it."""
    head, at, host = url.rpartition("@")
    return f"{head.partition('://')[0]}://…@{host}" if at else url


def contracts_of(settings: Settings) -> ContractSet:
    """Load the contracts that the settings name, whether approved or not: their tables exist all the same."""
    from gateway.contracting.load import load_contracts, packaged_root

    return load_contracts(settings.contracts_dir or packaged_root())


def log_policy_of(settings: Settings) -> LogPolicy:
    """Read the log policy that the settings name.

    Raises:
        BadInput: when the file is none.
    """
    try:
        return parse_policy(settings.log_policy.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{settings.log_policy}: {error}") from error


@contextmanager
def storage_of(settings: Settings, *, read_only: bool = False) -> Iterator[tuple[Storage, ContractSet]]:
    """Open the database for the time of one command; to write, no gateway may run on the same SQLite file."""
    from gateway.storage.engine import open_storage
    from gateway.storage.migrate import check

    check(settings.database_url)
    contracts = contracts_of(settings)
    storage = open_storage(settings.database_url, read_only=read_only)
    try:
        yield storage, contracts
    finally:
        storage.close()
