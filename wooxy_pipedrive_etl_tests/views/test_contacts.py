"""A contact as its page shows it, and what was not written, after whole runs."""

from __future__ import annotations

from typing import Any

import pytest

from wooxy_pipedrive_etl.matching.view import set_ignore_empty_values
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import newest_run_id
from wooxy_pipedrive_etl.views.contacts import ContactView, search_contacts, view_contact
from wooxy_pipedrive_etl.views.issues import PAGE, Issue, RunGone, view_issues
from wooxy_pipedrive_etl_tests.scenario import Connected, add_person, connected, email, small_account
from wooxy_pipedrive_etl_tests.state import change_stored

ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber", "city": "contactCity", "note": None}


def view(acme: Connected, contact_id: int = 1) -> ContactView:
    found = view_contact(acme.store, acme.name, contact_id)
    assert found is not None
    return found


def remarks(found: ContactView) -> dict[str, tuple[str | None, str | None]]:
    """(Pipedrive variable, remark) by Wooxy variable."""
    return {value.name: (value.key, value.remark) for value in found.values}


def reasons(found: ContactView) -> dict[str, tuple[bool | None, str | None]]:
    return {channel.name: (channel.subscribed, channel.reason) for channel in found.channels}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_values_came_from(database_url: str) -> None:
    account = small_account(2)
    account.contact_sync = True
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "birthday": "contactBirthday", "note": ("noted", "DateTime")})
        acme.account.edit_person(1, birthday="1990-05-06", custom_fields={"note": "2026-01-02 03:04:05"})
        acme.sync()
        acme.execute('UPDATE {list} SET "contactScore" = 7')
        found = view(acme)
        texts = {value.name: value.text for value in found.values}
        assert texts["name"] == "Person 1"
        assert (texts["noted"], texts["contactBirthday"]) == ("2026-01-02T03:04:05Z", "1990-05-06")
        kept = (None, "kept by Wooxy")
        assert remarks(found) == {
            "email": ("emails", None),
            "phoneNumber": ("phones", None),
            "name": ("name", None),
            "contactBirthday": ("birthday", None),
            "contactScore": (None, "kept from before: nothing is matched with it"),
            "createdAt": kept,
            "updatedAt": kept,
            "contactCity": ("city", None),
            "noted": ("note", None),
        }
        assert found.values[0].label == "Email"
        acme.account.edit_person(1, custom_fields={"city": None})
        acme.sync("changes")
        assert remarks(view(acme))["contactCity"] == ("city", "kept from before: empty in Pipedrive")
        acme.import_rows({**ROWS, "city": "name", "name": None})
        assert remarks(view(acme, 2))["name"] == (
            "city",
            "as of the last run: the next one brings another value",
        )
        acme.account.delete_field("city")
        acme.sync()
        assert remarks(view(acme, 2))["name"] == (
            "city",
            "kept from before: its row of the matching has a problem",
        )
        assert remarks(view(acme))["contactCity"] == (None, "kept from before: nothing is matched with it")
        assert view_contact(acme.store, acme.name, 3) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_values_that_no_run_would_feed(database_url: str) -> None:
    with connected(database_url, small_account(1)) as acme:
        acme.import_rows({"name": "name", "note": "email"})
        acme.account.edit_person(1, custom_fields={"note": "a@example.com"})
        acme.sync()
        acme.account.delete_field("note")
        set_ignore_empty_values(acme.store, acme.name, False)
        acme.execute("UPDATE sync_fields SET gone = true WHERE field_code = 'note'")
        assert remarks(view(acme))["name"] == (
            "name",
            "kept from before: its row of the matching has a problem",
        )


