"""Persons in, contacts out: a batch of raw persons read column by column into what the list's columns take.

Three steps, so that names can be looked up in between: `read_batch` decodes each person once (and of it only the
fields that are fed), `references` says whose names are needed, `transform` gives the contacts and the issues.
Which variables are fed is a `FeedPlan`, made once a run (`matching.feed_plan`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any

import msgspec
import pandas as pd

from wooxy_pipedrive_etl.mapping.formats import Dropped, Formatted, formatter
from wooxy_pipedrive_etl.mapping.values import (
    MAX_DIGITS,
    UNSEEN,
    Value,
    kept,
    read_column,
    reader,
    reference_id,
)

Names = Mapping[str, Mapping[int, str]]

# Spellings of one root key that records may have instead.
_OTHER_SPELLINGS = {"im": "ims"}
_CONSENT = {"subscribed": True, "unsubscribed": False}


@dataclass(frozen=True)
class Feed:
    """One matched row, made ready: the variable (columns of `pipedrive_variables`) and the column it feeds."""

    key: str
    label: str
    field_code: str
    part: str | None
    kind: str
    is_custom_field: bool
    options: Sequence[Mapping[str, Any]] | None
    wooxy: str
    column_type: str


@dataclass(frozen=True)
class FeedPlan:
    """All feeds of a matching, and the decoder that reads nothing but their fields."""

    feeds: tuple[Feed, ...]
    default_region: str | None
    _layout: _Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_layout", _Layout(self.feeds))


@dataclass(frozen=True)
class Batch:
    """Decoded persons, to be handed to `references` and `transform`."""

    plan: FeedPlan
    person_ids: list[int]
    versions: list[int]
    roots: list[Any]
    customs: list[Any]
    unreadable: list[int]

    def column(self, feed: Feed) -> list[Any]:
        """The raw values of a feed's field, None where there is none."""
        layout = self.plan._layout
        if feed.is_custom_field:
            return list(map(attrgetter(layout.custom_names[feed.field_code]), self.customs))
        values = list(map(attrgetter(layout.root_names[feed.field_code]), self.roots))
        if feed.field_code in _OTHER_SPELLINGS:
            others = map(attrgetter(layout.root_names[_OTHER_SPELLINGS[feed.field_code]]), self.roots)
            values = [other if value is None else value for value, other in zip(values, others, strict=True)]
        if feed.kind == "monetary":
            values = [
                self._with_currency(value, root) for value, root in zip(values, self.roots, strict=True)
            ]
        return values

    def _with_currency(self, value: Any, root: Any) -> Any:
        """System amounts are plain numbers beside a `currency` of the record."""
        if value is None or isinstance(value, dict | list):
            return value
        return {"value": value, "currency": getattr(root, self.plan._layout.root_names["currency"])}


class _Layout:
    """msgspec structs with one slot for each field that is fed: no keys, no other fields are ever built."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        custom = dict.fromkeys(feed.field_code for feed in feeds if feed.is_custom_field)
        system = dict.fromkeys(["marketing_status"])
        for feed in feeds:
            if not feed.is_custom_field:
                system[feed.field_code] = None
                if feed.field_code in _OTHER_SPELLINGS:
                    system[_OTHER_SPELLINGS[feed.field_code]] = None
                if feed.kind == "monetary":
                    system["currency"] = None
        self.custom_names = {code: f"c{i}" for i, code in enumerate(custom)}
        self.root_names = {code: f"r{i}" for i, code in enumerate(system)}
        self.custom_type = _struct("CustomFields", self.custom_names)
        self.root_type = _struct("Person", self.root_names, custom_fields=self.custom_type)
        self.no_custom = self.custom_type()
        self.decode = msgspec.json.Decoder(self.root_type, float_hook=Decimal).decode

    def root(self, raw: str) -> Any | None:
        """The person, or None when the text is not a JSON object; with odd custom fields, `custom_fields` is False."""
        try:
            return self.decode(raw)
        except Exception:  # the hook's errors come through as they are
            return self._root_of_odd(raw)

    def _root_of_odd(self, raw: str) -> Any | None:
        """Python's own decoder takes what msgspec does not: half characters, numbers beyond all bounds."""
        try:
            person = json.loads(raw, parse_float=_decimal, parse_int=_integer, parse_constant=str)
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(person, dict):
            return None
        values = {name: person.get(code) for code, name in self.root_names.items()}
        custom = person.get("custom_fields")
        if isinstance(custom, dict):
            fields = self.custom_type(**{name: custom.get(code) for code, name in self.custom_names.items()})
        else:
            fields = False if custom else None
        return self.root_type(custom_fields=fields, **values)


