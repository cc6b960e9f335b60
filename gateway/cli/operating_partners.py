# SPDX-License-Identifier: Apache-2.0
"""`gateway partners`, `log`, `reload` and `status`; this file is about acts on a gateway, running or not.

On SQLite a running gateway holds the database, so that an act goes through its operator socket; without one running,
and on PostgreSQL, the command does the same act itself.
"""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
import typer

from gateway.cli.operating import SETTINGS, SettingsOption, privacy, settings_of, storage_of
from gateway.cli.speaker import FINDING, UNREACHABLE, speaker_of
from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock
from gateway.errors import Fault

if TYPE_CHECKING:
    from gateway.settings import Settings

ACT_SECONDS_MAX = 600

partners = typer.Typer(
    no_args_is_help=True, help="Who is onboarded, and with which keys; what lets a partner in is for officers to sign."
)
log = typer.Typer(no_args_is_help=True, help="The audit log of this deployment.")

IdArgument = Annotated[str, typer.Argument(help="The partner, USA.DHS.CBP.")]


@partners.command("list")
def list_partners(config: SettingsOption = SETTINGS) -> None:
    """List every partner with its status and roles."""
    from gateway.storage import registry

    with storage_of(settings_of(config), read_only=True) as (storage, _):
        for entry in storage.read(registry.partners):
            typer.echo(f"{entry.id:24} {entry.status:10} {','.join(sorted(entry.roles)):16} {entry.name}")


@partners.command("show")
def show(ctx: typer.Context, partner_id: IdArgument, config: SettingsOption = SETTINGS) -> None:
    """Show a partner with its keys and certificates."""
    from gateway.storage import registry

    with storage_of(settings_of(config), read_only=True) as (storage, _):
        try:
            entry = storage.read(lambda tx: registry.get_partner(tx, partner_id))
        except LookupError as error:
            speaker_of(ctx).complain("fault", detail=f"there is no {partner_id}")
            raise typer.Exit(FINDING) from error
        keys = storage.read(lambda tx: registry.signing_keys(tx, partner_id))
        pins = storage.read(lambda tx: registry.pins_of(tx, partner_id))
    document = {
        "id": entry.id,
        "name": entry.name,
        "status": entry.status,
        "roles": sorted(entry.roles),
        "since": entry.since.isoformat(),
        "keys": [
            {
                "keyid": key.keyid,
                "algorithm": key.algorithm,
                "since": key.not_before.isoformat(),
                "until": key.not_after.isoformat() if key.not_after else None,
            }
            for key in keys
        ],
        "certificates": [
            {"sha256": pin.sha256.hex(), "status": pin.status, "until": pin.not_after.isoformat()} for pin in pins
        ],
    }
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


@partners.command("invite")
def invite(
    ctx: typer.Context,
    partner_id: IdArgument,
    name: Annotated[str, typer.Option(help="The body's own name.")],
    role: Annotated[list[str], typer.Option(help="provider or reader; may be given twice.")],
    days: Annotated[int, typer.Option(help="How long it may be answered.")] = 7,
    config: SettingsOption = SETTINGS,
) -> None:
    """Let a body answer once with its certificate and key (gateway join); the token is shown here and never again."""
    tell(ctx, act(settings_of(config), "invite", id=partner_id, name=name, roles=",".join(role), days=str(days)))


@partners.command("unpin")
def unpin(
    ctx: typer.Context,
    partner_id: IdArgument,
    sha256: Annotated[str, typer.Argument(help="SHA-256 of the certificate, as partners show prints it.")],
    config: SettingsOption = SETTINGS,
) -> None:
    """Let one certificate of a partner open nothing from the next request on; its others stay."""
    tell(ctx, act(settings_of(config), "unpin", id=partner_id, sha256=sha256))


@partners.command("end-key")
def end_key(
    ctx: typer.Context,
    partner_id: IdArgument,
    keyid: Annotated[str, typer.Argument(help="Thumbprint of the key, as partners show prints it.")],
    until: Annotated[str, typer.Option(help="Until when it still holds; else it ends now.")] = "",
    config: SettingsOption = SETTINGS,
) -> None:
    """Let a signing key end; what was signed with it stays proven."""
    tell(ctx, act(settings_of(config), "end-key", id=partner_id, keyid=keyid, until=until))


@partners.command("webhook")
def webhook(
    ctx: typer.Context,
    partner_id: IdArgument,
    url: Annotated[str, typer.Argument(help="An https URL; none means that the partner asks for its notices.")] = "",
    config: SettingsOption = SETTINGS,
) -> None:
    """Say where a partner's notices go: about numbers that it read and that are contested."""
    tell(ctx, act(settings_of(config), "webhook", id=partner_id, webhook=url))


