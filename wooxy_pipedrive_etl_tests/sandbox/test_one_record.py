"""One person and one organisation by id, in every state; wrong paths and methods; authentication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, seeded_account

from .served import Clock, Served

Serve = Callable[..., Served]
THIRTY_DAYS = 30 * 86_400


def test_a_person_by_id_equals_its_list_entry(serve: Serve) -> None:
    served = serve(seeded_account(persons=30))
    looks: list[dict[str, Any]] = [
        {},
        {"include_fields": "open_deals_count,marketing_status"},
        {"include_option_labels": "true", "include_labels": "true"},
    ]
    for look in looks:
        for row in served.persons(limit=500, **look):
            assert served.person(row["id"], **look) == row


def test_an_unknown_person_is_not_found(serve: Serve) -> None:
    response = serve().get("/api/v2/persons/99")
    assert response.status_code == 404
    body = response.json()
    assert body.pop("error_info")
    assert body == {"success": False, "error": "Person not found", "data": None, "additional_data": None}


def test_a_deleted_person_is_marked_for_thirty_days(serve: Serve, account: Account, clock: Clock) -> None:
    person = account.create_person(name="A")
    clock.tick(60)
    account.delete_person(person)
    served = serve(account)
    clock.tick(THIRTY_DAYS)
    row = served.person(person)
    assert row["is_deleted"] is True
    assert row["update_time"] == "2026-03-01T12:01:00Z"
    clock.tick(1)
    assert served.get(f"/api/v2/persons/{person}").status_code == 404


@pytest.mark.parametrize("status", ["404", "410"])
def test_a_deleted_person_may_disappear_immediately(serve: Serve, account: Account, status: Any) -> None:
    person, loser = account.create_person(name="A"), account.create_person(name="B")
    account.merge_persons(person, loser)
    served = serve(account, behaviours=Behaviours(deleted_person=status))
    assert served.get(f"/api/v2/persons/{loser}").status_code == int(status)
    assert served.get(f"/api/v2/persons/{person}").status_code == 200


@pytest.mark.parametrize("status", ["404", "403"])
def test_a_hidden_person_is_not_found_or_forbidden(serve: Serve, account: Account, status: Any) -> None:
    person = account.create_person(name="A")
    account.hide_person(person)
    served = serve(account, behaviours=Behaviours(hidden_person=status))
    assert served.get(f"/api/v2/persons/{person}").status_code == int(status)


def test_organisations_are_listed_by_ids_with_cursors(serve: Serve, account: Account, clock: Clock) -> None:
    owner = account.add_user("Owner")
    for at in range(5):
        account.add_organization(f"Org {at}", owner_id=owner if at == 3 else None)
        clock.tick()
    served = serve(account)
    walked = served.walk("/api/v2/organizations", limit=2)
    assert [(row["id"], row["name"]) for row in walked] == [(at + 1, f"Org {at}") for at in range(5)]
    assert walked[0] == served.data("/api/v2/organizations/1")
    assert [row["id"] for row in served.data("/api/v2/organizations", ids="5,1,77")] == [1, 5]
    assert [row["id"] for row in served.data("/api/v2/organizations", owner_id=owner)] == [4]
    account.rename_organization(2, "Renamed")
    since = {"updated_since": "2026-03-01T12:00:05Z", "sort_by": "update_time"}
    assert [row["name"] for row in served.data("/api/v2/organizations", **since)] == ["Renamed"]
    clock.tick()
    account.rename_organization(4, "Renamed later")
    newest = {**since, "sort_direction": "desc"}
    assert [row["id"] for row in served.data("/api/v2/organizations", **newest)] == [4, 2]
    until = {**since, "updated_until": "2026-03-01T12:00:06Z"}
    assert [row["id"] for row in served.data("/api/v2/organizations", **until)] == [2]
    earlier = {"updated_until": "2026-03-01T12:00:05Z", "sort_by": "update_time"}
    assert [row["id"] for row in served.data("/api/v2/organizations", **earlier)] == [1, 3, 5]


def test_deleted_and_hidden_organisations_are_left_out(serve: Serve, account: Account) -> None:
    for name in ("Kept", "Deleted", "Hidden"):
        account.add_organization(name)
    account.delete_organization(2)
    account.hide_organization(3)
    served = serve(account)
    assert [row["id"] for row in served.data("/api/v2/organizations", ids="1,2,3")] == [1]
    assert served.data("/api/v2/organizations/2")["is_deleted"] is True
    assert served.get("/api/v2/organizations/3").status_code == 404
    account.show_organization(3)
    assert [row["id"] for row in served.data("/api/v2/organizations")] == [1, 3]
    account.rename_organization(2, "Still deleted")
    assert [row["id"] for row in served.data("/api/v2/organizations")] == [1, 3]


def test_users_and_the_owner_of_the_token(serve: Serve, account: Account) -> None:
    other = account.add_user("Тарас", active=False)
    served = serve(account)
    body = served.get("/api/v1/users").json()
    assert body["additional_data"] == {"company_id": account.company_id}
    users = {row["id"]: (row["name"], row["active_flag"], row["is_you"]) for row in body["data"]}
    assert users == {account.token_owner_id: ("Sync Bot", True, True), other: ("Тарас", False, False)}
    me = served.data("/api/v1/users/me")
    assert (me["id"], me["company_id"], me["access"][0]["admin"]) == (account.token_owner_id, 777, True)
    assert served.data("/v1/users/me") == me


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v2",
        "/api/v2/persons/",
        "/api/v2/deals",
        "/api/v2/users/me",
        "/api/v1/persons",
        "/api/v1/persons/1",
        "/v1/persons",
        "/v2/persons",
        "/api/v2/persons/1/extra",
    ],
)
def test_other_paths_are_not_found(serve: Serve, path: str) -> None:
    served = serve()
    assert served.get(path).status_code == 404
    assert served.server.tokens_used == 0


def test_removed_endpoints_may_answer_410(serve: Serve) -> None:
    served = serve(behaviours=Behaviours(removed_endpoints="410"))
    for path in ("/api/v1/persons", "/v1/persons/1", "/v2/persons"):
        assert served.get(path).status_code == 410
    assert served.get("/api/v1/personFields").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(serve: Serve, account: Account, method: str) -> None:
    account.create_person(name="A")
    served = serve(account)
    for path in ("/api/v2/persons", "/api/v2/persons/1", "/api/v2/personFields"):
        assert served.call(method, path).status_code == 405


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-token": "wrong"}, {"x-api-token": ""}, {"authorization": "Bearer {token}"}]
)
def test_only_the_api_token_header_is_accepted(serve: Serve, headers: dict[str, str]) -> None:
    served = serve()
    given = {name: value.replace("{token}", served.account.token) for name, value in headers.items()}
    response = served.http.get(f"{served.server.url}/api/v1/users/me", headers=given)
    assert response.status_code == 401
    assert response.headers["x-401-by-gw"] == "true"
    assert response.json() == {
        "success": False,
        "error": "unauthorized access",
        "errorCode": 401,
        "error_info": "Please check developers.pipedrive.com",
    }


def test_the_token_can_be_chosen_and_regenerated(serve: Serve) -> None:
    served = serve(Account(token="chosen"))
    old = {"x-api-token": "chosen"}
    url = f"{served.server.url}/api/v1/users/me"
    assert served.http.get(url, headers=old).status_code == 200
    served.account.token = "new"
    assert served.http.get(url, headers=old).status_code == 401
