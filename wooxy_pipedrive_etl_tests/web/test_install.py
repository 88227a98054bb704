"""Add integration without a browser: the scopes the page names, API tokens, and the choice of domain."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.connections.oauth_app import WANTED_SCOPES
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Limits, SandboxServer
from wooxy_pipedrive_etl.settings import OAUTH_CLIENT_ID_VARIABLE, OAUTH_CLIENT_SECRET_VARIABLE
from wooxy_pipedrive_etl.store import Store, tables
from wooxy_pipedrive_etl.store.connections import get_connection, list_connections
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.installations import list_installations
from wooxy_pipedrive_etl_tests.scenario import small_account

from .consenting import CLIENT_SECRET, Pipedrive, consenting
from .visitor import HOSTILE, Visitor, text_of


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def account() -> Account:
    return small_account()


@pytest.fixture
def pipedrive(
    account: Account, visitor: Visitor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipedrive]:
    with consenting(account, visitor, store, monkeypatch) as pipedrive:
        yield pipedrive


@pytest.fixture
def server(account: Account) -> Iterator[SandboxServer]:
    """The account without our app."""
    with SandboxServer(account, limits=Limits(burst_per_2s=100_000)) as server:
        yield server


def give_token(visitor: Visitor, api_url: str, api_token: str) -> httpx.Response:
    visitor.get("/integrations/new")
    return visitor.post("/integrations/new/token", {"api_url": api_url, "api_token": api_token})


def choose(visitor: Visitor, path: str, **changed: str) -> httpx.Response:
    """Presses Continue on the domain page."""
    fields = {
        "name": "acme",
        "domain": "shop.example.com",
        "default_region": "",
        "consent": "respect",
        "on_delete": "delete",
    }
    return visitor.post(path, {**fields, **changed})


def installed(visitor: Visitor, server: SandboxServer) -> str:
    """The path of the domain page, after the account's token was entered."""
    path: str = visitor.follow(give_token(visitor, server.url, server.account.token)).headers["location"]
    assert visitor.get(path).status_code == 200
    return path


# Allow and Install


def test_the_page_explains_the_requested_scopes(pipedrive: Pipedrive) -> None:
    page = pipedrive.visitor.get("/integrations/new")
    for words in WANTED_SCOPES.values():
        assert words in text_of(page)
    assert CLIENT_SECRET not in page.text


