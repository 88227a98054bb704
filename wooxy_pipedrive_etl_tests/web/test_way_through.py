"""The way through the pages, as users go: in Chromium, against the sandbox, on both databases, with Dagster's sensor
and jobs behind them. And the same without scripts, and with the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Limits, SandboxServer
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl_tests.daemon import running_daemon
from wooxy_pipedrive_etl_tests.scenario import closing_databases, small_account

from .browser import assert_accessible, fresh_page
from .consenting import register
from .served import serving
from .visitor import PASSWORD


@dataclass
class World:
    """The program and the account it is connected to."""

    url: str
    store: Store
    account: Account
    server: SandboxServer
    instance: dg.DagsterInstance


@pytest.fixture
def world(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", database_url)
    account = small_account(5)
    account.create_person(name="Nobody to reach")
    with (
        closing_databases(),
        SandboxServer(account, limits=Limits(burst_per_2s=100_000)) as server,
        serving(store) as url,
        running_daemon() as instance,
    ):
        register(server, url, monkeypatch)
        yield World(url, store, account, server, instance)


def sign_in(page: Page, world: World) -> None:
    page.goto(world.url)
    page.get_by_label("Administrator's password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def add_integration(page: Page) -> None:
    """From the first page through Pipedrive's consent page to the Match variables table."""
    page.get_by_role("link", name="Add integration").click()
    assert_accessible(page)
    page.get_by_role("button", name="Allow and Install").click()
    # Pipedrive's own page.
    page.get_by_role("button", name="Allow and Install").click()
    page.get_by_label("Wooxy domain").fill("shop.example.com")
    page.get_by_label("Name of the integration").fill("acme")
    assert_accessible(page)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("heading", name="Match variables").wait_for()


def wait_for_the_run(page: Page) -> None:
    over = page.get_by_role("heading", name=re.compile("^(Synchronization completed|The run failed)$"))
    over.wait_for()
    assert over.text_content() == "Synchronization completed", page.locator("#details").text_content()


