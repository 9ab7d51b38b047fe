"""What people ask the database: runs, a cone of the sky, SQL of their own.

Their SQL runs as one statement in a read-only transaction with a time limit, by a role that may read the tables
and nothing else. A superuser can leave any role it was put in by ``SET ROLE`` and read the server's files, so
it logs in again as a plain reader.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from catalog.engine import DatabaseUnreachable, describe_url
from catalog.ledger import progress, run_state
from catalog.tables import Detection, Observation, Release, Run

READER = "asidcat_reader"
STATEMENT_S = 60.0
SPILL = "4GB"
"""Most that a reader's query may put into temporary files of the server."""
WRITING_FUNCTIONS = (
    *("pg_logical_emit_message", "pg_export_snapshot", "pg_notify"),
    *(
        "lo_creat",
        "lo_create",
        "lo_from_bytea",
        "lo_put",
        "lo_truncate",
        "lo_truncate64",
        "lo_unlink",
        "lowrite",
    ),
)
"""What PostgreSQL lets everybody call, also in read-only transactions (large objects: before version 16), though
it writes to the server."""


class QueryError(ValueError):
    """A question the database cannot answer; one line."""


@dataclass(frozen=True)
class Answer:
    """Rows with the names of their columns."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def list_runs(conn: Connection) -> Answer:
    """All runs, the newest first."""
    found = select(func.count()).where(Detection.run_id == Run.id).scalar_subquery()
    query = (
        select(
            Run.id.label("run"),
            Observation.name.label("observation"),
            Run.detector,
            Run.status,
            Run.stage,
            found.label("detections"),
            Run.created_at,
            Run.finished_at,
            func.array_to_string(
                select(func.array_agg(Release.version)).where(Release.run_id == Run.id).scalar_subquery(),
                ", ",
            ).label("releases"),
        )
        .join(Observation, Observation.id == Run.observation_id)
        .order_by(Run.id.desc())
    )
    return _answer(conn.execute(query))


def describe_run(conn: Connection, run_id: int) -> Answer:
    """The stages of one run.

    Raises
    ------
    RunNotFound
    """
    state = run_state(conn, run_id)
    rows: list[tuple[Any, ...]] = []
    for stage in progress(conn, run_id):
        current = state.status if stage.stage == state.stage else ""
        status = "done" if stage.done == stage.total else current
        rows.append(
            (run_id, stage.stage, status, stage.done, stage.failed, stage.total, round(stage.seconds, 2))
        )
    return Answer(("run", "stage", "status", "done", "failed", "total", "seconds"), rows)


def cone(conn: Connection, glon_deg: float, glat_deg: float, radius_deg: float) -> Answer:
    """Sources of the newest public release within a radius of a galactic position, the nearest first.

    Raises
    ------
    QueryError
        If the position or the radius is none.
    """
    if not (-90 <= glat_deg <= 90 and 0 <= radius_deg <= 180 and abs(glon_deg) <= 360):
        raise QueryError(f"no cone: l = {glon_deg:g}, b = {glat_deg:g}, radius {radius_deg:g} degrees")
    where = {"l": glon_deg % 360, "b": glat_deg, "r": radius_deg}
    return _answer(conn.execute(text("SELECT * FROM cone(:l, :b, :r)"), where))


def _answer(result: Any) -> Answer:
    return Answer(tuple(result.keys()), [tuple(row) for row in result])


def read_only(engine: Engine, sql: str, timeout_s: float = STATEMENT_S) -> Answer:
    """Answer one SQL statement that only reads.

    Raises
    ------
    QueryError
        With the server's own words: a fault in the statement, a write, more than one statement, too slow.
    DatabaseUnreachable
    """
    url = engine.url
    if _may_read_files(engine):
        _require_reader(engine)
        url = url.set(username=READER, password=None)
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    options = (
        f"-c statement_timeout={int(1000 * timeout_s)} -c timezone=UTC -c default_transaction_read_only=on"
    )
    try:
        connection = psycopg.connect(dsn, options=options, application_name="asidcat sql")
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"cannot read {describe_url(url)}: {_first_line(error)}") from error
    # Closed, not committed or rolled back: after a refused COPY neither is possible.
    with closing(connection), connection.cursor() as cursor:
        connection.read_only = True
        # After its first query a transaction cannot be made read-write again.
        cursor.execute("SELECT 1")
        try:
            # A prepared statement is one statement.
            cursor.execute(sql, prepare=True)
            rows = cursor.fetchall() if cursor.description else None
        except psycopg.Error as error:
            if error.sqlstate is None and "COPY" in str(error):  # psycopg's words, for programmers
                raise QueryError("COPY gives no rows here: ask with SELECT") from error
            raise QueryError(_first_line(error)) from error
        if rows is None or cursor.description is None:
            raise QueryError("the statement gives no rows")
        return Answer(tuple(column.name for column in cursor.description), rows)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _may_read_files(engine: Engine) -> bool:
    """Whether the role of this engine could reach the server's files or programs."""
    query = """
        SELECT rolsuper OR EXISTS (
            SELECT FROM pg_roles r
            WHERE r.rolname LIKE 'pg\\_%server%' AND pg_has_role(current_user, r.oid, 'MEMBER')
        ) FROM pg_roles WHERE rolname = current_user
    """
    with engine.connect() as conn:
        return bool(conn.execute(text(query)).scalar_one())


def _require_reader(engine: Engine) -> None:
    """Make the reader if it is not there: a role that may log in and read all tables of the program, no more."""
    missing = text(
        "SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
        " AND c.relkind IN ('r', 'v') AND NOT has_table_privilege(:reader, c.oid, 'SELECT')"
    )
    too_much = text(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.proname = ANY(:names)"
        " AND has_function_privilege(:reader, p.oid, 'EXECUTE')"
    )
    limited = text("SELECT rolconfig::text LIKE '%temp_file_limit%' FROM pg_roles WHERE rolname = :reader")
    reader = {"reader": READER}
    try:
        with engine.begin() as conn:
            # One at a time in this database; two databases of one server may still meet (the except below).
            conn.execute(text("SELECT pg_advisory_xact_lock(hashtext(:reader))"), reader)
            if not conn.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :reader"), reader):
                conn.execute(text(f"CREATE ROLE {READER} LOGIN"))
            if not conn.scalar(limited, reader):
                conn.execute(text(f"ALTER ROLE {READER} SET temp_file_limit = '{SPILL}'"))
            if conn.scalar(missing, reader):
                conn.execute(text(f"GRANT USAGE ON SCHEMA public TO {READER}"))
                conn.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}"))
            for function in conn.scalars(too_much, {**reader, "names": list(WRITING_FUNCTIONS)}).all():
                conn.execute(text(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC"))
    except DBAPIError as error:
        if isinstance(error.orig, (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation)):
            return _require_reader(engine)
        raise QueryError(f"cannot make the role {READER}: {_first_line(error.orig or error)}") from error
