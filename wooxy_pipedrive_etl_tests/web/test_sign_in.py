"""Who gets in: the password, choosing it, guesses, sessions, forged forms, and the redirects afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect
from starlette.routing import Mount, Route

from wooxy_pipedrive_etl.connections import webhooks
from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH
from wooxy_pipedrive_etl.settings import ADMIN_PASSWORD_VARIABLE
from wooxy_pipedrive_etl.store import Store, tables
from wooxy_pipedrive_etl.web.app import build_app
from wooxy_pipedrive_etl.web.attempts import Attempts, TooManyAtOnce, network_of
from wooxy_pipedrive_etl.web.passwords import PasswordRefused
from wooxy_pipedrive_etl.web.visit import MAX_FORM_BYTES, MAX_FORM_FIELDS, safe_path

from .browser import assert_accessible
from .served import serving
from .visitor import PASSWORD, Visitor, text_of, visiting


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def test_pages_require_signing_in(store: Store) -> None:
    with serving(store) as url, visiting(url) as visitor:
        answer = visitor.get("/integrations/acme/match?show=all")
        assert answer.status_code == 303
        sign_in = visitor.follow(answer)
        assert "Administrator's password" in text_of(sign_in)
        answer = visitor.post(
            "/sign-in",
            {"password": PASSWORD, "next": "/?from=here"},
            headers={"sec-fetch-site": "same-origin"},
        )
        assert answer.headers["location"] == "/?from=here"
        assert "Integrations" in text_of(visitor.follow(answer))
        assert visitor.follow(visitor.post("/sign-out")).status_code == 200
        assert visitor.get("/").status_code == 303


def test_scripts_get_401_without_a_session(store: Store) -> None:
    with serving(store) as url, visiting(url) as visitor:
        answer = visitor.get("/", headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["error"]) == (
            401,
            "Your session has ended; sign in again.",
        )


def test_only_intended_pages_are_public(store: Store) -> None:
    """A route not made by `page` would be open to everyone."""
    public = set()
    for_machines = set()
    for route in build_app(store).routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, Route)
        if not hasattr(route.endpoint, "is_public"):
            # Machines sign in on every call; other tests check that.
            for_machines.add((route.path, *sorted(route.methods or ())))
        elif route.endpoint.is_public:
            public.add(route.path)
    # The callback checks the session itself, so that it can say what to do without one.
    assert public == {"/sign-in", "/welcome", CALLBACK_PATH}
    assert for_machines == {(webhooks.PATH, "POST"), (CALLBACK_PATH, "DELETE")}


def test_a_wrong_password(visitor: Visitor, store: Store) -> None:
    with serving(store) as url, visiting(url) as stranger:
        stranger.get("/sign-in")
        for wrong in ("", "wrong", PASSWORD + " ", PASSWORD.upper(), "x" * 100_000):
            answer = stranger.post("/sign-in", {"password": wrong})
            assert answer.status_code == 403
            assert "Wrong password." in text_of(answer)
            assert stranger.get("/").status_code == 303


@pytest.fixture
def slow(store: Store) -> Iterator[tuple[str, Attempts]]:
    """The root of pages that make guessers wait longer than their browser does."""
    app = build_app(store)
    attempts = app.state.attempts = Attempts(b"key", slow_seconds=2)
    with serving(store, app=app) as url:
        yield url, attempts


def test_guesses_are_slowed_without_locking_anyone_out(store: Store) -> None:
    app = build_app(store)
    app.state.attempts = Attempts(b"key", slow_seconds=0.2)
    with serving(store, app=app) as url, visiting(url) as guesser:
        guesser.get("/sign-in")
        codes = [guesser.post("/sign-in", {"password": f"guess {n}"}).status_code for n in range(7)]
        assert codes == [403] * 7
        began = time.monotonic()
        assert guesser.post("/sign-in", {"password": PASSWORD}).status_code == 303
        assert time.monotonic() - began >= 0.2


def test_a_known_browser_does_not_wait(slow: tuple[str, Attempts]) -> None:
    url, attempts = slow
    with visiting(url) as known, visiting(url) as stranger:
        known.sign_in()
        known.post("/sign-out")
        # From everywhere, and more than can be slowed by address.
        for number in range(300):
            _guess(attempts, f"192.0.2.{number % 250}")
        known.sign_in()
        stranger.get("/sign-in")
        stranger.client.timeout = httpx.Timeout(0.5)
        with pytest.raises(httpx.ReadTimeout):
            stranger.post("/sign-in", {"password": PASSWORD})
        # The cookie is signed.
        name = next(name for name in known.client.cookies if name.endswith("-known"))
        stranger.client.cookies.set(name, known.client.cookies[name][:-2] + "xx")
        with pytest.raises(httpx.ReadTimeout):
            stranger.post("/sign-in", {"password": PASSWORD})


def _guess(attempts: Attempts, address: str) -> None:
    async def begin() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await attempts.wait_for_turn(address, None)

    asyncio.run(begin())


def test_the_number_of_waiting_guesses_is_limited() -> None:
    attempts = Attempts(b"key", slow_seconds=0.05)

    async def many() -> list[BaseException | None]:
        return await asyncio.gather(
            *(attempts.wait_for_turn("192.0.2.1", None) for _ in range(40)), return_exceptions=True
        )

    came = asyncio.run(many())
    assert [isinstance(each, TooManyAtOnce) for each in came] == [False] * 25 + [True] * 15


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_guesses_are_counted_by_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_signing_out_ends_even_copied_sessions(store: Store) -> None:
    with serving(store) as url, visiting(url) as visitor, visiting(url) as thief, visiting(url) as other:
        visitor.sign_in()
        other.sign_in()
        thief.client.cookies = httpx.Cookies(visitor.client.cookies)
        assert thief.get("/").status_code == 200
        visitor.post("/sign-out")
        assert thief.get("/").status_code == 303
        # This does not sign out another browser.
        assert other.get("/").status_code == 200


def test_sessions_end_twelve_hours_after_signing_in(store: Store) -> None:
    with serving(store) as url, visiting(url) as visitor:
        visitor.sign_in()
        with store.engine.begin() as db:
            (expires,) = db.scalars(sa.select(tables.sessions.c.expires_at))
            assert timedelta(hours=11, minutes=55) < expires - _now() <= timedelta(hours=12)
            # Whatever the browser does, the session does not live longer.
            db.execute(tables.sessions.update().values(expires_at=_now() + timedelta(minutes=1)))
        assert visitor.get("/").status_code == 200
        with store.engine.begin() as db:
            db.execute(tables.sessions.update().values(expires_at=_now()))
        assert visitor.get("/").status_code == 303
        visitor.sign_in()
        with store.engine.connect() as db:
            assert db.scalar(sa.select(sa.func.count()).select_from(tables.sessions)) == 1


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def test_signing_in_resets_the_failed_attempts(store: Store) -> None:
    with serving(store) as url, visiting(url) as visitor:
        for _ in range(2):
            visitor.get("/sign-in")
            for n in range(4):
                assert visitor.post("/sign-in", {"password": f"guess {n}"}).status_code == 403
            visitor.sign_in()
            visitor.post("/sign-out")


def test_the_cookie_is_protected_and_unforgeable(visitor: Visitor) -> None:
    visitor.client.cookies.clear()
    answer = visitor.get("/sign-in")
    set_cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in set_cookie
    assert "samesite=lax" in set_cookie
    assert "secure" not in set_cookie
    forged = httpx.Cookies()
    (name,) = visitor.client.cookies
    forged.set(name, visitor.client.cookies[name][:-2] + "xx")
    visitor.client.cookies = forged
    assert visitor.get("/").status_code == 303


def test_over_https_the_cookie_is_secure(store: Store) -> None:
    app = build_app(store, public_url="https://sync.example.com")
    with serving(store, app=app) as url, visiting(url) as visitor:
        answer = visitor.get("/sign-in", headers={"host": "sync.example.com"})
        assert "secure" in answer.headers["set-cookie"].lower()
        assert answer.headers["set-cookie"].startswith("__Host-wooxy-pipedrive=")
        assert "max-age" in answer.headers["strict-transport-security"]


def test_another_password_ends_all_sessions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(store) as url, visiting(url) as visitor:
        visitor.sign_in()
        cookies = visitor.client.cookies
    monkeypatch.setenv(ADMIN_PASSWORD_VARIABLE, "another password of the tests")
    with serving(store) as url, visiting(url) as visitor:
        visitor.client.cookies = cookies
        assert visitor.get("/").status_code == 303


def test_signing_in_gives_a_new_token_for_forms(store: Store) -> None:
    with serving(store) as url, visiting(url) as visitor:
        visitor.get("/sign-in")
        before = visitor.csrf
        visitor.sign_in()
        assert visitor.csrf != before
        assert visitor.post("/sign-out", csrf=before).status_code == 403
        assert visitor.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "ä"])
def test_a_form_without_our_token_is_refused(visitor: Visitor, token: str) -> None:
    answer = visitor.post("/sign-out", csrf=token)
    assert answer.status_code == 403
    assert "did not come from this page" in text_of(answer)
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_cross_site_forms_are_refused_despite_valid_tokens(visitor: Visitor, site: str) -> None:
    assert visitor.post("/sign-out", headers={"sec-fetch-site": site}).status_code == 403
    assert visitor.get("/").status_code == 200


def test_oversized_and_invalid_forms(visitor: Visitor) -> None:
    answer = visitor.post("/sign-out", {"x": "y" * MAX_FORM_BYTES})
    assert answer.status_code == 413
    assert "The form is too large" in text_of(answer)
    many = {f"field {n}": "" for n in range(MAX_FORM_FIELDS)}
    for body in ("&".join(f"{name}=" for name in many) + "&csrf=", "csrf=%ff%fe", "csrf=%00"):
        answer = visitor.client.post("/sign-out", content=body)
        assert (answer.status_code, "can't be read" in text_of(answer)) == (400, True)
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize(
    ("given", "to"),
    [
        ("/integrations/acme/match?show=red#top", "/integrations/acme/match?show=red#top"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("integrations", "/"),
        ("/\r\nset-cookie: x=y", "/"),
        ("/\t/evil.example", "/"),
    ],
)
def test_redirects_never_leave_the_site(given: str, to: str) -> None:
    assert safe_path(given) == to


def test_other_host_names_are_refused(visitor: Visitor) -> None:
    answer = visitor.get("/sign-in", headers={"host": "rebound.example.com"})
    assert answer.status_code == 421
    assert "WOOXY_PIPEDRIVE_PUBLIC_URL" in answer.text


def test_headers_of_pages(visitor: Visitor) -> None:
    for path in ("/", "/sign-in", "/nothing-here", "/static/app.css"):
        answer = visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_have_no_inline_scripts_or_styles(visitor: Visitor) -> None:
    """The policy would block them; anything that looks like one came from someone's data."""
    for path in ("/", "/sign-in"):
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", visitor.get(path).text)


