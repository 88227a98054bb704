"""Add integration in Chromium, through Pipedrive's own page and back, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, SandboxServer
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl_tests.scenario import connected, small_account

from .browser import assert_accessible
from .consenting import register
from .served import serving
from .visitor import PASSWORD


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The root of our pages; our app is registered at a sandbox account."""
    with (
        serving(store) as url,
        SandboxServer(small_account(), limits=Limits(burst_per_2s=100_000)) as server,
    ):
        register(server, url, monkeypatch)
        yield url


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    # It takes the focus automatically, a moment after the page loads.
    expect(page.get_by_label("Administrator's password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    heading(page, "Integrations")


def press(page: Page, role: str, name: str) -> None:
    """Tabs to it and presses Enter."""
    wanted = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    expect(wanted).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"The Tab key does not lead to the {role} {name}.")


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def test_add_integration_with_the_keyboard_alone(pages: str, browser_page: Page) -> None:
    page = browser_page
    sign_in(page, pages)
    assert_accessible(page)
    press(page, "link", "Add integration")
    heading(page, "Add integration")
    assert_accessible(page)
    press(page, "button", "Allow and Install")
    heading(page, "Wooxy")
    expect(page.get_by_text("Administer your account")).to_be_visible()
    press(page, "button", "Cancel")
    heading(page, "You did not allow it")
    assert_accessible(page)
    press(page, "link", "Start again")
    heading(page, "Add integration")
    press(page, "button", "Allow and Install")
    heading(page, "Wooxy")
    press(page, "button", "Allow and Install")
    heading(page, "Select the domain")
    assert_accessible(page)
    # The first field has the focus; invalid input comes back with its error.
    expect(page.get_by_label("Wooxy domain")).to_be_focused()
    page.keyboard.type("no_domain")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("finl")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not a domain")
    assert page.get_by_label("Wooxy domain").input_value() == "no_domain"
    assert page.get_by_label("Default country").input_value() == "FI"
    assert page.get_by_label("Only people who opted in").is_checked()
    assert_accessible(page)
    press(page, "link", "Add integration")
    expect(page.get_by_text("Example Oy has allowed it already")).to_be_visible()
    assert_accessible(page)
    press(page, "link", "Continue to the app with Example Oy")
    heading(page, "Select the domain")


def test_integrations_and_settings_are_accessible(database_url: str, browser_page: Page) -> None:
    with connected(database_url, small_account()) as acme, serving(acme.store) as url:
        acme.import_all()
        acme.sync()
        sign_in(browser_page, url)
        assert_accessible(browser_page)
        browser_page.goto(f"{url}/integrations/acme/settings")
        assert_accessible(browser_page)
        # On a phone nothing is wider than the screen.
        browser_page.set_viewport_size({"width": 360, "height": 740})
        for path in ("/", "/integrations/new", "/integrations/acme/settings"):
            browser_page.goto(url + path)
            assert browser_page.evaluate("document.documentElement.scrollWidth") <= 360
