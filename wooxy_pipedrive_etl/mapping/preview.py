"""Random non-empty values of each variable out of real persons, as they would be stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import pandas as pd

from wooxy_pipedrive_etl.mapping.transform import FeedPlan, Names, feed_column, read_batch

MAX_LENGTH = 80
# As many as a person may ask for one after the other.
SHOWN_VALUES = 5


@dataclass(frozen=True)
class Preview:
    """`texts`: some values that differ, picked at random; none if no person of the batch has one. `filled`: how many
    persons have one."""

    texts: tuple[str, ...]
    filled: int


def previews(
    persons: pd.DataFrame, plan: FeedPlan, names: Names, random: Random, *, masked: bool = False
) -> dict[str, Preview]:
    """Pipedrive key -> what the batch has of it, for each variable of the plan (`matching.preview_plan`).

    Masked: letters as `x`, digits as `0`, so that the shape of a value shows and the value does not.
    """
    batch = read_batch(persons, plan)
    found: dict[str, Preview] = {}
    for feed in plan.feeds:
        values = [value for value in feed_column(batch, feed, names)[0] if value is not None]
        picked = random.sample(values, min(SHOWN_VALUES, len(values)))
        found[feed.key] = Preview(tuple(dict.fromkeys(_shown(each, masked) for each in picked)), len(values))
    return found


def _shown(value: object, masked: bool) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    if masked:
        text = re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"
