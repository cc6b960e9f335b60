# SPDX-License-Identifier: Apache-2.0
"""How long a statistician waits; this file is about typical pulls with all that three agencies published, ten times.

Each copy is a provider of its own, so that every copy is live. Where the public data is not beside the project, made-up
cells of the same shape stand in. Queries go over mutual TLS on one kept connection; a pull's audit event is committed
before its answer, so the disk is part of it. Run it as `make bench-pull`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.aggregates.vintages import publish
from gateway.identifiers import new_id
from gateway.onboarding.sandbox_files import SandboxFiles
from gateway.storage.engine import open_storage
from gateway.storage.publication import Vintage
from gateway.storage.records import keep_records
from gateway.trip import RecordChunk
from tests.engines import PostgresServer
from tests.real_data import FLOW_FILES, flow_records, found_folder
from tests.running import GTM, MEX, USA, Running, running
from tests.unit.aggregates.counter import FLOW as DATAFLOW
from tests.unit.aggregates.counter import NOW, desk_on

P95_MILLISECONDS_MAX = 50.0
FLOW, MIRROR = "FLOW/1.0.0", "FLOW_MIRROR/1.0.0"
ENGINES = ("sqlite", "postgresql")
PURPOSE = {"Gateway-Purpose": "STATISTICS"}
FAST = {"GATEWAY_REQUESTS_PER_SECOND": "100000", "GATEWAY_REQUESTS_BURST": "1000000"}
ENCOUNTERS = "c[PROVIDER]=USA_DHS_CBP&c[FLOW_TYPE]=ENC_BETWEEN_PORTS"
# What it is, who asks, of which dataflow, the question.
QUERIES = (
    ("one series, all months", MEX, FLOW, f"{ENCOUNTERS}&c[CITIZENSHIP]=HND&c[ACCOMPANIMENT]=SA&c[PLACE]=USBP-RGV"),
    ("one nationality, all sectors, a year", MEX, FLOW, f"{ENCOUNTERS}&c[CITIZENSHIP]=HND&c[TIME_PERIOD]=2023"),
    ("all cells of an agency in a month", GTM, FLOW, "c[PROVIDER]=USA_DHS_CBP&c[TIME_PERIOD]=2023-05"),
    ("nationalities in Mexico, a month", USA, FLOW, "c[PROVIDER]=MEX_SEGOB_UPMRIP&c[TIME_PERIOD]=2024-03"),
    ("one nationality everywhere, a month", USA, FLOW, "c[CITIZENSHIP]=GTM&c[TIME_PERIOD]=2024-03"),
    ("the same as of a day", USA, FLOW, "c[CITIZENSHIP]=GTM&c[TIME_PERIOD]=2024-03&asOf=2025-06-20T00:00:00Z"),
    ("history of one series", MEX, FLOW,
     f"{ENCOUNTERS}&c[CITIZENSHIP]=HND&c[ACCOMPANIMENT]=SA&c[PLACE]=USBP-RGV&includeHistory=true"),
    ("returns received in Guatemala, all months", USA, FLOW, "c[PROVIDER]=GTM_IGM&c[COUNTERPART_AREA]=MEX"),
    ("the mirror of a pair, a year", USA, MIRROR,
     "c[REF_AREA]=MEX&c[COUNTERPART_AREA]=GTM&c[TIME_PERIOD]=2023"),
)  # fmt: skip


def cells(provider: str) -> list[dict[str, Any]]:
    """Return an agency's published cells, or made-up ones of the same number and shape."""
    folder = found_folder()
    return list(flow_records(provider, folder) if folder else _made_up(provider, FLOW_FILES[provider][1]))


