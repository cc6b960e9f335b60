# SPDX-License-Identifier: Apache-2.0
"""Deleting what may not be kept longer; this file is about the daily retention job."""

from __future__ import annotations