def _struct(name: str, names: Mapping[str, str], custom_fields: type | None = None) -> Any:
    slots: list[tuple[str, Any, Any]] = [(slot, Any, None) for slot in names.values()]
    if custom_fields is not None:
        slots.append(("custom_fields", custom_fields | None, None))
    rename = {slot: code for code, slot in names.items()}
    # The values are trees: without the collector's bookkeeping, decoding is a third faster.
    return msgspec.defstruct(name, slots, rename=rename, gc=False)


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


def read_batch(persons: pd.DataFrame, plan: FeedPlan) -> Batch:
    """Decodes a batch: `persons` has person_id and version (int64) and raw (object: the JSON text as it came)."""
    layout = plan._layout
    roots: list[Any] = []
    customs: list[Any] = []
    unreadable: list[int] = []
    for i, raw in enumerate(persons["raw"].tolist()):
        root = layout.root(raw)
        if root is None:
            root = layout.root_type()
            unreadable.append(i)
        fields = root.custom_fields
        if fields is False:
            unreadable.append(i)
        roots.append(root)
        customs.append(fields or layout.no_custom)
    return Batch(plan, persons["person_id"].tolist(), persons["version"].tolist(), roots, customs, unreadable)


def references(batch: Batch) -> pd.DataFrame:
    """Whose names the persons of the batch need: person_id, entity_id (int64), kind ("user", "org" or "person"); no row
    twice. Kinds that nothing feeds have none."""
    found = {
        (person_id, feed.kind, entity_id)
        for feed in batch.plan.feeds
        if feed.kind in UNSEEN
        for person_id, entity_id in zip(batch.person_ids, map(reference_id, batch.column(feed)), strict=True)
        if entity_id is not None
    }
    frame = pd.DataFrame(found, columns=["person_id", "kind", "entity_id"], dtype=object)
    return frame.astype({"person_id": "int64", "entity_id": "int64"})


def transform(batch: Batch, names: Names) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The contacts and the issues of a batch.

    Contacts: person_id and person_version int64, marketing_status (object: the record's own code, or None), then one
    object column a feed, named as the Wooxy variable, which has no underscore: None or str for text, email, phone,
    language, timezone; 'YYYY-MM-DD HH:MM:SS' in UTC for datetime; 'YYYY-MM-DD' for date; int for integer and gender;
    bool for flag.
    One row a person, in the batch's order; a person that cannot be read has a row of None.

    Issues: person_id Int64, kind, reason, variable (the Pipedrive key, or None), message (no value in it), all object.
    """
    columns: dict[str, Any] = {
        "person_id": pd.Series(batch.person_ids, dtype="int64"),
        "person_version": pd.Series(batch.versions, dtype="int64"),
        "marketing_status": pd.Series(_marketing_status(batch), dtype=object),
    }
    issues: list[tuple[int, str, str, str | None, str]] = [
        (
            batch.person_ids[i],
            "dropped_value",
            "odd_shape",
            None,
            "The person's record, or its custom fields, are not the object that they should be; they were left out.",
        )
        for i in batch.unreadable
    ]
    for feed in batch.plan.feeds:
        values, dropped = feed_column(batch, feed, names)
        columns[feed.wooxy] = pd.Series(values, dtype=object)
        issues += [
            (batch.person_ids[i], "dropped_value", drop.reason, feed.key, _message(feed, drop))
            for i, drop in dropped.items()
        ]
    return pd.DataFrame(columns), _issues_frame(issues)


def feed_column(batch: Batch, feed: Feed, names: Names) -> tuple[list[Any], dict[int, Dropped]]:
    """One column of contacts, and what was dropped on the way: row -> why (the last word, where there are two)."""
    if feed.wooxy == "emailSubscribe":
        return [None if code is None else _CONSENT.get(code) for code in _marketing_status(batch)], {}
    read = reader(feed.kind, feed.part, feed.options, names, batch.plan.default_region)
    dropped: dict[int, Dropped] = {}
    texts = _without_dropped(read_column(batch.column(feed), read), dropped)
    if feed.column_type == "text":
        return texts, dropped
    convert = formatter(feed.column_type, batch.plan.default_region)
    formatted: list[Formatted | None] = [None if text is None else convert(text) for text in texts]
    return _without_dropped(formatted, dropped), dropped


def _without_dropped(values: list[Any], dropped: dict[int, Dropped]) -> list[Any]:
    if Dropped not in set(map(type, values)):
        return values
    kept_values: list[Any] = []
    for i, value in enumerate(values):
        if isinstance(value, Dropped):
            dropped[i] = value
            kept_values.append(kept(value))
        else:
            kept_values.append(value)
    return kept_values


def _marketing_status(batch: Batch) -> list[str | None]:
    """The code itself, whatever label the catalogue has for it: consent is judged by it."""
    slot = batch.plan._layout.root_names["marketing_status"]
    texts = read_column(list(map(attrgetter(slot), batch.roots)), _code)
    return [text if isinstance(text, str) else None for text in texts]


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
