"""Formats SQLAlchemy's SQL for human readers."""

from __future__ import annotations

import re
from itertools import pairwise

_WIDTH = 110
# Where clauses begin, and where they may be broken.
_CLAUSES = {
    "INSERT INTO": None,
    "UNION": None,
    "SELECT": r"(?<=, )",
    "FROM": r"(?=LEFT OUTER JOIN )|(?<!OUTER )(?=JOIN )",
    "WHERE": r"(?=AND )",
    "GROUP BY": r"(?<=, )",
    "HAVING": r"(?=AND )",
}


def readable(sql: str) -> str:
    return "\n".join(_query(" ".join(sql.split()), ""))


def _query(sql: str, indent: str) -> list[str]:
    lines = []
    for clause in _split(sql, "|".join(rf"(?<!DISTINCT )\b(?={keyword}\b)" for keyword in _CLAUSES)):
        breaks = next(breaks for keyword, breaks in _CLAUSES.items() if clause.startswith(keyword))
        if breaks is None or len(indent + clause) <= _WIDTH:
            lines.append(indent + clause)
            continue
        first, *others = _split(clause, breaks)
        if first.startswith("SELECT"):
            first, column = re.findall(r"(SELECT(?: DISTINCT)?) (.+)", first)[0]
            others = _filled([column, *others], _WIDTH - len(indent) - 4)
        lines += _expression(first, indent)
        for other in others:
            lines += _expression(other, indent + "    ")
    return lines


def _filled(columns: list[str], width: int) -> list[str]:
    """Puts as many columns on a line as fit."""
    lines = columns[:1]
    for column in columns[1:]:
        together = f"{lines[-1]} {column}"
        if len(together) <= width and "CASE" not in together:
            lines[-1] = together
        else:
            lines.append(column)
    return lines


def _expression(text: str, indent: str) -> list[str]:
    """One line if it fits; otherwise the contents of parentheses or of a CASE get their own lines."""
    if len(indent + text) <= _WIDTH:
        return [indent + text]
    deeper = indent + "    "
    if query := re.search(r"\((?=SELECT )", text):
        end = _end(text, query.start())
        inner = _query(text[query.end() : end], deeper)
        return [indent + text[: query.end()], *inner, *_expression(text[end:], indent)]
    if case := re.search(r"\bCASE ", text):
        end = _end(text, case.start())
        branches = _split(text[case.end() : end], r"(?=WHEN )|(?=ELSE )")
        inner = [line for branch in branches for line in _expression(branch, deeper)]
        return [indent + text[: case.end() - 1], *inner, *_expression(text[end:], indent)]
    if conditions := re.search(r"(?<!\w)\(", text):
        end = _end(text, conditions.start())
        inner = [deeper + each for each in _split(text[conditions.end() : end], r"\b(?=AND |OR )")]
        return [indent + text[: conditions.end()], *inner, indent + text[end:]]
    return [indent + text]


def _split(text: str, breaks: str) -> list[str]:
    """Splits at these places, but not within quotes, parentheses or a CASE."""
    depths = _depths(text)
    cuts = [
        found.start() for found in re.finditer(breaks, text) if found.start() and not depths[found.start()]
    ]
    return [text[start:end].strip() for start, end in pairwise([0, *cuts, len(text)])]


def _end(text: str, opened: int) -> int:
    """Where the parenthesis or CASE opened there is closed."""
    depths = _depths(text)
    return next(place for place in range(opened + 1, len(text)) if depths[place] == depths[opened])


def _depths(text: str) -> list[int]:
    """The depth of each character. Opening and closing tokens have the depth of their surroundings."""
    depths: list[int] = []
    depth = 0
    for token in re.findall(r"'[^']*'|\"[^\"]*\"|\bCASE\b|\bEND\b|.", text):
        if token in (")", "END"):
            depth -= 1
        depths += [depth] + [depth + 1] * (len(token) - 1)
        if token in ("(", "CASE"):
            depth += 1
    return depths
