# SPDX-License-Identifier: Apache-2.0
"""The entry point of the program; this file is about `gateway` and `python -m gateway`."""

from __future__ import annotations

from gateway.cli.program import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
