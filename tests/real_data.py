# SPDX-License-Identifier: Apache-2.0
"""Real published flow tables as canonical lines; this file is about reading and mending the public data for tests.

The tables lie in a folder beside the project where there is one (`GATEWAY_DATA`, else `../shared/data`). Mended:

- `EXPULSION` has the direction `IN` in the files; an expulsion goes `OUT`.
- CBP's "OTHER" is `_U` (unknown) in the files; a publisher's own "other" is `_O`.
- `record_id` is added: a UUID version 7 of the vintage's date, its random bits from the natural key, so that the
  same cell of the same vintage has the same id on every run.
"""

from __future__ import annotations

import csv
import gzip
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from gateway.wire.canonical import canonical_bytes

FLOW_FILES = {
    "USA.DHS.CBP": ("flow_v1_demo_usa_cbp.csv.gz", 36_520),
    "MEX.SEGOB.UPMRIP": ("flow_v1_demo_mex_upmrip.csv.gz", 11_663),
    "GTM.IGM": ("flow_v1_demo_gtm_igm.csv.gz", 736),
}
_INTEGERS = ("count", "rounding_base")
# Every column but the value and what is said about it; the vintage makes the id one of this release.
_KEY = (
    *("provider", "period", "reporting_country", "counterpart_country", "direction", "flow_type", "unit"),
    *("citizenship", "sex", "age_group", "accompaniment", "place_scheme", "place_code", "legal_basis", "vintage"),
)


def found_folder() -> Path | None:
    """Return the folder of public data, or None where there is none."""
    folder = Path(os.environ.get("GATEWAY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    return folder if (folder / "derived").is_dir() else None


def data_folder() -> Path:
    """Return the folder of public data, or skip the test that needs it."""
    folder = found_folder()
    if folder is None:
        pytest.skip("the folder of public data is not beside the project")
    return folder


def flow_records(provider: str, folder: Path | None = None) -> Iterator[dict[str, str | int]]:
    """Yield an agency's published cells, mended, as records of flow 1.0.0."""
    name, _ = FLOW_FILES[provider]
    with gzip.open((folder or data_folder()) / "derived" / name, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield mended(row)


def flow_lines(provider: str, folder: Path | None = None) -> Iterator[bytes]:
    """Yield an agency's published cells as canonical lines."""
    for record in flow_records(provider, folder):
        yield canonical_bytes(record)


def mended(row: dict[str, str]) -> dict[str, str | int]:
    """Return one published row as a record of flow 1.0.0."""
    record: dict[str, str | int] = {name: int(cell) if name in _INTEGERS else cell for name, cell in row.items()}
    if record["flow_type"] == "EXPULSION":
        record["direction"] = "OUT"
    if record["provider"] == "USA.DHS.CBP" and record["citizenship"] == "_U":
        record["citizenship"] = "_O"
    record["record_id"] = stable_id(record)
    return record


def stable_id(record: dict[str, str | int]) -> str:
    """Return the UUID version 7 of a cell and vintage."""
    digest = int.from_bytes(sha256("|".join(str(record[name]) for name in _KEY).encode()).digest()[:10], "big")
    milliseconds = int(datetime.fromisoformat(str(record["vintage"])).replace(tzinfo=UTC).timestamp() * 1000)
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | (random_a & 0xFFF) << 64 | 0b10 << 62 | random_b))


def main(folder: Path, output: Path) -> None:
    """Write one CSV an agency, with the contract's own column names: what `gateway demo --data` asks of a converter."""
    for provider, (name, count) in FLOW_FILES.items():
        records = list(flow_records(provider, folder))
        assert len(records) == count, f"{name}: {len(records)} cells, expected {count}"
        with (output / f"{provider}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, records[0])
            writer.writeheader()
            writer.writerows(records)
        print(f"{provider}: {count} cells of {name}, mended: direction of expulsions, CBP's OTHER is _O, ids added")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