def _made_up(provider: str, count: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(provider)
    country = provider[:3]
    kind = {"USA": "ENC_BETWEEN_PORTS", "MEX": "RETURN_ASSISTED", "GTM": "RETURN_RECEIVED"}[country]
    other = {"USA": "MEX", "MEX": "GTM", "GTM": "MEX"}[country]
    nations = ("HND", "GTM", "SLV", "NIC", "VEN", "CUB", "COL", "ECU") if country != "GTM" else ("GTM",)
    months = [f"{year}-{month:02}" for year in range(2018, 2025) for month in range(1, 13)]
    places = [("USA.CBP.AOR", f"USBP-{name}") for name in ("RGV", "DRT", "EPT", "TCA", "YUM", "SDC")]
    fixed = {
        "provider": provider, "reporting_country": country, "counterpart_country": other, "flow_type": kind,
        "direction": "OUT" if country == "MEX" else "IN", "unit": "PER" if country == "GTM" else "EVT",
        "legal_basis": f"{country}.T8" if country == "USA" else "_Z", "status": "A", "confidentiality": "F",
        "rounding_base": 1, "definition_id": f"urn:mig:def:{country.lower()}:1", "vintage": "2025-06-04",
    }  # fmt: skip
    whole = [("_T", "_T")]
    keys = [
        (month, nation, sex, age, company, place)
        for month in months
        for nation in nations
        for place in (places if country == "USA" else whole)
        for sex in ("F", "M")
        for age, company in (("Y_GE18", "SA"), ("Y_GE18", "FM"), ("Y_LT18", "UM"), ("Y_LT18", "AM"))
    ]
    for month, nation, sex, age, company, (scheme, place) in draw.sample(keys, min(count, len(keys))):
        codes = {"period": month, "citizenship": nation, "sex": sex, "age_group": age, "accompaniment": company}
        places_of = {"place_scheme": scheme, "place_code": place, "count": int(draw.expovariate(1 / 200)) + 1}
        yield {"record_id": new_id(NOW), **fixed, **codes, **places_of}


def load(files: SandboxFiles, *, copies: int) -> None:
    """Keep and publish everything `copies` times, beside the gateway, which is not running yet."""
    storage, shape = open_storage(files.database_url), DATAFLOW.shape
    desk = desk_on(storage)
    start, count = time.perf_counter(), 0
    for provider in FLOW_FILES:
        published = cells(provider)
        for copy in range(copies):
            name = provider if not copy else f"{provider}{copy + 1}"
            rows = [
                tuple(
                    (record | {"provider": name, "record_id": new_id(NOW)}).get(column) for column in shape.column_names
                )
                for record in published
            ]
            chunk, submission = RecordChunk(range(1, len(rows) + 1), rows, [bytes(32)] * len(rows)), new_id(NOW)
            vintage = Vintage(name, submission)
            storage.write(
                lambda tx, chunk=chunk, v=vintage: keep_records(
                    tx, shape, chunk, partner_id=v.partner_id, submission_id=v.submission_id, accepted_at=NOW
                )
            )
            publish(desk, vintage)
            count += len(rows)
    storage.close()
    kind = "published" if found_folder() else "made-up"
    print(f"{count:,} {kind} cells kept and served in {time.perf_counter() - start:.0f} s", flush=True)


@contextlib.contextmanager
def connection(gateway: Running, name: str) -> Iterator[http.client.HTTPSConnection]:
    """Open one connection that is kept."""
    context = ssl.create_default_context(cafile=str(gateway.files.server_ca))
    credentials = gateway.credentials(name)
    context.load_cert_chain(credentials.tls_cert, credentials.tls_key)
    opened = http.client.HTTPSConnection("localhost", gateway.files.port, context=context, timeout=60)
    try:
        yield opened
    finally:
        opened.close()


def ask(opened: http.client.HTTPSConnection, dataflow: str, query: str) -> int:
    """Ask once and return how many observations came."""
    path = f"/sdmx/v2/data/dataflow/GATEWAY/{dataflow}/*?{quote(query, safe='=&:+,_-.')}"
    opened.request("GET", path, headers=PURPOSE | {"Accept": "text/csv"})
    answer = opened.getresponse()
    body = answer.read()
    assert answer.status == 200, body[:400]
    return body.count(b"\r\n") - 1


def measure(gateway: Running, rounds: int) -> list[dict[str, Any]]:
    """Ask every query `rounds` times, in turn, and return its percentiles."""
    times: dict[str, list[float]] = {what: [] for what, *_ in QUERIES}
    counts: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        opened = {name: stack.enter_context(connection(gateway, name)) for name in (USA, MEX, GTM)}
        for turn in range(rounds + 2):
            for what, reader, dataflow, query in QUERIES:
                start = time.perf_counter()
                counts[what] = ask(opened[reader], dataflow, query)
                if turn >= 2:
                    times[what].append((time.perf_counter() - start) * 1000)
    return [
        {"query": what, "observations": counts[what], "p50": _percentile(found, 50), "p95": _percentile(found, 95)}
        for what, found in times.items()
    ]


def _percentile(found: list[float], percent: int) -> float:
    return round(statistics.quantiles(found, n=100, method="inclusive")[percent - 1], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="an engine; may be repeated")
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("build/bench/pull.json"))
    asked = parser.parse_args()
    document: dict[str, Any] = {"copies": asked.copies, "rounds": asked.rounds}
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name, contextlib.ExitStack() as stack:
        for engine in asked.engine or ENGINES:
            server = PostgresServer(durable=True) if engine == "postgresql" else None
            if server:
                stack.callback(server.stop)
            with running(
                Path(name) / engine,
                engine_url=server.fresh() if server else None,
                environment=FAST,
                prepare=lambda files: load(files, copies=asked.copies),
            ) as gateway:
                document[engine] = rows = measure(gateway, asked.rounds)
            for row in rows:
                times = f"p50 {row['p50']:6} ms  p95 {row['p95']:6} ms"
                print(f"{engine:10} {row['query']:42} {row['observations']:6} rows  {times}")
            worst = max(row["p95"] for row in rows)
            verdict = "within" if worst <= P95_MILLISECONDS_MAX else "ABOVE"
            print(f"{engine:10} worst p95 {worst} ms, {verdict} {P95_MILLISECONDS_MAX:.0f} ms", flush=True)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
