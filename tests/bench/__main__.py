# SPDX-License-Identifier: Apache-2.0
"""All measurements in one run; this file is about what `make bench` runs, prints and writes."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.bench import ingest, single, stored
from tests.bench.machine import CORES, pin

PARTS = ("ingest", "latency", "stored")
ENGINES = ("sqlite", "postgresql")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument(
        "--engine", choices=("sqlite", "postgresql"), action="append", help="an engine; may be repeated"
    )
    parser.add_argument("--records", type=int, action="append", help="records in a submission; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stored", type=int, default=5_000_000, help="rows that stand before the part `stored`")
    parser.add_argument("--output", type=Path, default=Path("build/bench/ingest.json"))
    asked = parser.parse_args()
    if len(CORES) < 2:
        print("only one core: the load generator shares it, so that wall time says little")
    pin()
    document: dict[str, object] = {"cores": len(CORES), "rounds": asked.rounds}
    parts, engines = asked.only or PARTS, asked.engine or ENGINES
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        if "ingest" in parts:
            document["rows"] = rows = []
            for engine in engines:
                with ingest.arena(engine, folder / engine) as together:
                    for records in asked.records or ingest.SHAPES:
                        rows.append(ingest.measure(together, records, asked.rounds))
                        _print(rows[-1:], header=len(rows) == 1)
        if "latency" in parts:
            document["latency"] = single.latency(folder / "latency")
            print("one client alone:", json.dumps(document["latency"]))
        if "stored" in parts:
            document["stored"] = costs = []
            for engine in engines:
                costs.append(stored.compare(engine, folder / f"stored-{engine}", asked.stored, asked.rounds))
                print("stored:", json.dumps(costs[-1]))
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


COLUMNS = {
    "engine": "engine",
    "batch": "batch",
    "records_per_second": "records/s",
    "records_per_cpu_second": "per CPU s",
    "ratio_to_limit": "to limit",
    "wall_ratio_to_limit": "(wall)",
    "ratio_to_plain": "to plain",
    "wall_ratio_to_plain": "(wall)",
    "ratio_to_bare": "to bare",
    "wall_ratio_to_bare": "(wall)",
    "peak_mib": "MiB",
}


def _print(rows: Iterable[Mapping[str, object]], *, header: bool) -> None:
    if header:
        print("".join(f"{title:>11}" for title in COLUMNS.values()))
    for row in rows:
        print("".join(f"{'-' if row[name] is None else row[name]:>11}" for name in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
