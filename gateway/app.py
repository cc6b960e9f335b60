# SPDX-License-Identifier: Apache-2.0
"""How the parts come together; this file is about composing the gateway from its settings, by plain calls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import structlog
from cryptography import x509
from prometheus_client import start_http_server

from gateway.aggregates.desk import AggregatesDesk
from gateway.aggregates.mirror import dataflows
from gateway.api.application import create_application
from gateway.api.connection import Bounds
from gateway.api.desk import Desk
from gateway.api.limits import Admission, Turns
from gateway.api.metrics import Metered, Metrics, Scraped, StandingCollector
from gateway.api.operator import (
    OperatorDesk,
    OperatorServer,
    open_operator_socket,
    operator_application,
    standing_of,
)
from gateway.api.refusals import record_handshake
from gateway.api.routes.health import reasons_against
from gateway.api.server import GatewayServer, open_port, open_socket
from gateway.api.tls import TlsFiles, TlsKeeper
from gateway.auditlog.keeper import LogKeeper
from gateway.clock import SystemClock
from gateway.contracting.load import load_contracts, packaged_root
from gateway.corrections.deliver import DeliveryDesk
from gateway.errors import Reason, Refusal
from gateway.identity.anchors import load_anchors
from gateway.intake.desk import IntakeDesk
from gateway.intake.together import Together
from gateway.jobs import JobsDesk, ends_of, jobs
from gateway.onboarding.approvals import ApprovalInvalid
from gateway.onboarding.changes import ChangesDesk
from gateway.onboarding.live import Live
from gateway.operational_log import configure_log
from gateway.policy.load import PoliciesInvalid
from gateway.preflight import problems
from gateway.settings import Settings, SettingsInvalid
from gateway.signing.envelope import BodyLimits
from gateway.storage.directory import RegistryDirectory
from gateway.storage.engine import Storage, open_storage
from gateway.storage.migrate import check
from gateway.tokens.access import TokenKey
from gateway.tokens.desk import TokensDesk
from gateway.trip import TableShape
from gateway.wire.keys import FileSigner, published_jwk
from gateway.wire.policy_file import parse_policy

FLOW = "flow"
SWITCH_SECONDS = 0.0005

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything one process holds open; `close` ends it in the order in which nothing is lost."""

    settings: Settings
    storage: Storage
    live: Live
    keeper: LogKeeper
    desk: Desk
    # Of every contract in the folder, in force or not.
    shapes: tuple[TableShape, ...]
    metrics: Metrics = field(default_factory=Metrics)

    def close(self) -> None:
        """Let the log finish its pass, then close the database."""
        self.keeper.close()
        self.storage.close()


def compose(settings: Settings) -> Gateway:
    """Open the database, load what the parties approved, and put the parts together; nothing listens yet.

    Raises:
        Fault, ValueError, OSError: when something is missing or broken, before any port is open.
    """
    check(settings.database_url)
    clock = SystemClock()
    storage = open_storage(settings.database_url)
    root = settings.contracts_dir or packaged_root()
    live = Live(storage, root, parties=tuple(settings.parties), clock=clock)
    keeper = LogKeeper(
        storage,
        FileSigner.load(settings.log_key),
        settings.log_origin,
        clock,
        idle_seconds=settings.checkpoint_idle_seconds,
    )
    intake = IntakeDesk(
        clock=clock,
        storage=storage,
        directory=RegistryDirectory(storage.read, live.follow),
        anchors=load_anchors(settings.anchors, settings.revocation_lists),
        contracts=live.contracts,
        policy=live.policy,
        limits=BodyLimits(
            sent_bytes_max=settings.body_bytes_max,
            decoded_bytes_max=settings.decoded_bytes_max,
            ratio_max=settings.decoded_ratio_max,
            memory_bytes_max=settings.spool_bytes,
        ),
        check_log=keeper.check,
        check_rules=live.check,
        sandbox=settings.sandbox,
    )
    changes = ChangesDesk(storage, live.policy, clock, frozenset(settings.parties), settings.public_origin, root)
    shapes = load_contracts(root).shapes
    return Gateway(settings, storage, live, keeper, _edge_desk(settings, intake, keeper, changes), shapes)


