# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for one command; this file is about lending a fresh database to `gateway demo`.

`python -m tests.with_postgresql COMMAND ...` runs the command with GATEWAY_DEMO_DATABASE set, and stops the server
when the command ends, unless the command was told to keep its gateway and did.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.engines import PostgresServer


def main(command: list[str]) -> int:
    server = PostgresServer(durable=True)
    kept = False
    try:
        environment = {**os.environ, "GATEWAY_DEMO_DATABASE": server.fresh()}
        code = subprocess.run(command, env=environment, check=False).returncode
        kept = "--keep" in command and code == 0
    finally:
        if kept:
            print(f"PostgreSQL stays too; its log is {server.folder / 'log'}, kill -INT {server.pid} stops it")
        else:
            server.stop()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
