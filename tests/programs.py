# SPDX-License-Identifier: Apache-2.0
"""Programs that we did not write; this file is about finding them: skipped by name here, a failure in CI."""

from __future__ import annotations

import os
import shutil

import pytest

# Debian's package of a program that is not called like it; `.ci/tools` knows the same.
PACKAGES = {"promtool": "prometheus", "systemd-analyze": "systemd", "node": "nodejs", "Rscript": "r-base-core"}


def program(name: str) -> str:
    """Return the path of a program, or skip the test that needs it; with CI=true its absence is a failure."""
    # Servers stand in /usr/sbin, which is not on every PATH.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is not None:
        return found
    message = f"{name} is not installed (Debian: apt-get install {PACKAGES.get(name, name)})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