@partners.command("suspend")
def suspend(ctx: typer.Context, partner_id: IdArgument, config: SettingsOption = SETTINGS) -> None:
    """Stop a partner with its next request."""
    tell(ctx, act(settings_of(config), "suspend", id=partner_id))


@partners.command("revoke")
def revoke(ctx: typer.Context, partner_id: IdArgument, config: SettingsOption = SETTINGS) -> None:
    """End a partner for good."""
    tell(ctx, act(settings_of(config), "revoke", id=partner_id))


@privacy.command("delete-expired")
def delete_expired(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Delete records whose last day has passed, as the running gateway does each day; their proofs stay."""
    done = act(settings_of(config), "delete-expired")
    speaker_of(ctx).tell("expired-deleted", count=done["deleted"])


@log.command("create")
def create(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Begin the log in a new database; starting the gateway never does."""
    tell(ctx, act(settings_of(config), "create-log"))


@log.command("confirm-restore")
def confirm_restore(
    ctx: typer.Context,
    newest_checkpoint: Annotated[
        Path | None, typer.Option(help="The newest checkpoint, proof or receipt that anyone holds.", exists=True)
    ] = None,
    none_newer: Annotated[bool, typer.Option("--none-newer", help="State that nobody holds a newer one.")] = False,
    config: SettingsOption = SETTINGS,
) -> None:
    """Let a restored log go on, once it is known not to fork."""
    if (newest_checkpoint is None) != none_newer:
        raise InputUnusable(
            "give either --newest-checkpoint FILE or --none-newer",
            "indique --newest-checkpoint ARCHIVO o bien --none-newer",
        )
    newest = b64encode(newest_checkpoint.read_bytes()).decode() if newest_checkpoint else ""
    tell(ctx, act(settings_of(config), "confirm-restore", newest=newest))


def reload(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Let the running gateway read its certificate, CAs and revocation lists again, as SIGHUP does."""
    answer = _asked(settings_of(config), "POST", "/reload")
    if answer is None:
        speaker_of(ctx).complain("not-running")
        raise typer.Exit(UNREACHABLE)
    tell(ctx, answer)


def status(ctx: typer.Context, config: SettingsOption = SETTINGS) -> None:
    """Tell how the gateway stands: 0 ready, 1 not ready, 3 not running (then what its database says)."""
    from gateway.api.operator import standing_of

    settings = settings_of(config)
    answer = _asked(settings, "GET", "/status")
    if answer is not None:
        typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
        raise typer.Exit(0 if answer["ready"] else FINDING)
    speaker_of(ctx).complain("not-running")
    with storage_of(settings, read_only=True) as (storage, _):
        typer.echo(json.dumps(standing_of(storage), indent=1, ensure_ascii=False))
    raise typer.Exit(UNREACHABLE)


def act(settings: Settings, name: str, /, **words: str) -> dict[str, Any]:
    """Do an act through the running gateway or, where it holds no lock, here.

    Raises:
        Fault: when it cannot be done.
    """
    from gateway.api.operator import OperatorDesk, perform
    from gateway.contracting.load import packaged_root
    from gateway.storage.engine import sqlite_file
    from gateway.wire.policy_file import parse_policy

    if sqlite_file(settings.database_url) and (answer := _asked(settings, "POST", f"/acts/{name}", words)) is not None:
        return answer
    with storage_of(settings) as (storage, contracts):
        desk = OperatorDesk(
            storage=storage,
            shapes=contracts.shapes,
            clock=SystemClock(),
            parties=frozenset(settings.parties),
            log_policy=parse_policy(settings.log_policy.read_text(encoding="utf-8")),
            wake=lambda: None,  # A gateway beside this command looks for events by itself.
            origin=settings.public_origin,
            root=settings.contracts_dir or packaged_root(),
        )
        return perform(desk, name, words)


def _asked(settings: Settings, method: str, path: str, words: dict[str, str] | None = None) -> dict[str, Any] | None:
    """Return what the running gateway answers on its socket, or None when there is none."""
    if settings.operator_socket is None:
        return None
    with socket.socket(socket.AF_UNIX) as knock:
        try:
            knock.connect(str(settings.operator_socket))
        except OSError:  # Nobody there, or a socket that a killed process left.
            return None
    transport = httpx2.HTTPTransport(uds=str(settings.operator_socket))
    with httpx2.Client(transport=transport, base_url="http://operator", timeout=ACT_SECONDS_MAX) as client:
        answer = client.request(method, path, json=words)
    document = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
    if not answer.is_success:
        raise Fault(document.get("refused", f"the gateway answered {answer.status_code}, see its log"))
    assert isinstance(document, dict)
    return document


def tell(ctx: typer.Context, done: dict[str, Any]) -> None:
    """Print what was done."""
    speaker_of(ctx).tell("done", detail=", ".join(f"{name} {value}" for name, value in done.items()))
