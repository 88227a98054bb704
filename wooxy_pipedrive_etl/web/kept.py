"""What a user typed whose session had expired when they sent it: the sign-in page carries it, and afterwards they are
asked whether to send it again. Nothing of it is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

# The forms in which users type a lot. Actions that delete or disconnect are never carried out for someone who is signed
# out.
_FORMS = re.compile(r"/integrations/(?:(?!new/)[^/]+/(?:match|settings)|new/[0-9]+/domain)")


class Kept(NamedTuple):
    """A form: where it goes, and its fields."""

    path: str
    fields: list[tuple[str, str]]


def keep(path: str, fields: Sequence[tuple[str, str]]) -> str | None:
    """The form's text for the sign-in page; None for a form that is not kept."""
    return json.dumps([path, list(fields)]) if _FORMS.fullmatch(path) else None


def kept(text: str) -> Kept | None:
    """The form from the text that `keep` returned; None for anything else."""
    try:
        path, fields = json.loads(text)
        if not _FORMS.fullmatch(path):
            return None
        return Kept(path, [(str(name), str(value)) for name, value in fields])
    except (ValueError, TypeError, RecursionError):
        return None
