"""Tables on standard output: aligned text for people, JSON for programs."""

import json
import math
import sys
from typing import Annotated, Any

import typer

from catalog.query import Answer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: a list of objects.")]


def print_answer(answer: Answer, as_json: bool) -> None:
    """Print rows with the names of their columns."""
    if as_json:
        objects = [dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows]
        json.dump(objects, sys.stdout, default=str, ensure_ascii=False, indent=1)
        print()
        return
    rows = [answer.columns, *(tuple(_cell(value) for value in row) for row in answer.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(answer.columns))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ", timespec="seconds") if hasattr(value, "hour") else value)
    return " ".join(str(value).split())


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
