# SPDX-License-Identifier: Apache-2.0
"""Before an agency goes live; this file is about `gateway conformance` and the report that it signs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from gateway.client.conformance import REPORT_TYPE
from gateway.wire.dsse import verify_envelope
from gateway.wire.keys import FileSigner, public_of_der
from tests.running import GTM, MEX, USA, Running, running
from tests.synthetic import event_lines

TABLE = Path(__file__).resolve().parents[2] / "contracts/flow/1.0.0/examples" / f"{GTM}.csv"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("conformance") / "sandbox") as started:
        yield started


def tried(gateway: Running, partner: str, file: Path, contract: str) -> Result:
    words = ["conformance", file, "--contract", contract, "--config", gateway.party(partner).client, "-o", report(file)]
    return CliRunner().invoke(app, ["--language", "en", *map(str, words)])


def report(file: Path) -> Path:
    return file.with_name("report.json")


def said(gateway: Running, partner: str, file: Path) -> dict[str, Any]:
    """Read a report as whoever has the partner's public key does."""
    signer = FileSigner.load(gateway.party(partner).signing_key)
    keys = {signer.keyid: public_of_der(signer.public_der)}
    payload, _ = verify_envelope(json.loads(report(file).read_bytes()), keys, payload_type=REPORT_TYPE)
    document: dict[str, Any] = json.loads(payload)
    return document


@pytest.mark.parametrize(("partner", "contract"), [(GTM, "flow/1.0.0"), (MEX, "border-event/1.0.0")])
def test_a_set_up_that_does_what_is_documented_gets_a_signed_report(
    gateway: Running, tmp_path: Path, partner: str, contract: str
) -> None:
    """Both contracts, both kinds of signing key: every reason is the documented one, every answer signed."""
    sample = tmp_path / ("table.csv" if partner == GTM else "events.ndjson")
    if partner == GTM:
        sample.write_text("".join(TABLE.read_text().splitlines(keepends=True)[:6]))
    else:
        sample.write_bytes(b"\n".join(event_lines(5, provider=partner)))

    for _ in range(2):
        done = tried(gateway, partner, sample, contract)
        assert done.exit_code == 0, done.stdout + done.stderr

    found = said(gateway, partner, sample)
    assert (found["passed"], found["partner"], found["gateway"]) == (True, partner, gateway.files.public_origin)
    assert len(found["checks"]) == 16
    assert found["sample"]["records"] == 5


def test_a_sample_that_breaks_the_contract_fails_and_the_report_says_so(gateway: Running, tmp_path: Path) -> None:
    sample = tmp_path / "events.ndjson"
    lines = event_lines(2, provider=USA)
    sample.write_bytes(b"\n".join(one.replace(b'"person_count":', b'"people":') for one in lines))

    done = tried(gateway, USA, sample, "border-event/1.0.0")

    assert done.exit_code == 1
    assert "FAIL  the sample: contract-violated" in done.stdout
    assert said(gateway, USA, sample)["passed"] is False
