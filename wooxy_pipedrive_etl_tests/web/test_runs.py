"""Waiting for a run, from the request to the result, and the history of runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from wooxy_pipedrive_etl.connections.run_requests import request_run, requested_run
from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.store import Store, run_requests, runs, tables
from wooxy_pipedrive_etl.store.runs import finish_run, newest_run_id
from wooxy_pipedrive_etl.sync.progress import report
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Selection
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    Refused,
    add_person,
    connected,
    email,
    small_account,
)
from wooxy_pipedrive_etl_tests.state import change_stored

from .browser import assert_accessible
from .visitor import PASSWORD, Visitor, text_of

ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber"}
PROGRESS = "/integrations/acme/progress"


@pytest.fixture
def acme(sqlite_url: str) -> Iterator[Connected]:
    with connected(sqlite_url, small_account(3)) as acme:
        yield acme


@pytest.fixture
def store(acme: Connected) -> Store:
    return acme.store


def progress(visitor: Visitor) -> str:
    answer = visitor.get(PROGRESS)
    assert answer.status_code == 200
    return text_of(answer)


def test_from_the_import_to_the_end(acme: Connected, visitor: Visitor) -> None:
    assert "Nothing was synchronized yet" in progress(visitor)
    acme.import_rows(ROWS)
    assert "Waiting for Dagster to start it It starts within seconds." in progress(visitor)
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in visitor.get(PROGRESS).text
    add_person(acme.account, 4, emails=[], phones=[])
    with begin(acme.store, acme.name, "a run"):
        assert "The run has begun" in progress(visitor)
        report("Reading persons", 0, 5_000)
        report("Reading persons", 5_000, 5_000)
        shown = progress(visitor)
        assert "Reading persons 5,000 of 5,000 persons" in shown
        answer = visitor.get(PROGRESS, headers={"accept": "application/json"}).json()
        assert (answer["under_way"], answer["sentence"]) == (True, "Reading persons")
        assert '<progress max="5000" value="5000"' in answer["html"]
        assert "… Running" in text_of(visitor.get("/integrations/acme/runs"))
    assert "The run failed The run stopped before its end." in progress(visitor)
    acme.sync()
    answer = visitor.get(PROGRESS)
    assert "Synchronization completed Persons 4 Created 3 Updated 0" in text_of(answer)
    assert 'href="/integrations/acme/issues">See what was rejected, and why' in answer.text
    assert "http-equiv" not in answer.text
    assert visitor.get(PROGRESS, headers={"accept": "application/json"}).json()["under_way"] is False
    with acme.store.engine.begin() as db:
        db.execute(tables.runs.delete())
    assert "Waiting for Dagster" not in progress(visitor)


def test_a_long_wait_explains_what_must_run(acme: Connected, visitor: Visitor) -> None:
    acme.import_rows(ROWS)
    long_ago = datetime(2026, 1, 1)
    with acme.store.engine.begin() as db:
        db.execute(tables.matchings.update().values(confirmed_at=long_ago))
    assert "dagster-daemon run" in progress(visitor)
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, paused=True)
    assert "Paused: nothing starts automatically" in progress(visitor)
    request_run(acme.store, acme.name, "full")
    assert "Waiting for Dagster to start it It starts within seconds." in progress(visitor)


def test_other_waits_do_not_mention_the_daemon(acme: Connected, visitor: Visitor) -> None:
    acme.import_rows(ROWS)
    with acme.store.engine.begin() as db:
        db.execute(tables.matchings.update().values(confirmed_at=datetime(2026, 1, 1)))
        change_stored(
            db,
            acme.record().id,
            daily_limit=30_000,
            daily_left=10,
            noted_at=datetime.now(UTC).replace(tzinfo=None),
        )
    shown = progress(visitor)
    assert "Of Pipedrive's 30000 tokens a day 10 are left" in shown
    assert "dagster-daemon" not in shown
    request_run(acme.store, acme.name, "full")
    with acme.store.engine.begin() as db:
        request = json.loads(acme.record().requested_run or "")
        request["requested_at"] = "2026-01-01T00:00:00+00:00"
        run_requests.ask(db, acme.record().id, json.dumps(request))
    assert "dagster-daemon" in progress(visitor)
    only_fields = Selection(frozenset(["person_fields"]))
    with begin(acme.store, acme.name, "another", only_fields) as run:
        run.finish("failed", "It was another one.")
    assert "Waiting for Dagster to start it It starts within seconds." in progress(visitor)


def test_a_dry_run_says_what_would_happen(acme: Connected, visitor: Visitor) -> None:
    acme.import_rows(ROWS)
    add_person(acme.account, 4, emails=[email("person1@example.com")], phones=[])
    acme.sync(dry_run=True)
    with acme.store.engine.begin() as db:
        db.execute(tables.matchings.update().values(confirmed_at=datetime(2026, 1, 1)))
    answer = visitor.get(PROGRESS)
    assert (
        "Of 4 persons this would create 3, update 0, leave 0 as they are and not write 1; "
        "it would delete 0 contacts and leave out 0 values." in text_of(answer)
    )
    issues = f"/integrations/acme/issues?run={newest(acme)}"
    assert f'href="{issues}"' in answer.text
    assert "Person 1" in text_of(visitor.get(issues))
    assert "There is nothing to report" in text_of(visitor.get("/integrations/acme/issues"))


def newest(acme: Connected) -> str:
    with acme.store.engine.connect() as db:
        found = newest_run_id(db, acme.record().id)
    assert found is not None
    return found


@pytest.fixture
def refused(acme: Connected) -> str:
    """The path of the list of 30 deletions that wait for a user's decision."""
    for number in range(4, 61):
        add_person(acme.account, number, **({"name": "=Person 4"} if number == 4 else {}))
    acme.import_rows(ROWS)
    acme.sync()
    for number in range(1, 31):
        acme.account.delete_person(number)
    with pytest.raises(Refused):
        acme.sync()
    return f"/integrations/acme/runs/{newest(acme)}/deletions"


