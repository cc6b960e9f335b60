# SPDX-License-Identifier: Apache-2.0
"""What an operator may choose; this file is about settings: read once, checked before the port opens.

They come from one TOML file; `GATEWAY_<NAME>` in the environment overrides a name. Paths in the file are
relative to the file's folder.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class SettingsInvalid(Exception):
    """The settings do not hold; the text names each setting, its bound and how to mend it."""


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}; write it or correct the path")
    return path


ExistingFile = Annotated[Path, AfterValidator(_existing)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
AgeRecipient = Annotated[str, Field(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]


class Settings(BaseSettings):
    """Every setting of the gateway process."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", extra="forbid", frozen=True)

    public_origin: str = Field(
        pattern=r"^https://[^/?#\s]+$", description="Scheme and authority that callers sign in @target-uri, no slash."
    )
    database_url: str = Field(
        pattern=r"^(sqlite:///|postgresql\+psycopg://).+", description="sqlite:///FILE or postgresql+psycopg://…"
    )
    contracts_dir: Path | None = Field(default=None, description="Contracts folder; by default the package's own.")
    parties: tuple[Country, ...] = Field(min_length=1, max_length=20, description="Countries that sign contracts.")
    sandbox: bool = Field(default=False, description="Test deployment: specimen codes, hints with signature bases.")

    listen_host: str = Field(default="127.0.0.1", description="Address of the partner listener.")
    listen_port: int = Field(default=8443, ge=0, le=65535, description="Port; 0 takes a free one.")
    address_file: Path | None = Field(default=None, description="Where the real host:port is written once open.")
    peer_mode: Literal["direct", "proxy"] = Field(
        default="direct", description="direct: TLS here; proxy: a proxy on listen_socket hands the certificate over."
    )
    listen_socket: Path | None = Field(default=None, description="Unix socket of the proxy mode, in a 0750 folder.")
    tls_certificate: ExistingFile | None = Field(default=None, description="Server chain, PEM.")
    tls_key: ExistingFile | None = Field(default=None, description="Server key, PEM, mode 0600.")
    tls12: bool = Field(default=False, description="Also TLS 1.2, ECDHE and AEAD only, for older national platforms.")

    anchors: dict[Country, ExistingFile] = Field(min_length=1, description="Country to its CA certificates, PEM.")
    revocation_lists: dict[Country, ExistingFile] = Field(
        default_factory=dict, description="Country to its CRL, PEM; a country without one is not checked."
    )

    answer_key: ExistingFile = Field(description="Private key that signs answers, PKCS#8 PEM.")
    token_key: ExistingFile | None = Field(
        default=None, description="Private P-256 key that signs access tokens, PKCS#8 PEM; without it there are none."
    )
    token_seconds: int = Field(default=300, ge=300, le=600, description="How long an access token holds.")
    webhook_anchors: ExistingFile | None = Field(
        default=None, description="CA certificates that webhooks are trusted by, PEM; by default the machine's own."
    )
    log_key: ExistingFile = Field(description="Private Ed25519 key that signs checkpoints, PKCS#8 PEM.")
    log_origin: str = Field(pattern=r"^[a-z0-9.-]+(:\d+)?/log/\d{4}$", description="Origin, <public host>/log/<year>.")
    log_policy: ExistingFile = Field(description="The log policy handed to verifiers (tlog-policy text).")

    body_bytes_max: int = Field(default=64 << 20, ge=1 << 10, le=1 << 30, description="Largest body as sent.")
    decoded_bytes_max: int = Field(default=256 << 20, ge=1 << 10, le=4 << 30, description="Largest body once decoded.")
    decoded_ratio_max: int = Field(default=100, ge=1, le=1000, description="Most a body may grow when decoded.")
    spool_bytes: int = Field(default=8 << 20, ge=0, le=64 << 20, description="Larger bodies go to an unlinked file.")
    body_seconds_max: int = Field(default=120, ge=1, le=3600, description="Longest time for a body to arrive.")
    receipt_wait_seconds: float = Field(default=3.0, ge=0, le=30, description="Wait for the receipt before a 202.")
    worker_threads: int = Field(default=16, ge=1, le=256, description="Submissions worked on at once.")
    requests_per_second: float = Field(
        default=200, gt=0, le=100_000, description="Sustained rate of one partner, for each of submit, read and other."
    )
    requests_burst: int = Field(
        default=400, ge=1, le=1_000_000, description="Requests of one partner at once, for each of these."
    )
    connections_max: int = Field(default=512, ge=1, le=65_536, description="Open connections of the listener.")
    checkpoint_idle_seconds: float = Field(default=60, ge=1, le=3600, description="Re-signing when nothing happens.")
    retention_hour: int = Field(default=3, ge=0, le=23, description="UTC hour of the daily deletion.")

    enact_changes: bool = Field(
        default=True, description="Whether this process puts in force what officers signed; else gateway govern enact."
    )
    operator_socket: Path | None = Field(
        default=None, description="Unix socket of the operator's commands, in a folder of mode 0750 or less."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of the metrics listener; loopback by default.")
    metrics_port: int = Field(default=9464, ge=0, le=65535, description="Port of /metrics; 0 turns it off.")
    backup_recipients: tuple[AgeRecipient, ...] = Field(
        default=(), max_length=20, description="age public keys that can open a backup; the private ones lie elsewhere."
    )
    postgresql_programs: Path | None = Field(
        default=None, description="Folder of pg_dump and pg_restore; by default those on PATH."
    )

    @model_validator(mode="after")
    def _listener_is_complete(self) -> Self:
        if self.peer_mode == "direct" and not (self.tls_certificate and self.tls_key):
            raise ValueError("peer_mode direct needs tls_certificate and tls_key")
        if self.peer_mode == "proxy" and not self.listen_socket:
            raise ValueError("peer_mode proxy needs listen_socket: a header is believed on a unix socket only")
        if missing := set(self.parties) - set(self.anchors):
            raise ValueError(f"anchors are missing for {', '.join(sorted(missing))}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, and nothing else speak."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def bound_of(name: str) -> str:
    """Return what a setting may be, for people: its numbers, its pattern, or its words."""
    field = Settings.model_fields[name]
    words = {"ge": "at least", "gt": "more than", "le": "at most", "min_length": "entries at least",
             "max_length": "entries at most", "pattern": "like"}  # fmt: skip
    found = [
        f"{said} {value}"
        for part in field.metadata
        for mark, said in words.items()
        if (value := getattr(part, mark, None)) is not None
    ]
    if get_origin(field.annotation) is Literal:
        found.append("one of " + ", ".join(get_args(field.annotation)))
    return ", ".join(found)


_PATHS = frozenset({
    "contracts_dir", "address_file", "listen_socket", "tls_certificate", "tls_key", "answer_key", "token_key",
    "webhook_anchors", "log_key", "log_policy", "operator_socket", "postgresql_programs",
})  # fmt: skip


def load_settings(file: Path) -> Settings:
    """Read and check the settings file.

    Raises:
        SettingsInvalid: when the file cannot be read or a setting does not hold.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsInvalid(f"{file}: {error}") from error
    # pydantic-settings takes such names as orders to itself: another prefix, a file of secrets, the command line.
    if own := sorted(name for name in values if name.startswith("_")):
        raise SettingsInvalid(f"{file}: {own[0]}: there is no such setting")
    try:
        return Settings(**_resolved(values, file.resolve().parent))
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_sentence(file, item) for item in error.errors())) from error


def _resolved(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the file's relative paths independent of where the process was started."""
    resolved = dict(values)
    for name in _PATHS & values.keys():
        resolved[name] = folder / str(values[name])
    for name in ("anchors", "revocation_lists"):
        if isinstance(values.get(name), dict):
            resolved[name] = {country: folder / str(path) for country, path in values[name].items()}
    url = str(values.get("database_url", ""))
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        resolved["database_url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    return resolved


def _sentence(file: Path, item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "settings"
    first = str(item["loc"][0]) if item["loc"] else ""
    field = Settings.model_fields.get(first)
    if field is None:
        return f"{file}: {name}: {item['msg']}; `gateway config show` names every setting"
    bound = f"; {found}" if (found := bound_of(first)) else ""
    return f"{file}: {name}: {item['msg']}{bound}. Mend it there or in GATEWAY_{first.upper()}: {field.description}"
