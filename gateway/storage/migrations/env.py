# SPDX-License-Identifier: Apache-2.0
"""Where Alembic meets the connection of `migrate.py`; this file is about the surroundings of every migration."""

from __future__ import annotations

from alembic import context

# The caller owns the transaction: on both engines a migration happens as a whole or not at all.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
