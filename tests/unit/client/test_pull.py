# SPDX-License-Identifier: Apache-2.0
"""Statistics on disk and in memory; this file is about what a pull keeps, believes and proves again later."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openpyxl
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.client import (
    AnswerNotTrusted,
    AsyncGatewayClient,
    ConfigInvalid,
    GatewayClient,
    InputUnusable,
    Refused,
    tables,
    verify_saved,
)
from gateway.client import channel as channel_module
from gateway.client.answers import load_answer_keys
from gateway.client.reading import data_path
from gateway.client.retry import Pace
from gateway.client.tables import frame_of
from gateway.wire.digests import format_content_digest, sha256
from gateway.wire.http_signature import sign_answer
from gateway.wire.keys import FileSigner, jwk_of
from tests.unit.client.fake_gateway import NOW, ORIGIN, FakeGateway, StoppedClock

HEAD = "STRUCTURE,STRUCTURE_ID,ACTION,FREQ,REF_AREA,SEX,PLACE,TIME_PERIOD,OBS_VALUE,CONF_STATUS,DEFINITION,VINTAGE"
CSV = f"""{HEAD}
dataflow,GATEWAY:FLOW(1.0.0),I,M,GTM,F,01,2024-01,625,F,=1+1,2025-06-18
dataflow,GATEWAY:FLOW(1.0.0),I,M,GTM,M,NA,2024-02,0,F,d,2025-06-18
dataflow,GATEWAY:FLOW(1.0.0),I,M,GTM,_T,02,2024-03,,C,,
""".replace("\n", "\r\n").encode()
FORMS = (".csv", ".xlsx", ".parquet")


class Cut(httpx2.SyncByteStream):
    """A body that breaks off."""

    def __iter__(self) -> Iterator[bytes]:
        yield CSV[:100]
        raise httpx2.ReadError("cut")


class Statistics(FakeGateway):
    """A gateway that answers every reading with one body, signed as the answer to `asked` or to what was asked."""

    body, status, media_type = CSV, 200, "application/vnd.sdmx.data+csv;version=2.0.0"
    cuts = 0
    asked: tuple[str, str, list[tuple[str, str]]] | None = None

    def _get(self, request: httpx2.Request) -> httpx2.Response:
        if self.cuts:
            self.cuts -= 1
            return httpx2.Response(200, stream=Cut())
        digest = format_content_digest(sha256(self.body))
        headers = {"content-type": self.media_type, "content-digest": digest, "audit-event": "01-event"}
        asked = self.asked or ("GET", ORIGIN + request.url.raw_path.decode(), list(request.headers.items()))
        if self.sign_answers:
            created = int(NOW.timestamp())
            headers |= sign_answer(self.answering, status=self.status, headers=headers, request=asked, created=created)
        return httpx2.Response(self.status, headers=headers, content=self.body)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Statistics:
    monkeypatch.setattr(channel_module, "tls_context", lambda _: True)
    return Statistics(tmp_path)


@pytest.fixture
def client(fake: Statistics) -> Iterator[GatewayClient]:
    pace = Pace(60, sleep=lambda _: None, clock=StoppedClock())
    transport = httpx2.MockTransport(fake)
    with GatewayClient(fake.config(), clock=StoppedClock(), pace=pace, transport=transport) as opened:
        yield opened


def keys(fake: Statistics) -> Any:
    return load_answer_keys(fake.folder / "answers.jwks")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith("cells")}


@pytest.mark.parametrize("form", FORMS)
def test_a_pulled_file_is_proven_now_and_later(
    fake: Statistics, client: GatewayClient, tmp_path: Path, form: str
) -> None:
    output = tmp_path / f"cells{form}"

    rows = client.pull_file(output, where={"REF_AREA": "GTM"}, purpose="STATISTICS")

    said = verify_saved(output, keys(fake))
    assert rows == 3
    assert (said.at, said.purpose, said.event_id, said.keyid) == (NOW, "STATISTICS", "01-event", fake.answering.keyid)
    assert said.target_uri.endswith("/sdmx/v2/data/dataflow/*/FLOW/+/*?c%5BREF_AREA%5D=GTM")
    kept = {f"cells{form}", f"cells{form}.sig.json"} | ({f"cells{form}.signed.csv"} if form != ".csv" else set())
    assert names(tmp_path) == kept


def test_the_csv_is_what_was_signed_byte_for_byte(client: GatewayClient, tmp_path: Path) -> None:
    client.pull_file(tmp_path / "cells.csv")

    assert (tmp_path / "cells.csv").read_bytes() == CSV


@pytest.mark.parametrize("wrong", ["tampered", "unsigned", "query", "purpose", "stale"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_proven_leaves_the_file_of_before(
    fake: Statistics, client: GatewayClient, tmp_path: Path, wrong: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beside a signature is either what was signed or was never renamed into place."""
    output = tmp_path / f"cells{form}"
    client.pull_file(output, purpose="STATISTICS")
    before = output.read_bytes()
    uri = ORIGIN + data_path("FLOW", {})
    if wrong == "tampered":
        fake.tamper = lambda answer: httpx2.Response(200, headers=answer.headers, content=CSV.replace(b"625", b"626"))
    elif wrong == "unsigned":
        fake.sign_answers = False
    elif wrong == "query":
        fake.asked = ("GET", uri + "?c%5BSEX%5D=F", [("gateway-purpose", "STATISTICS")])
    elif wrong == "purpose":
        fake.asked = ("GET", uri, [("gateway-purpose", "MONITORING")])
    else:
        monkeypatch.setattr("gateway.client.answers.ANSWER_AGE_SECONDS_MAX", -1)

    with pytest.raises(AnswerNotTrusted):
        client.pull_file(output, purpose="STATISTICS")

    assert output.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))
    verify_saved(output, keys(fake))


