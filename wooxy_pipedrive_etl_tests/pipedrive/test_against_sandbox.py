"""The client against a whole account: what arrives, what it costs, and every fault in the middle of a walk."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from wooxy_pipedrive_etl.http_api.errors import ApiError, ServerError
from wooxy_pipedrive_etl.http_api.retries import Retries
from wooxy_pipedrive_etl.pipedrive import PersonsPage, optional_fields
from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl.sandbox.pipedrive import (
    Account,
    Behaviours,
    Fault,
    FaultKind,
    Limits,
    SandboxServer,
    large_account,
    seeded_account,
)
from wooxy_pipedrive_etl.sandbox.pipedrive.budget import Budget as SandboxBudget
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS

from .conftest import Connect

PERSONS = "/api/v2/persons"
TYPES = "varchar varchar_auto text double monetary date set enum user org people phone time timerange daterange address"


@pytest.fixture
def large() -> Iterator[SandboxServer]:
    """1,200 persons: three pages."""
    with SandboxServer(large_account(1200, custom_fields=5)) as server:
        yield server


@pytest.fixture
def small() -> Iterator[SandboxServer]:
    with SandboxServer(Account()) as server:
        yield server


def ids(pages: Iterator[PersonsPage]) -> list[int]:
    return [person_id for page in pages for person_id in page.persons["person_id"]]


def test_the_account(connect: Connect, small: SandboxServer) -> None:
    client = connect(small.url, small.account.token)
    account = client.account()
    assert (account.company_id, account.company_name) == (777, "Example Oy")
    assert (account.user_id, account.user_name, account.is_admin) == (9001, "Sync Bot", True)
    assert client.usage.tokens_used == small.tokens_used == 2


def test_a_wrong_token(connect: Connect, small: SandboxServer) -> None:
    with pytest.raises(e.InvalidToken, match="unauthorized access") as failure:
        connect(small.url, "wrong-token").account()
    assert "wrong-token" not in str(failure.value)


@pytest.mark.parametrize("last_page", ["null_cursor", "no_cursor", "no_additional_data"])
def test_a_walk_reads_every_person_exactly_once(
    connect: Connect,
    large: SandboxServer,
    last_page: Literal["null_cursor", "no_cursor", "no_additional_data"],
) -> None:
    large.account.behaviours = Behaviours(last_page=last_page)
    client = connect(large.url, large.account.token)
    assert ids(client.walk_persons()) == large.account.visible_person_ids()
    assert len(large.requests) == client.usage.requests == 3
    assert client.usage.tokens_used == large.tokens_used == 30
    assert client.usage.daily_limit == 150_000
    assert client.usage.daily_remaining == 150_000 - 30


def test_without_daily_headers_the_budget_is_unknown(connect: Connect, large: SandboxServer) -> None:
    large.account.behaviours = Behaviours(daily_headers=False)
    client = connect(large.url, large.account.token)
    assert len(ids(client.walk_persons())) == 1200
    assert client.usage.daily_limit is None
    assert client.usage.daily_remaining is None


def test_the_catalogue_of_every_creatable_type(connect: Connect, small: SandboxServer) -> None:
    codes = [
        small.account.add_field(f"A {kind}", kind, ["Gold", "Ag, \u94f6"] if kind in ("set", "enum") else [])
        for kind in TYPES.split()
    ]
    fields = connect(small.url, small.account.token).person_fields().fields
    custom = [field for field in fields if field.is_custom_field]
    assert [field.field_code for field in custom] == codes
    assert [field.field_type for field in custom] == TYPES.split()
    assert [field.field_name for field in custom] == [f"A {kind}" for kind in TYPES.split()]
    for field in custom:
        labels = None if field.options is None else [option["label"] for option in field.options]
        assert labels == (["Gold", "Ag, \u94f6"] if field.field_type in ("set", "enum") else None)
    own = {field.field_code for field in fields if not field.is_custom_field}
    assert {"name", "emails", "phones", "label_ids", "update_time"} <= own


@pytest.mark.parametrize("marketing", [True, False])
def test_every_optional_field_of_the_catalogue_is_returned(
    connect: Connect, small: SandboxServer, marketing: bool
) -> None:
    small.account.marketing = marketing
    small.account.create_person(name="A")
    client = connect(small.url, small.account.token)
    optional = optional_fields(client.person_fields().fields)
    assert ("marketing_status" in optional) == marketing
    assert "open_deals_count" in optional
    (page,) = client.walk_persons(include_fields=optional)
    assert set(optional) <= set(json.loads(page.persons["raw"][0]))
    assert page.left_out_fields == ()


def test_updated_since_includes_the_given_moment(connect: Connect, small: SandboxServer) -> None:
    moment = datetime(2026, 11, 2, 12, 0, 0, tzinfo=UTC)
    for seconds in (-1, 0, 1):
        small.account.clock = lambda seconds=seconds: moment + timedelta(seconds=seconds)  # type: ignore[misc]
        small.account.create_person(name="A")
    client = connect(small.url, small.account.token)
    (page,) = client.walk_persons(updated_since=moment, sort_by="update_time")
    assert page.persons["person_id"].tolist() == [2, 3]
    assert page.persons["version"].tolist() == [1793620800_000000, 1793620801_000000]


@pytest.mark.parametrize(
    "fault",
    [
        *[Fault("status", PERSONS, status=status) for status in (500, 502, 503, 504, 524)],
        Fault("timeout", PERSONS),
        Fault("reset", PERSONS),
        Fault("truncated_json", PERSONS),
        Fault("success_false_200", PERSONS),
        Fault("empty_200", PERSONS),
        Fault("rate_429", PERSONS, times=3),
        Fault("rate_429", PERSONS, headers=False),
        Fault("rate_429", PERSONS, retry_after="3"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_walk_survives_transient_faults(connect: Connect, large: SandboxServer, fault: Fault) -> None:
    fault.after = 1
    large.faults.add(fault)
    # Only a time-out really waits.
    timeout = 0.5 if fault.kind == "timeout" else PATIENCE_SECONDS
    client = connect(large.url, large.account.token, timeout=timeout)
    assert ids(client.walk_persons()) == large.account.visible_person_ids()
    assert large.faults.pending() == []
    asked = 3 + (fault.times or 0)
    # Another answer may take that long too, and is then requested again.
    assert len(large.requests) == asked or (fault.kind == "timeout" and len(large.requests) > asked)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unauthorized_401", e.InvalidToken),
        ("payment_402", e.AccountClosed),
        ("scope_403", e.MissingScope),
        ("html_403", e.CloudflareBlocked),
        ("redirect_302", e.RedirectRefused),
        ("daily_429", e.DailyBudgetSpent),
    ],
)
def test_a_permanent_error_ends_the_walk_immediately(
    connect: Connect, clock: FakeClock, large: SandboxServer, kind: FaultKind, error: type[ApiError]
) -> None:
    large.faults.add(Fault(kind, PERSONS, times=None, after=1))
    walk = connect(large.url, large.account.token).walk_persons()
    assert len(next(walk).persons) == 500
    with pytest.raises(error):
        next(walk)
    assert len(large.requests) == 2
    assert clock.waits == []


def test_a_walk_gives_up_on_persistent_errors(connect: Connect, large: SandboxServer) -> None:
    large.faults.add(Fault("status", PERSONS, times=None, status=502))
    with pytest.raises(ServerError, match="failed 3 times"):
        list(connect(large.url, large.account.token, retries=Retries(attempts=3)).walk_persons())
    assert len(large.requests) == 3


def test_a_daily_budget_spent_during_the_walk(connect: Connect, large: SandboxServer) -> None:
    large.limits = Limits(daily_tokens=25)
    client = connect(large.url, large.account.token)
    with pytest.raises(e.DailyBudgetSpent, match="25 tokens"):
        list(client.walk_persons())
    assert [request.status for request in large.requests] == [200, 200, 429]
    assert client.usage.tokens_used == 20


def test_clients_sharing_a_credential_are_never_refused(
    connect: Connect, clock: FakeClock, large: SandboxServer
) -> None:
    # The sandbox's window uses the same clock as the clients' waits.
    limits = Limits(burst_per_2s=4)
    large.gateway.budget = SandboxBudget(limits, large.account.now, monotonic=clock.now)
    # While one waits, this clock advances for all, so an answer in flight seems to take hours.
    clients = [connect(large.url, large.account.token, timeout=1e6) for _ in range(6)]
    found: list[list[int]] = []
    # The first answer reveals the limit; until then the smallest plan's is assumed.
    clients[0].account()
    threads = [
        threading.Thread(target=lambda c=client: found.append(ids(c.walk_persons()))) for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [large.account.visible_person_ids()] * 6
    assert {request.status for request in large.requests} == {200}
    assert clock.waits != []


def test_edits_during_a_walk_lose_no_other_person(connect: Connect, large: SandboxServer) -> None:
    def change(account: Account) -> None:
        account.delete_person(100)
        account.delete_person(501)
        account.edit_person(700, name="Edited")
        account.create_person(name="New")

    before = large.account.visible_person_ids()
    large.faults.add(Fault("on_page", PERSONS, after=1, on_page=change))
    client = connect(large.url, large.account.token)
    assert ids(client.walk_persons()) == [i for i in before if i != 501] + [1201]


def test_a_page_may_contain_a_person_twice(connect: Connect, large: SandboxServer) -> None:
    large.faults.add(Fault("duplicated_rows", PERSONS))
    found = ids(connect(large.url, large.account.token).walk_persons())
    assert len(found) == 1201
    assert sorted(set(found)) == large.account.visible_person_ids()


def test_lookups_by_id_skip_deleted_and_hidden_persons(connect: Connect, large: SandboxServer) -> None:
    large.account.delete_person(7)
    large.account.hide_person(8)
    large.account.merge_persons(9, 10)
    client = connect(large.url, large.account.token)
    assert ids(client.persons_by_ids([6, 7, 8, 9, 10, 5000])) == [6, 9]
    assert client.usage.tokens_used == 10


@pytest.mark.parametrize(
    "text",
    [
        '{"id": 1, "name": "\\ud83d half", "update_time": "2026-11-02T12:00:00Z"}',
        '{"id": 1, "update_time": "2026-11-02T12:00:00Z", "n": 0.30000000000000004, "m": 12345678901234567890.50}',
        '{"id": 1, "update_time": "2026-11-02T12:00:00Z", "deep": ' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_an_unusual_person_is_returned_unchanged(connect: Connect, small: SandboxServer, text: str) -> None:
    for name in "AB":
        small.account.create_person(name=name)
    small.account.put_raw_person(1, text)
    (page,) = connect(small.url, small.account.token).walk_persons()
    assert page.persons["person_id"].tolist() == [1, 2]
    assert json.loads(page.persons["raw"][0]) == json.loads(text)
    assert page.persons["version"][0] == 1793620800_000000
    assert page.odd.empty


def test_a_person_without_an_id_is_listed(connect: Connect, small: SandboxServer) -> None:
    for name in "AB":
        small.account.create_person(name=name)
    small.account.put_raw_person(1, '{"name": "A"}')
    (page,) = connect(small.url, small.account.token).walk_persons()
    assert page.persons["person_id"].tolist() == [2]
    assert page.odd["reason"].tolist() == ["odd_shape"]


def test_names_of_organisations_and_users(connect: Connect, small: SandboxServer) -> None:
    organizations = {small.account.add_organization(f"Org {number}"): f"Org {number}" for number in range(3)}
    gone, *alive = organizations
    small.account.delete_organization(gone)
    small.account.add_user("Former", active=False)
    client = connect(small.url, small.account.token)
    assert client.organization_names([*organizations, 99]) == {
        number: organizations[number] for number in alive
    }
    assert client.user_names() == {9001: "Sync Bot", 9002: "Former"}
    assert client.usage.tokens_used == small.tokens_used == 30


def test_a_realistic_account_is_read_completely(connect: Connect) -> None:
    account = seeded_account()
    with SandboxServer(account) as server:
        client = connect(server.url, account.token)
        optional = optional_fields(client.person_fields().fields)
        pages = list(client.walk_persons(include_fields=optional))
    assert sorted(ids(iter(pages))) == sorted(account.visible_person_ids())
    assert all(page.odd.empty for page in pages)
    assert client.usage.tokens_used == server.tokens_used
