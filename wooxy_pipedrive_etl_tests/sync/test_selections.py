"""Every selection of products has a meaning: what it reads, what it writes, and what it leaves alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from wooxy_pipedrive_etl.errors import NotImported, Refused, SyncError
from wooxy_pipedrive_etl.sandbox.pipedrive.odd import add_odd_persons
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.sync import flow
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import PRODUCTS, Product, Selection
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, add_person, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "org_id": "company"}
LIST: Product = "default_contact_list"
SELECTIONS = [
    *([product] for product in PRODUCTS),
    *([product, LIST] for product in PRODUCTS if product != LIST),
    ["pipedrive_persons", "contact_plan"],
    ["pipedrive_persons", "mapped_contacts"],
    ["person_fields", "variable_matches"],
    ["pipedrive_persons", "contact_plan", LIST],
    [*PRODUCTS],
]
_numbers = itertools.count(1)


def _run(acme: Connected, products: list[Product], **options: Any) -> list[str]:
    """The products that were made, in order."""
    with begin(
        acme.store, acme.name, f"selected-{next(_numbers)}", Selection(frozenset(products)), **options
    ) as run:
        return [done.product for done in flow.sync(run)]


def _state(acme: Connected) -> str:
    return str(acme.rows(tables.runs)[-1]["state"])


@pytest.fixture
def acme(database_url: str) -> Iterator[Connected]:
    """A connection whose list is up to date."""
    account = small_account()
    account.edit_person(1, org_id=account.add_organization("Acme"))
    with connected(database_url, account) as connection:
        connection.import_rows(ROWS)
        connection.sync()
        yield connection


def _edit_everything(acme: Connected) -> None:
    """Edits a person, adds one, and changes a name that persons show; the list already has what was read before."""
    acme.account.edit_person(2, name="Second", org_id=acme.account.add_organization("Second Ltd"))
    add_person(acme.account, 4)
    acme.server.clear_requests()


@pytest.mark.parametrize("products", SELECTIONS, ids=" ".join)
def test_selection(acme: Connected, products: list[Product]) -> None:
    _edit_everything(acme)
    before = acme.dump()
    made = _run(acme, products)
    assert set(made) == set(products)
    # Everyone is read, or nobody.
    assert bool(acme.requests("/api/v2/persons")) == ("pipedrive_persons" in products)
    assert bool(acme.requests("/api/v2/personFields")) == ("person_fields" in products)
    if LIST not in products:
        assert acme.dump() == before
        assert _state(acme) == ("dry_run" if "contact_plan" in products else "partial")
    elif "pipedrive_persons" in products:
        assert _state(acme) == "success"
        # With the names for the persons read, whether or not names were selected.
        assert acme.column("company") == {
            "person1@example.com": "Acme",
            "person2@example.com": "Second Ltd",
            "person3@example.com": None,
            "person4@example.com": None,
        }
    else:
        assert _state(acme) == "success"
        assert acme.dump() == before
    # Whatever was selected, the next run of changes ends like a full one.
    acme.sync("changes")
    after = acme.dump()
    assert acme.column("name")["person2@example.com"] == "Second"
    acme.sync()
    assert acme.dump() == after


def test_a_list_alone_uses_stored_persons(acme: Connected) -> None:
    _edit_everything(acme)
    assert _run(acme, ["pipedrive_persons"]) == ["pipedrive_persons"]
    acme.server.clear_requests()
    assert _run(acme, [LIST]) == [LIST]
    assert acme.requests("/api/v2/persons") == []
    # A name never read is requested if an empty value would be wrong.
    assert acme.column("company")["person2@example.com"] == "Second Ltd"
    assert acme.column("name")["person4@example.com"] == "Person 4"


def test_nothing_is_requested_when_everything_is_stored(acme: Connected) -> None:
    """Nor the name of an organisation that could not be read when requested."""
    acme.account.edit_person(3, org_id=(lost := acme.account.add_organization("Lost")))
    acme.account.delete_organization(lost)
    acme.sync()
    acme.server.clear_requests()
    alone: tuple[Product, ...] = (LIST, "contact_plan", "variable_matches")
    for product in alone:
        _run(acme, [product])
    assert acme.requests() == []


@pytest.mark.parametrize("products", [[LIST], ["contact_plan"], ["person_fields", LIST]], ids=" ".join)
def test_a_list_of_unread_persons_is_refused(sqlite_url: str, products: list[Product]) -> None:
    with connected(sqlite_url, small_account()) as fresh:
        fresh.import_rows(ROWS)
        with pytest.raises(SyncError, match=r"^The persons of the connection acme were never read"):
            _run(fresh, products)
        assert fresh.contacts() == []
        _run(fresh, ["pipedrive_persons"])
        _run(fresh, [LIST])
        assert len(fresh.contacts()) == 3


@pytest.mark.parametrize("products", SELECTIONS, ids=" ".join)
def test_a_guard_holds_whatever_is_selected(sqlite_url: str, products: list[Product]) -> None:
    with connected(sqlite_url, small_account(30)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for person_id in range(1, 26):
            acme.account.hide_person(person_id)
        with begin(acme.store, acme.name, "read", Selection(frozenset(["pipedrive_persons"]))) as run:
            list(flow.sync(run))
        before = acme.dump()
        if Selection(frozenset(products)).plans:
            with pytest.raises(Refused, match=r"^25 of the 30 contacts would be deleted at once"):
                _run(acme, products)
        else:
            _run(acme, products)
        assert acme.dump() == before


def _malformed(acme: Connected) -> list[dict[str, Any]]:
    return [each for each in acme.issues() if (each["kind"], each["reason"]) == ("rejected", "odd_shape")]


def test_a_walk_alone_lists_malformed_records(acme: Connected) -> None:
    add_odd_persons(acme.account)
    _run(acme, ["pipedrive_persons"])
    malformed = _malformed(acme)
    assert malformed
    _run(acme, [LIST])
    assert _malformed(acme) == malformed


def test_a_connection_without_import_produces_nothing(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as draft:
        for product in PRODUCTS:
            with pytest.raises(
                NotImported, match=r"^The matching of the connection acme has not been imported"
            ):
                _run(draft, [product])


def test_a_selection_cannot_apply_a_draft(acme: Connected) -> None:
    with pytest.raises(SyncError, match=r"^A draft can only be tried"):
        _run(acme, [LIST], draft=True)
