# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a sandbox; this file is about its layout and the files that programs read.

gateway.toml  sandbox.json  log.policy  answer-keys.json  server-ca.pem  gateway.db
gateway/      keys and certificate of the gateway itself
authorities/<COUNTRY>/   ca.pem crl.pem, and ca.key, which a real country would never hand over
partners/<id>/  officers/<id>/   tls.pem tls.key signing.key client.toml
specimens/    certificates that must be refused: <name>.pem <name>.key
run/          the socket of the operator's commands
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.onboarding.pki import write_public

SOCKET_PATH_MAX = 107
Value = str | int | bool | Path | list[str] | dict[str, Path]


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A client certificate and its key."""

    tls_cert: Path
    tls_key: Path


@dataclass(frozen=True, slots=True)
class PartyFiles(CertificateFiles):
    """What a partner or an officer of the sandbox works with; an officer's signing key is the approval key."""

    id: str
    country: str
    roles: tuple[str, ...]
    signing_key: Path
    keyid: str
    client: Path
    active: bool


@dataclass(frozen=True, slots=True)
class SandboxFiles:
    """A sandbox: where it lies and what it is called, and its keys, parties and specimens once they are made."""

    folder: Path
    port: int
    year: int
    engine_url: str | None
    log_vkey: str = ""
    partners: Mapping[str, PartyFiles] = field(default_factory=dict)
    officers: Mapping[str, PartyFiles] = field(default_factory=dict)
    specimens: Mapping[str, CertificateFiles] = field(default_factory=dict)

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

    @property
    def settings(self) -> Path:
        """Return the settings of the gateway."""
        return self.folder / "gateway.toml"

    @property
    def description(self) -> Path:
        """Return the description that other programs and tests start from."""
        return self.folder / "sandbox.json"

    @property
    def server_ca(self) -> Path:
        """Return the certificate under which the gateway's own holds."""
        return self.folder / "server-ca.pem"

    @property
    def answer_keys(self) -> Path:
        """Return the public keys of signed answers."""
        return self.folder / "answer-keys.json"

    @property
    def log_policy(self) -> Path:
        """Return which log is trusted, under which witnesses."""
        return self.folder / "log.policy"

    def officer(self, country: str, role: str) -> PartyFiles:
        """Return the officer of a country who has a role."""
        return next(o for o in self.officers.values() if o.country == country and role in o.roles)


def write_settings(sandbox: SandboxFiles, countries: Iterable[str], contracts_root: Path | None) -> None:
    """Write gateway.toml; its paths are relative, so that the folder can be moved."""
    places = list(countries)
    contracts = {} if contracts_root is None else {"contracts_dir": contracts_root.resolve()}
    _write_toml(
        sandbox.settings,
        "Settings of a sandbox. Every key in this folder is a test key.",
        {
            "public_origin": sandbox.public_origin,
            "database_url": sandbox.engine_url or "sqlite:///gateway.db",
            "parties": places,
            "sandbox": True,
            "listen_host": "127.0.0.1",
            "listen_port": sandbox.port,
            "tls_certificate": Path("gateway/server.pem"),
            "tls_key": Path("gateway/server.key"),
            "anchors": {country: Path(f"authorities/{country}/ca.pem") for country in places},
            "revocation_lists": {country: Path(f"authorities/{country}/crl.pem") for country in places},
            "answer_key": Path("gateway/answer.key"),
            "token_key": Path("gateway/token.key"),
            "webhook_anchors": Path("server-ca.pem"),
            "log_key": Path("gateway/log.key"),
            "log_origin": sandbox.log_origin,
            "log_policy": Path("log.policy"),
            # Several sandboxes may run at once.
            "metrics_port": 0,
            **_operator_socket(sandbox.folder),
            **contracts,
        },
    )


def write_client_configuration(sandbox: SandboxFiles, folder: Path, *, partner: str | None) -> Path:
    """Write a party's client.toml; an officer is no partner."""
    up = Path("../..")
    values: dict[str, Value] = {
        "gateway_url": sandbox.public_origin,
        "public_origin": sandbox.public_origin,
        "server_ca": up / "server-ca.pem",
        "tls_cert": Path("tls.pem"),
        "tls_key": Path("tls.key"),
        "signing_key": Path("signing.key"),
        "answer_keys": up / "answer-keys.json",
        "log_policy": up / "log.policy",
    }
    known: dict[str, Value] = {} if partner is None else {"partner": partner}
    return _write_toml(folder / "client.toml", "How this party speaks to the sandbox.", values | known)


def write_description(sandbox: SandboxFiles) -> None:
    """Write sandbox.json, the stable description that other programs and tests start from."""
    origin = sandbox.public_origin
    active = [party for party in sandbox.partners.values() if party.active]
    document = {
        "gateway": {
            "api": f"{origin}/v1",
            "log": f"{origin}/log/{sandbox.year}",
            "sdmx": f"{origin}/sdmx/v2",
            "web": None,
        },
        "public_origin": origin,
        "server_ca": sandbox.server_ca,
        "answer_keys": sandbox.answer_keys,
        "log": {"origin": sandbox.log_origin, "vkey": sandbox.log_vkey, "policy_file": sandbox.log_policy},
        "partners": [_described(party, {"roles": party.roles}) | {"keyid": party.keyid} for party in active],
        "officers": [_described(party, {"role": party.roles[0]}) for party in sandbox.officers.values()],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    write_public(sandbox.description, text.encode() + b"\n")


def _operator_socket(folder: Path) -> dict[str, Path]:
    # The path of a unix socket has a bound, which a deep folder would exceed.
    path = Path("run/operator.sock")
    return {"operator_socket": path} if len(str(folder / path)) <= SOCKET_PATH_MAX else {}


def _described(party: PartyFiles, part: Mapping[str, object]) -> dict[str, object]:
    files = {"tls_cert": party.tls_cert, "tls_key": party.tls_key, "signing_key": party.signing_key}
    return {"id": party.id, "country": party.country, **part, **files}


def _write_toml(path: Path, comment: str, values: Mapping[str, Value]) -> Path:
    lines = [f"# {comment}", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    return write_public(path, "\n".join(lines).encode() + b"\n")


def _toml(value: Value) -> str:
    """Write one value; a JSON string in ASCII is a TOML basic string too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(str(value) if isinstance(value, Path) else value)