def test_who_owns_a_contact(database_url: str) -> None:
    with connected(database_url, small_account(2)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.execute("INSERT INTO {list} (email) VALUES ('old@example.com')")
        acme.execute("INSERT INTO {list} (email) VALUES ('nobody@example.com')")
        adopted = acme.contact(email="old@example.com")["contact_id"]
        add_person(acme.account, 3, name=" ", emails=[email("old@example.com")])
        newer = add_person(acme.account, 4, emails=[email("person1@example.com")])
        add_person(acme.account, 5, emails=[email("person2@example.com")])
        acme.sync()
        owner = view(acme).owner
        assert owner is not None
        assert (owner.person.person_id, owner.person.name, owner.adopted) == (newer, "Person 4", False)
        assert owner.person.url is None
        with acme.store.engine.begin() as db:
            change_stored(db, acme.record().id, api_url="https://acme.pipedrive.com")
        owner = view(acme).owner
        assert owner is not None
        assert owner.person.url == f"https://acme.pipedrive.com/person/{newer}"
        assert [(each.person_id, each.name) for each in view(acme).duplicates] == [(1, "Person 1")]
        assert [event.action for event in view(acme).history] == ["updated", "handed_over", "created"]
        assert view(acme).history[0].variables == ("name", "phoneNumber", "contactCity")
        found = view(acme, adopted)
        assert found.owner is not None
        assert (found.owner.person.name, found.owner.adopted) == (None, True)
        stranger = view(acme, adopted + 1)
        assert (stranger.owner, stranger.duplicates, stranger.history) == (None, [], [])
        assert remarks(stranger) == {"email": ("emails", "kept from before: no person feeds the contact")}
        assert [each["name"] for each in search_contacts(acme.store, acme.name, "PERSON 4").contacts] == [
            "Person 4"
        ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_why_channels_have_their_state(database_url: str) -> None:
    account = small_account(3)
    account.marketing = True
    account.edit_person(2, phones=[])
    account.edit_person(3, marketing_status="unsubscribed")
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "marketing_status": "emailSubscribe"})
        acme.sync()
        acme.execute('UPDATE {list} SET "viberSubscribe" = false WHERE contact_id = 1')
        acme.sync()
        unsaid = dict.fromkeys(
            ["telegramSubscribe", "desktopWebPushSubscribe", "mobileWebPushSubscribe"], (None, None)
        )
        assert reasons(view(acme)) == {
            "smsSubscribe": (True, None),
            "viberSubscribe": (False, "an opt-out, remembered with the phone number"),
            "emailSubscribe": (None, None),
            **unsaid,
        }
        assert reasons(view(acme, 2))["smsSubscribe"] == (None, "no phone number yet")
        by_itself = "not subscribed automatically: unsubscribed in Pipedrive (marketing status)"
        assert reasons(view(acme, 3)) == {
            "smsSubscribe": (None, by_itself),
            "viberSubscribe": (None, by_itself),
            "emailSubscribe": (False, "unsubscribed in Pipedrive (marketing status)"),
            **unsaid,
        }
        assert view(acme).active.subscribed is True


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_contact_whose_person_was_deleted(database_url: str) -> None:
    with connected(database_url, small_account(2), on_delete="deactivate", consent="require") as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.delete_person(1)
        acme.sync()
        found = view(acme)
        assert (found.active.subscribed, found.active.reason) == (
            False,
            "its person was deleted or hidden in Pipedrive",
        )
        assert found.owner is not None
        assert found.owner.person.name is None
        assert remarks(found)["name"] == ("name", "kept from before: no person feeds the contact")
        assert reasons(view(acme, 2))["smsSubscribe"] == (
            None,
            "not subscribed automatically: consent is required, and Pipedrive has none (marketing status)",
        )


def newest_run(acme: Connected) -> str:
    with reading(acme.store.engine) as db:
        run_id = newest_run_id(db, acme.record().id)
    assert run_id is not None
    return run_id


def issues(acme: Connected, **chosen: Any) -> list[Issue]:
    return view_issues(acme.store, acme.name, **chosen).issues


def test_which_issues_are_shown(database_url: str) -> None:
    with connected(database_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        nobody = add_person(acme.account, 2, emails=[], phones=[])
        half = add_person(acme.account, 3, emails=[email("no address")])
        double = add_person(acme.account, 4, emails=[email("person1@example.com")])
        acme.sync()
        found = view_issues(acme.store, acme.name)
        assert found.counts == {
            ("dropped_value", "invalid_email"): 1,
            ("duplicate", "duplicate_of"): 1,
            ("rejected", "no_identifier"): 1,
        }
        assert (found.count, found.page, found.pages) == (3, 1, 1)
        by_kind = {issue.kind: issue for issue in found.issues}
        people = {kind: issue.person and issue.person.person_id for kind, issue in by_kind.items()}
        assert people == {"duplicate": 1, "rejected": nobody, "dropped_value": half}
        dropped = by_kind["dropped_value"]
        assert dropped.person is not None
        assert (dropped.person.name, dropped.label) == ("Person 3", "Email")
        assert dropped.contact_id == acme.contact(name="Person 3")["contact_id"]
        assert by_kind["duplicate"].contact_id is None
        assert str(double) in by_kind["duplicate"].message
        assert issues(acme, kind="rejected") == [by_kind["rejected"]]
        assert issues(acme, reason="duplicate_of") == [by_kind["duplicate"]]
        assert issues(acme, kind="rejected", reason="duplicate_of") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_a_dry_run_found(database_url: str) -> None:
    with connected(database_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        add_person(acme.account, 2, emails=[], phones=[])
        acme.sync(dry_run=True)
        run_id = newest_run(acme)
        assert issues(acme) == []
        assert [issue.reason for issue in issues(acme, run_id=run_id)] == ["no_identifier"]
        acme.sync()
        with pytest.raises(RunGone):
            issues(acme, run_id=run_id)
        assert [issue.reason for issue in issues(acme, run_id=newest_run(acme))] == ["no_identifier"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_many_issues_come_in_pages(database_url: str) -> None:
    account = small_account(0)
    for number in range(1, PAGE + 3):
        add_person(account, number, emails=[], phones=[])
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        seen = [view_issues(acme.store, acme.name, page=page) for page in (1, 2, 99)]
        assert [(found.page, found.pages, len(found.issues)) for found in seen] == [
            (1, 2, PAGE),
            (2, 2, 2),
            (2, 2, 2),
        ]
        people = [issue.person.person_id for found in seen[:2] for issue in found.issues if issue.person]
        assert people == list(range(1, PAGE + 3))