@pytest.fixture
def without_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADMIN_PASSWORD_VARIABLE)


@pytest.mark.usefixtures("without_password")
def test_the_first_start(store: Store) -> None:
    chosen = "correct horse battery"
    with serving(store) as url, visiting(url) as visitor:
        assert "Nobody has chosen" in text_of(visitor.get("/sign-in"))
        visitor.get("/welcome?invitation=guessed")
        fields = {"invitation": "guessed", "password": chosen, "again": chosen}
        assert "This link is not valid" in text_of(visitor.post("/welcome", fields))
        assert visitor.get("/").status_code == 303
    app = build_app(store)
    invitation = app.state.passwords.invitation
    with serving(store, app=app) as url, visiting(url) as visitor:
        visitor.get(f"/welcome?invitation={invitation}")
        fields = {"invitation": invitation, "password": "short", "again": "short"}
        assert "12 to 1000 characters" in text_of(visitor.post("/welcome", fields))
        same = fields | {"password": "a" * 12, "again": "a" * 12}
        assert "must have 5 different characters" in text_of(visitor.post("/welcome", same))
        fields = {"invitation": invitation, "password": chosen, "again": chosen + "x"}
        assert "not the same" in text_of(visitor.post("/welcome", fields))
        fields = {"invitation": invitation, "password": chosen, "again": chosen}
        assert "Integrations" in text_of(visitor.follow(visitor.post("/welcome", fields)))
        visitor.post("/sign-out")
        assert visitor.get(f"/welcome?invitation={invitation}").headers["location"] == "/sign-in"
        visitor.get("/sign-in")
        fields = {
            "invitation": invitation,
            "password": "another one that is long",
            "again": "another one that is long",
        }
        assert "chosen already" in text_of(visitor.post("/welcome", fields))
        visitor.sign_in(chosen)
    with store.engine.connect() as db:
        assert chosen not in str(db.exec_driver_sql("SELECT * FROM sync_settings").all())


