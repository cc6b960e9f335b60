# SPDX-License-Identifier: Apache-2.0
"""Programs that we did not write; this file is about finding them: skipped by name here, a failure in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

# Debian's package of a program that is not called like it; `.ci/tools` knows the same.
PACKAGES = {"promtool": "prometheus", "systemd-analyze": "systemd", "node": "nodejs", "Rscript": "r-base-core"}
INSTALL_SECONDS_MAX = 120


def program(name: str) -> str:
    """Return the path of a program, or skip the test that needs it; with CI=true its absence is a failure."""
    # Servers stand in /usr/sbin, which is not on every PATH.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        _absent(f"{name} is not installed (Debian: apt-get install {PACKAGES.get(name, name)})")
    return found


def npm_packages(folder: Path, *names: str) -> Path:
    """Install npm packages as they are published into a folder and return it; skipped and failing as a program is."""
    (folder / "package.json").write_text("{}")
    words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *names]
    done = subprocess.run(
        [program("npm"), *words], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
    )
    if done.returncode != 0:
        _absent(f"{', '.join(names)} cannot be installed: {done.stderr[-200:]}")
    return folder


def _absent(message: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
