"""Looking through the list: what is found, page by page, and one contact with all that it has."""

from __future__ import annotations

from typing import Any

import pytest

from wooxy_pipedrive_etl.contact_list.search import MAX_TEXT, ContactsPage, find_contacts, read_contact

from .desk import Desk


def find(desk: Desk, text: str = "", **where: Any) -> ContactsPage:
    with desk.engine.connect() as connection:
        return find_contacts(connection, desk.list, text, **where)


def ids(page: ContactsPage) -> list[int]:
    return [contact["contact_id"] for contact in page.contacts]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [1, 2, 3, 4]),
        ("  ", [1, 2, 3, 4]),
        ("virta", [1]),
        ("MAIJA", [1]),
        ("a v", [1]),
        ("Ünal", [2]),
        # Only ASCII letters have a small and a capital form here: the same on every database.
        ("ünal", []),
        ("EXAMPLE.com", [1, 2]),
        ("+358 40", [1]),
        ("(040)", []),
        ("40-123.45", [1]),
        ("4012345", [1]),
        ("user-7", [3]),
        ("100%", [4]),
        ("%", [4]),
        ("_", [4]),
        ("/", [4]),
        ("\\", [4]),
        ("'", [4]),
        ("nul\0", []),
        ("\ud800", []),
        ("x" * 100_000, []),
    ],
)
def test_what_is_found(desk: Desk, text: str, found: list[int]) -> None:
    desk.put(name="Maija Virtanen", email="Maija@Example.com", phoneNumber="+3584012345")
    desk.put(firstName="Emre", lastName="Ünal", email="e@example.com")
    desk.put(userId="USER-7")
    desk.put(name="100%_/\\' of all")
    page = find(desk, text)
    assert (ids(page), page.count) == (found, len(found))
    assert (page.previous, page.next) == (None, None)


def test_page_by_page_and_back(desk: Desk) -> None:
    for number in range(1, 8):
        desk.put(name=f"{'odd' if number % 2 else 'even'} {number}")
    first = find(desk, "odd", size=2)
    assert (ids(first), first.count, first.previous, first.next) == ([1, 3], 4, None, 3)
    second = find(desk, "odd", after=first.next, size=2)
    assert (ids(second), second.count, second.previous, second.next) == ([5, 7], 4, 5, None)
    back = find(desk, "odd", before=second.previous, size=2)
    assert (ids(back), back.count, back.previous, back.next) == ([1, 3], 4, None, 3)
    desk.remove(5)
    assert ids(find(desk, "odd", after=3, size=2)) == [7]
    assert find(desk, after=7) == ContactsPage([], 6, None, None)
    middle = find(desk, before=7, size=2)
    assert (ids(middle), middle.previous, middle.next) == ([4, 6], 4, 6)


def test_flags_say_whether_anybody_has_said_anything(desk: Desk) -> None:
    desk.put(name="", email="a@x.com", active=True, smsSubscribe=False)
    (contact,) = find(desk).contacts
    assert contact["name"] is None
    assert [contact[name] for name in ("active", "smsSubscribe", "viberSubscribe")] == [True, False, None]
    with desk.engine.connect() as connection:
        whole = read_contact(connection, desk.list, 1)
        assert read_contact(connection, desk.list, 2) is None
    assert whole is not None
    assert {name: value for name, value in whole.items() if value is not None} == {
        "email": "a@x.com",
        "active": True,
        "smsSubscribe": False,
    }
    assert set(whole) == set(desk.table.c.keys()) - {"contact_id"}


def test_a_text_is_cut_to_what_a_database_takes(desk: Desk) -> None:
    desk.put(name="x" * MAX_TEXT)
    assert find(desk, "x" * 100_000).count == 1
