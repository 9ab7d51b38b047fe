"""People's SQL can read the tables and do nothing else, whatever it tries."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from catalog.engine import upgrade
from catalog.freezing import one_at_a_time
from catalog.publishing import publish
from catalog.query import QueryError, cone, describe_run, list_runs, read_only
from catalog.release import ReleaseError
from catalog.watched import only_look

ESCAPES = {
    "write": "DELETE FROM run",
    "write in a query": "WITH gone AS (DELETE FROM run RETURNING *) SELECT * FROM gone",
    "a function that writes": "SELECT nextval('run_id_seq')",
    "two statements": "SELECT 1; DELETE FROM run",
    "read-write again": "SET TRANSACTION READ WRITE",
    "read-write by a function": "SELECT set_config('transaction_read_only', 'off', true)",
    "a file": "SELECT pg_read_file('/etc/passwd')",
    "a file by name of the server": "SELECT pg_read_file('postgresql.conf')",
    "a folder": "SELECT * FROM pg_ls_dir('/')",
    "a large object from a file": "SELECT lo_import('/etc/passwd')",
    "a large object": "SELECT lo_from_bytea(0, 'x')",
    "a large object to a file": "SELECT lo_export(1, '/tmp/asidcat-copied')",
    "a binary file": "SELECT pg_read_binary_file('/etc/passwd')",
    "what a file is like": "SELECT pg_stat_file('postgresql.conf')",
    "another database": "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (x int)",
    "an extension": "CREATE EXTENSION dblink",
    "a library": "LOAD '/tmp/asidcat.so'",
    "the log of changes": "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "a snapshot file": "SELECT pg_export_snapshot()",
    "a message": "SELECT pg_notify('a', 'b')",
    "a replication slot": "SELECT pg_create_physical_replication_slot('a')",
    "other people's queries": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "a temporary table": "CREATE TEMP TABLE t AS SELECT 1",
    "locked rows": "SELECT * FROM run FOR UPDATE",
    "all rows": "TRUNCATE run",
    "a write under EXPLAIN": "EXPLAIN ANALYZE DELETE FROM run",
    "copy in": "COPY run FROM '/etc/passwd'",
    "copy in from a program": "COPY run FROM PROGRAM 'id'",
    "copy a query out": "COPY (SELECT 1) TO STDOUT",
    "copy out": "COPY run TO '/tmp/asidcat-copied'",
    "copy to a program": "COPY run TO PROGRAM 'touch /tmp/asidcat-copied'",
    "copy to here": "COPY run TO STDOUT",
    "another role": "SET ROLE postgres",
    "passwords": "SELECT rolpassword FROM pg_authid",
    "a role inside a query": (
        "SELECT set_config('role', 'none', false),"
        " query_to_xml('SELECT pg_read_file(''/etc/passwd'')', true, true, '')"
    ),
    "the owner inside a query": (
        "SELECT set_config('session_authorization', 'asidcat', false),"
        " query_to_xml('SELECT pg_read_file(''/etc/passwd'')', true, true, '')"
    ),
    "a block of code": "DO $$ BEGIN EXECUTE 'RESET ROLE'; PERFORM pg_read_file('/etc/passwd'); END $$",
    "a setting of the server": "ALTER SYSTEM SET log_statement = 'all'",
    "a function of one's own": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
}


def test_no_way_out(engine: Engine) -> None:
    got_through = []
    for name, statement in ESCAPES.items():
        try:
            read_only(engine, statement)
        except QueryError as refused:
            assert "\n" not in str(refused)
        else:
            got_through.append(name)
    assert got_through == []
    assert not Path("/tmp/asidcat-copied").exists()


def test_an_entity_of_xml_is_no_file(engine: Engine) -> None:
    """Servers with XML read the document but never what it refers to; those without refuse it."""
    document = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
    try:
        answer = read_only(engine, f"SELECT xmlparse(document '{document}')::text")
    except QueryError as refused:
        assert "XML" in str(refused)
    else:
        assert "root:" not in str(answer.rows)


def test_reads(engine: Engine) -> None:
    answer = read_only(
        engine, "SELECT 1 AS one, 'a%b' LIKE '%' AS like, NULL AS nothing, ARRAY[1.5, 2] AS list"
    )
    assert answer.columns == ("one", "like", "nothing", "list")
    assert [tuple(map(str, row)) for row in answer.rows] == [
        ("1", "True", "None", "[Decimal('1.5'), Decimal('2')]")
    ]
    assert read_only(engine, "SELECT count(*) FROM catalogue_latest").rows == [(0,)]
    assert read_only(engine, "SHOW transaction_read_only").rows == [("on",)]


def test_a_copy_is_refused_in_words_for_people(engine: Engine) -> None:
    with pytest.raises(QueryError, match=r"^COPY gives no rows here: ask with SELECT$"):
        read_only(engine, "COPY (SELECT 1) TO STDOUT")


def test_time_limit(engine: Engine) -> None:
    with pytest.raises(QueryError, match=r"statement timeout"):
        read_only(engine, "SELECT pg_sleep(30)", timeout_s=0.2)


def test_the_time_limit_cannot_be_lifted(engine: Engine) -> None:
    with pytest.raises(QueryError, match=r"statement timeout"):
        read_only(engine, "SELECT set_config('statement_timeout', '0', false), pg_sleep(30)", timeout_s=0.2)


def test_the_disk_cannot_be_filled(engine: Engine) -> None:
    assert read_only(engine, "SHOW temp_file_limit").rows == [("4GB",)]


def test_a_fault_is_told_in_the_servers_words(engine: Engine) -> None:
    with pytest.raises(QueryError, match=r'^relation "nowhere" does not exist$'):
        read_only(engine, "SELECT * FROM nowhere")
    with pytest.raises(QueryError, match="gives no rows"):
        read_only(engine, "SET timezone = 'UTC'")


def test_nobody_who_reads_can_hold_up_a_release_a_look_or_a_command(engine: Engine) -> None:
    """Not by any advisory lock, and not by a lock of a table."""
    url = engine.url.render_as_string(hide_password=False)
    everything = "SELECT count(pg_advisory_lock_shared(hashtext(name))) FROM (VALUES {}) locks (name)"
    names = (
        "asidcat release",
        "asidcat watched folder",
        "asidcat migrations",
        "release",
        "watched_observation",
    )
    with engine.connect() as holder, engine.connect() as conn:
        holder.execute(text(everything.format(", ".join(f"('{name}')" for name in names))))
        conn.execute(text("SET statement_timeout = '5s'"))
        with pytest.raises(ReleaseError, match="there is no release v1"):
            publish(conn, "v1")
        used = text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'")
        assert conn.scalar(used) == 0
        with only_look(engine) as mine:
            assert mine
        upgrade(url)
    for table in ("release", "watched_observation"):
        mode = f"LOCK TABLE {table} IN {{}} MODE"
        for strong in ("SHARE UPDATE EXCLUSIVE", "SHARE", "EXCLUSIVE"):
            with pytest.raises(QueryError, match="permission denied"):
                read_only(engine, mode.format(strong))


def test_one_release_and_one_look_at_a_time(engine: Engine) -> None:
    with engine.connect() as first, engine.connect() as second:
        one_at_a_time(first)
        second.execute(text("SET lock_timeout = '100ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            one_at_a_time(second)
        first.rollback()
        second.rollback()
        one_at_a_time(second)
    with only_look(engine) as mine, only_look(engine) as another, engine.begin() as conn:
        assert mine and not another
        conn.execute(text("INSERT INTO watched_observation (sha256, path) VALUES (repeat('a', 64), 'a')"))
    with only_look(engine) as mine:
        assert mine


def test_as_a_plain_role(engine: Engine) -> None:
    """A role that cannot reach the server's files stays itself."""
    role = f"plain_{engine.url.database}"
    with engine.begin() as conn:
        conn.execute(text(f"CREATE ROLE {role} LOGIN"))
        conn.execute(text(f"GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA public TO {role}"))
    from catalog.engine import make_engine

    plain = make_engine(engine.url.set(username=role, password=None), pooled=False)
    try:
        assert read_only(plain, "SELECT current_user::text").rows == [(role,)]
        with pytest.raises(QueryError, match="read-only transaction"):
            read_only(plain, "DELETE FROM run")
    finally:
        with engine.begin() as conn:
            conn.execute(text(f"DROP OWNED BY {role}"))
            conn.execute(text(f"DROP ROLE {role}"))


def test_nothing_there(engine: Engine) -> None:
    with engine.connect() as conn:
        assert list_runs(conn).rows == []
        assert cone(conn, 263.5, -2.8, 1.0).rows == []
        with pytest.raises(QueryError, match="no cone"):
            cone(conn, 10, 95, 1)
        with pytest.raises(ValueError, match="there is no run 7"):
            describe_run(conn, 7)
