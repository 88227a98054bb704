"""A windowed walk against a whole account over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal

import httpx
import numpy as np
import pytest

from wooxy_pipedrive_etl.http_api.clock import Stopped
from wooxy_pipedrive_etl.http_api.errors import BrokenAnswer, ServerError
from wooxy_pipedrive_etl.pipedrive import ApiToken, PersonsPage, PipedriveClient, Span
from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl.pipedrive.budget import Budgets
from wooxy_pipedrive_etl.sandbox.pipedrive import (
    Account,
    Behaviours,
    Fault,
    FaultKind,
    Limits,
    SandboxServer,
    large_account,
)
from wooxy_pipedrive_etl.sandbox.pipedrive.budget import Budget as SandboxBudget
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, wait_for_end_of_threads

from .conftest import Connect

PERSONS = "/api/v2/persons"
COUNT = 1_200
PAGE = 20


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """60 pages of persons, three in four of whom were edited after they were added."""
    account = large_account(COUNT, custom_fields=2)
    account.behaviours = Behaviours(largest_page=PAGE)
    with SandboxServer(account, limits=Limits(burst_per_2s=1_000_000)) as server:
        yield server


def walk(client: PipedriveClient, unread: list[Span] | None = None) -> Iterator[PersonsPage]:
    newest = client.newest_by_id()
    yield newest
    yield from client.walk_persons_in_windows(
        newest,
        [Span(None, None)] if unread is None else unread,
        top=int(client.server_time().timestamp()) - 60,
        highest=int(newest.persons["person_id"].max()),
        expected=COUNT,
        times=np.array([], dtype=np.int64),
    )


def ids(pages: Iterator[PersonsPage]) -> set[int]:
    return {person_id for page in pages for person_id in page.persons["person_id"].tolist()}


def test_concurrent_requests_read_everyone_at_little_cost(connect: Connect, server: SandboxServer) -> None:
    assert ids(walk(connect(server.url, server.account.token, timeout=1e6))) == set(
        server.account.visible_person_ids()
    )
    assert len(server.requests) <= COUNT / PAGE * 1.2
    windows = [request for request in server.requests if "updated_until" in request.query]
    assert len(windows) > COUNT / PAGE / 2


@pytest.mark.parametrize("undated_sort", ["first", "last"])
def test_persons_without_an_update_time_are_read(
    connect: Connect, server: SandboxServer, undated_sort: Literal["first", "last"]
) -> None:
    account = server.account
    account.behaviours = Behaviours(
        largest_page=PAGE, update_time_on_create="null", undated_sort=undated_sort
    )
    added = {account.create_person(name=f"New {number}") for number in range(50)}
    found = ids(walk(connect(server.url, account.token, timeout=1e6)))
    assert added < found
    assert found == set(account.visible_person_ids())


def test_persons_edited_added_or_deleted_meanwhile(connect: Connect, server: SandboxServer) -> None:
    account = server.account
    account.behaviours = Behaviours(largest_page=PAGE, update_time_on_create="null")
    dateless = account.create_person(name="Without a time")
    happened: list[int] = []

    def meanwhile(account: Account) -> None:
        number = len(happened) + 1
        happened.append(number)
        account.edit_person(number * 7, name=f"Edited {number}")
        account.delete_person(number * 7 + 1)
        account.create_person(name=f"Added {number}")

    for after in range(3, 60, 4):
        server.faults.add(Fault("on_page", PERSONS, after=after, on_page=meanwhile))
    pages = list(walk(connect(server.url, account.token, timeout=1e6)))
    assert len(happened) > 10
    newest: dict[int, str] = {}
    for page in pages:
        newest.update(zip(page.persons["person_id"].tolist(), page.persons["raw"].tolist(), strict=True))
    assert dateless in newest
    assert set(account.visible_person_ids()) <= newest.keys()
    for number in happened:
        assert f'"Edited {number}"' in newest[number * 7]


def test_a_resumed_walk_reads_only_what_is_left(connect: Connect, server: SandboxServer) -> None:
    client = connect(server.url, server.account.token, timeout=1e6)
    seen: set[int] = set()
    unread = [Span(None, None)]
    broken = walk(client)
    for page in broken:
        seen |= set(page.persons["person_id"].tolist())
        if page.read is not None:
            unread = [left for span in unread for left in span.without(page.read)]
        if len(seen) > COUNT / 2:
            break
    broken.close()  # type: ignore[attr-defined]
    server.clear_requests()
    server.account.behaviours = Behaviours(largest_page=PAGE, update_time_on_create="null")

    def meanwhile(account: Account) -> None:
        account.create_person(name="New, and without a time")

    server.faults.add(Fault("on_page", PERSONS, after=4, on_page=meanwhile))
    # What this walk reads shows that its persons had a time; the part read before may have included some without.
    assert seen | ids(walk(client, unread)) == set(server.account.visible_person_ids())
    assert len(server.requests) < COUNT / PAGE * 0.8


def test_another_sort_order_of_pages_is_refused(connect: Connect, server: SandboxServer) -> None:
    account = server.account
    account.behaviours = Behaviours(
        largest_page=PAGE, update_time_on_create="null", undated_sort="by_add_time"
    )
    for number in range(30):
        account.create_person(name=f"New {number}")
        account.edit_person(account.create_person(name=f"Edited {number}"), name="Edited")
    with pytest.raises(
        e.NotInWindows, match=r"can't be read in windows of update_time: persons without an update_time"
    ):
        ids(walk(connect(server.url, account.token, timeout=1e6)))


def test_filters_matching_undated_persons_refuse_the_walk(connect: Connect, server: SandboxServer) -> None:
    account = server.account
    account.behaviours = Behaviours(
        largest_page=PAGE, update_time_on_create="null", null_update_time_matches_since=True
    )
    for number in range(30):
        account.create_person(name=f"New {number}")
    with pytest.raises(e.NotInWindows, match="without an update_time"):
        ids(walk(connect(server.url, account.token, timeout=1e6)))


def test_a_refused_parameter_is_reported(connect: Connect, server: SandboxServer) -> None:
    server.faults.add(Fault("status", PERSONS, status=400, after=3))
    with pytest.raises(e.NotInWindows, match="refuses to list persons in windows of update_time"):
        ids(walk(connect(server.url, server.account.token, timeout=1e6)))


@pytest.mark.parametrize("kind", ["status", "truncated_json", "reset", "duplicated_rows"])
def test_transient_faults_lose_nobody(connect: Connect, server: SandboxServer, kind: FaultKind) -> None:
    server.faults.add(Fault(kind, PERSONS, after=10, times=5))
    client = connect(server.url, server.account.token, timeout=1e6)
    assert ids(walk(client)) == set(server.account.visible_person_ids())


def test_persistent_errors_end_the_walk(connect: Connect, server: SandboxServer) -> None:
    server.faults.add(Fault("status", PERSONS, after=10, times=None))
    with pytest.raises(ServerError):
        ids(walk(connect(server.url, server.account.token, timeout=1e6)))
    wait_for_end_of_threads("pipedrive-walk")


def test_a_circular_walk_ends_in_an_error(budgets: Budgets) -> None:
    page = {"success": True, "data": [{"id": 1, "update_time": "2026-01-01T10:00:00Z"}]}
    round_about = httpx.MockTransport(
        lambda request: httpx.Response(200, json={**page, "additional_data": {"next_cursor": "again"}})
    )
    url, token = "https://acme.pipedrive.com", ApiToken("a-secret-token")
    with (
        PipedriveClient(url, token, transport=round_about, budgets=budgets) as client,
        pytest.raises(BrokenAnswer, match="lead back to an earlier one"),
    ):
        ids(walk(client))


def test_an_abandoned_walk_does_not_wait_for_turns(server: SandboxServer) -> None:
    class Clock(FakeClock):
        def wait(self, seconds: float, stop: threading.Event) -> None:
            assert stop.wait(PATIENCE_SECONDS), "nobody said that the walk was given up"
            raise Stopped

    server.gateway.budget = SandboxBudget(Limits(burst_per_2s=6), server.account.now)
    token = ApiToken(server.account.token)
    with PipedriveClient(server.url, token, budgets=Budgets(Clock()), timeout=1e6) as client:
        client.account()
        pages = walk(client)
        for _ in range(3):
            next(pages)
        pages.close()  # type: ignore[attr-defined]
    assert len(server.requests) <= 6


def test_all_readers_respect_the_burst_limit(
    connect: Connect, server: SandboxServer, clock: FakeClock
) -> None:
    """The sandbox counts on the same clock and refuses excess requests."""
    limits = Limits(burst_per_2s=4)
    server.gateway.budget = SandboxBudget(limits, server.account.now, monotonic=clock.now)
    client = connect(server.url, server.account.token, timeout=1e6)
    # Until an answer reveals the limit, the smallest plan's pace applies, which this one is below.
    client.account()
    assert ids(walk(client)) == set(server.account.visible_person_ids())
    assert {request.status for request in server.requests} == {200}
    assert sum(clock.waits) >= COUNT / PAGE / 4 * 2 - 2
