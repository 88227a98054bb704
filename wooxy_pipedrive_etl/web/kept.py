"""What somebody typed whose session was over when they sent it: the sign-in page carries it over, and then they are
asked whether to send it once more. Nothing of it is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

# The forms into which one types much. What deletes or disconnects is done by nobody who is not there.
_FORMS = re.compile(r"/integrations/(?:(?!new/)[^/]+/(?:match|settings)|new/[0-9]+/domain)")


class Kept(NamedTuple):
    """A form: where it goes, and its fields."""

    path: str
    fields: list[tuple[str, str]]


def keep(path: str, fields: Sequence[tuple[str, str]]) -> str | None:
    """As the sign-in page carries it; None for a form that is not kept."""
    return json.dumps([path, list(fields)]) if _FORMS.fullmatch(path) else None


def kept(text: str) -> Kept | None:
    """What `keep` gave; None for anything else."""
    try:
        path, fields = json.loads(text)
        if not _FORMS.fullmatch(path):
            return None
        return Kept(path, [(str(name), str(value)) for name, value in fields])
    except (ValueError, TypeError, RecursionError):
        return None
