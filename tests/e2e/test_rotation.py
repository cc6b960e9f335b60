# SPDX-License-Identifier: Apache-2.0
"""New keys while the work goes on; this file is about a partner that changes its certificate and its signing key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from typer.testing import CliRunner

from gateway.cli.program import app
from gateway.client.config import load_config
from gateway.client.failures import ClientFailure, Refused
from gateway.client.outcome import SubmitOutcome
from gateway.client.sdk import GatewayClient
from gateway.onboarding import pki
from gateway.wire.policy_file import parse_policy
from gateway.wire.receipt import verify_receipt
from tests.governing import widened
from tests.running import USA, Running, running
from tests.synthetic import event_lines

WORKERS = 4
WAIT_SECONDS = 60


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    url = request.getfixturevalue("postgresql_server").fresh() if request.param == "postgresql" else None
    with running(tmp_path_factory.mktemp("rotation") / "s", engine_url=url) as started:
        yield started


class Load:
    """An agency that never stops submitting; each round takes the configuration that counts when it begins."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.accepted: list[tuple[Path, SubmitOutcome]] = []
        self.refused: list[ClientFailure] = []
        self._enough = threading.Condition()
        self._over = threading.Event()
        self._under_way: dict[int, Path] = {}
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def _work(self, number: int) -> None:
        seed = number
        while not self._over.is_set():
            config, seed = self.config, seed + WORKERS
            self._under_way[number] = config
            try:
                with GatewayClient(load_config(config)) as client:
                    outcome = client.submit_lines("border-event", "1.0.0", list(event_lines(3, seed=seed)))
            except ClientFailure as failure:
                self.refused.append(failure)
                return
            with self._enough:
                self.accepted.append((config, outcome))
                self._enough.notify_all()

    def until_all_use(self, config: Path) -> None:
        """Return once no round is under way that began with another configuration."""

        def settled() -> bool:
            used = {used for used, _ in self.accepted[-2 * WORKERS :]} | set(self._under_way.values())
            return bool(self.refused) or (used == {config} and len(self.accepted) >= 2 * WORKERS)

        with self._enough:
            assert self._enough.wait_for(settled, WAIT_SECONDS)


def act(gateway: Running, *words: object) -> str:
    arguments = ["--language", "en", "partners", *map(str, words), "--config", str(gateway.files.settings)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def next_keys(gateway: Running, folder: Path) -> Path:
    """Make what the partner makes in a new folder, certified by its country's authority; return its client.toml."""
    authority = gateway.files.folder / "authorities" / "USA"
    key = load_pem_private_key((authority / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer = pki.Issued(x509.load_pem_x509_certificate((authority / "ca.pem").read_bytes()), key)
    issued = pki.issue_client(issuer, USA, "USA", pki.Validity.days(datetime.now(UTC), 90))
    signing = ed25519.Ed25519PrivateKey.generate()
    pki.write_certificate(folder / "tls.pem", issued.certificate)
    pki.write_key(folder / "tls.key", issued.key)
    pki.write_key(folder / "signing.key", signing)
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pki.write_public(folder / "signing.pub.pem", public)
    return pki.write_public(folder / "client.toml", gateway.party(USA).client.read_bytes())


def test_both_keys_are_changed_under_load_and_not_one_request_is_refused(gateway: Running) -> None:
    """Overlap, change over, end: at each moment at least one certificate and one key hold; old receipts verify."""
    old, new = gateway.party(USA).client, next_keys(gateway, gateway.files.folder / "partners" / "next")
    before = json.loads(act(gateway, "show", USA))
    old_pin = x509.load_pem_x509_certificate(gateway.party(USA).tls_cert.read_bytes()).fingerprint(pki.FINGERPRINT)
    with Load(old) as load:
        load.until_all_use(old)
        widened(gateway, "USA", "pin", id=USA, certificate=(new.parent / "tls.pem").read_text())
        widened(gateway, "USA", "add-key", id=USA, signing_key=(new.parent / "signing.pub.pem").read_text())
        load.config = new
        load.until_all_use(new)
        act(gateway, "end-key", USA, gateway.party(USA).keyid)
        act(gateway, "unpin", USA, old_pin.hex())
        load.until_all_use(new)

    assert load.refused == []
    assert {config for config, _ in load.accepted} == {old, new}
    policy = parse_policy(gateway.files.log_policy.read_text())
    for config, outcome in load.accepted:
        fields = verify_receipt(outcome.receipt, policy=policy).fields
        assert (fields["keyid"] == gateway.party(USA).keyid) is (config == old)
    with gateway.client(USA) as client, pytest.raises(Refused, match="unknown-partner"):
        client.own("flow")
    (new.parent / "signing.key").write_bytes(gateway.party(USA).signing_key.read_bytes())
    with GatewayClient(load_config(new)) as client, pytest.raises(Refused, match="signature-key-unknown"):
        client.submit_lines("border-event", "1.0.0", list(event_lines(1, seed=10_000)))
    after = json.loads(act(gateway, "show", USA))
    assert [key["until"] is None for key in after["keys"]] == [False, True]
    assert len(after["certificates"]) == len(before["certificates"]) + 1
    print(f"{len(load.accepted)} submissions over a rotation, {len(load.refused)} refused")
