"""The rules for custom variables, shared by the list and the matching: their formats and their names."""

from __future__ import annotations

import re

# Format -> what its column stores.
CUSTOM_TYPES = {"String": "text", "DateTime": "datetime"}

MAX_LENGTH = 60
NAME_RULE = f"it must start with a small letter a-z, have letters a-z and digits only, and at most {MAX_LENGTH} of them"
# Columns that every PostgreSQL table already has. SQLite rejects them too, so that both give the same results.
RESERVED_NAMES = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

_NAME = re.compile("[a-z][A-Za-z0-9]*")


def name_problem(name: str) -> str | None:
    """Why no custom variable can have this name, as a sentence; None if the name is allowed."""
    if len(name) > MAX_LENGTH or not _NAME.fullmatch(name):
        return f"“{name}” is not a valid name: {NAME_RULE}."
    return f"“{name}” is a reserved name." if is_reserved(name) else None


def is_reserved(name: str) -> bool:
    return name.lower() in RESERVED_NAMES