def test_an_answer_that_broke_off_is_asked_for_again(fake: Statistics, client: GatewayClient, tmp_path: Path) -> None:
    fake.cuts = 2

    rows = client.pull_file(tmp_path / "cells.csv")

    assert (rows, len(fake.requests)) == (3, 3)
    assert (tmp_path / "cells.csv").read_bytes() == CSV


def test_no_observations_leave_no_file(fake: Statistics, client: GatewayClient, tmp_path: Path) -> None:
    fake.status, fake.body, fake.media_type = 404, b"<Error/>", "application/xml"

    assert client.pull_file(tmp_path / "cells.csv") == 0
    assert client.pull().empty
    assert names(tmp_path) == set()


@pytest.mark.parametrize("sign", [True, False])
def test_a_refusal_says_whether_it_is_signed(
    fake: Statistics, client: GatewayClient, tmp_path: Path, sign: bool
) -> None:
    fake.status, fake.media_type, fake.sign_answers = 403, "application/problem+json", sign
    fake.body = json.dumps({"reason": "denied-by-policy"}).encode()

    with pytest.raises(Refused, match="denied-by-policy") as refused:
        client.pull_file(tmp_path / "cells.csv")

    assert refused.value.signed is sign
    assert names(tmp_path) == set()


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_file_is_found(fake: Statistics, client: GatewayClient, tmp_path: Path, form: str) -> None:
    output = tmp_path / f"cells{form}"
    client.pull_file(output)
    if form == ".csv":
        output.write_bytes(CSV.replace(b",0,", b",9,"))
    elif form == ".xlsx":
        book = openpyxl.load_workbook(output)
        book["data"]["I3"] = 9
        book.save(output)
    else:
        frame = pd.read_parquet(output)
        frame.loc[1, "OBS_VALUE"] = 9
        frame.to_parquet(output)

    with pytest.raises(AnswerNotTrusted):
        verify_saved(output, keys(fake))


@pytest.mark.parametrize("form", [".xlsx", ".parquet"])
def test_the_signed_csv_beside_a_table_counts(
    fake: Statistics, client: GatewayClient, tmp_path: Path, form: str
) -> None:
    output, kept = tmp_path / f"cells{form}", tmp_path / f"cells{form}.signed.csv"
    client.pull_file(output)

    kept.write_bytes(CSV.replace(b",0,", b",9,"))
    with pytest.raises(AnswerNotTrusted):
        verify_saved(output, keys(fake))
    kept.unlink()
    with pytest.raises(InputUnusable, match=r"signed\.csv"):
        verify_saved(output, keys(fake))


