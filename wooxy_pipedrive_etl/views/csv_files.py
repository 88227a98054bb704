"""CSV, as it is for programs, and in a form for people from which a spreadsheet runs nothing. Strangers type the names,
and a spreadsheet treats a cell that looks like a formula as one."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

_RUNS = ("=", "+", "-", "@", "\t", "\r")
# Only digits: a spreadsheet reads this as a number, and runs nothing.
_PHONE_NUMBER = re.compile(r"\+[0-9]{1,15}")


def plain_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def safe_cell(value: Any) -> Any:
    """As `plain_cell`, but text that a spreadsheet would run gets a ' in front."""
    cell = plain_cell(value)
    if isinstance(cell, str) and cell.startswith(_RUNS) and not _PHONE_NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def write_csv(
    rows: Iterable[Mapping[str, Any]],
    names: Sequence[str],
    file: TextIO,
    cell: Callable[[Any], Any] = plain_cell,
) -> None:
    """The rows, below a header of the names. `cell`: how a value is written."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([cell(name) for name in names])
    writer.writerows([cell(row[name]) for name in names] for row in rows)