def test_a_short_password_of_the_environment_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADMIN_PASSWORD_VARIABLE, "short")
    with pytest.raises(PasswordRefused, match=ADMIN_PASSWORD_VARIABLE) as refused:
        build_app(store)
    assert "short" not in str(refused.value)


def test_signing_in_with_a_browser(store: Store, browser_page: Page) -> None:
    with serving(store) as url:
        browser_page.goto(url)
        assert_accessible(browser_page)
        # The field takes the focus automatically, a moment after the page loads.
        expect(browser_page.get_by_label("Administrator's password")).to_be_focused()
        browser_page.keyboard.type(PASSWORD)
        browser_page.keyboard.press("Enter")
        browser_page.get_by_role("heading", name="Integrations").wait_for()
        assert_accessible(browser_page)
        assert browser_page.evaluate("document.cookie") == ""
        browser_page.get_by_role("button", name="Sign out").click()
        browser_page.get_by_label("Administrator's password").wait_for()


@pytest.mark.usefixtures("without_password")
def test_choosing_the_password_with_a_browser(store: Store, browser_page: Page) -> None:
    app = build_app(store)
    with serving(store, app=app) as url:
        browser_page.goto(f"{url}/welcome?invitation={app.state.passwords.invitation}")
        assert_accessible(browser_page)
        for password, again in ((PASSWORD, "another one that is long"), (PASSWORD, PASSWORD)):
            browser_page.get_by_label("Password", exact=True).fill(password)
            browser_page.get_by_label("The same password again").fill(again)
            browser_page.get_by_role("button", name="Choose it and sign in").click()
            browser_page.wait_for_load_state()
            assert_accessible(browser_page)
        browser_page.get_by_role("heading", name="Integrations").wait_for()
        browser_page.goto(f"{url}/integrations/nowhere/match")
        browser_page.get_by_role("heading", name="That did not work").wait_for()
        assert_accessible(browser_page)
