"""The control surface under `/sandbox`: every command over HTTP, and the answers to wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account
from wooxy_pipedrive_etl.sandbox.pipedrive.commands import COMMANDS

from .served import Served

Serve = Callable[..., Served]


def done(served: Served, method: str, path: str, **body: Any) -> Any:
    response = served.control(method, path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_whole_life_of_a_person(serve: Serve) -> None:
    served = serve()
    code = done(served, "POST", "/fields", name="Score", field_type="double")["code"]
    person = done(served, "POST", "/persons", name="Ann Lee", emails=["ann@example.org"])["id"]
    path = f"/persons/{person}"
    body = f'{{"job_title": "CEO", "custom_fields": {{"{code}": 1.50}}}}'
    assert (
        served.http.patch(f"{served.server.url}/sandbox{path}", content=body, headers=JSON).status_code == 200
    )
    assert f'"{code}":1.50' in served.get("/api/v2/persons").text
    done(served, "DELETE", path)
    assert served.persons() == []
    assert done(served, "GET", path)["is_deleted"] is True
    done(served, "POST", f"{path}/restore")
    assert len(served.persons()) == 1
    done(served, "POST", f"{path}/hide")
    assert served.persons() == []
    assert done(served, "GET", path)["is_hidden"] is True
    done(served, "POST", f"{path}/show")
    loser = done(served, "POST", "/persons", name="Ann Li")["id"]
    done(served, "POST", f"{path}/merge", loser_id=loser)
    assert [row["id"] for row in served.persons()] == [person]
    assert done(served, "GET", f"/persons/{loser}")["merged_into"] == person
    done(served, "PUT", f"{path}/raw", json='{"id": "odd"}')
    assert served.persons() == [{"id": "odd"}]


def test_times_and_invalid_values_can_be_set(serve: Serve) -> None:
    served = serve()
    person = done(
        served, "POST", "/persons", name="A", validate=False, emails="odd", update_time="2026-01-02T03:04:05Z"
    )["id"]
    row = served.person(person)
    assert (row["emails"], row["update_time"]) == ("odd", "2026-01-02T03:04:05Z")
    done(served, "PATCH", f"/persons/{person}", update_time=None)
    assert served.person(person)["update_time"] is None


def test_fields_options_labels_organisations_and_users(serve: Serve) -> None:
    served = serve()
    code = done(served, "POST", "/fields", name="Tier", field_type="enum", options=["Gold"])["code"]
    silver = done(served, "POST", f"/fields/{code}/options", label="Silver")["id"]
    done(served, "PATCH", f"/fields/{code}/options/{silver}", label="Bronze")
    done(served, "DELETE", f"/fields/{code}/options/1")
    done(served, "PATCH", f"/fields/{code}", name="Level")
    row = served.data(f"/api/v2/personFields/{code}")
    assert (row["field_name"], [each["label"] for each in row["options"]]) == ("Level", ["Bronze"])
    done(served, "DELETE", f"/fields/{code}")
    assert served.get(f"/api/v2/personFields/{code}").status_code == 404

    label = done(served, "POST", "/labels", name="Hot")["id"]
    done(served, "PATCH", f"/labels/{label}", name="Cold")
    assert served.account.labels[0].label == "Cold"
    done(served, "DELETE", f"/labels/{label}")
    assert served.account.labels == []

    organization = done(served, "POST", "/organizations", name="Acme")["id"]
    done(served, "PATCH", f"/organizations/{organization}", name="Acme Oy")
    done(served, "POST", f"/organizations/{organization}/hide")
    assert served.data("/api/v2/organizations") == []
    done(served, "POST", f"/organizations/{organization}/show")
    assert [row["name"] for row in served.data("/api/v2/organizations")] == ["Acme Oy"]
    done(served, "DELETE", f"/organizations/{organization}")
    assert served.data("/api/v2/organizations") == []

    user = done(served, "POST", "/users", name="Owner")["id"]
    done(served, "PATCH", f"/users/{user}", name="New Owner")
    assert served.data("/api/v1/users")[-1]["name"] == "New Owner"


def test_settings_behaviours_limits_faults_and_the_log(serve: Serve) -> None:
    served = serve()
    done(served, "PATCH", "/settings", contact_sync=True)
    done(served, "PATCH", "/behaviours", last_page="no_cursor")
    assert served.get("/api/v2/persons").json()["additional_data"] == {}
    assert done(served, "PATCH", "/limits", daily_tokens=5)["burst_per_2s"] == 100
    assert served.get("/api/v2/persons").status_code == 429
    done(served, "PATCH", "/limits", daily_tokens=None, latency_seconds=0.001)
    done(served, "POST", "/faults", kind="status", status=503, times=2)
    assert [each["status"] for each in done(served, "GET", "/faults")] == [503]
    assert served.get("/api/v2/persons", limit=1).status_code == 503
    done(served, "DELETE", "/faults")
    assert served.get("/api/v2/persons").status_code == 200
    log = done(served, "GET", "/requests")
    assert [each["status"] for each in log] == [200, 429, 503, 200]
    assert log[2] == {
        "method": "GET",
        "path": "/api/v2/persons",
        "query": {"limit": "1"},
        "status": 503,
        "tokens": 0,
    }
    done(served, "DELETE", "/requests")
    assert done(served, "GET", "/requests") == []
    assert done(served, "GET", "/state")["tokens_used"] > 0
    done(served, "POST", "/reset")
    state = done(served, "GET", "/state")
    assert (state["tokens_used"], state["contact_sync"], state["persons"]) == (0, True, 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/persons/99", {"name": "A"}, 404),
        ("DELETE", "/persons/99", {}, 404),
        ("DELETE", "/fields/nothing", {}, 404),
        ("PATCH", "/organizations/99", {"name": "A"}, 404),
        ("PATCH", "/users/99", {"name": "A"}, 404),
        ("DELETE", "/labels/99", {}, 404),
        ("POST", "/nonsense", {}, 404),
        ("DELETE", "/persons", {}, 404),
        ("POST", "/persons", {"nonsense": 1}, 400),
        ("POST", "/persons", {"emails": 1}, 400),
        ("POST", "/persons", {"custom_fields": {"nothing": 1}}, 400),
        ("POST", "/persons", {"name": "A", "update_time": "yesterday"}, 400),
        ("POST", "/persons", {"name": "A", "update_time": "2026-01-01T00:00:00"}, 400),
        ("POST", "/persons/1/restore", {}, 400),
        ("POST", "/persons/1/merge", {}, 400),
        ("POST", "/persons/1/merge", {"loser_id": 1}, 400),
        ("POST", "/fields", {"name": "A", "field_type": "int"}, 400),
        ("POST", "/fields", {"field_type": "text"}, 400),
        ("PATCH", "/settings", {"nonsense": True}, 400),
        ("PATCH", "/behaviours", {"last_page": "nonsense"}, 400),
        ("PATCH", "/behaviours", {"nonsense": True}, 400),
        ("PATCH", "/limits", {"daily_tokens": "many"}, 400),
        ("POST", "/faults", {"kind": "nonsense"}, 400),
        ("POST", "/faults", {"kind": "status", "after": "later"}, 400),
        ("POST", "/faults", {"kind": "on_page"}, 400),
    ],
)
def test_an_invalid_command_is_refused_with_an_explanation(
    serve: Serve, account: Account, method: str, path: str, body: dict[str, Any], status: int
) -> None:
    account.create_person(name="A")
    response = serve(account).control(method, path, **body)
    assert response.status_code == status, response.text
    assert response.json()["error"].endswith(".")


def test_a_body_must_be_an_object(serve: Serve) -> None:
    served = serve()
    for body in ("[1]", "{"):
        assert (
            served.http.post(f"{served.server.url}/sandbox/persons", content=body, headers=JSON).status_code
            == 400
        )


def test_the_index_lists_every_command(serve: Serve) -> None:
    served = serve()
    url = f"{served.server.url}/sandbox"
    rows = served.http.get(url).json()
    assert [(row["method"], row["path"]) for row in rows] == [(each.method, each.path) for each in COMMANDS]
    page = served.http.get(url, headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.count("<tr>") == len(COMMANDS)


def test_control_calls_are_free_and_not_logged(serve: Serve) -> None:
    served = serve()
    served.http.get(f"{served.server.url}/sandbox/nothing")
    done(served, "GET", "/state")
    assert served.server.requests == []
    assert served.server.tokens_used == 0


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "text/plain", "origin": "http://evil.example"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({**JSON, "sec-fetch-site": "cross-site"}, 403),
        ({**JSON, "host": "evil.example"}, 400),
        (JSON, 200),
    ],
)
def test_commands_from_other_sites_are_refused(serve: Serve, headers: dict[str, str], code: int) -> None:
    served = serve()
    before = len(served.server.account.visible_person_ids())
    url = f"{served.server.url}/sandbox/persons"
    assert served.http.post(url, content=b'{"name": "Ann"}', headers=headers).status_code == code
    assert len(served.server.account.visible_person_ids()) == before + (code == 200)


def test_other_host_names_are_refused(serve: Serve) -> None:
    served = serve()
    for path in ("/sandbox/state", "/api/v2/persons"):
        answer = served.http.get(f"{served.server.url}{path}", headers={"host": "evil.example"})
        assert answer.status_code == 400
