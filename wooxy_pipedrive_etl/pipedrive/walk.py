"""The pages of a v2 list, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wooxy_pipedrive_etl.http_api.clock import NEVER
from wooxy_pipedrive_etl.http_api.errors import BrokenAnswer

from .endpoints import PAGE_LIMIT, Endpoint
from .envelope import ListPage, read_list
from .session import Session

T = TypeVar("T")


def pages(
    session: Session, endpoint: Endpoint, params: Mapping[str, str], stop: threading.Event = NEVER
) -> Iterator[ListPage]:
    """Every page of the list. If the iterator ends without an error, the list was complete.

    Raises ``BrokenAnswer`` if a cursor is repeated, and what ``Session.get`` raises.
    """
    request = {**params, "limit": str(PAGE_LIMIT)}
    seen: set[str] = set()
    while True:
        page = session.get(endpoint, read_list, request, stop)
        yield page
        # Only a missing cursor ends the list: more pages may follow an empty one.
        if page.next_cursor is None:
            return
        if page.next_cursor in seen:
            raise leads_back(endpoint)
        seen.add(page.next_cursor)
        request["cursor"] = page.next_cursor


def leads_back(endpoint: Endpoint) -> BrokenAnswer:
    """The error for a walk that would never end."""
    return BrokenAnswer(f"The pages of GET {endpoint.path} lead back to an earlier one; run again later.")


def one_ahead(items: Iterator[T], stop: threading.Event) -> Iterator[T]:
    """The same items; while the consumer works on one, a thread fetches the next.

    What ``items`` raises is raised here. Closing this iterator (or dropping it) sets ``stop`` and waits for the thread,
    at most for its current request.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="pipedrive-walk") as pool:
        try:
            following = pool.submit(next, items, None)
            while (item := following.result()) is not None:
                following = pool.submit(next, items, None)
                yield item
        finally:
            stop.set()
