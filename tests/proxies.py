# SPDX-License-Identifier: Apache-2.0
"""A gateway behind a proxy that we did not write; this file is about running nginx or HAProxy with our own file."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.onboarding.sandbox_files import SandboxFiles
from tests.programs import program
from tests.running import Running, running

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
PROXIES = ("nginx", "haproxy")
PROXY_SECONDS_MAX = 20


def configuration(name: str, folder: Path, files: SandboxFiles | None = None) -> Path:
    """Write deploy's file for a proxy with the places of a test: its folder, its port, the user who runs it."""
    tls = folder / "tls"
    tls.mkdir(exist_ok=True)
    port = files.port if files else 8443
    if files:
        shutil.copy(files.folder / "gateway" / "server.pem", tls / "server.pem")
        for key in ("server.key", "server.pem.key"):
            shutil.copy(files.folder / "gateway" / "server.key", tls / key)
        authorities = sorted((files.folder / "authorities").glob("???/ca.pem"))
        (folder / "anchors.pem").write_bytes(b"".join(path.read_bytes() for path in authorities))
    changes = {"/etc/gateway": str(folder), "/run/gateway": str(folder / "run")}
    if name == "nginx":
        text = (DEPLOY / "nginx" / "gateway.conf").read_text()
        changes |= {"[::]:443": f"[::1]:{port}", "443 ssl": f"127.0.0.1:{port} ssl", "/var/log/nginx": str(folder)}
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        frame = f"{user} daemon off; pid {folder}/nginx.pid; events {{}} http {{ {temporary}\n%s\n}}\n"
    else:
        text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
        changes |= {":443,[::]:443 v6only": f"127.0.0.1:{port},[::1]:{port} v6only", "/dev/log": "stderr"}
        # HAProxy holds a connection whose request never ends until its caller was silent for so long.
        changes |= {"timeout client 30s": "timeout client 3s"}
        changes |= {"    user haproxy\n": "", "    group gateway\n": ""}
        frame = "%s"
    for old, new in changes.items():
        assert old in text, (name, old)
        text = text.replace(old, new)
    path = folder / f"{name}.conf"
    path.write_text(frame % text)
    return path


def check_command(name: str, path: Path) -> list[str]:
    """Return the command by which a proxy judges its own file."""
    if name == "nginx":
        return [program(name), "-t", "-e", str(path.parent / "error.log"), "-c", str(path)]
    return [program(name), "-c", "-f", str(path)]


@contextlib.contextmanager
def behind(name: str, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run a sandbox's gateway in proxy mode behind nginx or HAProxy; the proxy has the sandbox's port."""
    run = folder / "run"
    run.mkdir()
    run.chmod(0o750)
    environment = {**(settings or {}), "GATEWAY_PEER_MODE": "proxy", "GATEWAY_LISTEN_SOCKET": str(run / "gateway.sock")}
    with contextlib.ExitStack() as stack:

        def put_in_front(files: SandboxFiles) -> None:
            stack.enter_context(_started(name, configuration(name, folder, files), files.port))

        yield stack.enter_context(running(folder / "sandbox", environment=environment, prepare=put_in_front))


@contextlib.contextmanager
def _started(name: str, path: Path, port: int) -> Iterator[None]:
    words = ["-e", str(path.parent / "error.log"), "-c", str(path)] if name == "nginx" else ["-f", str(path)]
    with (path.parent / f"{name}.log").open("wb") as out:
        process = subprocess.Popen([program(name), *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + PROXY_SECONDS_MAX
        while not _listens(port):
            assert process.poll() is None, (path.parent / f"{name}.log").read_text()
            assert time.monotonic() < deadline
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield
    finally:
        process.terminate()
        process.wait(PROXY_SECONDS_MAX)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