def test_deletions_are_reviewed_and_allowed_once(acme: Connected, visitor: Visitor, refused: str) -> None:
    answer = visitor.get(PROGRESS)
    assert "30 of the 60 contacts would be deleted at once" in text_of(answer)
    assert "wooxy-pipedrive" not in text_of(answer)
    assert f'href="{refused}">See who would be deleted, and decide' in answer.text
    page = visitor.get(refused)
    for said in (
        "30 contacts would be deleted",
        "30 contacts will be deleted for good.",
        "Delete these 30 contacts",
        "Person 2 person2@example.com +35840100002 deleted in Pipedrive, or hidden from the token's user",
    ):
        assert said in text_of(page)
    assert "Person 31" not in text_of(page)
    # An unknown guard, or a different one, allows nothing.
    for guard in ("mass_delete", "lost_fields", "reserve", "nonsense"):
        after = visitor.follow(visitor.post(PROGRESS, {"guard": guard, "run": "another"}))
        assert "nothing was started" in text_of(after)
    assert requested_run(acme.record()) is None
    assert "Waiting for Dagster" in text_of(visitor.follow(visitor.post(refused)))
    request = requested_run(acme.record())
    assert request is not None
    assert (request.kind, request.dry_run) == ("full", False)
    assert request.permissions == Permissions(deletions_of=newest(acme))
    assert acme.sync(allowed=request.permissions)["deleted"] == 30
    # A second click, or one on an old page, requests nothing, and there is nothing to show.
    visitor.post(refused)
    assert requested_run(acme.record()) is None
    assert visitor.get(refused).status_code == 404


def test_deletions_are_downloaded(acme: Connected, visitor: Visitor, refused: str) -> None:
    rows = visitor.get(f"{refused}.json").json()
    assert len(rows) == 30
    assert rows[1] == {
        "contact_id": 2,
        "name": "Person 2",
        "email": "person2@example.com",
        "phone_number": "+35840100002",
        "person_id": 2,
        "why": "deleted in Pipedrive, or hidden from the token's user",
    }
    answer = visitor.get(f"{refused}.csv")
    assert 'filename="acme-deletions.csv"' in answer.headers["content-disposition"]
    lines = list(csv.DictReader(answer.text.removeprefix("\ufeff").splitlines()))
    assert len(lines) == 30
    # A spreadsheet runs no name as a formula, and a phone number stays one.
    assert (lines[3]["name"], lines[3]["phone_number"]) == ("'=Person 4", "+35840100004")
    assert visitor.get(f"{refused}.exe").status_code == 404
    assert visitor.get("/integrations/acme/runs/nobody/deletions.csv").status_code == 404


def test_continuing_without_lost_fields_is_offered(acme: Connected, visitor: Visitor) -> None:
    for number in range(60):
        acme.account.add_field(f"Field {number}", "varchar", code=f"extra{number}")
    acme.import_rows(ROWS)
    acme.sync()
    for number in range(50):
        acme.account.delete_field(f"extra{number}")
    with pytest.raises(Refused):
        acme.sync()
    page = visitor.get(PROGRESS)
    assert "These fields were deleted: continue without them" in text_of(page)
    assert "would be deleted" not in text_of(page)
    assert "▲ Needs you: many fields are missing in Pipedrive" in text_of(visitor.get("/"))
    visitor.post(PROGRESS, {"guard": "mass_delete", "run": newest(acme)})
    assert requested_run(acme.record()) is None
    visitor.post(PROGRESS, {"guard": "lost_fields", "run": newest(acme)})
    request = requested_run(acme.record())
    assert request is not None
    assert request.permissions == Permissions(lost_fields=True)
    acme.sync(allowed=request.permissions)


