"""Names of what persons refer to by id: users and organisations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from .endpoints import IDS_LIMIT, ORGANIZATIONS, PAGE_LIMIT, USERS
from .envelope import ListPage, read_plain_list
from .session import Session
from .times import rfc3339
from .walk import pages


def user_names(session: Session) -> dict[int, str]:
    """The names of all users of the company by id, including deactivated ones."""
    return _names(session.get(USERS, read_plain_list))


def organization_names(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """The names of these organisations by id; deleted and invisible ones are missing.

    Costs 10 tokens for every 100 ids, or for every 500 organisations up to the largest id, whichever is less.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    # Ids are assigned in ascending order, so the largest one limits how many come before it.
    if -(-wanted[-1] // PAGE_LIMIT) < -(-len(wanted) // IDS_LIMIT):
        listed = _walk_up_to(session, wanted[-1])
    else:
        listed = _by_ids(session, wanted)
    names: dict[int, str] = {}
    for page in listed:
        names.update(_names([_decoded(bytes(element)) for element in page.elements]))
    return {organization: names[organization] for organization in wanted if organization in names}


def organization_names_since(session: Session, moment: datetime) -> dict[int, str]:
    """The names of the organisations updated since, by id; a rename advances their update_time."""
    params = {"sort_by": "update_time", "sort_direction": "asc", "updated_since": rfc3339(moment)}
    names: dict[int, str] = {}
    for page in pages(session, ORGANIZATIONS, params):
        names.update(_names([_decoded(bytes(element)) for element in page.elements]))
    return names


def newest_organization_names(session: Session, moment: datetime) -> dict[int, str]:
    """The same for those updated last: one request, so at most 500."""
    params = {"sort_by": "update_time", "sort_direction": "desc", "updated_since": rfc3339(moment)}
    page = next(pages(session, ORGANIZATIONS, params))
    return _names([_decoded(bytes(element)) for element in page.elements])


def _walk_up_to(session: Session, largest: int) -> Iterator[ListPage]:
    for page in pages(session, ORGANIZATIONS, {"sort_by": "id", "sort_direction": "asc"}):
        yield page
        last = _decoded(bytes(page.elements[-1])) if page.elements else None
        if isinstance(last, dict) and isinstance(last.get("id"), int) and last["id"] >= largest:
            return


def _by_ids(session: Session, wanted: list[int]) -> Iterator[ListPage]:
    for start in range(0, len(wanted), IDS_LIMIT):
        chunk = wanted[start : start + IDS_LIMIT]
        yield from pages(session, ORGANIZATIONS, {"ids": ",".join(map(str, chunk))})


def _decoded(element: bytes) -> Any:
    try:
        return msgspec.json.decode(element)
    except (msgspec.DecodeError, RecursionError):
        return None


def _names(entries: Iterable[Any]) -> dict[int, str]:
    return {
        entry["id"]: entry["name"]
        for entry in entries
        if isinstance(entry, dict) and type(entry.get("id")) is int and isinstance(entry.get("name"), str)
    }
