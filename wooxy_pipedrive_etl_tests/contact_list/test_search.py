"""Searching the list: what is found, page by page, and one contact with everything it has."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.contact_list.search import (
    MAX_TEXT,
    ContactsPage,
    find_contacts,
    folded_text,
    read_contact,
)

from .desk import Desk


def find(desk: Desk, text: str = "", **where: Any) -> ContactsPage:
    with desk.engine.connect() as db:
        return find_contacts(db, desk.list, text, **where)


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
        ("ünal", [2]),
        ("UNAL", [2]),
        ("ünal emre", [2]),
        ("emre virtanen", []),
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
def test_which_contacts_are_found(desk: Desk, text: str, found: list[int]) -> None:
    desk.put(name="Maija Virtanen", email="Maija@Example.com", phoneNumber="+3584012345")
    desk.put(firstName="Emre", lastName="Ünal", email="e@example.com")
    desk.put(userId="USER-7")
    desk.put(name="100%_/\\' of all")
    page = find(desk, text)
    assert (ids(page), page.count) == (found, len(found))
    assert (page.previous, page.next) == (None, None)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Aino Öhman", "ohman aino"),
        ("Тарас Шевченко", "шевченко"),
        ("İpek Yılmaz", "ipek yilmaz"),
        ("Ιωάννης", "ιωαννησ"),
        ("Groß", "GROSS"),
        ("Łukasz Bjørn Þór", "lukasz bjorn thor"),
        ("Nguyễn Thị Ánh", "nguyen anh"),
        ("שָׁלוֹם", "שלום"),
        ("أحمد", "احمد"),
        ("ｆｕｌｌ", "full"),
        ("김민준", "민준"),
        ("A\u200bnn", "ann"),
    ],
)
def test_names_are_found_ignoring_case_and_accents(desk: Desk, name: str, typed: str) -> None:
    desk.put(name="Somebody Else")
    desk.put(name=name)
    for text in (typed, name, typed.upper()):
        assert ids(find(desk, text)) == [2], text


def test_pages_of_search_results(desk: Desk) -> None:
    for number in range(9):
        desk.put(name="Ann" if number % 2 == 0 else "Bo")
    first = find(desk, "ann", size=2)
    assert (ids(first), first.count, first.previous, first.next) == ([1, 3], 5, None, 3)
    second = find(desk, "ann", size=2, after=3)
    assert (ids(second), second.count, second.previous, second.next) == ([5, 7], 5, 5, 7)
    last = find(desk, "ann", size=2, after=7)
    assert (ids(last), last.count, last.previous, last.next) == ([9], 5, 9, None)
    back = find(desk, "ann", size=2, before=9)
    assert (ids(back), back.count, back.previous, back.next) == ([5, 7], 5, 5, 7)
    assert ids(find(desk, "ann", size=2, before=3)) == [1]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_folding_is_idempotent_and_ignores_case(text: str) -> None:
    folded = folded_text(text)
    # In capitals, a subscript iota is written beside its letter.
    if "\u0345" not in unicodedata.normalize("NFD", text):
        assert folded_text(text.upper()) == folded_text(text.lower())
    assert folded_text(folded) == folded


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


def test_flags_are_true_false_or_null(desk: Desk) -> None:
    desk.put(name="", email="a@x.com", active=True, smsSubscribe=False)
    (contact,) = find(desk).contacts
    assert contact["name"] is None
    assert [contact[name] for name in ("active", "smsSubscribe", "viberSubscribe")] == [True, False, None]
    with desk.engine.connect() as db:
        whole = read_contact(db, desk.list, 1)
        assert read_contact(db, desk.list, 2) is None
    assert whole is not None
    assert {name: value for name, value in whole.items() if value is not None} == {
        "email": "a@x.com",
        "active": True,
        "smsSubscribe": False,
    }
    assert set(whole) == set(desk.table.c.keys()) - {"contact_id"}


def test_a_long_search_text_is_cut(desk: Desk) -> None:
    desk.put(name="x" * MAX_TEXT)
    assert find(desk, "x" * 100_000).count == 1
