"""The answers in ``docs/cookbook.md``: ``python -m scripts.cookbook [--check] [--readme]``.

Every block of SQL in the document is followed by its answer, which is asked anew of the database and written, or
compared. With ``--readme`` the same for ``README.md``.
"""

import argparse
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from sqlalchemy import Engine

from catalog.added_references import add_file
from catalog.query import QueryError, read_only
from workers.cli.errors import one_line_errors
from workers.cli.output import print_answer
from workers.session import open_session
from workers.settings import load_settings

ROOT = Path(__file__).parents[1]
COOKBOOK, README = ROOT / "docs" / "cookbook.md", ROOT / "README.md"
OWN_LIST = ("my-list", ROOT / "docs" / "cookbook.ecsv")
BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```\n```\n(?P<answer>.*?)```\n", re.DOTALL)


def questions(document: str) -> list[tuple[str, str]]:
    """The statements of a document, each with the answer that stands there."""
    return [(found["sql"], found["answer"]) for found in BLOCK.finditer(document)]


def refill(document: str, answer: Callable[[str], str]) -> str:
    """The document with the answers to all its statements."""
    return BLOCK.sub(lambda found: f"```sql\n{found['sql']}```\n```\n{answer(found['sql'])}```\n", document)


def ask(engine: Engine, sql: str) -> str:
    """The answer to a statement as `asidcat sql` prints it."""
    try:
        answer = read_only(engine, sql)
    except QueryError as error:
        raise QueryError(f"{error} (asked: {' '.join(sql.split())[:60]} …)") from error
    with redirect_stdout(StringIO()) as printed:
        print_answer(answer, as_json=False)
    return printed.getvalue()


def main(*, check: bool, readme: bool) -> int:
    """Write or compare the answers; the number of documents that differ."""
    path = README if readme else COOKBOOK
    before = path.read_text()
    with open_session(load_settings()) as session:
        if not readme:
            with session.engine.begin() as conn:
                add_file(conn, *OWN_LIST)
        now = refill(before, lambda sql: ask(session.engine, sql))
    if not check:
        path.write_text(now)
    elif now != before:
        print(f"{path.name}: the database answers otherwise", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--readme", action="store_true", help="README.md instead")
    arguments = parser.parse_args()
    with one_line_errors():
        sys.exit(main(check=arguments.check, readme=arguments.readme))
