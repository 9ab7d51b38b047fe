"""What the database says of its views and functions (``COMMENT ON``), as ``docs/database.md`` has it.

The catalogue's own columns are explained where they are declared (`catalog.columns`).
"""

from sqlalchemy import Connection, text

from catalog.columns import catalogue_columns
from sky.survey import get_survey

VIEWS = ("detections", "associations", "spectra", "light_curves")
FUNCTIONS = ("cone", "match", "cone_of_run", "cone_search", "crossmatch", "newest_release", "utc_of_met")
"""Those made for people; others serve these."""
BEGIN, END = "<!-- VIEWS: python -m scripts.database_doc -->", "<!-- /VIEWS -->"


def database_markdown(conn: Connection, document: str) -> str:
    """The document with all between its two marks made anew.

    Raises
    ------
    ValueError
        If it has not both marks.
    """
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"no lines '{BEGIN}' and '{END}' in the document")
    parts = [_functions(conn), _catalogue(), *(_view(conn, name) for name in VIEWS)]
    return before + BEGIN + "\n" + "\n".join(parts) + END + after


def _functions(conn: Connection) -> str:
    query = text(
        "SELECT p.proname, coalesce(p.proargnames, '{}') AS names, p.pronargs,"
        " obj_description(p.oid, 'pg_proc') AS words FROM pg_proc p"
        " WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY(:names)"
    )
    found = {row.proname: row for row in conn.execute(query, {"names": list(FUNCTIONS)})}
    lines = ["| function | gives |", "|---|---|"]
    for name in FUNCTIONS:
        row = found[name]
        lines.append(f"| `{name}({', '.join(row.names[: row.pronargs])})` | {row.words} |")
    return "\n".join([*lines, ""])


def _catalogue() -> str:
    columns = catalogue_columns(get_survey("lat-6band"))
    head = [
        "### `catalogue_latest`, `catalogue`",
        "",
        "Both begin with `version`, `detection_id`, `run_id` and `survey`. Texts are those of survey `lat-6band`.",
        "",
        "| column | unit | meaning |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *(f"| `{c.sql_name}` | {c.unit} | {c.text} |" for c in columns), ""])


def _view(conn: Connection, name: str) -> str:
    query = text(
        "SELECT a.attname, format_type(a.atttypid, NULL) AS type, col_description(c.oid, a.attnum) AS words,"
        " obj_description(c.oid) AS meaning FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.oid = CAST(:view AS regclass) AND a.attnum > 0 ORDER BY a.attnum"
    )
    rows = conn.execute(query, {"view": name}).all()
    lines = [f"### `{name}`", "", rows[0].meaning, "", "| column | type | meaning |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{row.attname}` | {row.type} | {row.words} |" for row in rows), ""])
