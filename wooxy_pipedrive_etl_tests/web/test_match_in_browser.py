"""The Match variables page in Chromium: with its script, with the keyboard alone, without scripts, and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from wooxy_pipedrive_etl.settings import ADMIN_PASSWORD_VARIABLE
from wooxy_pipedrive_etl_tests.scenario import Connected, connected, isolate, small_account

from .browser import assert_accessible, fresh_page
from .served import serving
from .visitor import PASSWORD

HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Pages:
    acme: Connected
    url: str

    def open(self, page: Page) -> None:
        page.goto(f"{self.url}/sign-in?next=/integrations/acme/match")
        page.get_by_label("Administrator's password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Match variables")).to_be_visible()


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, pages: Pages) -> None:
    """Has the scope of the module's account: what is set for it holds for other accounts too."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """One account for all tests of this module, which change only its drafts."""
    folder = tmp_path_factory.mktemp("match")
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, folder)
        patch.setenv(ADMIN_PASSWORD_VARIABLE, PASSWORD)
        with (
            connected(f"sqlite:///{folder / 'list.db'}", small_account(8)) as acme,
            serving(acme.store) as url,
        ):
            yield Pages(acme, url)


def _row(page: Page, key: str) -> Locator:
    return page.locator(f'tr[data-key="{key}"]')


def _wooxy(page: Page, label: str) -> Locator:
    return page.get_by_label(f"Wooxy variable for {label}", exact=True)


def _choice(page: Page, label: str) -> Locator:
    return page.get_by_label(f"What to do with {label}", exact=True)


def test_input_is_checked_immediately(pages: Pages, browser_page: Page) -> None:
    pages.open(browser_page)
    city, note, status = (
        _row(browser_page, "city"),
        _row(browser_page, "note"),
        browser_page.locator("#summary"),
    )
    _wooxy(browser_page, "City").fill("place")
    expect(_choice(browser_page, "City")).to_have_value("new")
    expect(city).to_contain_text("✓ Matched")
    expect(status).to_contain_text("City: “place” is added to the list on Import.")
    _wooxy(browser_page, "Note").fill("place")
    for row in (city, note):
        expect(row).to_contain_text("✗ Problem")
        expect(row).to_contain_text("is fed by more than one row: “City” (city) and “Note” (note).")
    expect(_wooxy(browser_page, "City")).to_have_attribute("aria-invalid", "true")
    expect(browser_page.locator("#show option[value=problems]")).to_have_text("Problems (2)")
    # The list decides the format of its own variables; values that do not fit are reported at once.
    _wooxy(browser_page, "Note").fill("contactBirthday")
    expect(_choice(browser_page, "Note")).to_have_value("existing")
    expect(browser_page.get_by_label("Format of Note", exact=True)).to_have_value("DateTime")
    expect(note).to_contain_text("format set by the list")
    expect(note).to_contain_text("▲ No value fits")
    expect(note).to_contain_text("in 6 of 8 persons, 0 fit")
    expect(city).to_contain_text("✓ Matched")
    # Another choice needs another name.
    _choice(browser_page, "Note").select_option("new")
    expect(_wooxy(browser_page, "Note")).not_to_have_value("contactBirthday")
    _wooxy(browser_page, "Note").fill(HOSTILE)
    expect(note).to_contain_text(f"“{HOSTILE}” is not a valid name")
    assert browser_page.locator("img").count() == 0
    note.get_by_role("button", name="Use suggestion").click()
    expect(_wooxy(browser_page, "Note")).to_have_value("note")
    expect(note).to_contain_text("✓ Matched")
    assert_accessible(browser_page)
    browser_page.get_by_role("button", name="Save draft").click()
    expect(browser_page.get_by_text("Draft saved.")).to_be_visible()
    expect(_wooxy(browser_page, "City")).to_have_value("place")


