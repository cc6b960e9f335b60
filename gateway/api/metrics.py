# SPDX-License-Identifier: Apache-2.0
"""What a machine may watch; this file is about the Prometheus metrics, on a listener of their own.

No label names a partner, an officer or anything that was sent: counts by partner belong to the audit log, which says
who may see them. What the database knows is read when somebody scrapes, so that nothing here can be out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.desk import Desk
from gateway.api.routes.health import reasons_against
from gateway.auditlog.keeper import KeeperStatus
from gateway.errors import StorageUnavailable
from gateway.onboarding.expiry import Ending, first_ends
from gateway.storage import log

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
UNKNOWN = "unknown"
SUBMIT_ROUTE = "/v1/submissions/{product}/{version}"
_OUTCOMES = {201: "accepted", 202: "accepted", 200: "repeated"}


class Metrics:
    """The registry of this process, and the counters that requests move."""

    def __init__(self) -> None:
        # When a counter began is a series more for each, and up{} tells it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.submissions = Counter(
            "gateway_submissions_total",
            "Submissions answered, by outcome: accepted, repeated or refused.",
            ["outcome", "product"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "gateway_refusals_total", "Requests and handshakes refused.", ["reason"], registry=self.registry
        )
        self.seconds = Histogram(
            "gateway_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.retention_done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scraped:
    """What is asked at each scrape: `expiries` are the ends of certificates by what they are for, never by whom."""

    desk: Desk
    expiries: Callable[[], Mapping[str, datetime]]
    connections: Callable[[], int]
    endings: Callable[[], Iterable[Ending]]


class Metered:
    """The application with a clock and a count around each request."""

    def __init__(self, inner: ASGIApp, metrics: Metrics, products: frozenset[str]) -> None:
        self._inner = inner
        self._metrics = metrics
        self._products = products

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and count it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        status, began = 0, perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, sending)
        finally:
            self._count(scope, status, perf_counter() - began)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # A path is whatever a caller writes; only the pattern that it matched is one of few.
        route = str(getattr(scope.get("route"), "path", UNKNOWN))
        self._metrics.seconds.labels(route).observe(seconds)
        if reason := getattr(scope["state"].get("visit"), "reason", ""):
            self._metrics.refusals.labels(reason).inc()
        if route == SUBMIT_ROUTE:
            product = scope["path_params"]["product"]
            outcome = _OUTCOMES.get(status, "refused" if reason else "failed")
            self._metrics.submissions.labels(outcome, product if product in self._products else UNKNOWN).inc()


class StandingCollector(Collector):
    """Reads how the gateway stands; what cannot be read because the database is away is left out."""

    def __init__(self, scraped: Scraped, metrics: Metrics) -> None:
        self._scraped = scraped
        self._metrics = metrics

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing ahead of time: registering must not read the database."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge."""
        desk = self._scraped.desk
        now = desk.intake.clock.now()
        yield _gauge("gateway_ready", "1 when a submission would be accepted now.", float(not reasons_against(desk)))
        status = desk.keeper.state.status
        states = {str(state): float(state is status) for state in KeeperStatus}
        yield _gauges("gateway_log_state", "1 for the state in which the log is.", "status", states)
        yield from self._log(now)
        ends = {name: (end - now).total_seconds() for name, end in self._scraped.expiries().items()}
        yield _gauges("gateway_certificate_expiry_seconds", "Seconds until a certificate ends.", "subject", ends)
        yield from self._ends(now)
        lists = {
            country: (anchor.crl_until - now).total_seconds()
            for country, anchor in desk.intake.anchors.current.by_country.items()
            if anchor.crl_until is not None
        }
        yield _gauges("gateway_crl_expiry_seconds", "Seconds until a revocation list is stale.", "country", lists)
        if self._metrics.retention_done_at is not None:
            done = self._metrics.retention_done_at.timestamp()
            yield _gauge("gateway_retention_last_success_seconds", "Unix time of the last daily deletion.", done)
        yield _gauge("gateway_connections", "Open connections of the partner listener.", self._scraped.connections())

    def _ends(self, now: datetime) -> Iterator[GaugeMetricFamily]:
        with suppress(StorageUnavailable):
            ends = first_ends(self._scraped.endings(), at=now)
            left = {what: (end - now).total_seconds() for what, end in ends.items()}
            yield _gauges("gateway_first_end_seconds", "Seconds until the first of a kind ends.", "what", left)

    def _log(self, now: datetime) -> Iterator[GaugeMetricFamily]:
        try:
            standing = self._scraped.desk.intake.storage.read(log.standing)
        except (StorageUnavailable, log.LogMissing):
            return
        yield _gauge("gateway_log_tree_size", "Entries in the log.", standing.tree_size)
        yield _gauge("gateway_log_pending", "Events that wait for their place in the log.", standing.pending)
        if standing.signed_at is not None:
            age = (now - standing.signed_at).total_seconds()
            yield _gauge("gateway_log_checkpoint_age_seconds", "Seconds since a checkpoint was signed.", age)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