def test_without_an_app_only_api_tokens_work(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visitor.get("/integrations/new")
    assert "No OAuth app is set up on this server (see docs/pages.md)" in text_of(page)
    assert "/integrations/new/allow" not in page.text
    monkeypatch.setenv(OAUTH_CLIENT_ID_VARIABLE, "app-1")
    page = visitor.get("/integrations/new")
    assert f"{OAUTH_CLIENT_SECRET_VARIABLE} is empty" in text_of(page)
    assert "/integrations/new/allow" not in page.text
    assert "/integrations/new/token" in page.text


def test_accounts_waiting_for_their_domain(pipedrive: Pipedrive) -> None:
    pipedrive.allow()
    page = pipedrive.visitor.get("/integrations/new")
    company = pipedrive.server.account.company_name
    assert f"{company} has allowed it already" in text_of(page)
    with reading(pipedrive.store.engine) as db:
        (waiting,) = list_installations(db)
    path = f"/integrations/new/{waiting.id}"
    assert f'href="{path}"' in page.text
    assert "Select the domain" in text_of(pipedrive.visitor.follow(pipedrive.visitor.get(path)))


# API tokens


def test_an_api_token(visitor: Visitor, server: SandboxServer, store: Store) -> None:
    path = installed(visitor, server)
    answer = choose(visitor, path)
    assert answer.headers["location"] == "/integrations/acme/match"
    with reading(store.engine) as db:
        record = get_connection(db, "acme")
        assert list_installations(db) == []
    assert (record.credentials.access, record.state, record.domain) == (
        "api token",
        "draft",
        "shop.example.com",
    )
    page = visitor.get("/")
    assert "○ Draft: match variables" in text_of(page)
    assert server.account.token not in page.text + visitor.get("/integrations/new").text


def test_a_token_or_an_address_that_is_wrong(visitor: Visitor, server: SandboxServer, store: Store) -> None:
    for api_url, api_token, said in (
        (server.url, "wrong" * 8, "401"),
        (server.url, "", "Give both the account's address and the API token."),
        ("", "f" * 40, "Give both"),
        ("http://acme.pipedrive.com", "f" * 40, "use https://acme.pipedrive.com"),
        # The problem is not that https is missing.
        ("acme.example.com/pipeline", "f" * 40, "goes on after the host acme.example.com"),
        ("https://", "f" * 40, "no valid host name"),
        (server.url, "töken\tx", "token"),
    ):
        answer = give_token(visitor, api_url, api_token)
        assert answer.status_code == 422
        assert said in text_of(answer)
        assert 'role="alert"' in answer.text
        assert f'value="{api_url}"' in answer.text
        assert not api_token or api_token not in answer.text
    with reading(store.engine) as db:
        assert list_installations(db) == []


def test_a_password_in_an_address_is_hidden(visitor: Visitor) -> None:
    answer = give_token(visitor, "https://user:hunter2@acme.pipedrive.com", "f" * 40)
    assert answer.status_code == 422
    assert "has a user name or a password in it" in text_of(answer)
    assert "hunter2" not in answer.text


# The domain


def test_the_domain_page_keeps_what_was_typed(visitor: Visitor, server: SandboxServer, store: Store) -> None:
    path = installed(visitor, server)
    for changed, said in (
        ({"domain": "no domain"}, "'no domain' is not a domain"),
        ({"name": "no name"}, "The connection name 'no name' can't be used"),
        ({"default_region": "XX"}, "'XX' is not a region"),
        ({"consent": "no"}, "consent must be respect, require or ignore, not 'no'"),
        ({"on_delete": ""}, "on_delete must be delete, deactivate or keep, not ''"),
    ):
        answer = choose(visitor, path, **{"name": "my-name", "domain": "my.example.com", **changed})
        assert answer.status_code == 422
        assert said in text_of(answer)
        typed = {"name": "my-name", "domain": "my.example.com", **changed}
        assert f'name="name" value="{typed["name"]}"' in answer.text
        assert f'name="domain" value="{typed["domain"]}"' in answer.text
    assert choose(visitor, path, on_delete="keep", consent="require", default_region="fi").status_code == 303
    with reading(store.engine) as db:
        record = get_connection(db, "acme")
    assert (record.on_delete, record.consent, record.default_region) == ("keep", "require", "FI")


@pytest.mark.parametrize(
    ("typed", "domain"),
    [
        ("https://Shop.example.com/", "shop.example.com"),
        (" shop.example.com. ", "shop.example.com"),
        ("http://shop.example.com:8080/cart?a=b", "shop.example.com"),
    ],
)
def test_a_pasted_address_becomes_its_domain(
    visitor: Visitor, server: SandboxServer, store: Store, typed: str, domain: str
) -> None:
    assert choose(visitor, installed(visitor, server), domain=typed).status_code == 303
    with reading(store.engine) as db:
        assert get_connection(db, "acme").domain == domain


@pytest.mark.parametrize(
    "typed", ["public", "sqlite", "localhost", "shop", "127.0.0.1", "a..example", "-a.fi"]
)
def test_an_invalid_domain_is_refused(visitor: Visitor, server: SandboxServer, typed: str) -> None:
    answer = choose(visitor, installed(visitor, server), domain=typed)
    assert (answer.status_code, "is not a domain" in text_of(answer)) == (422, True)


def test_a_likely_typo_in_a_domain_needs_confirmation(
    visitor: Visitor, server: SandboxServer, store: Store
) -> None:
    choose(visitor, installed(visitor, server))
    path = installed(visitor, server)
    answer = choose(visitor, path, name="other", domain="shp.example.com")
    assert answer.status_code == 200
    assert "There is a list of shop.example.com, and none of shp.example.com." in text_of(answer)
    with reading(store.engine) as db:
        assert [record.name for record in list_connections(db)] == ["acme"]
    # A different mistake gets a different question.
    again = choose(visitor, path, name="other", domain="shhop.example.com", new_list="shp.example.com")
    assert "none of shhop.example.com" in text_of(again)
    sure = choose(visitor, path, name="other", domain="shp.example.com", new_list="shp.example.com")
    assert sure.status_code == 303


def test_an_existing_invalid_domain_still_works(
    visitor: Visitor, server: SandboxServer, store: Store
) -> None:
    """Any word used to be valid."""
    choose(visitor, installed(visitor, server))
    with store.engine.begin() as db:
        db.execute(tables.domains.update().values(name="public"))
    accounts.disconnect(store, "acme", forget=False)
    assert choose(visitor, installed(visitor, server), domain="public").status_code == 303
    assert "public" in text_of(visitor.get("/"))


def test_a_name_or_domain_already_in_use(visitor: Visitor, server: SandboxServer, store: Store) -> None:
    choose(visitor, installed(visitor, server))
    path = installed(visitor, server)
    assert "exists already" in text_of(choose(visitor, path, domain="other.example.com"))
    answer = choose(visitor, path, name="other")
    assert (answer.status_code, "fed by the connection acme already" in text_of(answer)) == (422, True)
    assert choose(visitor, path, name="other", domain="other.example.com").status_code == 303
    with reading(store.engine) as db:
        assert [record.name for record in list_connections(db)] == ["acme", "other"]


def test_lists_without_an_account_are_offered(visitor: Visitor, server: SandboxServer, store: Store) -> None:
    with store.engine.begin() as db:
        ContactList.of_domain(db, "free.example.com")
    choose(visitor, installed(visitor, server))
    page = visitor.get(installed(visitor, server))
    assert '<option value="free.example.com">' in page.text
    assert "shop.example.com" not in page.text.partition("<datalist")[2].partition("</datalist>")[0]


def test_a_disconnected_connection_can_be_reconnected(
    visitor: Visitor, server: SandboxServer, store: Store
) -> None:
    choose(visitor, installed(visitor, server))
    accounts.disconnect(store, "acme", forget=False)
    path = installed(visitor, server)
    assert "connected with shop.example.com as acme and is disconnected" in text_of(visitor.get(path))
    assert choose(visitor, path).status_code == 303
    assert "○ Draft" in text_of(visitor.get("/"))


def test_cancelling_forgets_and_revokes(pipedrive: Pipedrive) -> None:
    path = httpx.URL(str(pipedrive.allow().url)).path
    answer = pipedrive.visitor.post(path.replace("/domain", "/cancel"))
    assert "was not connected" in text_of(pipedrive.visitor.follow(answer))
    assert pipedrive.server.oauth.state()["grants"] == []
    assert pipedrive.visitor.get(path).status_code == 404


def test_an_installation_that_no_longer_waits(visitor: Visitor) -> None:
    for path in ("/integrations/new/7", "/integrations/new/7/domain", f"/integrations/new/{2**70}/domain"):
        page = visitor.get(path)
        assert page.status_code == 404
        assert "no longer waits for its domain" in text_of(page)
    assert choose(visitor, "/integrations/new/7/domain").status_code == 404
    assert visitor.post("/integrations/new/7/cancel").status_code == 404


def test_hostile_names_are_escaped(account: Account, visitor: Visitor, server: SandboxServer) -> None:
    account.company_name = account.users[account.token_owner_id].name = HOSTILE
    path = installed(visitor, server)
    for page in (
        visitor.get(path),
        visitor.get("/integrations/new"),
        choose(visitor, path, name=HOSTILE, domain=HOSTILE, default_region=HOSTILE),
        visitor.follow(visitor.post(path.replace("/domain", "/cancel"))),
    ):
        assert "<script>alert" not in page.text
        assert "<b>" not in page.text
        assert HOSTILE in text_of(page)