def test_search_filter_and_previews_need_no_loading(pages: Pages, browser_page: Page) -> None:
    pages.open(browser_page)
    loads: list[str] = []
    browser_page.on("request", lambda request: loads.append(request.resource_type))
    browser_page.get_by_label("Search").fill("CITY")
    expect(_row(browser_page, "emails")).to_be_hidden()
    expect(_row(browser_page, "city")).to_be_visible()
    seen = set()
    preview = _row(browser_page, "city").locator(".preview")
    for _ in range(4):
        before = preview.inner_text()
        seen.add(before)
        browser_page.get_by_role("link", name="Another preview of City").click()
        expect(preview).not_to_have_text(before)
    assert len(seen) == 4
    browser_page.get_by_label("Search").fill("nothing like it")
    expect(browser_page.get_by_text("No variable fits")).to_be_visible()
    browser_page.get_by_label("Search").fill("")
    browser_page.get_by_label("Show").select_option("matched")
    expect(_row(browser_page, "emails")).to_be_visible()
    expect(_row(browser_page, "phones/work")).to_be_hidden()
    assert "document" not in loads
    # A page loaded with a filter can show the other rows too, and sends every row that was ever shown.
    browser_page.reload()
    expect(_row(browser_page, "colour")).to_be_hidden()
    browser_page.get_by_label("Show").select_option("all")
    _wooxy(browser_page, "Colour").fill("shade")
    expect(_row(browser_page, "colour")).to_contain_text("✓ Matched")
    browser_page.get_by_label("Search").fill("city")
    browser_page.get_by_role("button", name="Save draft").click()
    expect(browser_page.get_by_text("Draft saved.")).to_be_visible()
    expect(_row(browser_page, "colour")).to_be_hidden()
    expect(_wooxy(browser_page, "Colour")).to_have_value("shade")


def test_by_keyboard_alone(pages: Pages, browser_page: Page) -> None:
    pages.open(browser_page)
    browser_page.get_by_label("Search").focus()
    keyboard = browser_page.keyboard
    keyboard.type("Phone/Work")
    expect(_row(browser_page, "emails")).to_be_hidden()
    for _ in range(12):
        keyboard.press("Tab")
        if browser_page.evaluate("document.activeElement.id") == _choice(
            browser_page, "Phone/Work"
        ).get_attribute("id"):
            break
    keyboard.press("End")
    expect(_choice(browser_page, "Phone/Work")).to_have_value("new")
    expect(_wooxy(browser_page, "Phone/Work")).to_have_value("phoneWork")
    keyboard.press("Tab")
    keyboard.type("Desk")
    expect(_row(browser_page, "phones/work")).to_contain_text("“Desk” is not a valid name")
    width = browser_page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px"
    keyboard.type("x")
    keyboard.press("ControlOrMeta+a")
    keyboard.type("desk")
    expect(_row(browser_page, "phones/work")).to_contain_text("✓ Matched")
    # Enter in a text field saves nothing.
    keyboard.press("Enter")
    expect(_wooxy(browser_page, "Phone/Work")).to_have_value("desk")
    expect(browser_page.get_by_text("Draft saved")).to_have_count(0)
    assert browser_page.get_by_role("button", name="Save and check").count() == 0
    # From any row, Import is a few keys away.
    expect(browser_page.get_by_role("button", name="Import")).to_be_visible()
    pressed = 0
    while browser_page.evaluate("document.activeElement.id") != "import":
        focused = browser_page.evaluate("document.activeElement.textContent")
        keyboard.press("Enter" if focused == "Skip to Import" else "Shift+Tab")
        pressed += 1
        assert pressed < 20


