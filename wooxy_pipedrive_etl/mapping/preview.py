"""Random non-empty values of each variable from real persons, as they would be stored, and whether they fit."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from random import Random

import pandas as pd

from wooxy_pipedrive_etl.mapping.transform import FeedPlan, Names, as_texts, feed_column, read_batch

MAX_LENGTH = 80
# How many values a user can page through.
SHOWN_VALUES = 5


@dataclass(frozen=True)
class Preview:
    """`texts`: some different values, picked at random; empty if no person of the batch has one. `filled`: how many
    persons have one. `skipped`: how many have a value that does not fit; `problem`: what most of these are not, and
    `example`: one of them, if it may be shown."""

    texts: tuple[str, ...]
    filled: int
    skipped: int = 0
    problem: str | None = None
    example: str | None = None


NO_PREVIEW = Preview((), 0)


def fitting(status: str, reason: str | None, preview: Preview, persons: str) -> tuple[str, str | None]:
    """The status and the reason of a row, given the results for its values. A matched row that no value fits is 'amber'
    instead of green. `persons`: whose values they are, as in "300 persons"."""
    if status != "green" or not preview.skipped:
        return status, reason
    shown = "it" if preview.example is None else f"“{preview.example}”"
    count = preview.skipped
    if preview.filled:
        values = "1 value does" if count == 1 else f"{count:,} values do"
        told = f"Of {persons}, {values} not fit and will be skipped: {shown} {preview.problem}."
        return status, _joined(reason, told)
    have = "has a value and it does not fit" if count == 1 else "have a value and none fits"
    return "amber", _joined(reason, f"{count:,} of {persons} {have}: {shown} {preview.problem}.")


def _joined(*sentences: str | None) -> str:
    return " ".join(filter(None, sentences))


def previews(
    persons: pd.DataFrame, plan: FeedPlan, names: Names, random: Random, *, masked: bool = False
) -> dict[str, Preview]:
    """Pipedrive key -> the values in the batch, for each variable of the plan (`matching.preview_plan`).

    Masked: letters as `x`, digits as `0`, so that the shape of a value shows but the value does not.
    """
    batch = read_batch(persons, plan)
    found: dict[str, Preview] = {}
    for feed in plan.feeds:
        column, dropped = feed_column(batch, feed, names)
        values = [value for value in column if value is not None]
        picked = random.sample(values, min(SHOWN_VALUES, len(values)))
        texts = tuple(dict.fromkeys(_shown(each, masked) for each in picked))
        # A part of some values is kept.
        skipped = {i: drop.message for i, drop in dropped.items() if column[i] is None}
        if not skipped:
            found[feed.key] = Preview(texts, len(values))
            continue
        ((problem, _),) = Counter(skipped.values()).most_common(1)
        at = random.choice([i for i, message in skipped.items() if message == problem])
        text = as_texts(batch, feed, names)[at]
        example = None if text is None else _shown(text, masked)
        found[feed.key] = Preview(texts, len(values), len(skipped), problem, example)
    return found


def _shown(value: object, masked: bool) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    if masked:
        text = re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"
