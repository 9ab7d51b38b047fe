"""One at a time, by locks that somebody who may only read cannot hold.

Advisory locks are for everybody: a query of one's own could hold up a release until its time limit. This mode of a
table's lock conflicts with itself, lets all others read and write, and is refused to roles that may not write the table.
"""

from sqlalchemy import Connection, text


def lock_table(conn: Connection, table: str) -> None:
    """Wait until no other transaction holds this lock of a table, and hold it until this transaction ends."""
    conn.execute(text(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"))
