# SPDX-License-Identifier: Apache-2.0
"""Where notices may go; this file is about URLs, addresses, redirects and pauses of webhooks."""

from __future__ import annotations

import json
import ssl
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.corrections import deliver
from gateway.corrections.deliver import CLAIM, DeliveryDesk, WebhookUnfit, checked_url, deliver_due
from gateway.onboarding import pki
from gateway.storage import log, notices
from gateway.storage.engine import Storage, Tx
from gateway.wire.keys import FileSigner
from tests.unit.auditlog.world import StillClock
from tests.webhooks import Webhook, webhook

READER = "GTM.IGM"
SIGNER = FileSigner.of(Ed25519PrivateKey.generate())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, clock = tmp_path_factory.mktemp("webhook"), datetime.now().astimezone()
    times = pki.Validity(clock - timedelta(days=1), clock + timedelta(days=2))
    authority = pki.create_authority("Test CA", "Test", times)
    server = pki.issue_server(authority, ["localhost", "127.0.0.1"], "Test", times)
    return {
        "ca": pki.write_certificate(folder / "ca.pem", authority.certificate),
        "certificate": pki.write_certificate(folder / "server.pem", server.certificate),
        "key": pki.write_key(folder / "server.key", server.key),
    }


def desk_of(storage: Storage, files: dict[str, Path], *, private: bool = True) -> DeliveryDesk:
    trust = ssl.create_default_context(cafile=str(files["ca"]))
    return DeliveryDesk(StillClock(), storage, SIGNER, trust=trust, private=private)


def tell(desk: DeliveryDesk, url: str, *, count: int = 1) -> None:
    """Register a webhook and make some notices for it."""

    def work(tx: Tx) -> None:
        at = desk.clock.now()
        notices.set_webhook(tx, READER, url, at=at)
        for _ in range(count):
            notices.add_notice(tx, READER, contest_id="c-1", at=at, compose=body)

    desk.storage.write(work)


def body(number: int) -> str:
    return json.dumps({"number": number, "data": {"owner": "USA"}})


def numbers(listening: Webhook) -> list[int]:
    return [json.loads(listening.posted.get_nowait().body)["number"] for _ in range(listening.posted.qsize())]


def events(storage: Storage, country: str) -> list[str]:
    return [event.kind for event in storage.read(lambda tx: log.list_events(tx, country, log.EventQuery()))]


@pytest.mark.parametrize("url", ["https://example.org", "https://example.org:8443/a/b?c=d", "https://[2001:db8::1]/x"])
def test_an_https_url_is_fit(url: str) -> None:
    assert checked_url(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "ftp://example.org",
        "https://",
        "https:///path",
        "https://me@example.org",
        "https://me:secret@example.org/",
        "https://example.org/#part",
        "https://example.org/ x",
        "https://exämple.org/",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://[example",
        "https://example.org/" + "a" * 500,
        "//example.org",
    ],
)
def test_any_other_url_is_unfit(url: str) -> None:
    with pytest.raises(WebhookUnfit):
        checked_url(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_public_addresses_are_public(address: str, public: bool) -> None:
    assert deliver._is_public(address) is public


def test_notices_go_in_order_and_once(storage: Storage, files: dict[str, Path]) -> None:
    desk = desk_of(storage, files)
    with webhook(files["certificate"], files["key"]) as listening:
        tell(desk, listening.url, count=3)

        assert (deliver_due(desk), deliver_due(desk)) == (3, 0)

        assert numbers(listening) == [1, 2, 3]
    assert events(storage, "USA") == events(storage, "GTM") == ["notice.delivered"] * 3
    assert events(storage, "MEX") == []


def test_a_notice_that_is_not_taken_holds_up_the_later_ones(storage: Storage, files: dict[str, Path]) -> None:
    """The pause doubles; nothing overtakes; what was taken before stays taken."""
    desk = desk_of(storage, files)
    with webhook(files["certificate"], files["key"]) as listening:
        tell(desk, listening.url, count=3)
        listening.answers.extend([200, 500])
        assert deliver_due(desk) == 1
        assert (numbers(listening), deliver_due(desk)) == ([1, 2], 0)

        clock = desk.clock
        assert isinstance(clock, StillClock)
        clock.at += timedelta(seconds=3)
        listening.answers.extend([503])
        assert (deliver_due(desk), numbers(listening)) == (0, [2])
        clock.at += timedelta(seconds=3)
        assert (deliver_due(desk), numbers(listening)) == (0, [])
        clock.at += timedelta(seconds=3)
        assert (deliver_due(desk), numbers(listening)) == (2, [2, 3])


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 410, 500])
def test_nothing_but_success_is_success(sqlite_storage: Storage, files: dict[str, Path], status: int) -> None:
    """A redirect is not followed: it could lead to where no notice may go."""
    desk = desk_of(sqlite_storage, files)
    with webhook(files["certificate"], files["key"]) as listening:
        tell(desk, listening.url)
        listening.answers.extend([status])

        assert deliver_due(desk) == 0

        assert listening.posted.qsize() == 1
        assert listening.posted.get().path == "/notices?from=gateway"


def test_a_private_address_is_for_sandboxes_alone(sqlite_storage: Storage, files: dict[str, Path]) -> None:
    """A name may lead into the operator's own network; the connection goes to the address that was looked at."""
    desk = desk_of(sqlite_storage, files, private=False)
    with webhook(files["certificate"], files["key"]) as listening:
        tell(desk, listening.url)

        assert deliver_due(desk) == 0

        assert listening.posted.empty()


def test_a_certificate_for_another_name_takes_nothing(sqlite_storage: Storage, files: dict[str, Path]) -> None:
    untrusting = DeliveryDesk(StillClock(), sqlite_storage, SIGNER, trust=ssl.create_default_context(), private=True)
    with webhook(files["certificate"], files["key"]) as listening:
        tell(untrusting, listening.url)

        assert deliver_due(untrusting) == 0

        assert listening.posted.empty()


def test_two_processes_do_not_send_at_once(storage: Storage, files: dict[str, Path]) -> None:
    """Whoever claims a subscriber sends; when it dies, the claim runs out."""
    desk = desk_of(storage, files)
    with webhook(files["certificate"], files["key"]) as listening:
        tell(desk, listening.url)
        [one] = storage.read(lambda tx: notices.due(tx, desk.clock.now()))
        claim = partial(notices.claim, one=one, until=desk.clock.now() + CLAIM)
        assert [storage.write(claim), storage.write(claim)] == [True, False]
        assert deliver_due(desk) == 0

        clock = desk.clock
        assert isinstance(clock, StillClock)
        clock.at += CLAIM
        assert deliver_due(desk) == 1


def test_without_a_webhook_notices_wait_and_are_asked_for(storage: Storage, files: dict[str, Path]) -> None:
    desk = desk_of(storage, files)
    compose = partial(notices.add_notice, contest_id="c-1", at=desk.clock.now(), compose=body)
    storage.write(lambda tx: [compose(tx, READER) for _ in range(2)])

    assert deliver_due(desk) == 0
    seen = storage.read(lambda tx: notices.notices_after(tx, READER, 1))
    assert [one.number for one in seen] == [2]
