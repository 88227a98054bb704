"""Bad answers from Pipedrive, and how a run reacts: stop at once, wait, retry, or go on without."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.errors import WrongAccount
from wooxy_pipedrive_etl.http_api.errors import ApiError, TransientError
from wooxy_pipedrive_etl.pipedrive.errors import (
    AccountClosed,
    CloudflareBlocked,
    DailyBudgetSpent,
    InvalidToken,
    MissingScope,
)
from wooxy_pipedrive_etl.sandbox.pipedrive import Behaviours, Fault, Limits, add_odd_persons
from wooxy_pipedrive_etl_tests.scenario import (
    RESERVE,
    Connected,
    FakeClock,
    Target,
    add_person,
    connected,
    empty_account,
    new_token,
    small_account,
)

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "city": "town"}


def _synced(acme: Connected) -> list[tuple[object, ...]]:
    acme.import_rows(ROWS)
    acme.sync()
    # What a later run must do, if it can.
    add_person(acme.account, 9)
    acme.server.clear_requests()
    return acme.dump()


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault("unauthorized_401", times=None), InvalidToken, "valid API token"),
        (Fault("unauthorized_401", times=None, after=2), InvalidToken, "valid API token"),
        (Fault("scope_403", times=None, after=1), MissingScope, "Scope and URL mismatch.*needs the scope"),
        (Fault("payment_402", times=None), AccountClosed, "Company account is not open.*billing"),
        (Fault("html_403", times=None), CloudflareBlocked, "all traffic of these credentials has stopped"),
        (Fault("html_403", times=None, after=2), CloudflareBlocked, "all traffic of these credentials"),
        (Fault("redirect_302", times=None), ApiError, "redirects are not followed"),
    ],
    ids=lambda value: f"{value.kind} after {value.after}" if isinstance(value, Fault) else "",
)
def test_permanent_errors_fail_immediately(
    sqlite_url: str, fault: Fault, error: type[ApiError], words: str
) -> None:
    with connected(sqlite_url, small_account()) as acme:
        before = _synced(acme)
        acme.server.faults.add(fault)
        with pytest.raises(error, match=words):
            acme.sync()
        assert len(acme.requests()) == fault.after + 1
        assert acme.dump() == before
        last = acme.last_run()
        assert last.state == "failed"
        assert str(last.message).count("\n") == 0
        acme.server.faults.clear()
        if error is not CloudflareBlocked:
            assert acme.sync()["created"] == 1
        else:
            # No other request is sent until the block has expired.
            with pytest.raises(CloudflareBlocked):
                acme.sync()
            assert len(acme.requests()) == fault.after + 1


def test_a_token_that_was_revoked(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        _synced(acme)
        acme.account.token = new_token()
        with pytest.raises(InvalidToken):
            acme.sync()
        assert len(acme.requests()) == 1


def test_a_run_waits_for_the_burst_limit(sqlite_url: str, clock: FakeClock) -> None:
    with connected(sqlite_url, small_account()) as acme:
        _synced(acme)
        acme.server.faults.add(Fault("rate_429", after=2, times=2, retry_after="3"))
        clock.waits.clear()
        assert acme.sync()["created"] == 1
        assert [wait for wait in clock.waits if wait >= 3]


def test_a_spent_daily_budget_ends_the_run_cleanly(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        before = _synced(acme)
        acme.server.limits = Limits(daily_tokens=acme.server.tokens_used + 5, burst_per_2s=1000)
        with pytest.raises(DailyBudgetSpent, match="run again after midnight"):
            acme.sync(allowed=RESERVE)
        assert acme.dump() == before
        assert acme.status().daily_tokens_left == 0
        acme.server.limits = Limits(burst_per_2s=1000)
        assert acme.sync()["created"] == 1


BAD_MOMENTS = {
    "500": Fault("status", status=500),
    "504": Fault("timeout", seconds=0.01),
    "reset": Fault("reset"),
    "truncated": Fault("truncated_json"),
    "empty": Fault("empty_200"),
    "success false": Fault("success_false_200"),
}


@pytest.mark.parametrize("moment", BAD_MOMENTS)
def test_transient_errors_are_retried_before_the_run_fails(
    sqlite_url: str, clock: FakeClock, moment: str
) -> None:
    with connected(sqlite_url, small_account()) as acme:
        before = _synced(acme)
        fault = replace(BAD_MOMENTS[moment], path_prefix="/api/v2/persons")
        acme.server.faults.add(replace(fault, times=2))
        clock.waits.clear()
        assert acme.sync()["created"] == 1
        assert len(clock.waits) >= 2
        before = acme.dump()
        add_person(acme.account, 10)
        acme.server.faults.clear()
        acme.server.clear_requests()
        acme.server.faults.add(replace(fault, times=None))
        with pytest.raises(TransientError, match=r"6 times.*run again later"):
            acme.sync()
        assert len(acme.requests("/api/v2/persons")) == 6
        assert acme.dump() == before
        assert acme.last_run().state == "failed"
        acme.server.faults.clear()
        assert acme.sync()["created"] == 1


def test_a_failed_run_records_its_kind(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        _synced(acme)
        acme.server.faults.add(Fault("unauthorized_401", path_prefix="/api/v2/persons", times=None))
        with pytest.raises(InvalidToken):
            acme.sync()
        assert acme.last_run().kind == "full"


def test_odd_persons_are_listed_and_others_synced(database_url: str) -> None:
    account = small_account(3)
    with connected(database_url, account) as acme:
        odd = add_odd_persons(account)
        acme.import_rows({**ROWS, "org_id": "organization", "label_ids": "labels", "add_time": "added"})
        counts = acme.sync()
        written = ("created", "updated", "unchanged")
        listed = ("rejected", "duplicates", "conflicts")
        assert counts["fetched"] == sum(counts[each] for each in (*written, *listed))
        assert sum(counts[each] for each in written) == len(acme.contacts())
        assert {f"person{number}@example.com" for number in (1, 2, 3)} <= set(acme.column("email"))
        by_kind = Counter(issue["kind"] for issue in acme.issues())
        assert by_kind["rejected"] == counts["rejected"]
        assert by_kind["duplicate"] == counts["duplicates"]
        nameless = [issue for issue in acme.issues() if issue["person_id"] is None]
        # null, a text, a number, an array, and six without an id that is one
        assert [issue["reason"] for issue in nameless] == ["odd_shape"] * 10
        no_address = {issue["person_id"] for issue in acme.issues() if issue["reason"] == "no_identifier"}
        assert {odd["only an id"], odd["a key twice"], odd["deep nesting"]} <= no_address
        acme.forbid_touching()
        assert acme.sync()["updated"] == 0


def test_credentials_of_another_company_change_nothing(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        before = _synced(acme)
        raws, company = acme.snapshot_ids(), acme.account.company_id
        acme.account.company_id = 4711
        for act in (acme.sync, acme.remap):
            with pytest.raises(WrongAccount, match=f"company 4711.*connected with {company}"):
                act()
        assert set(acme.requests()) == {"/api/v1/users/me"}
        assert (acme.dump(), acme.snapshot_ids()) == (before, raws)
        accounts.disconnect(acme.store, acme.name, forget=False)
        with pytest.raises(WrongAccount):
            acme.connect()


@pytest.mark.parametrize("last_page", ["null_cursor", "no_cursor", "no_additional_data"])
def test_every_form_of_last_page_is_understood(sqlite_url: str, last_page: str) -> None:
    behaviours = Behaviours(last_page=last_page, removed_endpoints="410", system_codes="v1")  # type: ignore[arg-type]
    with connected(sqlite_url, small_account(501), behaviours=behaviours) as acme:
        acme.import_rows(ROWS)
        acme.server.clear_requests()
        assert acme.sync()["created"] == 501
        # The first one tells a first walk how many persons there are.
        assert len(acme.requests("/api/v2/persons")) == 3


def test_an_account_without_persons_or_custom_fields(database_url: str) -> None:
    with connected(database_url, empty_account()) as acme:
        acme.import_all()
        assert acme.sync()["fetched"] == 0
        assert acme.contacts() == []


def test_a_dry_run_predicts_and_writes_nothing(database_url: str) -> None:
    with connected(database_url, small_account(4)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.delete_person(1)
        acme.account.edit_person(2, custom_fields={"city": "Elsewhere"})
        acme.account.edit_person(3, emails=["no address"])
        add_person(acme.account, 5)
        dump, issues, last = acme.dump(), acme.issues(), acme.last_run()
        would = acme.sync(dry_run=True)
        assert would["deleted"] == would["created"] == 1
        assert (acme.dump(), acme.issues(), acme.status().last_run) == (dump, issues, last)
        assert _no_table_is_left_over(acme)
        did = acme.sync()
        assert {count: did[count] for count in would} == would
        assert _no_table_is_left_over(acme)


def _no_table_is_left_over(acme: Connected) -> bool:
    """No table of a run's plan is left over."""
    inspector = sa.inspect(acme.store.engine)
    names = {
        name for name in inspector.get_table_names() if not name.startswith(("sync_", "alembic", "default_"))
    }
    return not names and not [
        name
        for name in inspector.get_table_names()
        if "identifier_matches" in name or name.startswith("sync_plan_")
    ]
