# SPDX-License-Identifier: Apache-2.0
"""What a configuration may say; this file is about clear errors before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.client.answers import load_answer_keys
from gateway.client.config import load_config
from gateway.client.failures import ConfigInvalid

GOOD = """
gateway_url = "https://gateway.test:8443"
server_ca = "ca.pem"
tls_cert = "tls.pem"
tls_key = "tls.key"
signing_key = "signing.pem"
partner = "USA.DHS.CBP"
language = "es"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "tls.pem", "tls.key", "signing.pem"):
        (tmp_path / name).write_text("x")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "client.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    config = load_config(write(folder, GOOD))

    assert config.tls_cert == folder / "tls.pem"
    assert (config.partner, config.language) == ("USA.DHS.CBP", "es")
    assert config.origin == "https://gateway.test:8443"


def test_the_public_origin_is_what_is_signed(folder: Path) -> None:
    config = load_config(write(folder, GOOD + 'public_origin = "https://intercambio.example/"\n'))

    assert config.origin == "https://intercambio.example"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + 'signing_keys = "x"\n', "did you mean 'signing_key'"),
        (GOOD.replace('server_ca = "ca.pem"', ""), "'server_ca' is missing"),
        (GOOD.replace("tls.key", "gone.key"), "'tls_key' does not exist"),
        (GOOD.replace("https:", "http:"), "must be an https URL"),
        (GOOD.replace('"es"', '"fr"'), "'language'"),
        (GOOD.replace('"es"', "5"), "must be a text"),
        (GOOD.replace("USA.DHS.CBP", "cbp"), "'partner'"),
        (GOOD + "seconds_total_max = 0\n", "'seconds_total_max'"),
        (GOOD + "seconds_total_max = true\n", "'seconds_total_max'"),
        ("gateway_url = ", "not TOML"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        load_config(write(folder, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"absent\.toml"):
        load_config(tmp_path / "absent.toml")


def test_what_an_act_needs_is_named(folder: Path) -> None:
    config = load_config(write(folder, GOOD))

    with pytest.raises(ConfigInvalid, match="log_policy"):
        config.needed("log_policy")


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 5}', '{"keys": [5]}'])
def test_a_file_that_is_no_jwks_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)

    with pytest.raises(ConfigInvalid, match="JWKS"):
        load_answer_keys(path)