def test_without_scripts_and_on_a_phone(pages: Pages, browser: Browser) -> None:
    with fresh_page(browser, java_script_enabled=False, viewport={"width": 390, "height": 800}) as page:
        pages.open(page)
        page.get_by_label("Search").fill("e-mail/")
        page.get_by_label("Search").fill("email/home")
        page.get_by_label("Show", exact=True).select_option("unmatched")
        page.get_by_role("button", name="Show").click()
        expect(_row(page, "emails/home")).to_be_visible()
        expect(_row(page, "emails")).to_be_hidden()
        # A row is one line until it is opened.
        expect(_choice(page, "Email/Home")).to_be_hidden()
        expect(page.get_by_role("button", name="Import")).to_be_in_viewport()
        page.get_by_text("Email/Home", exact=True).click()
        _choice(page, "Email/Home").select_option("new")
        _wooxy(page, "Email/Home").fill("Home")
        page.get_by_role("button", name="Save and check").click()
        expect(page.get_by_text("1 row has a problem; the row says why.")).to_have_count(2)
        page.get_by_label("Show", exact=True).select_option("problems")
        page.get_by_role("button", name="Show").click()
        expect(_row(page, "emails/home")).to_contain_text("“Home” is not a valid name")
        _row(page, "emails/home").get_by_role("button", name="Use suggestion").click()
        page.goto(f"{pages.url}/integrations/acme/match?q=email/home")
        expect(_wooxy(page, "Email/Home")).to_have_value("emailHome")
        page.goto(f"{pages.url}/integrations/acme/match")
        assert _row(page, "emails").evaluate("tr => tr.clientHeight") < 60
        overflow = page.locator("html").evaluate("html => html.scrollWidth > html.clientWidth")
        assert not overflow


def test_a_rename_from_the_first_key_to_import(sqlite_url: str, browser_page: Page) -> None:
    with connected(sqlite_url, small_account(3)) as acme, serving(acme.store) as url:
        acme.import_rows({"emails": "email", "city": "town"})
        acme.sync()
        Pages(acme, url).open(browser_page)
        columns, sentence = (
            browser_page.locator("#columns"),
            "Renames “town” to “place”; templates and segments",
        )
        expect(columns).to_be_hidden()
        browser_page.set_viewport_size({"width": 390, "height": 800})
        assert_accessible(browser_page)
        browser_page.set_viewport_size({"width": 1280, "height": 720})
        _choice(browser_page, "City").select_option("new")
        _wooxy(browser_page, "City").fill("")
        _wooxy(browser_page, "City").press_sequentially("place")
        expect(_row(browser_page, "city")).to_contain_text(sentence)
        expect(columns).to_have_text("Import would rename town to place.")
        browser_page.get_by_role("button", name="Import").click()
        expect(browser_page.get_by_role("heading", name="Rename and import?")).to_be_visible()
        expect(browser_page.locator("#renames")).to_contain_text(sentence)
        assert_accessible(browser_page)
        browser_page.get_by_role("button", name="Back to Match variables").click()
        expect(_wooxy(browser_page, "City")).to_have_value("place")
        browser_page.get_by_role("button", name="Import").click()
        browser_page.get_by_role("button", name="Rename and import").click()
        expect(browser_page.get_by_text("Renamed town to place.")).to_be_visible()
        assert "place" in acme.contacts()[0]
        # The page polls the run's progress as long as it is open, even when nothing answers.
        browser_page.close()


def test_drafts_are_discarded_and_imported_by_touch(sqlite_url: str, browser: Browser) -> None:
    with (
        connected(sqlite_url, small_account(3)) as acme,
        serving(acme.store) as url,
        fresh_page(browser, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True) as page,
    ):
        acme.import_rows({"emails": "email"})
        Pages(acme, url).open(page)

        def name_city(name: str) -> None:
            page.get_by_text("City", exact=True).tap()
            _choice(page, "City").select_option("new")
            _wooxy(page, "City").fill(name)
            expect(_row(page, "city")).to_contain_text("✓ Matched")
            page.get_by_role("button", name="Save draft").tap()
            expect(page.get_by_text("Draft saved")).to_be_visible()

        name_city("place")
        page.get_by_role("button", name="Discard draft").tap()
        expect(page.get_by_role("button", name="Discard draft")).to_be_hidden()
        expect(_row(page, "city")).not_to_contain_text("place")
        name_city("town")
        page.get_by_role("button", name="Import").tap()
        expect(page.get_by_text("Waiting for Dagster to start it")).to_be_visible()
        acme.sync()
        assert "town" in acme.contacts()[0]
