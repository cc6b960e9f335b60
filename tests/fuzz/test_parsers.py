# SPDX-License-Identifier: Apache-2.0
"""Parsers meet what nobody wrote; this file is about damaged documents in every run, and coverage-guided ones in CI."""

from __future__ import annotations

import base64
import copy
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import fuzz
from tests.fuzz.damage import damaged
from tests.fuzz.seeds import AUTHORITY
from tests.fuzz.targets import TARGETS


def version(certificate: bytes) -> bytes:
    """Return a certificate that says that it is of version 4."""
    third = bytes.fromhex("a003020102")
    assert certificate.count(third) == 1
    return certificate.replace(third, bytes.fromhex("a003020103"))


def unnamed(anchors: bytes) -> bytes:
    """Return an anchor whose subject is no UTF-8."""
    before, _, after = AUTHORITY.public_bytes(Encoding.DER).rpartition(b"authority")
    pem = base64.encodebytes(before + b"\xff" * 9 + after)
    lists = anchors[anchors.index(b"-----BEGIN X509") :]
    return b"-----BEGIN CERTIFICATE-----\n" + pem + b"-----END CERTIFICATE-----\n" + lists


# Found by fuzzing, each refused in the wrong way once. The names say what went wrong.
FOUND = {
    "a signature that is a number was a fault": ("dsse", lambda seed: seed.replace(b'"sig": "', b'"sig": 1, "x": "')),
    "an id could end with a newline": ("identifier", lambda seed: seed + b"\n"),
    "a month could end with a newline": ("sdmx_query", lambda _: b"*\nc[TIME_PERIOD]=gt:2024-12%0A"),
    "a year could have digits of another script": (
        "sdmx_query",
        lambda _: b"*\nc[TIME_PERIOD]=%D9%A2%D9%A0%D9%A2%D9%A4",
    ),
    "the name of a filter could end with a newline": ("sdmx_query", lambda _: b"*\nc[REF_AREA]%0A=USA"),
    "nested brackets were a fault": ("client_toml", lambda seed: b"a=" + b"[" * 3000 + b"\n" + seed),
    "nested brackets were a fault of settings": ("settings", lambda seed: b"a=" + b"[" * 3000 + b"\n" + seed),
    "a setting could rename all others": ("settings", lambda seed: b'_env_prefix = "X_"' + seed),
    "a setting could read the command line": ("settings", lambda seed: b"_cli_parse_args = true" + seed),
    "a certificate of an unknown version was a fault": ("certificate", version),
    "a certificate whose subject is no name was a fault": (
        "certificate",
        lambda seed: seed.replace(bytes.fromhex("3011310f"), bytes.fromhex("3011e70f")),
    ),
    "an anchor whose subject is no text was a fault": ("anchors", unnamed),
}
RUNS = {"csv": 500, "records": 500}
RUNS_OTHERWISE = 4000
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_a_valid_document(name: str) -> None:
    """A target that refuses everything would find nothing."""
    assert any(TARGETS[name].accepts(seed) for seed in TARGETS[name].seeds)


@pytest.mark.parametrize("name", TARGETS)
@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_document_is_read_or_refused_as_declared(name: str, data: st.DataObject) -> None:
    """Whatever a parser raises beside its own refusal would be a fault of ours in the middle of a request."""
    seed = data.draw(st.sampled_from(TARGETS[name].seeds))

    TARGETS[name].accepts(data.draw(damaged(seed)))


@pytest.mark.parametrize("name", TARGETS)
@settings(derandomize=True, max_examples=40, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused_as_declared(name: str, data: bytes) -> None:
    TARGETS[name].accepts(data)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Return every place of a document: what holds it, and under which key."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield document, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.mark.parametrize("name", ["receipt", "dsse", "jwk"])
@settings(derandomize=True, max_examples=100, deadline=None)
@given(data=st.data())
def test_a_document_with_any_value_in_any_place_is_read_or_refused_as_declared(name: str, data: st.DataObject) -> None:
    """JSON that is well formed and of another shape, which damaged bytes seldom are."""
    document = json.loads(data.draw(st.sampled_from(TARGETS[name].seeds)))
    changed = copy.deepcopy(document)
    holder, key = data.draw(st.sampled_from([*places(changed)]))
    if data.draw(st.booleans()):
        holder[key] = data.draw(ANY_JSON)
    else:
        del holder[key]

    TARGETS[name].accepts(json.dumps(changed).encode())


@pytest.mark.parametrize("what", FOUND)
def test_what_fuzzing_found_is_refused_as_declared(what: str) -> None:
    """Each of these was a defect; without its mend this fails."""
    name, change = FOUND[what]

    assert not TARGETS[name].accepts(change(TARGETS[name].seeds[0]))


def test_what_fuzzing_found_in_a_span_of_months_selects_nothing() -> None:
    """`gt:9999` became the year 10000, which as a text comes before every year, and selected everything."""
    from tests.unit.aggregates.test_query import asked

    for value in ("gt:9999", "gt:9999-12", "lt:0000", "lt:0000-01"):
        found = asked(query=f"c[TIME_PERIOD]={value}")
        assert found.first_month > found.last_month


@pytest.mark.conformance
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_guided_by_coverage_find_nothing(name: str, tmp_path: Path) -> None:
    """The same few thousand inputs in every run; `make fuzz` goes on from there."""
    if importlib.util.find_spec("atheris") is None:
        message = f"atheris is not installed: it has no wheel for Python {sys.version_info[:2]} on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    outcome = fuzz(name, f"-runs={RUNS.get(name, RUNS_OTHERWISE)}", "-seed=1", found=tmp_path)

    assert outcome.text == ""
    assert outcome.runs >= RUNS.get(name, RUNS_OTHERWISE)
