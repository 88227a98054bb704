"""Persons in, contacts out: reads a batch of raw persons column by column into what the list's columns take.

Three steps, so that names can be looked up in between: `read_batch` decodes each person once (only the fields that are
fed), `references` says whose names are needed, `transform` returns the contacts and the issues. Which variables are fed
is a `FeedPlan`, made once for each run (`matching.feed_plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from wooxy_pipedrive_etl.mapping.columns import Rule, shared_rule
from wooxy_pipedrive_etl.mapping.formats import Dropped, Formatted
from wooxy_pipedrive_etl.mapping.kinds import KINDS, Kind
from wooxy_pipedrive_etl.mapping.records import Field, RecordDecoder, Records
from wooxy_pipedrive_etl.mapping.values import SHARED_READERS, Value, read_text, reader, reference_id

Names = Mapping[str, Mapping[int, str]]

_MARKETING_STATUS = Field("marketing_status", False, KINDS["enum"])
_CONSENT = {"subscribed": True, "unsubscribed": False}


@dataclass(frozen=True)
class Feed:
    """One matched row, prepared: the variable (columns of `pipedrive_variables`) and the column it feeds."""

    key: str
    label: str
    field_code: str
    part: str | None
    kind: Kind
    is_custom_field: bool
    options: Sequence[Mapping[str, Any]] | None
    wooxy: str
    column_type: str


@dataclass(frozen=True)
class FeedPlan:
    """All feeds of a matching, and the decoder that reads only their fields."""

    feeds: tuple[Feed, ...]
    default_region: str | None
    _decoder: RecordDecoder = field(init=False, repr=False, compare=False)
    _rules: dict[tuple[str, str], Rule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", RecordDecoder([*map(_field, self.feeds), _MARKETING_STATUS]))
        nameless = [feed for feed in self.feeds if not feed.kind.is_reference]
        rules = {(feed.key, feed.column_type): self._new_rule(feed, {}) for feed in nameless}
        object.__setattr__(self, "_rules", rules)

    def rule(self, feed: Feed, names: Names) -> Rule:
        """The rule for a feed's values. Rules cache results, so each is made once, except those that look up names,
        which may differ the next time."""
        if feed.kind.is_reference:
            return self._new_rule(feed, names)
        return self._rules[feed.key, feed.column_type]

    def _new_rule(self, feed: Feed, names: Names) -> Rule:
        read = reader(feed.kind, feed.part, feed.options, names, self.default_region)
        make = shared_rule if read in SHARED_READERS else Rule
        return make(read, feed.column_type, self.default_region)


def _field(feed: Feed) -> Field:
    return Field(feed.field_code, feed.is_custom_field, feed.kind)


@dataclass(frozen=True)
class Batch:
    """Decoded persons, for `references` and `transform`."""

    plan: FeedPlan
    person_ids: list[int]
    versions: list[int]
    records: Records


def read_batch(persons: pd.DataFrame, plan: FeedPlan) -> Batch:
    """Decodes a batch: `persons` has person_id and version (int64) and raw (object: the JSON text as received, str or
    bytes in UTF-8)."""
    records = plan._decoder.decode(persons["raw"].tolist())
    return Batch(plan, persons["person_id"].tolist(), persons["version"].tolist(), records)


def references(batch: Batch) -> pd.DataFrame:
    """Whose names the persons of the batch need: person_id, entity_id (int64), kind ("user", "org" or "person"); no
    duplicate rows. Only kinds that feed something."""
    found: dict[str, set[tuple[int, int]]] = {}
    for feed in batch.plan.feeds:
        if feed.kind.is_reference:
            entity_ids = _reference_ids(batch.records.column(_field(feed)))
            found.setdefault(feed.kind.name, set()).update(
                [
                    (person_id, entity_id)
                    for person_id, entity_id in zip(batch.person_ids, entity_ids, strict=True)
                    # No object has an id beyond 64 bits; `transform` lists it as a name that could not be read.
                    if entity_id is not None and -(2**63) <= entity_id < 2**63
                ]
            )
    kinds = [kind for kind, pairs in found.items() for _ in pairs]
    numbers = chain.from_iterable(chain.from_iterable(found.values()))
    ids = np.fromiter(numbers, dtype=np.int64, count=2 * len(kinds)).reshape(-1, 2)
    return pd.DataFrame(
        {"person_id": ids[:, 0], "kind": pd.Series(kinds, dtype=object), "entity_id": ids[:, 1]}
    )


def _reference_ids(raws: Sequence[Any]) -> Sequence[int | None]:
    """`reference_id` of each."""
    return raws if set(map(type, raws)) <= {int, type(None)} else list(map(reference_id, raws))


def transform(batch: Batch, names: Names) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The contacts and the issues of a batch.

    Contacts: person_id and person_version int64, marketing_status (object: the record's own code, or None), then one
    object column a feed, named as the Wooxy variable, which has no underscore: None or str for text, email, phone,
    language, timezone; 'YYYY-MM-DD HH:MM:SS' in UTC for datetime; 'YYYY-MM-DD' for date; int for integer and gender;
    bool for flag.
    One row a person, in the batch's order; a person that cannot be read has a row of None.

    Issues: person_id Int64, kind, reason, variable (the Pipedrive key, or None), message (no value in it), all object.
    """
    feeds, count = batch.plan.feeds, len(batch.person_ids)
    # One block for all columns, each inserted while it is in the processor's cache: a series for each would cost as
    # much as the mapping.
    block = np.empty((1 + len(feeds), count), dtype=object)
    block[0] = np.fromiter(_marketing_status(batch), dtype=object, count=count)
    issues: list[tuple[int, str, str, str | None, str]] = [
        (
            batch.person_ids[i],
            "dropped_value",
            "odd_shape",
            None,
            "The person's record, or its custom fields, are not the object that they should be; they were left out.",
        )
        for i in batch.records.unreadable
    ]
    for row, feed in enumerate(feeds, start=1):
        values, dropped = feed_column(batch, feed, names)
        block[row] = np.fromiter(values, dtype=object, count=count)
        issues += [
            (batch.person_ids[i], "dropped_value", drop.reason, feed.key, _message(feed, drop))
            for i, drop in dropped.items()
        ]
    wooxy = [feed.wooxy for feed in feeds]
    contacts = pd.DataFrame(block.T, columns=["marketing_status", *wooxy], dtype=object, copy=False)
    contacts.insert(0, "person_id", np.array(batch.person_ids, dtype=np.int64))
    contacts.insert(1, "person_version", np.array(batch.versions, dtype=np.int64))
    return contacts, _issues_frame(issues)


