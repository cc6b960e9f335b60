# SPDX-License-Identifier: Apache-2.0
"""A gateway without its edge; this file is about desk and log keeper in this process, opened, dropped and reopened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, select

from gateway.app import Gateway, compose
from gateway.auditlog.keeper import LogKeeper
from gateway.auditlog.receipts import receipt_of
from gateway.identifiers import new_id
from gateway.intake.accept import accept
from gateway.intake.desk import Accepted, IntakeDesk
from gateway.intake.retention import delete_expired
from gateway.intake.together import Asked as Small
from gateway.intake.together import accept_together
from gateway.onboarding.sandbox import create_sandbox
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.review.findings import Finding
from gateway.review.fsck import fsck
from gateway.settings import load_settings
from gateway.storage import tables
from gateway.storage.directory import RegistryDirectory
from gateway.storage.engine import Storage, Tx, open_storage
from gateway.storage.migrate import check
from gateway.storage.products import product_table
from gateway.storage.statistics import own_totals
from gateway.trip import PeerCertificate, SignedRequest
from gateway.wire.keys import FileSigner
from gateway.wire.note import parse_vkey
from gateway.wire.receipt import VerifiedReceipt, verify_receipt
from tests.api.asking import Asked, line, signed
from tests.engines import PostgresServer
from tests.running import USA, Running

PIECE_BYTES = 700


@dataclass(slots=True)
class DaysLater:
    """A clock that is some days ahead."""

    days: int = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Ground:
    """A sandbox with records in it, to be copied for every injection."""

    files: SandboxFiles
    composed: Gateway
    server: PostgresServer | None
    # What stands: sent twice, corrected, or past its day soon.
    repeated: bytes
    corrected: str

    def fresh(self) -> str:
        """Return the URL of a copy."""
        if self.server is not None:
            return self.server.fresh(self.files.database_url.split("@/")[1].split("?")[0])
        copy = self.files.folder / "copy.db"
        for old in self.files.folder.glob("copy.db*"):
            old.unlink()
        shutil.copy(self.files.folder / "gateway.db", copy)
        return f"sqlite:///{copy}"

    def drop(self, url: str) -> None:
        """Let go of a copy."""
        if self.server is not None:
            self.server.drop(url)


def prepared(folder: Path, server: PostgresServer | None) -> Ground:
    """Make a sandbox, compose its gateway as `serve` does, and keep some records."""
    files = create_sandbox(folder, engine_url=server.fresh() if server else None)
    composed = compose(load_settings(files.settings))
    composed.storage.close()
    identifier = new_id(datetime.now(UTC))
    soon = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    ground = Ground(files, composed, server, line(), identifier)
    office = Office(ground, files.database_url)
    lines = [ground.repeated, line(event_id=identifier), *(line(retention_until=soon) for _ in range(3))]
    office.accept(signed(office.callers, lines))
    office.settle()
    office.storage.close()
    return ground


@dataclass(slots=True)
class Office:
    """Desk and log keeper over one database; the keeper's thread never runs, its passes are called."""

    ground: Ground
    url: str
    clock: DaysLater = field(default_factory=DaysLater)
    storage: Storage = field(init=False)
    keeper: LogKeeper = field(init=False)
    intake: IntakeDesk = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Do what start-up does with the database."""
        check(self.url)
        settings = self.ground.composed.settings
        self.storage = open_storage(self.url)
        self.keeper = LogKeeper(self.storage, FileSigner.load(settings.log_key), settings.log_origin, self.clock)
        self.intake = replace(
            self.ground.composed.desk.intake,
            storage=self.storage,
            directory=RegistryDirectory(self.storage.read),
            check_log=self.keeper.check,
        )

    def reopen(self) -> None:
        """Drop everything that is open and start anew."""
        self.storage.close()
        self.open()

    @property
    def callers(self) -> Running:
        """Return the parties' files, for signing."""
        return Running(self.ground.files)

    def accept(self, asked: Asked) -> Accepted:
        """Take a signed submission through the trip."""
        small = self.small(asked)
        together = accept_together(self.intake, [small])[0]
        return together or accept(self.intake, small.request, product=small.product, version=small.version)

    def small(self, asked: Asked) -> Small:
        """Return a signed submission with its body in hand."""
        product, version = asked.path.split("/")[3:5]
        return Small(self._request(asked), product, version)

    def settle(self) -> None:
        """Sequence and publish whatever waits, as the first pass after a start does."""
        self.keeper._pass()

    def delete_expired(self) -> int:
        """Run the daily job, some days later."""
        return delete_expired(self.storage, self.intake.contracts.shapes, clock=self.clock)

    def findings(self) -> list[Finding]:
        """Return what fsck finds."""
        return list(fsck(self.storage, self.intake.contracts, parse_vkey(self.ground.files.log_vkey)))

    def receipt(self, event_id: str) -> VerifiedReceipt:
        """Return what the receipt of an event proves to a partner."""
        policy = self.ground.composed.desk.log_policy
        return verify_receipt(self.storage.read(lambda tx: receipt_of(tx, event_id, policy=policy)), policy=policy)

    def counts(self) -> Counts:
        """Return how much of everything there is."""
        return self.storage.read(self._counts)

    def _counts(self, tx: Tx) -> Counts:
        shape = next(shape for shape in self.intake.contracts.shapes if shape.product == "border-event")
        kept = (*_KEPT, product_table(shape))
        rows = {
            table.name: tx.connection.execute(select(func.count()).select_from(table)).scalar_one() for table in kept
        }
        kinds = tx.connection.execute(select(tables.event.c.kind, func.count()).group_by(tables.event.c.kind))
        totals = sum(total.records for total in own_totals(tx, shape, partner_id=USA))
        return Counts(rows, {row[0]: row[1] for row in kinds}, totals)

    def _request(self, asked: Asked) -> SignedRequest:
        certificate = x509.load_pem_x509_certificate(self.callers.credentials(asked.partner).tls_cert.read_bytes())
        der, now = certificate.public_bytes(Encoding.DER), datetime.now(UTC)
        target = self.ground.files.public_origin + asked.path
        peer = PeerCertificate(der, sha256(der).digest())
        return SignedRequest(
            new_id(now), "POST", target, asked.path, asked.headers, peer, tuple(_pieces(asked.body)), now
        )


_KEPT = (
    *(tables.submission, tables.refused_record, tables.nonce, tables.tombstone, tables.event, tables.pending_event),
    *(tables.leaf, tables.tile),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by table, events by kind, and the records in the partner's own totals."""

    rows: dict[str, int]
    kinds: dict[str, int]
    totals: int

    def more_than(self, before: Counts) -> dict[str, int]:
        """Return what grew or shrank, and by how much."""
        names = {**self.rows, **self.kinds}
        had = {**before.rows, **before.kinds}
        grown = {name: count - had.get(name, 0) for name, count in names.items()} | {
            "totals": self.totals - before.totals
        }
        return {name: count for name, count in grown.items() if count}


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
