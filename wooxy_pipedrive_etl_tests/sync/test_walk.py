"""How a full walk proceeds: in windows or sequentially, resumed where it was interrupted, without missing anyone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.http_api.errors import ServerError
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, Fault
from wooxy_pipedrive_etl.settings import WINDOWS_FROM_VARIABLE, Settings
from wooxy_pipedrive_etl.store import walks
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync import catalogue, persons
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    Target,
    add_person,
    connected,
    empty_account,
)

PERSONS = "/api/v2/persons"
ROWS: dict[str, Target] = {"emails": "email", "name": "name", "city": "town"}
PAGE = 10
COUNT = 120


class Time:
    """The account's clock, moved by the test."""

    def __init__(self, account: Account, now: datetime) -> None:
        self.now = now
        account.clock = lambda: self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def account() -> Account:
    """12 pages, one person an hour."""
    account = empty_account()
    account.behaviours = Behaviours(largest_page=PAGE)
    account.add_field("Colour", "enum", ["Gold", "Silver"], code="colour")
    account.add_field("City", "varchar", code="city")
    account.add_field("Note", "varchar", code="note")
    time = Time(account, datetime(2026, 2, 1, tzinfo=UTC))
    for number in range(1, COUNT + 1):
        time.passes(hours=1)
        add_person(account, number)
    return account