def feed_column(
    batch: Batch, feed: Feed, names: Names
) -> tuple[Sequence[Formatted | None], dict[int, Dropped]]:
    """One column of contacts, and what was dropped: row -> why (the last reason, if there are two)."""
    if feed.wooxy == "emailSubscribe":
        return [None if code is None else _CONSENT.get(code) for code in _marketing_status(batch)], {}
    rule = batch.plan.rule(feed, names)
    if feed.kind.shape != "points":
        return rule.of_column(batch.records.column(_field(feed), feed.part))
    points = batch.records.points[_field(feed)]
    texts = points.texts(feed.part, rule.read)
    if texts is None:
        return rule.of_column(points.raws())
    return shared_rule(read_text, feed.column_type, batch.plan.default_region).of_column(texts)


def as_texts(batch: Batch, feed: Feed, names: Names) -> Sequence[Formatted | None]:
    """The column's values as a String would have them, whatever type of column the feed goes to."""
    plain = replace(feed, wooxy="", column_type="text")
    plan = FeedPlan((plain,), batch.plan.default_region)
    return feed_column(replace(batch, plan=plan), plain, names)[0]


def _marketing_status(batch: Batch) -> Sequence[Any]:
    """The code itself, whatever label the catalogue has for it: consent depends on it."""
    raws = batch.records.column(_MARKETING_STATUS)
    return shared_rule(_code, "text", None).of_column(raws)[0]


def _code(raw: Any) -> Value:
    if isinstance(raw, dict):
        raw = raw.get("id")
    return raw.strip().lower() or None if isinstance(raw, str) else None


def _message(feed: Feed, drop: Dropped) -> str:
    rest = "what is known of it was kept" if drop.kept else "the value was left out"
    return f"“{feed.label}” {drop.message}; {rest}."


def _issues_frame(issues: Sequence[tuple[int, str, str, str | None, str]]) -> pd.DataFrame:
    names = ("kind", "reason", "variable", "message")
    frame: dict[str, Any] = {"person_id": pd.Series([issue[0] for issue in issues], dtype="Int64")}
    for i, name in enumerate(names, start=1):
        frame[name] = pd.Series([issue[i] for issue in issues], dtype=object)
    return pd.DataFrame(frame)
