"""The tables of ``docs/database.md`` from the comments in a new database: ``python -m scripts.database_doc``.

Needs a server where a database may be created (else the embedded one): makes one and drops it. Tests hold the
document to it.
"""

import uuid
from pathlib import Path

from sqlalchemy import create_engine, text

from catalog.engine import make_engine, parse_url, upgrade
from catalog.schema_words import database_markdown
from workers.session import open_session
from workers.settings import load_settings

DOC = Path(__file__).parents[1] / "docs" / "database.md"


def main() -> None:
    """Write the document anew."""
    name = f"asidcat_words_{uuid.uuid4().hex[:8]}"
    with open_session(load_settings()) as session:
        server = create_engine(session.engine.url, isolation_level="AUTOCOMMIT")
        with server.connect() as admin:
            admin.execute(text(f"CREATE DATABASE {name}"))
            url = parse_url(session.engine.url).set(database=name)
            try:
                upgrade(url)
                engine = make_engine(url, pooled=False)
                with engine.connect() as conn:
                    DOC.write_text(database_markdown(conn, DOC.read_text()))
            finally:
                admin.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


if __name__ == "__main__":
    main()
