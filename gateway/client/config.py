# SPDX-License-Identifier: Apache-2.0
"""Where the gateway is and with which keys to speak to it; this file is about the partner's `client.toml`."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.client.failures import ConfigInvalid
from gateway.identifiers import PARTNER_ID

LANGUAGES = ("en", "es")
SECONDS_TOTAL_MAX = 300
_REQUIRED = ("gateway_url", "server_ca", "tls_cert", "tls_key")
_PATHS = ("server_ca", "tls_cert", "tls_key", "signing_key", "answer_keys", "log_policy")
_TEXTS = ("gateway_url", "public_origin", "proxy", "partner", "language", *_PATHS)
_KEYS = (*_TEXTS, "seconds_total_max")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What a partner or an officer needs to speak to one gateway.

    `signing_key` and `answer_keys` are needed to submit, `log_policy` to trust a receipt. `public_origin` is what
    the gateway calls itself in signatures; it is the URL's own origin unless a proxy stands between.
    """

    gateway_url: str
    server_ca: Path
    tls_cert: Path
    tls_key: Path
    signing_key: Path | None = None
    answer_keys: Path | None = None
    log_policy: Path | None = None
    partner: str = ""
    language: str = "en"
    public_origin: str = ""
    proxy: str = ""
    seconds_total_max: int = SECONDS_TOTAL_MAX

    @property
    def origin(self) -> str:
        """Return the origin that the gateway puts into signature bases."""
        return (self.public_origin or self.gateway_url).rstrip("/")

    def needed(self, name: str) -> Path:
        """Return the path of an entry that this act cannot do without.

        Raises:
            ConfigInvalid: when the configuration does not have it.
        """
        path: Path | None = getattr(self, name)
        if path is None:
            raise ConfigInvalid(f"the configuration has no {name}, which this needs")
        return path


def load_config(path: Path) -> ClientConfig:
    """Read `client.toml`; paths in it are relative to its folder.

    Raises:
        ConfigInvalid: when the file cannot be read, or an entry is missing, unknown or wrong.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: not TOML: {error}") from error
    try:
        return config_of(entries, folder=path.parent)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def config_of(entries: Mapping[str, Any], *, folder: Path) -> ClientConfig:
    """Build a configuration from plain entries.

    Raises:
        ConfigInvalid: when an entry is missing, unknown or wrong.
    """
    for name in entries:
        if name not in _KEYS:
            near = difflib.get_close_matches(name, _KEYS, n=1)
            raise ConfigInvalid(f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    values: dict[str, Any] = {}
    for name in _REQUIRED:
        if not entries.get(name):
            raise ConfigInvalid(f"the key {name!r} is missing")
    for name in _TEXTS:
        if name in entries:
            if not isinstance(entries[name], str):
                raise ConfigInvalid(f"the key {name!r} must be a text")
            values[name] = _existing(folder / entries[name], name) if name in _PATHS else entries[name]
    if "seconds_total_max" in entries:
        values["seconds_total_max"] = _seconds(entries["seconds_total_max"])
    config = ClientConfig(**values)
    _check(config)
    return config


def answer_keys(path: Path) -> list[Mapping[str, Any]]:
    """Read the pinned JWKS file of the gateway's answer keys.

    Raises:
        ConfigInvalid: when the file is no JWKS.
    """
    try:
        keys = json.loads(path.read_bytes())["keys"]
        return [dict(key) for key in keys]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid(f"{path}: not a JWKS") from error


def _existing(path: Path, name: str) -> Path:
    if not path.is_file():
        raise ConfigInvalid(f"the file of {name!r} does not exist: {path}")
    return path


def _seconds(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 86_400:  # noqa: PLR2004 - one day
        raise ConfigInvalid("the key 'seconds_total_max' must be a whole number from 1 to 86400")
    return value


def _check(config: ClientConfig) -> None:
    for name in ("gateway_url", "public_origin"):
        url = getattr(config, name)
        if url and (urlsplit(url).scheme != "https" or not urlsplit(url).hostname):
            raise ConfigInvalid(f"the key {name!r} must be an https URL")
    if config.language not in LANGUAGES:
        raise ConfigInvalid(f"the key 'language' must be one of {', '.join(LANGUAGES)}")
    if config.partner and not PARTNER_ID.match(config.partner):
        raise ConfigInvalid("the key 'partner' must be a partner id such as USA.DHS.CBP")
