# SPDX-License-Identifier: Apache-2.0
"""Files and queries that people write; this file is about reading back what was written, whatever it says."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_accept_header

from gateway.aggregates.observations import DataQuery
from gateway.api.language import LANGUAGES, language_of
from gateway.client.config import ClientConfig, load_config
from gateway.contracting.strict_yaml import parse_yaml
from gateway.importing.csv import lines_of_csv
from gateway.settings import Settings, load_settings
from gateway.wire.canonical import parse_canonical
from tests.fuzz.seeds import SETTINGS
from tests.unit.aggregates.test_query import FLOW, asked
from tests.unit.contracting.submissions import contract, record

# No character that a line of TOML or CSV cannot hold; those are refused, see tests/fuzz.
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5})?(:[1-9][0-9]{0,3})?", fullmatch=True)
PARTNERS = st.from_regex(r"[A-Z]{3}(\.[A-Z0-9]{2,12}){1,4}", fullmatch=True)
MONTHS = st.builds("{:04}-{:02}".format, st.integers(0, 9999), st.integers(1, 12))
CODES = st.text(st.sampled_from("ABCXYZ_019"), min_size=1, max_size=5).filter(lambda code: code != "_T")
FILES = {name: f"{name}.pem" for name in ("server_ca", "tls_cert", "tls_key", "signing_key")}
# Each example writes a file.
with_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def toml(entries: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(entry, ensure_ascii=False)}\n" for name, entry in entries.items())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*FILES.values(), "key.pem"):
        (tmp_path / name).touch()
    return tmp_path


@with_files
@given(
    given_=st.fixed_dictionaries(
        {"gateway_url": HOSTS.map("https://{}".format)},
        optional={
            "partner": PARTNERS, "language": st.sampled_from(["en", "es"]), "proxy": TEXTS,
            "public_origin": HOSTS.map("https://{}".format), "seconds_total_max": st.integers(1, 86_400),
        },
    )
)  # fmt: skip
def test_a_clients_configuration_says_what_was_written(folder: Path, given_: dict[str, Any]) -> None:
    path = folder / "client.toml"
    path.write_text(toml(given_ | FILES), encoding="utf-8")

    paths = {name: folder / file for name, file in FILES.items()}
    assert load_config(path) == ClientConfig(**given_, **paths)


def within(name: str) -> st.SearchStrategy[int]:
    """Return the numbers that a setting's bounds allow."""
    bounds = {type(bound).__name__: bound for bound in Settings.model_fields[name].metadata}
    return st.integers(bounds["Ge"].ge, bounds["Le"].le)


NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if field.annotation is int and {type(bound).__name__ for bound in field.metadata} == {"Ge", "Le"}
]


@with_files
@given(given_=st.fixed_dictionaries({}, optional={name: within(name) for name in NUMBERS}))
def test_settings_say_what_was_written(folder: Path, given_: dict[str, int]) -> None:
    assume(given_.keys() <= Settings.model_fields.keys())
    path = folder / "gateway.toml"
    path.write_text(toml(given_) + SETTINGS, encoding="utf-8")

    loaded = load_settings(path)
    assert {name: getattr(loaded, name) for name in given_} == given_
    assert loaded.log_key == folder / "key.pem"


YAML_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(TEXTS, YAML_VALUES, max_size=4), st.sampled_from(['"', "'"]), st.booleans())
def test_strict_yaml_reads_what_another_program_wrote(document: dict[str, Any], quote: str, flow: bool) -> None:
    """Written by PyYAML with every text quoted, whatever the text looks like."""

    class Quoting(yaml.SafeDumper):
        def ignore_aliases(self, _data: Any) -> bool:
            return True

    Quoting.add_representer(
        str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quote)
    )
    text = yaml.dump(document, Dumper=Quoting, default_flow_style=flow, allow_unicode=True, width=10**6)

    assume("? " not in text)  # PyYAML writes long keys so; they are read, but not worth a strategy.
    assume("<<" not in document)
    assert parse_yaml(text) == document


CELLS = st.fixed_dictionaries(
    {"count": st.integers(0, 10**14)}, optional={"note": TEXTS.map(str.strip), "provider": TEXTS.map(str.strip)}
)


@given(
    st.lists(CELLS, min_size=1, max_size=4), st.sampled_from(["utf-8", "utf-8-sig"]), st.sampled_from(["\n", "\r\n"])
)
def test_a_table_becomes_the_records_that_were_written(rows: list[dict[str, Any]], encoding: str, end: str) -> None:
    cell = record("flow", "cell")
    records = [cell | {name: value for name, value in row.items() if value != ""} for row in rows]
    names = sorted({name for one in records for name in one})
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.csv"
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, names, lineterminator=end)
            writer.writeheader()
            writer.writerows(records)
        lines = list(lines_of_csv(path, contract("flow"), new_id=lambda: "new"))

    assert [parse_canonical(line) for line in lines] == records


@given(
    alternatives=st.lists(
        st.sets(CODES, max_size=3), min_size=len(FLOW.structure.key), max_size=len(FLOW.structure.key)
    ),
    first=MONTHS,
    last=MONTHS,
)
def test_a_query_selects_what_it_names(alternatives: list[set[str]], first: str, last: str) -> None:
    key = ".".join("+".join(sorted(wanted)) for wanted in alternatives)
    found: DataQuery = asked(key, f"c[TIME_PERIOD]=ge:{first}+le:{last}")

    assert (found.first_month, found.last_month) == (first, last)
    assert found.selects(FLOW.structure, [min(wanted) if wanted else "ANY" for wanted in alternatives])
    for position, wanted in enumerate(alternatives):
        assert found.named(FLOW.structure, FLOW.structure.key[position]) == frozenset(wanted)
        if wanted:
            others = [min(one) if one else "ANY" for one in alternatives]
            others[position] = "OTHER!"
            assert not found.selects(FLOW.structure, others)


@given(MONTHS, st.sampled_from(["gt", "lt"]))
def test_after_and_before_a_month_leave_the_month_out(month: str, operator: str) -> None:
    found = asked(query=f"c[TIME_PERIOD]={operator}:{month}")

    assert not found.first_month <= month <= found.last_month
    other = asked(query=f"c[TIME_PERIOD]={'le' if operator == 'gt' else 'ge'}:{month}")
    assert other.first_month <= month <= other.last_month


WEIGHTS = st.sampled_from(["", ";q=1", "; q=0.9", " ;q=0.5", ";q=0.001", ";q=0", ";q=1.000"])
RANGES = st.builds("{}{}".format, st.sampled_from(["en", "es", "es-MX", "EN-gb", "fr", "est", "*"]), WEIGHTS)


@given(st.lists(RANGES, max_size=6))
def test_the_language_is_one_that_another_program_would_choose(ranges: list[str]) -> None:
    """Werkzeug reads the header's weights; among our languages none may weigh more than the one that we take."""
    weights = dict.fromkeys(LANGUAGES, 0.0)
    for tag, weight in parse_accept_header(", ".join(ranges)):
        language = tag.lower().partition("-")[0]
        if language in weights:
            weights[language] = max(weights[language], weight)

    chosen = language_of([(b"accept-language", ", ".join(ranges).encode())])
    assert weights[chosen] == max(weights.values())
    assert chosen == "en" or weights["es"] > 0