def test_only_the_persons_shown_are_deleted(
    acme: Connected, url: str, browser_page: Page, refused: str
) -> None:
    """All the way in a browser, while more persons disappear."""
    browser_page.goto(url + PROGRESS)
    browser_page.fill("#password", PASSWORD)
    browser_page.click("main button")
    browser_page.get_by_role("link", name="See who would be deleted, and decide").click()
    expect(browser_page.get_by_role("heading", name="30 contacts would be deleted")).to_be_visible()
    assert_accessible(browser_page)
    for number in range(31, 36):
        acme.account.hide_person(number)
    browser_page.get_by_role("button", name="Delete these 30 contacts").click()
    sentence = browser_page.locator("#sentence")
    expect(sentence).to_have_text("Waiting for Dagster to start it")
    request = requested_run(acme.record())
    assert request is not None
    before = acme.dump()
    with pytest.raises(Refused):
        acme.sync(allowed=request.permissions)
    assert acme.dump() == before
    expect(sentence).to_have_text("The run failed")
    expect(browser_page.get_by_text("5 of which were not on the list that was allowed")).to_be_visible()
    # They are visible again, and the thirty are allowed once more.
    for number in range(31, 36):
        acme.account.show_person(number)
    browser_page.get_by_role("button", name="Try again").click()
    with pytest.raises(Refused):
        acme.sync()
    expect(browser_page.get_by_text("30 of the 60 contacts would be deleted at once")).to_be_visible()
    browser_page.get_by_role("link", name="See who would be deleted, and decide").click()
    browser_page.get_by_role("button", name="Delete these 30 contacts").click()
    expect(sentence).to_have_text("Waiting for Dagster to start it")
    request = requested_run(acme.record())
    assert request is not None
    assert acme.sync(allowed=request.permissions)["deleted"] == 30
    expect(sentence).to_have_text("Synchronization completed")
    assert len(acme.contacts()) == 30


def test_the_history_of_runs(acme: Connected, visitor: Visitor) -> None:
    assert "There are no runs yet." in text_of(visitor.get("/integrations/acme/runs"))
    # A duplicate is not written, but it was not rejected.
    add_person(acme.account, 9, emails=[email("person2@example.com")])
    acme.import_rows(ROWS)
    acme.sync()
    first = acme.rows(tables.runs)[0]["started_at"]
    with acme.store.engine.begin() as db:
        for number in range(35):
            run_id = f"older-{number}"
            runs.begin_run(db, acme.record().id, run_id, "changes")
            finish_run(db, acme.record().id, run_id, "failed", f"<b>Failed</b> {number}")
            began = first - timedelta(minutes=number + 1)
            db.execute(
                tables.runs.update()
                .where(tables.runs.c.run_id == run_id)
                .values(started_at=began, finished_at=began + timedelta(seconds=75))
            )
    answer = visitor.get("/integrations/acme/runs")
    shown = text_of(answer)
    assert "full ✓ Completed" in shown
    assert 'data-label="Not written">1<' in answer.text
    assert "Rejected" not in shown
    assert "changes ✗ Failed 1 min 15 s" in shown
    assert "<b>Failed</b> 0" in shown
    assert "<b>Failed</b> 29" not in shown
    older = answer.text.partition('rel="next" href="')[2].partition('"')[0]
    rest = text_of(visitor.get(f"/integrations/acme/runs{older}"))
    assert [f"Failed</b> {number}" in rest for number in (28, 29, 34)] == [False, True, True]
    assert visitor.get("/integrations/acme/runs?before=x").status_code == 200


def test_the_page_follows_the_run_in_place(acme: Connected, url: str, browser_page: Page) -> None:
    acme.import_rows(ROWS)
    browser_page.goto(url + PROGRESS)
    browser_page.fill("#password", PASSWORD)
    browser_page.click("main button")
    sentence = browser_page.locator("#sentence")
    expect(sentence).to_have_text("Waiting for Dagster to start it")
    assert_accessible(browser_page)
    browser_page.evaluate("window.sameDocument = true")
    with begin(acme.store, acme.name, "a run"):
        report("Mapping persons", 0, 3)
        expect(sentence).to_have_text("Mapping persons")
        expect(browser_page.locator("progress")).to_have_attribute("max", "3")
        assert_accessible(browser_page)
    acme.sync()
    expect(sentence).to_have_text("Synchronization completed")
    assert browser_page.evaluate("window.sameDocument") is True
    assert_accessible(browser_page)
    browser_page.get_by_role("link", name="All runs").click()
    expect(browser_page.get_by_role("heading", name="Runs")).to_be_visible()
    assert_accessible(browser_page)
