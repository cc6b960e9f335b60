# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a sandbox; this file is about its layout and the files that programs read.

gateway.toml  sandbox.json  log.policy  answer-keys.json  server-ca.pem  gateway.db
gateway/      keys and certificate of the gateway itself
authorities/<COUNTRY>/   ca.pem crl.pem, and ca.key, which a real country would never hand over
partners/<id>/  officers/<id>/   tls.pem tls.key signing.key client.toml
specimens/    certificates that must be refused: <name>.pem <name>.key
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.onboarding.pki import write_public

Value = str | int | bool | Path | list[str] | dict[str, Path]


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A client certificate and its key."""

    tls_cert: Path
    tls_key: Path


@dataclass(frozen=True, slots=True)
class PartyFiles:
    """What a partner or an officer of the sandbox works with; an officer's signing key is the approval key."""

    id: str
    country: str
    roles: tuple[str, ...]
    tls_cert: Path
    tls_key: Path
    signing_key: Path
    keyid: str
    client: Path
    active: bool = True


@dataclass(frozen=True, slots=True)
class SandboxPlan:
    """What is decided before anything is written."""

    folder: Path
    port: int
    year: int
    engine_url: str | None
    contracts_root: Path | None = None

    @property
    def public_origin(self) -> str:
        """Return what callers sign in `@target-uri`."""
        return f"https://localhost:{self.port}"

    @property
    def log_origin(self) -> str:
        """Return the name of the log: host and year."""
        return f"localhost:{self.port}/log/{self.year}"

    @property
    def database_url(self) -> str:
        """Return the database, by default a file of the sandbox."""
        return self.engine_url or f"sqlite:///{self.folder / 'gateway.db'}"

    def file(self, *parts: str) -> Path:
        """Return a path inside the sandbox."""
        return self.folder.joinpath(*parts)


@dataclass(frozen=True, slots=True)
class SandboxFiles:
    """A sandbox as it stands; `description` is sandbox.json, `specimens` are the certificates to be refused."""

    folder: Path
    settings: Path
    description: Path
    port: int
    public_origin: str
    database_url: str
    server_ca: Path
    answer_keys: Path
    log_policy: Path
    log_origin: str
    log_vkey: str
    partners: Mapping[str, PartyFiles]
    officers: Mapping[str, PartyFiles]
    specimens: Mapping[str, CertificateFiles]

    def officer(self, country: str, role: str) -> PartyFiles:
        """Return the officer of a country who has a role."""
        return next(o for o in self.officers.values() if o.country == country and role in o.roles)


def write_settings(plan: SandboxPlan, countries: Iterable[str]) -> Path:
    """Write gateway.toml; its paths are relative, so that the folder can be moved."""
    places = list(countries)
    contracts = {} if plan.contracts_root is None else {"contracts_dir": plan.contracts_root.resolve()}
    return _write_toml(
        plan.file("gateway.toml"),
        "Settings of a sandbox. Every key in this folder is a test key.",
        {
            "public_origin": plan.public_origin,
            "database_url": plan.engine_url or "sqlite:///gateway.db",
            "parties": places,
            "sandbox": True,
            "listen_host": "127.0.0.1",
            "listen_port": plan.port,
            "tls_certificate": Path("gateway/server.pem"),
            "tls_key": Path("gateway/server.key"),
            "anchors": {country: Path(f"authorities/{country}/ca.pem") for country in places},
            "revocation_lists": {country: Path(f"authorities/{country}/crl.pem") for country in places},
            "answer_key": Path("gateway/answer.key"),
            "log_key": Path("gateway/log.key"),
            "log_origin": plan.log_origin,
            "log_policy": Path("log.policy"),
            **contracts,
        },
    )


def write_client_configuration(plan: SandboxPlan, folder: Path, *, partner: str | None) -> Path:
    """Write a party's client.toml."""
    up = Path("../..")
    values: dict[str, Value] = {
        "gateway_url": plan.public_origin,
        "public_origin": plan.public_origin,
        "server_ca": up / "server-ca.pem",
        "tls_cert": Path("tls.pem"),
        "tls_key": Path("tls.key"),
        "signing_key": Path("signing.key"),
        "answer_keys": up / "answer-keys.json",
        "log_policy": up / "log.policy",
    }
    if partner is not None:
        values["partner"] = partner
    return _write_toml(folder / "client.toml", "How this party speaks to the sandbox.", values)


def write_description(files: SandboxFiles) -> Path:
    """Write sandbox.json, the stable description that other programs and tests start from."""
    year = files.log_origin.rsplit("/", 1)[1]
    document = {
        "gateway": {
            "api": f"{files.public_origin}/v1",
            "log": f"{files.public_origin}/log/{year}",
            "sdmx": f"{files.public_origin}/sdmx/v2",
            "web": None,
        },
        "public_origin": files.public_origin,
        "server_ca": str(files.server_ca),
        "answer_keys": str(files.answer_keys),
        "log": {"origin": files.log_origin, "vkey": files.log_vkey, "policy_file": str(files.log_policy)},
        "partners": [
            {
                "id": party.id,
                "country": party.country,
                "roles": list(party.roles),
                "tls_cert": str(party.tls_cert),
                "tls_key": str(party.tls_key),
                "signing_key": str(party.signing_key),
                "keyid": party.keyid,
            }
            for party in files.partners.values()
            if party.active
        ],
        "officers": [
            {
                "id": party.id,
                "country": party.country,
                "role": party.roles[0],
                "tls_cert": str(party.tls_cert),
                "tls_key": str(party.tls_key),
                "signing_key": str(party.signing_key),
            }
            for party in files.officers.values()
        ],
    }
    return write_public(files.description, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")


def _write_toml(path: Path, comment: str, values: Mapping[str, Value]) -> Path:
    lines = [f"# {comment}", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    return write_public(path, "\n".join(lines).encode() + b"\n")


def _toml(value: Value) -> str:
    """Write one value; a JSON string in ASCII is a TOML basic string too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(str(value) if isinstance(value, Path) else value)
