"""A full walk with many requests in progress at once. `windows` decides which window to request next."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

import numpy as np

from .endpoints import PAGE_LIMIT, PERSONS
from .envelope import read_list
from .errors import BadRequest, Forbidden, NotInWindows
from .persons import PersonsPage, persons_above, persons_page, walk_persons
from .session import Session
from .times import rfc3339
from .walk import leads_back
from .windows import READERS, NotAsAsked, Reader, Span, Windows


def walk_in_windows(
    session: Session,
    newest: PersonsPage,
    unread: Sequence[Span],
    *,
    top: int,
    highest: int,
    expected: int,
    times: np.ndarray,
    include_fields: Sequence[str] = (),
) -> Iterator[PersonsPage]:
    """Every person, like `walk_persons`, in no order; some of them twice.

    First those updated before `top` (epoch seconds, shortly before the walk began), in windows. Persons edited in the
    meantime leave the windows and are read at the end, like new ones. ``newest``: the page with the greatest ids;
    ``highest``: the greatest id when the walk began. ``unread``: the times before `top` that an earlier walk has left
    unread, [Span(None, None)] for a new walk. ``expected``: about how many persons there are; ``times``: when the known
    persons were updated, in epoch seconds (int64, ascending).

    The walk was complete if, and only if, the iterator ended without an error. Raises NotInWindows if Pipedrive's
    sorting or filters do not fit the windows.
    """
    fields = tuple(name for name in include_fields if name not in newest.left_out_fields)
    since = datetime.fromtimestamp(top, UTC)
    # Whether new persons may lack an update_time; the part that an earlier walk has read can no longer show it.
    dateless, dated = newest.dateless or list(unread) != [Span(None, None)], newest.dated
    try:
        for page in chain(
            _pages_in_windows(session, Windows(unread, top, expected, times), fields),
            walk_persons(session, updated_since=since, sort_by="update_time", include_fields=fields),
        ):
            dateless, dated = dateless or page.dateless, dated or page.dated
            yield replace(page, left_out_fields=newest.left_out_fields)
        # These are in no window. The lowest ids first: once a person is known, no lower id counts as new.
        if dateless or not dated:
            for page in reversed(list(persons_above(session, highest, include_fields=fields))):
                yield replace(page, left_out_fields=newest.left_out_fields)
    except NotAsAsked as error:
        raise NotInWindows(
            f"Pipedrive's persons can't be read in windows of update_time: {error}."
        ) from error
    except (BadRequest, Forbidden) as error:
        raise NotInWindows(f"Pipedrive refuses to list persons in windows of update_time: {error}") from error


def _pages_in_windows(
    session: Session, windows: Windows, include_fields: Sequence[str]
) -> Iterator[PersonsPage]:
    stop = threading.Event()
    under_way: dict[Future[PersonsPage], Reader] = {}
    answers: list[PersonsPage] = []
    cursors: set[tuple[Reader, str]] = set()
    with ThreadPoolExecutor(READERS, thread_name_prefix="pipedrive-walk") as pool:
        try:
            while True:
                for reader in windows.questions():
                    request = _request(reader, include_fields)
                    under_way[pool.submit(_ask, session, request, stop)] = reader
                # The requests are sent while the consumer works.
                yield from answers
                if not under_way:
                    return
                answers = []
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    reader, page = under_way.pop(future), future.result()
                    if page.next_cursor is not None:
                        if (reader, page.next_cursor) in cursors:
                            raise leads_back(PERSONS)
                        cursors.add((reader, page.next_cursor))
                    read = windows.take(reader, page.update_times, page.next_cursor)
                    answers.append(replace(page, read=read))
        finally:
            stop.set()


def _ask(session: Session, request: dict[str, str], stop: threading.Event) -> PersonsPage:
    return persons_page(session.get(PERSONS, read_list, request, stop), ())


def _request(reader: Reader, include_fields: Sequence[str]) -> dict[str, str]:
    request = {
        "sort_by": "update_time",
        "sort_direction": "asc" if reader.ascending else "desc",
        "limit": str(PAGE_LIMIT),
    }
    if include_fields:
        request["include_fields"] = ",".join(include_fields)
    for name, time in (("updated_since", reader.since), ("updated_until", reader.until)):
        if time is not None:
            request[name] = rfc3339(datetime.fromtimestamp(time, UTC))
    if reader.cursor is not None:
        request["cursor"] = reader.cursor
    return request
