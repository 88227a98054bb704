"""A random non-empty value of each variable out of real persons, as it would be stored."""

from __future__ import annotations

import re
from random import Random

import pandas as pd

from wooxy_pipedrive_etl.mapping.transform import FeedPlan, Names, feed_column, read_batch

MAX_LENGTH = 80


def preview(
    persons: pd.DataFrame, plan: FeedPlan, names: Names, random: Random, *, masked: bool = False
) -> dict[str, str]:
    """Pipedrive key -> text, for the variables of the plan (`matching.preview_plan`) that have a value in the batch.

    Masked: letters as `x`, digits as `0`, so that the shape of a value shows and the value does not.
    """
    batch = read_batch(persons, plan)
    previews: dict[str, str] = {}
    for feed in plan.feeds:
        values = [value for value in feed_column(batch, feed, names)[0] if value is not None]
        if values:
            previews[feed.key] = _shown(random.choice(values), masked)
    return previews


def _shown(value: object, masked: bool) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    if masked:
        text = re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"
