"""What real persons have for each variable of the Match variables table: random values, and how many persons have
one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.mapping.preview import NO_PREVIEW, Preview, fitting, previews
from wooxy_pipedrive_etl.mapping.transform import Feed, FeedPlan
from wooxy_pipedrive_etl.settings import Settings
from wooxy_pipedrive_etl.store.catalogue import read_names
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.runs import newest_run
from wooxy_pipedrive_etl.store.snapshot import persons_of, sample_persons

# Enough persons for nearly every variable to have a value among them.
PREVIEW_PERSONS = 500
# A user who comes back to the page sees other persons.
KEEP_SECONDS = 300


@dataclass(frozen=True)
class Sample:
    """`person_ids`: the persons sampled, all of them if there are fewer than PREVIEW_PERSONS. `previews`: by the key of
    the variable."""

    person_ids: list[int]
    previews: dict[str, Preview]

    @property
    def persons(self) -> str:
        """Who was sampled, for use in a sentence."""
        count = len(self.person_ids)
        if count < PREVIEW_PERSONS:
            return "your 1 person" if count == 1 else f"your {count:,} persons"
        return f"{count:,} persons that were looked at"

    def judged(self, key: str, status: str, reason: str | None) -> tuple[str, str | None]:
        """As `mapping.preview.fitting`, for the row of a variable."""
        return fitting(status, reason, self.previews.get(key, NO_PREVIEW), self.persons)

    @property
    def first_texts(self) -> dict[str, str]:
        """One value of each variable that has any."""
        return {key: preview.texts[0] for key, preview in self.previews.items() if preview.texts}


def take_sample(db: sa.Connection, record: ConnectionRecord, plan: FeedPlan) -> Sample:
    """Samples random persons. `plan`: from `matching.preview_plan`."""
    persons = sample_persons(db, record.id, PREVIEW_PERSONS)
    return Sample(persons["person_id"].tolist(), _previews(db, record, persons, plan))


class SampleCache:
    """The last sample of each connection: reading so many persons takes longer than the rest of the page.

    A sample is used until a run has begun or ended (which is when persons change), or until KEEP_SECONDS have passed.
    For a variable that is new, or is now stored differently, the same persons are read again.
    """

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}

    def sample(self, db: sa.Connection, record: ConnectionRecord, plan: FeedPlan) -> Sample:
        # The id of a deleted connection may be reused.
        newest = newest_run(db, record.id)
        begun = newest and (newest.run_id, newest.state)
        masked = Settings.current().previews_are_masked
        stamp = (record.created_at, begun, plan.default_region, masked)
        readings = {feed.key: _reading(feed) for feed in plan.feeds}
        kept = self._kept.get(record.id)
        if kept is None or kept.stamp != stamp or time.monotonic() - kept.taken > KEEP_SECONDS:
            kept = _Kept(stamp, time.monotonic(), readings, take_sample(db, record, plan))
        else:
            other = tuple(feed for feed in plan.feeds if kept.readings.get(feed.key) != readings[feed.key])
            if other:
                persons = persons_of(db, record.id, kept.sample.person_ids)
                found = _previews(db, record, persons, FeedPlan(other, plan.default_region))
                sample = Sample(kept.sample.person_ids, kept.sample.previews | found)
                kept = _Kept(stamp, kept.taken, kept.readings | readings, sample)
        self._kept[record.id] = kept
        return kept.sample


@dataclass(frozen=True)
class _Kept:
    stamp: object
    taken: float
    readings: dict[str, object]
    sample: Sample


def _reading(feed: Feed) -> object:
    """What decides how a variable's values are shown."""
    return feed.kind, feed.part, feed.options, feed.column_type, feed.wooxy == "emailSubscribe"


def _previews(
    db: sa.Connection, record: ConnectionRecord, persons: pd.DataFrame, plan: FeedPlan
) -> dict[str, Preview]:
    return previews(
        persons, plan, read_names(db, record.id), Random(), masked=Settings.current().previews_are_masked
    )