@pytest.fixture
def time(account: Account) -> Time:
    return Time(account, datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def acme(
    database_url: str, account: Account, time: Time, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connected]:
    """A connection whose walks are windowed from one page on."""
    monkeypatch.setenv(WINDOWS_FROM_VARIABLE, str(PAGE))
    with connected(database_url, account, behaviours=account.behaviours) as acme:
        acme.import_rows(ROWS)
        yield acme


def asked(acme: Connected) -> list[dict[str, str]]:
    return [dict(each.query) for each in acme.server.requests if each.path == PERSONS]


def in_windows(acme: Connected) -> bool:
    return any("updated_until" in each for each in asked(acme))


def full(acme: Connected) -> dict[str, int]:
    acme.server.clear_requests()
    counts: dict[str, int] = acme.sync()
    return counts


def test_large_accounts_get_a_weekly_sequential_walk(acme: Connected, time: Time) -> None:
    assert full(acme)["created"] == COUNT
    assert in_windows(acme)
    # Nobody could know who is missing from windows, so the second walk does without them.
    time.passes(days=1)
    assert full(acme)["unchanged"] == COUNT
    assert not in_windows(acme)
    for days in (1, 5.9):
        time.passes(days=days)
        assert full(acme)["unchanged"] == COUNT
        assert in_windows(acme)
    time.passes(days=0.2)
    assert full(acme)["unchanged"] == COUNT
    assert not in_windows(acme)


def test_a_person_read_twice_is_counted_once(acme: Connected) -> None:
    with begin(acme.store, acme.name, "counted") as run:
        catalogue.read_catalogue(run)
        report = persons.fetch_persons(run)
    assert in_windows(acme)
    assert (report.fetched, report.changed, report.gone) == (COUNT, COUNT - PAGE, 0)


def test_a_small_account_is_read_sequentially(
    acme: Connected, monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    monkeypatch.setenv(WINDOWS_FROM_VARIABLE, str(COUNT + 1))
    assert full(acme)["created"] == COUNT
    assert not in_windows(acme)
    time.passes(days=1)
    full(acme)
    assert len(asked(acme)) == COUNT // PAGE


def test_a_server_without_time_is_read_sequentially(acme: Connected, account: Account) -> None:
    account.behaviours = Behaviours(largest_page=PAGE, date_header=False)
    assert full(acme)["created"] == COUNT
    assert not in_windows(acme)


def test_windowed_walks_find_deletions_and_edits(acme: Connected, account: Account, time: Time) -> None:
    acme.sync()
    acme.sync()
    time.passes(hours=2)
    account.delete_person(7)
    account.edit_person(9, custom_fields={"city": "Before the walk"})

    def meanwhile(account: Account) -> None:
        account.edit_person(11, custom_fields={"city": "During the walk"})
        time.passes(seconds=5)
        add_person(account, 999)

    acme.server.faults.add(Fault("on_page", PERSONS, after=6, on_page=meanwhile))
    counts = full(acme)
    assert in_windows(acme)
    assert [counts[name] for name in ("fetched", "created", "updated", "deleted")] == [COUNT, 1, 2, 1]
    towns = acme.column("town")
    assert towns["person9@example.com"] == "Before the walk"
    assert towns["person11@example.com"] == "During the walk"
    assert "person7@example.com" not in towns


def test_a_broken_windowed_walk_is_resumed(acme: Connected, account: Account, time: Time) -> None:
    acme.server.faults.add(Fault("status", PERSONS, after=7, times=None))
    with pytest.raises(ServerError):
        acme.sync()
    acme.server.faults.clear()
    with reading(acme.store.engine) as db:
        broken = walks.unfinished_walk(db, acme.record().id)
    assert broken is not None
    assert broken.unread not in (None, [(None, None)])
    time.passes(hours=3)
    account.delete_person(60)
    account.edit_person(1, custom_fields={"city": "In between"})
    account.edit_person(COUNT, custom_fields={"city": "In between"})
    counts = full(acme)
    bounds = {"updated_since", "updated_until", "ids", "cursor"}
    # The newest ids before and after the windows. No reader starts again at the first time or the last.
    unbounded = [
        (each["sort_by"], each["sort_direction"]) for each in asked(acme) if not bounds & each.keys()
    ]
    assert unbounded == [("id", "desc")] * 2
    # A person read before the deletion is missing from the next walk.
    assert counts["fetched"] in (COUNT - 1, COUNT)
    assert acme.column("town")["person1@example.com"] == "In between"
    assert acme.column("town")[f"person{COUNT}@example.com"] == "In between"
    counts = full(acme)
    assert counts["created"] + counts["updated"] == 0
    assert set(acme.column("town")) == {
        f"person{number}@example.com" for number in range(1, COUNT + 1) if number != 60
    }


def test_an_unsuitable_account_is_read_sequentially_for_weeks(
    acme: Connected, account: Account, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000, 1_020):
        # Where lists are sorted by another time of theirs, they appear between others.
        person_id = add_person(account, number)
        account.edit_person(person_id, update_time=None if number % 2 else time.now)
        time.passes(minutes=1)
    account.behaviours = Behaviours(largest_page=PAGE, undated_sort="by_add_time")
    assert full(acme)["created"] == COUNT + 20
    assert "can't be read in windows of update_time" in caplog.text
    assert "page by page" in caplog.text
    for days in (1, 28):
        time.passes(days=days)
        assert full(acme)["unchanged"] == COUNT + 20
        assert not in_windows(acme)
    acme.sync()
    time.passes(days=2)
    full(acme)
    assert in_windows(acme)


def test_undated_new_persons_are_found_after_the_windows(
    acme: Connected, account: Account, time: Time
) -> None:
    acme.sync()
    acme.sync()
    time.passes(hours=1)
    account.behaviours = Behaviours(largest_page=PAGE, update_time_on_create="null")

    def meanwhile(account: Account) -> None:
        add_person(account, 999)

    # The readers from both ends have passed its place.
    acme.server.faults.add(Fault("on_page", PERSONS, after=10, on_page=meanwhile))
    # A person who was never edited and has no update_time shows that new persons have none.
    add_person(account, 998)
    assert full(acme)["created"] == 2
    assert in_windows(acme)


@pytest.mark.parametrize("setting", ["many", "-1", "1e5", "²"])
def test_the_setting_must_be_a_number(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WINDOWS_FROM_VARIABLE, setting)
    with pytest.raises(InvalidSetting, match=rf"^{WINDOWS_FROM_VARIABLE} is not a number of persons"):
        _ = Settings.current().persons_for_windows


def test_a_walk_raises_pipedrives_error(acme: Connected) -> None:
    acme.server.faults.add(Fault("status", PERSONS, after=7, status=401, times=None))
    with pytest.raises(InvalidToken, match="401"):
        acme.sync()
