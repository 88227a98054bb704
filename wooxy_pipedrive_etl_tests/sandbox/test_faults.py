"""Each fault that can be ordered, as a client sees it."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Fault, InvalidValueError
from wooxy_pipedrive_etl.sandbox.pipedrive.faults import FaultKind
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS

from .served import Served

Serve = Callable[..., Served]
LIST = "/api/v2/persons"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_server_errors(serve: Serve, status: int) -> None:
    served = serve()
    served.server.faults.add(Fault("status", status=status))
    assert [served.get(LIST).status_code for _ in range(2)] == [status, 200]
    assert [record.tokens for record in served.server.requests] == [0, 10]


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("rate_429", 429, "request over limit"),
        ("daily_429", 429, "request over limit"),
        ("unauthorized_401", 401, "unauthorized access"),
        ("scope_403", 403, "Scope and URL mismatch"),
        ("payment_402", 402, "Company account is not open"),
        ("success_false_200", 200, "Something went wrong"),
    ],
)
def test_errors_in_json(serve: Serve, kind: FaultKind, status: int, error: str) -> None:
    served = serve()
    served.server.faults.add(Fault(kind))
    response = served.get(LIST)
    assert response.status_code == status
    body = response.json()
    assert (body["success"], body["error"]) == (False, error)


def test_the_headers_of_429(serve: Serve) -> None:
    served = serve()
    served.server.faults.add(Fault("rate_429", retry_after="1"))
    served.server.faults.add(Fault("daily_429"))
    served.server.faults.add(Fault("rate_429", headers=False))
    burst, daily, bare = (served.get(LIST).headers for _ in range(3))
    assert (burst["retry-after"], burst["x-ratelimit-remaining"]) == ("1", "0")
    assert burst["x-daily-ratelimit-token-remaining"] != "0"
    assert daily["x-daily-ratelimit-token-remaining"] == "0"
    assert "retry-after" not in daily
    assert not [name for name in bare if "ratelimit" in name]


def test_the_html_of_cloudflare(serve: Serve) -> None:
    served = serve()
    served.server.faults.add(Fault("html_403"))
    response = served.get(LIST)
    assert response.status_code == 403
    assert response.headers["content-type"].startswith("text/html")


def test_a_redirection_and_an_empty_answer(serve: Serve) -> None:
    served = serve()
    served.server.faults.add(Fault("redirect_302", location="https://elsewhere.example/"))
    served.server.faults.add(Fault("empty_200"))
    response = served.get(LIST)
    assert (response.status_code, response.headers["location"]) == (302, "https://elsewhere.example/")
    response = served.get(LIST)
    assert (response.status_code, response.content) == (200, b"")


def test_json_that_ends_in_the_middle(serve: Serve, account: Account) -> None:
    account.create_person(name="A")
    served = serve(account)
    served.server.faults.add(Fault("truncated_json"))
    response = served.get(LIST)
    assert response.status_code == 200
    assert response.content.startswith(b'{"success":true')
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_a_cut_connection(serve: Serve) -> None:
    served = serve()
    served.server.faults.add(Fault("reset"))
    with pytest.raises(httpx.RemoteProtocolError):
        served.get(LIST)
    assert served.get(LIST).status_code == 200
    assert [record.status for record in served.server.requests] == [0, 200]


def test_a_call_that_is_never_answered(serve: Serve) -> None:
    served = serve()
    served.server.faults.add(Fault("timeout"))
    served.server.faults.add(Fault("timeout", seconds=0.01))
    with pytest.raises(httpx.ReadTimeout):
        served.call("GET", LIST, timeout=httpx.Timeout(PATIENCE_SECONDS, read=0.05))
    assert served.get(LIST).status_code == 504
    assert served.get(LIST).status_code == 200
    assert [record.status for record in served.server.requests] == [0, 0, 200]


def test_a_duplicated_row(serve: Serve, account: Account) -> None:
    for name in "ABC":
        account.create_person(name=name)
    served = serve(account)
    served.server.faults.add(Fault("duplicated_rows"))
    assert [row["name"] for row in served.persons(limit=2)] == ["A", "A", "B"]
    assert [row["name"] for row in served.persons(limit=2)] == ["A", "B"]


def test_an_edit_between_two_pages(serve: Serve, account: Account) -> None:
    for at in range(4):
        account.create_person(name=f"P {at}")
    served = serve(account)
    served.server.faults.add(Fault("on_page", after=1, on_page=lambda account: account.delete_person(3)))
    assert [row["id"] for row in served.walk(limit=2)] == [1, 2, 4]


def test_a_fault_waits_strikes_and_ends(serve: Serve) -> None:
    served = serve()
    served.server.faults.add(Fault("status", path_prefix="/api/v2/persons", after=1, times=2))
    served.server.faults.add(Fault("status", path_prefix="/api/v1/", times=None, status=503))
    assert [served.get(LIST).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert [served.get("/api/v1/users/me").status_code for _ in range(3)] == [503] * 3
    assert [fault.status for fault in served.server.faults.pending()] == [503]
    served.server.faults.clear()
    assert served.get("/api/v1/users/me").status_code == 200


def test_faults_on_one_call_strike_in_turn(serve: Serve) -> None:
    served = serve()
    for status in (500, 502, 503):
        served.server.faults.add(Fault("status", status=status))
    assert [served.get(LIST).status_code for _ in range(4)] == [500, 502, 503, 200]


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="no fault 'nonsense'"):
        Fault("nonsense")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="on_page"):
        Fault("on_page")
