"""The list's pages over HTTP: search and paging, a contact's page, what was not written; hostile text shown as text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl_tests.scenario import Connected, add_person, connected, email, small_account
from wooxy_pipedrive_etl_tests.state import change_stored

from .browser import assert_accessible
from .visitor import PASSWORD, Visitor, text_of

ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber", "city": "contactCity"}
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def acme(sqlite_url: str) -> Iterator[Connected]:
    account = small_account(3)
    account.edit_person(1, name=HOSTILE, custom_fields={"city": HOSTILE})
    add_person(account, 4, name=HOSTILE, emails=[], phones=[])
    add_person(account, 5, name="Person 5", emails=[email("person2@example.com")])
    account.rename_field("city", HOSTILE)
    with connected(sqlite_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        yield acme


@pytest.fixture
def store(acme: Connected) -> Store:
    return acme.store


def test_the_list_is_searched(acme: Connected, visitor: Visitor) -> None:
    everything = text_of(visitor.get("/integrations/acme/contacts"))
    assert "3 contacts in the list" in everything
    assert "✓ SMS: yes ✓ Viber: yes" in everything
    found = visitor.get("/integrations/acme/contacts?q=PERSON3@")
    assert "1 contact with “PERSON3@”" in text_of(found)
    assert "Person 3" in text_of(found)
    assert "person2@example.com" not in found.text
    assert 'value="PERSON3@"' in found.text
    assert "0 contacts with “%”" in text_of(visitor.get("/integrations/acme/contacts?q=%25"))
    # Anything but a contact's number is ignored.
    for odd in ("after=x", "before=-1", f"after={'9' * 5000}", "after=%00", "q=%00%ff"):
        assert visitor.get(f"/integrations/acme/contacts?{odd}").status_code == 200


def test_the_list_comes_in_pages(acme: Connected, visitor: Visitor) -> None:
    acme.execute(
        "INSERT INTO {list} (contact_id, name) WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 199) SELECT i, 'Extra ' || i FROM n"
    )
    first = visitor.get("/integrations/acme/contacts?q=extra")
    assert "99 contacts with “extra”" in text_of(first)
    assert "Extra 150" in first.text
    assert "Previous" not in first.text
    assert 'href="?q=extra&amp;after=150"' in first.text
    second = visitor.get("/integrations/acme/contacts?q=extra&after=150")
    assert "Extra 199" in second.text
    assert ">Next<" not in second.text
    assert 'href="?q=extra&amp;before=151"' in second.text
    assert text_of(visitor.get("/integrations/acme/contacts?q=extra&before=151")).count("Extra") == 50


def test_a_contact_says_where_its_values_came_from(acme: Connected, visitor: Visitor) -> None:
    owner = acme.contact(email="person2@example.com")["contact_id"]
    answer = visitor.get(f"/integrations/acme/contacts/{owner}")
    shown = text_of(answer)
    assert "person2@example.com Email emails" in shown
    assert "Person 5 (person 5)" in shown
    # The sandbox has no pages for its persons, but Pipedrive does.
    assert "/person/5" not in answer.text
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, api_url="https://acme.pipedrive.com")
    answer = visitor.get(f"/integrations/acme/contacts/{owner}")
    assert 'href="https://acme.pipedrive.com/person/5"' in answer.text
    assert "Duplicates Person 2 (person 2)" in shown
    assert "createdAt" in shown
    assert "kept by Wooxy" in shown
    assert "emailSubscribe ○ not set (counts as not subscribed)" in shown
    assert "Created by the sync" in shown


@pytest.mark.parametrize("contact_id", ["99", "0", "x", "-1", "9" * 30, "1%00", "²"])
def test_an_unknown_contact(visitor: Visitor, contact_id: str) -> None:
    answer = visitor.get(f"/integrations/acme/contacts/{contact_id}")
    assert answer.status_code == 404
    assert "no such contact" in text_of(answer)


def test_issues_are_shown_with_names(acme: Connected, visitor: Visitor) -> None:
    shown = text_of(visitor.get("/integrations/acme/issues"))
    assert "2 in all, page 1 of 1" in shown
    assert "Duplicate: shares an identifier with another person (1)" in shown
    assert "Person 2 2 Duplicate" in shown
    rejected = visitor.get("/integrations/acme/issues?kind=rejected&reason=no_identifier")
    assert "Person 2" not in text_of(rejected)
    assert "/person/4" not in rejected.text
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, api_url="https://acme.pipedrive.com")
    rejected = visitor.get("/integrations/acme/issues?kind=rejected&reason=no_identifier")
    assert 'href="https://acme.pipedrive.com/person/4"' in rejected.text
    assert "There is nothing of this kind." in text_of(visitor.get("/integrations/acme/issues?kind=conflict"))
    unknown = visitor.get("/integrations/acme/issues?run=another")
    assert (unknown.status_code, "no longer kept" in text_of(unknown)) == (404, True)


def test_hostile_texts_are_escaped(acme: Connected, visitor: Visitor) -> None:
    pages = [
        "/contacts",
        "/contacts?q=%3Cscript%3Ealert(1)%3C/script%3E%22%27%26",
        "/contacts/1",
        "/issues",
    ]
    for path in pages:
        answer = visitor.get(f"/integrations/acme{path}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<script>alert(1)</script>" in text_of(answer), path


def test_the_pages_are_accessible_and_fit_a_phone(url: str, browser_page: Page) -> None:
    browser_page.set_viewport_size({"width": 360, "height": 740})
    browser_page.goto(f"{url}/integrations/acme/contacts")
    browser_page.fill("#password", PASSWORD)
    browser_page.click("main button")
    browser_page.fill("#q", "person2")
    browser_page.keyboard.press("Enter")
    browser_page.wait_for_url("**/contacts?q=person2")
    # A contact takes a few lines.
    assert browser_page.locator("tbody tr").first.evaluate("tr => tr.clientHeight") < 120
    for path in ("/contacts", "/contacts/1", "/issues"):
        browser_page.goto(f"{url}/integrations/acme{path}")
        assert_accessible(browser_page)
        width = browser_page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, path
