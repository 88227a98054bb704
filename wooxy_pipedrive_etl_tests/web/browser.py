"""Debian's Chromium, driven by Playwright, and axe-core, which finds accessibility problems."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from wooxy_pipedrive_etl_tests.patience import PATIENCE_MILLISECONDS

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launched() -> Iterator[Browser]:
    """The browser; skips the test if there is none, unless `CI` is set."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("There is no Chromium, and the tests of the pages need it.")
        pytest.skip("There is no Chromium on this machine.")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=_ARGUMENTS, timeout=PATIENCE_MILLISECONDS
        )
        yield browser
        browser.close()


@contextmanager
def fresh_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a fresh browser profile, closed afterwards. `options`: those of `Browser.new_context`."""
    context = browser.new_context(**options)
    try:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        yield context.new_page()
    finally:
        context.close()


def assert_accessible(page: Page) -> None:
    """Fails on violations that axe-core calls serious or critical."""
    found = Axe().run(page).response["violations"]
    serious = [
        f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, "; ".join(serious)
