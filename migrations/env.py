"""Alembic's environment: how each migration runs, from the command line and from `catalog.engine.upgrade`."""

import os

from alembic import context
from sqlalchemy import text

from catalog.engine import DatabaseUrlError, make_engine
from catalog.tables import Base

LOCK = "asidcat migrations"


def run() -> None:
    """Migrate the database of the configuration, or of ASIDCAT_DATABASE_URL, one process at a time."""
    url = context.config.attributes.get("url") or os.environ.get("ASIDCAT_DATABASE_URL")
    if not url:
        raise DatabaseUrlError("no database: set ASIDCAT_DATABASE_URL")
    with make_engine(url, pooled=False).connect() as connection:
        connection.execute(text("SET statement_timeout = '10min'"))
        connection.execute(text("SELECT pg_advisory_lock(hashtext(:lock))"), {"lock": LOCK})
        # A migration that waits for a table blocks all who come after it: better to give up and try again.
        connection.execute(text("SET lock_timeout = '10s'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("asidcat's migrations run on a database, not as a script")
run()