def contact(page: Page, world: World, search: str) -> None:
    """Opens the page of the only contact the search finds."""
    page.goto(f"{world.url}/integrations/acme/contacts")
    page.get_by_role("searchbox").fill(search)
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("table").get_by_role("link").first.click()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_from_adding_an_integration_to_the_list(world: World, browser_page: Page) -> None:
    page = browser_page
    sign_in(page, world)
    add_integration(page)
    page.get_by_role("button", name="Use all suggestions").click()
    page.get_by_text("✗ Problem").first.wait_for(state="detached")
    assert_accessible(page)

    page.get_by_role("button", name="Dry run").click()
    page.get_by_text("This would create 5").wait_for()
    assert_accessible(page)
    page.get_by_role("link", name="See what would be left out, and why").click()
    page.get_by_text("Nobody to reach").wait_for()
    page.goto(f"{world.url}/integrations/acme/match")
    expect(page.get_by_text("this would create 5, update 0, delete 0, reject 1")).to_be_visible()

    page.get_by_role("button", name="Import").click()
    wait_for_the_run(page)
    assert_accessible(page)
    page.get_by_role("link", name="See what was rejected, and why").click()
    page.get_by_text("Nobody to reach").wait_for()
    assert_accessible(page)
    contact(page, world, "person2@example.com")
    expect(page.get_by_text("City 2")).to_be_visible()
    assert_accessible(page)

    # A new field in Pipedrive, the round arrow, a match, Import: its value is in the list.
    world.account.add_field("Shoe size", "double", code="shoe")
    world.account.edit_person(2, custom_fields={"shoe": 43})
    page.goto(f"{world.url}/integrations/acme/match")
    page.get_by_role("button", name="Refresh fields from Pipedrive").click()
    page.get_by_label("What to do with Shoe size").select_option("Create new variable")
    page.get_by_label("Wooxy variable for Shoe size").fill("shoeSize")
    page.get_by_role("button", name="Import").click()
    wait_for_the_run(page)
    # The next run of changes re-reads what was read before the field existed.
    page.goto(f"{world.url}/integrations/acme/settings")
    page.get_by_role("button", name="Sync changes now").click()
    wait_for_the_run(page)
    contact(page, world, "person2@example.com")
    expect(page.get_by_text("43", exact=True)).to_be_visible()

    # Renaming a variable keeps its values.
    page.goto(f"{world.url}/integrations/acme/match")
    page.get_by_label("What to do with Shoe size").select_option("Create new variable")
    page.get_by_label("Wooxy variable for Shoe size").fill("sizeOfShoes")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Renames “shoeSize” to “sizeOfShoes”")).to_be_visible()
    page.get_by_role("button", name="Rename and import").click()
    wait_for_the_run(page)
    contact(page, world, "person2@example.com")
    expect(page.get_by_text("sizeOfShoes", exact=True)).to_be_visible()
    expect(page.get_by_text("shoeSize", exact=True)).to_have_count(0)

    # Two rows on one variable: each names the other, and nothing is imported.
    page.goto(f"{world.url}/integrations/acme/match")
    page.get_by_label("Wooxy variable for City").fill("note")
    expect(
        page.get_by_text(re.compile("“note” is fed by more than one row.*City.*Note|Note.*City")).first
    ).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("alert").first).to_contain_text("more than one row")
    assert_accessible(page)

    # Allowing it once more leads to the existing connection.
    page.goto(f"{world.url}/integrations/new")
    page.get_by_role("button", name="Allow and Install").click()
    page.get_by_role("button", name="Allow and Install").click()
    expect(page.get_by_role("link", name="Continue to the app: acme")).to_be_visible()
    assert_accessible(page)

    for path in ("", "/integrations/acme/runs", "/integrations/acme/settings", "/integrations/acme/contacts"):
        page.goto(world.url + path)
        assert_accessible(page)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_scripts(world: World, browser: Browser) -> None:
    with fresh_page(browser, java_script_enabled=False) as page:
        sign_in(page, world)
        page.get_by_role("link", name="Add integration").click()
        page.get_by_role("button", name="Allow and Install").click()
        page.get_by_role("button", name="Allow and Install").click()
        page.get_by_label("Wooxy domain").fill("shop.example.com")
        page.get_by_label("Name of the integration").fill("acme")
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("What to do with City").select_option("Create new variable")
        page.get_by_label("Wooxy variable for City").fill("Not a name")
        page.get_by_role("button", name="Save and check").click()
        expect(page.get_by_text("is not a valid name").first).to_be_visible()
        page.get_by_label("Wooxy variable for City").fill("town")
        page.get_by_role("button", name="Import").click()
        # The page reloads itself until the run is over.
        wait_for_the_run(page)
        contact(page, world, "person3@example.com")
        expect(page.get_by_text("City 3")).to_be_visible()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_by_the_keyboard_alone(world: World, browser_page: Page) -> None:
    page = browser_page
    page.goto(world.url)
    # The browser focuses it automatically, some time after the page loads.
    page.locator("input:focus").wait_for()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Integrations").wait_for()
    for tag, name, to in (
        ("A", "Add integration", "**/integrations/new"),
        ("BUTTON", "Allow and Install", f"{world.server.url}/oauth/authorize?**"),
        ("BUTTON", "Allow and Install", "**/domain"),
    ):
        tab_to(page, tag, name)
        page.keyboard.press("Enter")
        page.wait_for_url(to)
    page.get_by_role("heading", name="Select the domain").wait_for()
    # The domain has the focus.
    page.locator("input:focus").wait_for()
    page.keyboard.type("shop.example.com")
    tab_to(page, "BUTTON", "Continue")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Match variables").wait_for()
    tab_to(page, "BUTTON", "Use all suggestions")
    page.keyboard.press("Enter")
    page.get_by_role("status").first.wait_for()
    tab_to(page, "BUTTON", "Import")
    page.keyboard.press("Enter")
    wait_for_the_run(page)


def tab_to(page: Page, tag: str, name: str) -> None:
    """Presses Tab until the element has the focus; every element on the way shows its focus."""
    for _ in range(1_000):
        page.keyboard.press("Tab")
        found, text, visible = page.evaluate(
            """() => {
                const e = document.activeElement, style = getComputedStyle(e);
                return [e.tagName, (e.getAttribute("aria-label") || e.textContent || "").trim(),
                        style.outlineStyle !== "none" && style.outlineWidth !== "0px"];
            }"""
        )
        # Between the last element and the first, the browser itself has the focus.
        assert visible or found == "BODY", (found, text)
        if (found, text) == (tag, name):
            return
    pytest.fail(f"Tab never comes to {name}.")
