"""Persons, page by page, each kept as the JSON text that Pipedrive sent."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pandas as pd

from wooxy_pipedrive_etl.http_api.clock import NEVER

from .endpoints import IDS_LIMIT, PERSONS
from .envelope import ListPage
from .errors import BadRequest, Forbidden
from .session import Session
from .times import rfc3339
from .walk import one_ahead, pages
from .windows import Span

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_ID = 2**63 - 1
_NEWEST_IDS_FIRST = {"sort_by": "id", "sort_direction": "desc"}


@dataclass(frozen=True)
class PersonsPage:
    """One page of persons.

    ``persons``: person_id (int64), version (int64: epoch microseconds of update_time, else of add_time, else 0), raw
    (object: str, the person's JSON text as sent). A person can be on two pages of a walk: keep the larger version.
    ``odd``: malformed records, as issues: person_id (Int64, nullable), kind ("rejected"), reason
    ("odd_shape"), variable (None), message (str).
    ``deleted``: ids with is_deleted true; they are not in ``persons``.
    ``left_out_fields``: names of ``include_fields`` that Pipedrive refused, so that no person of this walk has them.
    ``dateless``: whether a person has no update_time; then ``updated_since`` may skip such persons. ``dated``: whether
    a person that was never edited has an update_time, which shows that new persons get one.
    ``next_cursor``: for the next page, None on the last one.
    ``update_times``: of each person, in their order, in whole epoch seconds; None if it is missing or unreadable.
    ``read``: in a windowed walk, the span of update_time that is completely read by this page and those before.
    """

    persons: pd.DataFrame
    odd: pd.DataFrame
    deleted: tuple[int, ...]
    left_out_fields: tuple[str, ...]
    dateless: bool = False
    dated: bool = False
    next_cursor: str | None = None
    update_times: tuple[int | None, ...] = ()
    read: Span | None = None


class _Head(msgspec.Struct):
    """What is read of a person here. Only the id must be valid for the record to count as a person."""

    id: int
    update_time: Any = None
    add_time: Any = None
    is_deleted: Any = False


_head_decoder = msgspec.json.Decoder(_Head)


def walk_persons(
    session: Session,
    *,
    include_fields: Sequence[str] = (),
    updated_since: datetime | None = None,
    sort_by: Literal["id", "update_time"] = "id",
    cursor: str | None = None,
) -> Iterator[PersonsPage]:
    """Every person (or every one updated since, inclusive to the second), ascending, 500 on each page.

    The walk was complete if, and only if, the iterator ended without an error. The next page is fetched while the
    consumer works on the last one. ``cursor``: the ``next_cursor`` of an earlier walk with the same parameters, to
    resume it.
    """
    params = {"sort_by": sort_by, "sort_direction": "asc"}
    if cursor is not None:
        params["cursor"] = cursor
    if updated_since is not None:
        params["updated_since"] = rfc3339(updated_since)
    stop = threading.Event()
    return one_ahead(_person_pages(session, params, tuple(include_fields), stop), stop)


def newest_persons(
    session: Session, updated_since: datetime, *, include_fields: Sequence[str] = ()
) -> PersonsPage:
    """Those updated last, the newest first: one request, so at most 500."""
    params = {"sort_by": "update_time", "sort_direction": "desc", "updated_since": rfc3339(updated_since)}
    return next(_person_pages(session, params, tuple(include_fields), NEVER))


def newest_by_id(session: Session, *, include_fields: Sequence[str] = ()) -> PersonsPage:
    """Those with the greatest ids, the greatest first: one request, so at most 500."""
    return next(_person_pages(session, _NEWEST_IDS_FIRST, tuple(include_fields), NEVER))


def persons_above(
    session: Session, person_id: int, *, include_fields: Sequence[str] = ()
) -> Iterator[PersonsPage]:
    """The persons with greater ids, whatever their times: the newest first, page by page."""
    for page in _person_pages(session, _NEWEST_IDS_FIRST, tuple(include_fields), NEVER):
        above = page.persons["person_id"] > person_id
        yield replace(page, persons=page.persons[above].reset_index(drop=True))
        if not above.all():
            return


def persons_by_ids(
    session: Session, ids: Iterable[int], *, include_fields: Sequence[str] = ()
) -> Iterator[PersonsPage]:
    """The persons with these ids that exist and that the token can see; no others, whatever the server sends."""
    wanted = list(dict.fromkeys(ids))
    left_out: tuple[str, ...] = ()
    for start in range(0, len(wanted), IDS_LIMIT):
        chunk = wanted[start : start + IDS_LIMIT]
        fields = tuple(field for field in include_fields if field not in left_out)
        for page in _person_pages(session, {"ids": ",".join(map(str, chunk))}, fields, NEVER):
            left_out = (*left_out, *(field for field in page.left_out_fields if field not in left_out))
            asked = page.persons["person_id"].isin(chunk)
            yield replace(page, persons=page.persons[asked].reset_index(drop=True), left_out_fields=left_out)


def _person_pages(
    session: Session, params: dict[str, str], include_fields: tuple[str, ...], stop: threading.Event
) -> Iterator[PersonsPage]:
    fields = include_fields
    left_out: tuple[str, ...] = ()
    while True:
        with_fields = {**params, "include_fields": ",".join(fields)} if fields else params
        walk = pages(session, PERSONS, with_fields, stop)
        try:
            first = next(walk)
            break
        except (BadRequest, Forbidden) as error:
            # A plan may lack the feature behind a field in the catalogue (marketing_status, for example).
            refused = tuple(name for name in fields if re.search(rf"\b{re.escape(name)}\b", str(error)))
            if not refused:
                raise
            logger.warning(
                "Pipedrive refuses the optional fields %s, going on without them", ", ".join(refused)
            )
            left_out = (*left_out, *refused)
            fields = tuple(name for name in fields if name not in refused)
    yield persons_page(first, left_out)
    for page in walk:
        yield persons_page(page, left_out)


def persons_page(page: ListPage, left_out_fields: tuple[str, ...]) -> PersonsPage:
    """A page as it was received; ``left_out_fields``: the fields that the request left out."""
    ids: list[int] = []
    versions: list[int] = []
    update_times: list[int | None] = []
    raws: list[str] = []
    odd: list[tuple[int | None, str]] = []
    deleted: list[int] = []
    dateless = dated = False
    for element in page.elements:
        head = _head(element)
        if isinstance(head, str):
            odd.append((None, head))
            continue
        try:
            raw = bytes(element).decode()
        except UnicodeDecodeError:
            odd.append((head.id, "a person whose text is not UTF-8"))
            continue
        if head.is_deleted is True:
            deleted.append(head.id)
            continue
        ids.append(head.id)
        updated = _microseconds(head.update_time)
        versions.append((_microseconds(head.add_time) or 0) if updated is None else updated)
        update_times.append(None if updated is None else updated // 1_000_000)
        raws.append(raw)
        dateless = dateless or head.update_time is None
        dated = dated or (head.update_time is not None and head.update_time == head.add_time)
    persons = pd.DataFrame(
        {
            "person_id": pd.Series(ids, dtype="int64"),
            "version": pd.Series(versions, dtype="int64"),
            "raw": pd.Series(raws, dtype=object),
        }
    )
    return PersonsPage(
        persons,
        _odd_frame(odd),
        tuple(deleted),
        left_out_fields,
        dateless,
        dated,
        page.next_cursor,
        tuple(update_times),
    )


def _head(element: bytes | msgspec.Raw) -> _Head | str:
    """The head of a person, or a description of what the element is instead."""
    try:
        head = _head_decoder.decode(element)
    except (msgspec.DecodeError, RecursionError):
        loose = _head_by_stdlib(bytes(element))
        if loose is None:
            return "an element that is not a person"
        head = loose
    if not 1 <= head.id <= _LARGEST_ID:
        return "a person without a usable id"
    return head


def _head_by_stdlib(element: bytes) -> _Head | None:
    """For a person with text that msgspec rejects, such as half a surrogate pair."""
    try:
        person = json.loads(element)
    except (ValueError, RecursionError):
        return None
    if not isinstance(person, dict) or type(person.get("id")) is not int:
        return None
    return _Head(
        person["id"], person.get("update_time"), person.get("add_time"), person.get("is_deleted", False)
    )


def _microseconds(time: Any) -> int | None:
    """Since the epoch; None if it is not a time."""
    if not isinstance(time, str):
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    # Pipedrive's times are UTC even where an older form omits the zone.
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _odd_frame(odd: list[tuple[int | None, str]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person_id": pd.Series([person_id for person_id, _ in odd], dtype="Int64"),
            "kind": pd.Series(["rejected"] * len(odd), dtype=object),
            "reason": pd.Series(["odd_shape"] * len(odd), dtype=object),
            "variable": pd.Series([None] * len(odd), dtype=object),
            "message": pd.Series(
                [f"Pipedrive sent {what} in its list of persons; it was left out." for _, what in odd],
                dtype=object,
            ),
        }
    )
