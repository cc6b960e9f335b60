# SPDX-License-Identifier: Apache-2.0
"""`gateway policy`; this file is about asking the policies: why, what if, who may, who could see and who did.

It reads the deployment's database beside a running gateway and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.operating import SETTINGS, SettingsOption, settings_of, storage_of
from gateway.cli.speaker import FINDING, speaker_of
from gateway.client.failures import InputUnusable
from gateway.clock import SystemClock, parse_instant

if TYPE_CHECKING:
    from gateway.policy.decide import DecisionPoint
    from gateway.storage.engine import Storage

DAYS = 30
app = typer.Typer(no_args_is_help=True, help="Why a request is permitted or denied, and what other rules would say.")
OwnerArgument = Annotated[str, typer.Argument(help="Whose numbers: a country, USA.")]
SinceOption = Annotated[
    str, typer.Option(help="From this instant, 2026-11-01T00:00:00.000000Z; else the last 30 days.")
]
ProposedOption = Annotated[Path, typer.Option(help="The contracts folder that is proposed, as if all had approved it.")]


@app.command()
def explain(
    partner: Annotated[str, typer.Option("--as", help="Who would ask: the id of a partner or officer.")],
    action: Annotated[
        str,
        typer.Option(help="submit, validate, read-own, read-flow, contest, review-audit, narrow, propose or approve."),
    ],
    owner: Annotated[str, typer.Option(help="Whose flow cells, audit events or contested numbers.")] = "",
    product: Annotated[str, typer.Option(help="The data product.")] = "flow",
    purpose: Annotated[str, typer.Option(help="What a reading is for.")] = "STATISTICS",
    viewer: Annotated[str, typer.Option("--for", help="Tell only what this country may know.")] = "",
    config: SettingsOption = SETTINGS,
) -> None:
    """Name the policies that decide, or what the nearest ones lack; exit code 1 when it is denied."""
    from gateway.policy.explain import Explainer
    from gateway.policy.requests import supposed
    from gateway.review.replay import principals

    with _in_force(config) as (storage, point, at):
        asker = storage.read(principals).get(partner)
        if asker is None:
            raise InputUnusable(f"--as {partner}: nobody of that id is enrolled")
        request = supposed(asker, action, owner=owner, product=product, purpose=purpose, at=at)
        told = Explainer(point).explain(request, viewer=viewer or None)
    _print(asdict(told))
    if not told.permitted:
        raise typer.Exit(FINDING)


@app.command()
def simulate(contracts: ProposedOption, since: SinceOption = "", config: SettingsOption = SETTINGS) -> None:
    """Ask a proposed set about every recorded decision and list each that would change, with its request."""
    from gateway.review.replay import evidence_of
    from gateway.review.replay import simulate as replay

    with _in_force(config) as (storage, point, at):
        proposed = _proposed(contracts, point)
        found = storage.read(lambda tx: replay(tx, proposed, since=_since(since, at)))
    for change in found.changes:
        _print(evidence_of(change))
    _print({"replayed": found.replayed, "not_replayed": found.not_replayed, "changes": len(found.changes)})


@app.command()
def prove(ctx: typer.Context, contracts: ProposedOption, config: SettingsOption = SETTINGS) -> None:
    """Prove that no agreement of a proposed set overrides the floor; exit code 1 with a request that shows it does."""
    from gateway.contracting.strict_yaml import read_yaml
    from gateway.policy.load import load_rules, newest_of
    from gateway.policy.proof import prove as proven

    with _in_force(config) as (_, point, _at):
        parties, products = point.policies.parties, point.policies.products
    violations = proven(load_rules(contracts)[-1], newest_of(contracts, read_yaml), parties, products)
    for violation in violations:
        _print(asdict(violation))
    if violations:
        raise typer.Exit(FINDING)
    speaker_of(ctx).tell("proven")


@app.command()
def matrix(config: SettingsOption = SETTINGS) -> None:
    """Print who may do what: asker, act, product, owner, listener, purposes, policies. All else is denied."""
    from gateway.api.operator import ACTS
    from gateway.policy.matrix import matrix as lines
    from gateway.policy.matrix import of_operator
    from gateway.review.replay import principals

    with _in_force(config) as (storage, point, at):
        active = storage.read(lambda tx: principals(tx, active_only=True))
        for line in (*lines(point, active.values(), at=at), *of_operator(ACTS)):
            typer.echo(line.text())


@app.command("who-could-see")
def who_could_see(owner: OwnerArgument, product: str = "flow", config: SettingsOption = SETTINGS) -> None:
    """Print who could read a country's product today, under which policies and for which purposes."""
    from gateway.policy.matrix import could_see
    from gateway.policy.matrix import matrix as lines
    from gateway.review.replay import principals

    with _in_force(config) as (storage, point, at):
        active = storage.read(lambda tx: principals(tx, active_only=True))
        for line in could_see(lines(point, active.values(), at=at), owner=owner, product=product):
            typer.echo(line.text())


@app.command("who-did-see")
def who_did_see(owner: OwnerArgument, since: SinceOption = "", config: SettingsOption = SETTINGS) -> None:
    """Print who read a country's numbers, from the audit log: how often, from when until when, for what."""
    from gateway.review.replay import did_see

    with _in_force(config) as (storage, _, at):
        _print(storage.read(lambda tx: did_see(tx, owner=owner, since=_since(since, at))))


@app.command()
def pages(
    ctx: typer.Context,
    contracts: Annotated[Path, typer.Argument(help="The contracts folder.")],
) -> None:
    """Write each agreement as a page in English and in Spanish, where it is not as it should be."""
    from gateway.contracting.strict_yaml import read_yaml
    from gateway.policy.pages import write_pages

    for path in write_pages(contracts, read_yaml):
        speaker_of(ctx).tell("contract-built", path=path)


@contextmanager
def _in_force(config: Path) -> Iterator[tuple[Storage, DecisionPoint, datetime]]:
    from gateway.contracting.load import packaged_root
    from gateway.onboarding.in_force import load_in_force
    from gateway.policy.decide import DecisionPoint

    settings, at = settings_of(config), SystemClock().now()
    with storage_of(settings, read_only=True) as (storage, _):
        root = settings.contracts_dir or packaged_root()
        policies = load_in_force(storage, root, parties=settings.parties, at=at).policies
        yield storage, DecisionPoint(policies), at


def _proposed(root: Path, point: DecisionPoint) -> DecisionPoint:
    from gateway.contracting.strict_yaml import read_yaml
    from gateway.policy.decide import DecisionPoint
    from gateway.policy.load import compile_policies, load_rules, newest_of

    parties, products = point.policies.parties, point.policies.products
    agreements = newest_of(root, read_yaml)
    return DecisionPoint(compile_policies(load_rules(root)[-1], agreements, parties=parties, products=products))


def _since(text: str, at: datetime) -> datetime:
    try:
        return parse_instant(text) if text else at - timedelta(days=DAYS)
    except ValueError as error:
        raise InputUnusable("--since reads like 2026-11-01T00:00:00.000000Z") from error


def _print(value: Any) -> None:
    # A request that shows a violation has times and sets in it.
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
