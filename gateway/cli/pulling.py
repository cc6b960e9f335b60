# SPDX-License-Identifier: Apache-2.0
"""`gateway pull` and `gateway proxy`; this file is about how statistics come to a partner, and to its tools."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from gateway.cli.connecting import CONFIG, ConfigOption, FromOption, ToOption, client_of
from gateway.cli.speaker import on_terminal, speaker_of
from gateway.client import reading
from gateway.client.failures import InputUnusable
from gateway.client.proxy import Proxy
from gateway.client.saved import signature_path
from gateway.operational_log import configure_log

PurposeOption = Annotated[str, typer.Option(help="A purpose of the agreement, where it has several.")]


def pull(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write: .csv, .xlsx or .parquet.")],
    flow: Annotated[str, typer.Argument(help="The dataflow: an id, or agency/id/version.")] = reading.FLOW,
    key: Annotated[str, typer.Option(help="SDMX key, dimension values joined by dots; * for all.")] = "*",
    where: Annotated[
        list[str] | None,
        typer.Option(help="A filter: CITIZENSHIP=GTM, CITIZENSHIP=GTM,HND or SEX!=_T; may be repeated."),
    ] = None,
    start: FromOption = "",
    end: ToOption = "",
    as_of: Annotated[str, typer.Option(help="The numbers as they stood then: a day (its start, UTC) or instant.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Every version of each number.")] = False,
    purpose: PurposeOption = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Fetch statistics under an agreement into a file, prove that the gateway said exactly this, and keep the proof.

    Run again after a broken line: the file is the old one until the new one is whole. `gateway verify` checks it later.
    """
    speaker = speaker_of(ctx)
    asked = reading.Asked(
        key=key, where=_filters(where or []), start=start, end=end, as_of=as_of, history=history, purpose=purpose
    )
    with client_of(config, speaker) as client, ExitStack() as stack:
        rows = client.pull_file(output, flow, progress=_progress(stack, output), **asked)
    if rows:
        speaker.tell("pulled", rows=rows, path=output)
        speaker.tell("pull-signed", path=signature_path(output))
    else:
        speaker.tell("pull-empty")


def proxy(
    ctx: typer.Context,
    listen: Annotated[str, typer.Option(help="Where to listen; a loopback address only.")] = "127.0.0.1:8765",
    purpose: PurposeOption = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Let pandas, R, Excel or Power BI on this machine read statistics: adds the certificate and the purpose.

    Everyone who works on this machine can read through it while it runs. Ends with Ctrl-C.
    """
    speaker = speaker_of(ctx)
    host, _, port = listen.rpartition(":")
    if not port.isascii() or not port.isdigit():
        raise InputUnusable(f"--listen {listen}: 127.0.0.1:8765")
    configure_log()
    with client_of(config, speaker) as client:
        try:
            server = Proxy(client.channel, host=host.strip("[]"), port=int(port), purpose=purpose)
        except (OSError, OverflowError) as error:
            raise InputUnusable(f"--listen {listen}: {error}") from error
        with server, suppress(KeyboardInterrupt):
            speaker.tell("proxy-ready", url=f"http://{server.address}/sdmx/v2/")
            server.serve_forever()


def _filters(texts: list[str]) -> dict[str, str]:
    filters: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name.endswith("!"):
            name, value = name[:-1], value and f"ne:{value}"
        if not name or not value or name.upper() in filters:
            raise InputUnusable(f"--where {text!r}: CITIZENSHIP=GTM,HND")
        filters[name.upper()] = value
    return filters


def _progress(stack: ExitStack, output: Path) -> reading.Progress | None:
    if not on_terminal():
        return None
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
    task = bar.add_task(output.name, total=None)
    return lambda size, total: bar.update(task, total=total, completed=size)