def test_a_row_more_or_less_is_found(client: GatewayClient, fake: Statistics, tmp_path: Path) -> None:
    output = tmp_path / "cells.xlsx"
    client.pull_file(output)
    book = openpyxl.load_workbook(output)
    book["data"].delete_rows(4)
    book.save(output)

    with pytest.raises(AnswerNotTrusted, match="cells"):
        verify_saved(output, keys(fake))


def test_keys_inside_the_file_are_not_believed(client: GatewayClient, fake: Statistics, tmp_path: Path) -> None:
    """Who can change the data can write a key beside it."""
    output = tmp_path / "cells.csv"
    client.pull_file(output)
    stranger = FileSigner.of(key := Ed25519PrivateKey.generate())
    document = json.loads((tmp_path / "cells.csv.sig.json").read_text())
    headers = [pair for pair in document["answer"]["headers"] if not pair[0].startswith("signature")]
    asked = ("GET", document["request"]["target_uri"], [])
    forged = sign_answer(stranger, status=200, headers=[tuple(p) for p in headers], request=asked, created=1)
    document["answer"]["headers"] = [*headers, *([k, v] for k, v in forged.items())]
    document["keys"] = {"keys": [jwk_of(key.public_key())]}
    (tmp_path / "cells.csv.sig.json").write_text(json.dumps(document))

    with pytest.raises(AnswerNotTrusted, match="key-unknown"):
        verify_saved(output, keys(fake))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format":"gateway-answer/2"}', "[" * 100_000])
def test_a_signature_file_that_is_none_is_said_to_be(
    client: GatewayClient, fake: Statistics, tmp_path: Path, text: str
) -> None:
    client.pull_file(tmp_path / "cells.csv")
    (tmp_path / "cells.csv.sig.json").write_text(text)

    with pytest.raises(InputUnusable, match=r"sig\.json"):
        verify_saved(tmp_path / "cells.csv", keys(fake))


def test_a_frame_has_codes_numbers_months_and_days(client: GatewayClient) -> None:
    frame = client.pull("FLOW", purpose="STATISTICS")

    assert str(frame.TIME_PERIOD.dtype) == "period[M]"
    assert str(frame.OBS_VALUE.dtype) == "Int64"
    assert str(frame.VINTAGE.dtype) == "datetime64[us, UTC]"
    assert str(frame.SEX.dtype) == "category"
    # Missing is not zero, a code of two letters is not missing, and a place keeps its nought.
    assert list(frame.OBS_VALUE.fillna(-1)) == [625, 0, -1]
    assert list(frame.PLACE) == ["01", "NA", "02"]
    assert frame.attrs["audit_event"] == "01-event"


def test_a_vintage_that_is_no_day_stays_a_word(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_bytes(CSV.replace(b"2025-06-18", b"first"))

    assert str(frame_of(path).VINTAGE.dtype) == "category"


def test_a_frame_that_is_not_proven_is_none(fake: Statistics, client: GatewayClient) -> None:
    fake.sign_answers = False

    with pytest.raises(AnswerNotTrusted):
        client.pull()


def test_the_same_is_awaited(client: GatewayClient, tmp_path: Path) -> None:
    async def run() -> tuple[int, int]:
        async with AsyncGatewayClient(client) as waiting:
            return await waiting.pull_file(tmp_path / "cells.csv"), len(await waiting.pull(where={"SEX": "F"}))

    assert asyncio.run(run()) == (3, 3)


def test_others_words_never_become_a_formula(client: GatewayClient, tmp_path: Path) -> None:
    client.pull_file(tmp_path / "cells.xlsx")

    sheet = openpyxl.load_workbook(tmp_path / "cells.xlsx")["data"]
    assert (sheet["K2"].value, sheet["K2"].data_type) == ("=1+1", "s")
    assert [sheet[f"I{row}"].value for row in (2, 3, 4)] == [625, 0, None]
    assert [sheet[f"G{row}"].value for row in (2, 3)] == ["01", "NA"]
    assert sheet["H2"].value == "2024-01"


@pytest.mark.parametrize(("rows", "fits"), [(4, True), (3, False)])
def test_what_does_not_fit_into_a_sheet_is_said(
    client: GatewayClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, fits: bool
) -> None:
    monkeypatch.setattr(tables, "EXCEL_ROWS_MAX", rows)
    if fits:
        assert client.pull_file(tmp_path / "cells.xlsx") == 3
        return

    with pytest.raises(InputUnusable, match="Excel"):
        client.pull_file(tmp_path / "cells.xlsx")

    assert not (tmp_path / "cells.xlsx").exists()


@pytest.mark.parametrize(("name", "missing"), [("cells.xlsx", "openpyxl"), ("cells.parquet", "pyarrow")])
def test_a_missing_library_is_named_before_anything_is_asked(
    fake: Statistics, client: GatewayClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(InputUnusable, match=r"pip install 'gateway\[data\]'") as failure:
        client.pull_file(tmp_path / name)

    assert "no está instalado" in failure.value.es
    assert fake.requests == []


@pytest.mark.parametrize("name", ["cells", "cells.xls", "cells.csv.gz"])
def test_a_form_that_is_not_written_is_refused(
    fake: Statistics, client: GatewayClient, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputUnusable, match=r"\.parquet"):
        client.pull_file(tmp_path / name)

    assert fake.requests == []


def test_without_pinned_keys_nothing_is_believed(fake: Statistics, tmp_path: Path) -> None:
    config = fake.config()
    object.__setattr__(config, "answer_keys", None)
    with (
        GatewayClient(config, clock=StoppedClock(), transport=httpx2.MockTransport(fake)) as client,
        pytest.raises(ConfigInvalid, match="answer_keys"),
    ):
        client.pull_file(tmp_path / "cells.csv")


def test_progress_is_told(client: GatewayClient, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []

    client.pull_file(tmp_path / "cells.csv", progress=lambda size, total: told.append((size, total)))

    assert told[-1] == (len(CSV), len(CSV))


@pytest.mark.parametrize(
    ("flow", "asked", "path"),
    [
        ("flow", {}, "*/FLOW/+/*"),
        ("GATEWAY/FLOW_MIRROR/1.0.0", {"key": "M.A+B..C"}, "GATEWAY/FLOW_MIRROR/1.0.0/M.A+B..C"),
        ("FLOW", {"where": {"SEX": "ne:_T"}}, "*/FLOW/+/*?c%5BSEX%5D=ne:_T"),
        ("FLOW", {"where": {"A": "x&y=z #"}}, "*/FLOW/+/*?c%5BA%5D=x%26y%3Dz%20%23"),
        ("FLOW", {"start": "2024-01", "end": "2024-12"}, "*/FLOW/+/*?c%5BTIME_PERIOD%5D=ge:2024-01+le:2024-12"),
        ("FLOW", {"end": "2024"}, "*/FLOW/+/*?c%5BTIME_PERIOD%5D=le:2024"),
        ("FLOW", {"as_of": "2025-05-01"}, "*/FLOW/+/*?asOf=2025-05-01T00:00:00.000000Z"),
        ("FLOW", {"as_of": "2025-05-01T02:00+02:00"}, "*/FLOW/+/*?asOf=2025-05-01T00:00:00.000000Z"),
        ("FLOW", {"history": True, "start": ""}, "*/FLOW/+/*?includeHistory=true"),
    ],
)
def test_a_question_is_spelled_as_sdmx_spells_it(flow: str, asked: Any, path: str) -> None:
    assert data_path(flow, asked) == f"/sdmx/v2/data/dataflow/{path}"


@pytest.mark.parametrize("text", ["yesterday", "2025-05", "2025-05-01T12:00:00", "2025-13-01"])
def test_an_instant_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(InputUnusable, match="2025-05-01T12:00:00Z"):
        data_path("FLOW", {"as_of": text})