def _edge_desk(settings: Settings, intake: IntakeDesk, keeper: LogKeeper, changes: ChangesDesk) -> Desk:
    signer = FileSigner.load(settings.answer_key)
    return Desk(
        intake=intake,
        together=Together(intake),
        aggregates=_aggregates(intake),
        changes=changes,
        keeper=keeper,
        answer_signer=signer,
        answer_keys=(published_jwk(signer),),
        log_policy=parse_policy(settings.log_policy.read_text(encoding="utf-8")),
        public_origin=settings.public_origin,
        peer_mode=settings.peer_mode,
        body_bytes_max=settings.body_bytes_max,
        body_seconds=settings.body_seconds_max,
        receipt_wait_seconds=settings.receipt_wait_seconds,
        rate=Admission(per_second=settings.requests_per_second, burst=settings.requests_burst),
        turns=Turns(max(1, settings.worker_threads // 4)),
        submitting=anyio.CapacityLimiter(settings.worker_threads),
        reading=anyio.CapacityLimiter(settings.worker_threads),
        tokens=_tokens(settings, intake),
    )


def _tokens(settings: Settings, intake: IntakeDesk) -> TokensDesk | None:
    if settings.token_key is None:
        return None
    return TokensDesk(
        intake.clock,
        intake.storage,
        intake.policy,
        TokenKey.load(settings.token_key),
        issuer=settings.public_origin,
        seconds=settings.token_seconds,
    )


def _aggregates(intake: IntakeDesk) -> AggregatesDesk:
    flow, structures = dataflows(intake.contracts, FLOW)
    return AggregatesDesk(intake.clock, intake.storage, intake.policy, intake.contracts, flow, structures)


def serve(settings: Settings) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Raises:
        SettingsInvalid: with a sentence for each problem, before anything is open.
    """
    configure_log()
    if found := list(problems(settings, at=SystemClock().now())):
        raise SettingsInvalid("\n".join(found))
    try:
        gateway = compose(settings)
    except (ApprovalInvalid, PoliciesInvalid) as error:
        raise SettingsInvalid(
            f"{error}; a new deployment is founded first: gateway govern draft, govern found"
        ) from error
    # What stands from the start is no garbage: a large answer spent a quarter of its time on looking at it again.
    gc.freeze()
    # A thread that comes back from the database would wait five milliseconds for one that computes, each time.
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with _named("listen_socket or listen_port", settings.listen_socket or settings.listen_port):
            port = (
                open_socket(settings.listen_socket)
                if settings.peer_mode == "proxy" and settings.listen_socket
                else open_port(settings.listen_host, settings.listen_port)
            )
        if settings.address_file and settings.peer_mode == "direct":
            host, number = port.getsockname()[:2]
            write_address(settings.address_file, host, number)
        application = create_application(gateway.desk, lifespan=partial(_lifespan, gateway))
        server = GatewayServer(
            Metered(application, gateway.metrics, frozenset(shape.product for shape in gateway.live.contracts.shapes)),
            port,
            tls=_tls(settings),
            bounds=_bounds(settings),
            on_refused=partial(_record_handshake, gateway),
            watched=(gateway.desk.intake.anchors,),
        )
        with _metrics_listener(gateway, lambda: len(server.server_state.connections)):
            server.run()
    finally:
        gateway.close()


def write_address(file: Path, host: str, port: int) -> None:
    """Write where the gateway listens, whole or not at all.

    Raises:
        SettingsInvalid: when there is no place for it.
    """
    aside = file.with_name(f"{file.name}.partial")
    with _named("address_file", file):
        aside.write_text(f"{host}:{port}\n", encoding="utf-8")
        aside.replace(file)


@contextlib.contextmanager
def _named(setting: str, value: object) -> Iterator[None]:
    """Say which setting it was when a port, socket or file cannot be opened."""
    try:
        yield
    except OSError as error:
        raise SettingsInvalid(f"{setting}: {value} cannot be opened ({error.strerror}); take another one") from error


@contextlib.contextmanager
def _metrics_listener(gateway: Gateway, connections: Callable[[], int]) -> Iterator[None]:
    settings, metrics = gateway.settings, gateway.metrics
    if not settings.metrics_port:
        yield
        return
    scraped = Scraped(gateway.desk, partial(_expiries, gateway), connections, partial(ends_of, gateway.desk))
    metrics.registry.register(StandingCollector(scraped, metrics))
    with _named("metrics_port", settings.metrics_port):
        listener, thread = start_http_server(settings.metrics_port, settings.metrics_host, metrics.registry)
    try:
        yield
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _expiries(gateway: Gateway) -> Mapping[str, datetime]:
    """Return when the certificates end that the gateway lives by: its own, and each country's last CA."""
    countries = gateway.desk.intake.anchors.current.by_country.items()
    ends = {f"anchors {name}": max(ca.not_valid_after_utc for ca in known.certificates) for name, known in countries}
    path = gateway.settings.tls_certificate
    if gateway.settings.peer_mode == "direct" and path:
        with contextlib.suppress(OSError, ValueError):  # A file that is being replaced; the next scrape sees it.
            ends["server"] = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return ends


def _operator(gateway: Gateway, path: Path) -> OperatorServer:
    intake = gateway.desk.intake
    desk = OperatorDesk(
        storage=gateway.storage,
        shapes=gateway.shapes,
        clock=intake.clock,
        parties=frozenset(gateway.settings.parties),
        log_policy=gateway.desk.log_policy,
        wake=gateway.keeper.wake,
        origin=gateway.settings.public_origin,
        root=gateway.desk.changes.root,
    )
    return OperatorServer(
        operator_application(desk, partial(_status, gateway)),
        open_operator_socket(path),
        tls=None,
        bounds=Bounds(connections_max=8),
        on_refused=lambda _reason, _address: None,
    )


def _status(gateway: Gateway) -> dict[str, Any]:
    reasons = reasons_against(gateway.desk)
    contracts = sorted(f"{one.ref.product}/{one.ref.version}" for one in gateway.live.contracts.contracts)
    try:
        standing = standing_of(gateway.storage)
    except Refusal:  # Among the reasons already.
        standing = {}
    return {"ready": not reasons, "reasons": reasons, **standing, "contracts": contracts}


def _bounds(settings: Settings) -> Bounds:
    share = max(1, settings.connections_max // 4)
    return Bounds(
        connections_max=settings.connections_max,
        handshakes_per_network_max=share,
        connections_per_certificate_max=share,
        body_seconds=settings.body_seconds_max,
    )


def _tls(settings: Settings) -> TlsKeeper | None:
    if settings.peer_mode == "proxy":
        return None
    assert settings.tls_certificate
    assert settings.tls_key
    files = TlsFiles(
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        anchors=tuple(settings.anchors.values()),
        revocation_lists=tuple(settings.revocation_lists.values()),
        tls12=settings.tls12,
    )
    return TlsKeeper(files)


@contextlib.asynccontextmanager
async def _lifespan(gateway: Gateway, _app: object) -> AsyncIterator[None]:
    gateway.keeper.start()
    running = [asyncio.create_task(job) for job in jobs(_jobs_desk(gateway))]
    path = gateway.settings.operator_socket
    operator = _operator(gateway, path) if path else None
    listening = asyncio.create_task(operator.serve()) if operator else None
    try:
        yield
    finally:
        if operator and listening and path:
            operator.should_exit = True
            await listening
            path.unlink(missing_ok=True)
        for job in running:
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _jobs_desk(gateway: Gateway) -> JobsDesk:
    settings, intake = gateway.settings, gateway.desk.intake
    trust = ssl.create_default_context(cafile=str(settings.webhook_anchors) if settings.webhook_anchors else None)
    signer = gateway.desk.answer_signer
    return JobsDesk(
        desk=gateway.desk,
        delivery=DeliveryDesk(intake.clock, gateway.storage, signer, trust=trust, private=settings.sandbox),
        metrics=gateway.metrics,
        retention_hour=settings.retention_hour,
        follow=partial(gateway.live.look, gateway.storage),
        enacts=settings.enact_changes,
        shapes=gateway.shapes,
    )


def _record_handshake(gateway: Gateway, reason: Reason, address: str) -> None:
    """Record a refused handshake off the event loop; the alert has left already and nobody waits."""
    gateway.metrics.refusals.labels(reason.value).inc()

    def record() -> None:
        try:
            record_handshake(gateway.desk, reason, address, at=gateway.desk.intake.clock.now())
        except Refusal as away:
            log.warning("handshake not recorded", reason=reason, cause=away.reason)

    asyncio.get_running_loop().run_in_executor(None, record)
