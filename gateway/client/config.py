# SPDX-License-Identifier: Apache-2.0
"""Where the gateway is and with which keys to speak to it; this file is about the partner's `client.toml`."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.client.failures import ConfigInvalid
from gateway.identifiers import PARTNER_ID

LANGUAGES: Final = ("en", "es")
SECONDS_TOTAL_MAX: Final = 300
_SECONDS_TOTAL: Final = range(1, 86_401)  # to one day
_PATHS: Final = ("server_ca", "tls_cert", "tls_key", "signing_key", "answer_keys", "log_policy")


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
        """Return the path of an entry that this act cannot do without, or raise ConfigInvalid."""
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
        _check_names(entries)
        return ClientConfig(**{name: _value(name, entry, path.parent) for name, entry in entries.items()})
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigInvalid(f"{path}: not TOML: {error}") from error
    except ValueError as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def _check_names(entries: dict[str, Any]) -> None:
    known = {field.name: field.default is MISSING for field in fields(ClientConfig)}
    for name in entries:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    for name, required in known.items():
        if required and not entries.get(name):
            raise ValueError(f"the key {name!r} is missing")


def _value(name: str, entry: Any, folder: Path) -> Any:
    if name == "seconds_total_max":
        if type(entry) is not int or entry not in _SECONDS_TOTAL:
            raise ValueError(f"the key {name!r} must be a whole number from 1 to {_SECONDS_TOTAL[-1]}")
        return entry
    if not isinstance(entry, str):
        raise ValueError(f"the key {name!r} must be a text")  # noqa: TRY004 - one exception for every entry
    if name in _PATHS:
        if not (folder / entry).is_file():
            raise ValueError(f"the file of {name!r} does not exist: {folder / entry}")
        return folder / entry
    _check_text(name, entry)
    return entry


def _check_text(name: str, text: str) -> None:
    if name == "language" and text not in LANGUAGES:
        raise ValueError(f"the key {name!r} must be one of {', '.join(LANGUAGES)}")
    if name == "partner" and text and not PARTNER_ID.fullmatch(text):
        raise ValueError(f"the key {name!r} must be a partner id such as USA.DHS.CBP")
    if name in {"gateway_url", "public_origin"} and text:
        url = urlsplit(text)
        if url.scheme != "https" or not url.hostname:
            raise ValueError(f"the key {name!r} must be an https URL")
