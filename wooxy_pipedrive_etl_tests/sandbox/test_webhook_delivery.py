"""How events reach a receiver: order, retries, bans, removing a webhook, and faults on demand."""

from __future__ import annotations

import base64
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import (
    Account,
    InvalidValueError,
    Limits,
    SandboxError,
    UnknownRecordError,
    Webhooks,
)
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, join

from .receiver import Receiver
from .served import Clock, Served

Serve = Callable[..., Served]


@pytest.fixture
def served(serve: Serve, account: Account, receiver: Receiver) -> Served:
    """A served account with one webhook, on a clock that moves only when told to."""
    served = serve(account, limits=Limits(webhook_clock_speed=0))
    served.subscribe(receiver.url)
    return served


@pytest.fixture
def webhooks(served: Served) -> Webhooks:
    return served.server.webhooks


def state(webhooks: Webhooks) -> dict[str, Any]:
    """The state of the only webhook."""
    (only,) = webhooks.state()["webhooks"]
    return dict(only)


def passed(webhooks: Webhooks, seconds: float) -> None:
    webhooks.pass_time(seconds)
    webhooks.wait_until_attempted()


def outcomes(webhooks: Webhooks) -> list[tuple[int, int | None, str]]:
    return [(each.attempt, each.status, each.outcome) for each in webhooks.deliveries()]


def fail(webhooks: Webhooks, account: Account, receiver: Receiver, events: int) -> None:
    """Makes the first attempt fail for this many events."""
    receiver.always = 500
    for at in range(events):
        account.create_person(name=f"Person {at}")
    webhooks.wait_until_attempted()


def test_events_arrive_in_order_as_authenticated_json(
    serve: Serve, account: Account, receiver: Receiver
) -> None:
    served = serve(account)
    served.subscribe(receiver.url + "?key=1", http_auth_user="pd", http_auth_password="sécret:1")
    for at in range(20):
        account.create_person(name=f"Person {at}")
    served.server.webhooks.wait_until_delivered()
    assert receiver.seen() == [("create", at + 1, 1) for at in range(20)]
    first = receiver.received[0]
    assert first.path == "/pipedrive?key=1"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["authorization"] == "Basic " + base64.b64encode("pd:sécret:1".encode()).decode()


def test_without_credentials_there_is_no_header(
    webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    account.create_person(name="A")
    webhooks.wait_until_delivered()
    assert "authorization" not in receiver.received[0].headers


@pytest.mark.parametrize(
    ("action", "kind", "seen"),
    [
        ("create", "person", ["create"]),
        ("change", "*", ["change"]),
        ("delete", "person", ["delete"]),
        ("*", "*", ["create", "change", "delete"]),
        ("*", "organization", []),
    ],
)
def test_a_webhook_gets_what_it_asked_for(
    serve: Serve, account: Account, receiver: Receiver, action: str, kind: str, seen: list[str]
) -> None:
    served = serve(account)
    served.subscribe(receiver.url, event_action=action, event_object=kind)
    person = account.create_person(name="A")
    account.edit_person(person, name="B")
    account.delete_person(person)
    served.server.webhooks.wait_until_delivered()
    assert [each for each, _, _ in receiver.seen()] == seen


def test_each_webhook_gets_events_with_its_id(served: Served, account: Account, receiver: Receiver) -> None:
    served.subscribe(receiver.url)
    account.create_person(name="A")
    served.server.webhooks.wait_until_delivered()
    metas = [each.json["meta"] for each in receiver.received]
    assert sorted(each["webhook_id"] for each in metas) == ["4710", "4711"]
    assert len({each["id"] for each in metas}) == 1


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_is_a_delivery(
    served: Served, account: Account, receiver: Receiver, clock: Clock, status: int
) -> None:
    clock.tick(5)
    receiver.always = status
    account.create_person(name="A")
    served.server.webhooks.wait_until_delivered()
    (webhook,) = served.data("/api/v1/webhooks")
    assert (webhook["last_http_status"], webhook["last_delivery_time"]) == (
        status,
        "2026-03-01T12:00:05.000Z",
    )


@pytest.mark.parametrize("status", [302, 307, 401, 404, 500])
def test_any_other_status_counts_as_a_failure(
    served: Served, webhooks: Webhooks, account: Account, receiver: Receiver, status: int
) -> None:
    receiver.always = status
    account.create_person(name="A")
    webhooks.wait_until_attempted()
    assert outcomes(webhooks) == [(1, status, "failed")]
    assert len(receiver.received) == 1
    (webhook,) = served.data("/api/v1/webhooks")
    assert (webhook["last_http_status"], webhook["last_delivery_time"]) == (status, None)


def test_a_failed_event_is_retried_three_times(
    webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    fail(webhooks, account, receiver, 1)
    seen = [1]
    for seconds in (3, 30, 150):
        passed(webhooks, seconds - 0.1)
        assert [attempt for _, _, attempt in receiver.seen()] == seen
        passed(webhooks, 0.1)
        seen.append(seen[-1] + 1)
        assert [attempt for _, _, attempt in receiver.seen()] == seen
    webhooks.wait_until_delivered(timeout=0)
    passed(webhooks, 86_400)
    assert len(receiver.received) == 4
    ids = {each.json["meta"]["id"] for each in receiver.received}
    assert len(ids) == 1
    assert state(webhooks)["failed_events"] == 1


def test_newer_events_do_not_wait_for_a_retry(
    webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    receiver.answers.append(503)
    for name in "ABC":
        account.create_person(name=name)
    webhooks.wait_until_attempted()
    assert state(webhooks)["waiting"] == [2]
    passed(webhooks, 3)
    assert receiver.seen() == [("create", 1, 1), ("create", 2, 1), ("create", 3, 1), ("create", 1, 2)]
    assert state(webhooks)["waiting"] == []


def test_an_unreachable_receiver_fails_without_a_status(serve: Serve, account: Account) -> None:
    served = serve(account, limits=Limits(webhook_clock_speed=0))
    webhooks = served.server.webhooks
    with Receiver() as away:
        served.subscribe(away.url)
    account.create_person(name="A")
    webhooks.wait_until_attempted()
    assert outcomes(webhooks) == [(1, None, "failed")]


def test_a_slow_answer_counts_as_a_failure(serve: Serve, account: Account, receiver: Receiver) -> None:
    served = serve(account, limits=Limits(webhook_clock_speed=0, webhook_timeout_seconds=0.05))
    served.subscribe(receiver.url)
    receiver.answers.append(0)
    account.create_person(name="A")
    served.server.webhooks.wait_until_attempted()
    assert outcomes(served.server.webhooks) == [(1, None, "failed")]
    served.server.limits = Limits(webhook_clock_speed=0)
    passed(served.server.webhooks, 3)
    assert outcomes(served.server.webhooks)[-1] == (2, 200, "delivered")


def test_a_slow_receiver_delays_nothing_else(served: Served, account: Account, receiver: Receiver) -> None:
    served.server.limits = Limits(webhook_clock_speed=0, webhook_timeout_seconds=3600)
    with Receiver() as slow:
        slow.always = 0
        served.subscribe(slow.url)
        account.create_person(name="A")
        slow.next()
        receiver.next()
        account.edit_person(1, name="B")
        assert [row["name"] for row in served.persons()] == ["B"]
        receiver.next()
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        join(stopping)
        assert len(slow.received) == 1


def test_ten_failed_events_cause_a_ban(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    fail(webhooks, account, receiver, 9)
    for seconds in (3, 30, 150):
        passed(webhooks, seconds)
    assert (state(webhooks)["failed_events"], state(webhooks)["banned_for_seconds"]) == (9, 0)
    assert len(receiver.received) == 36
    receiver.always = 200
    account.create_person(name="Delivered")
    webhooks.wait_until_delivered()
    # A delivery does not undo what was counted.
    assert state(webhooks)["failed_events"] == 9
    fail(webhooks, account, receiver, 1)
    assert (state(webhooks)["failed_events"], state(webhooks)["banned_for_seconds"]) == (0, 1800)
    receiver.received.clear()
    receiver.always = 200
    account.create_person(name="Lost")
    passed(webhooks, 1799.9)
    account.create_person(name="Lost too")
    webhooks.wait_until_delivered()
    assert receiver.received == []
    assert [each.outcome for each in webhooks.deliveries()[-3:]] == ["lost_in_ban"] * 3
    passed(webhooks, 0.1)
    last = account.create_person(name="Heard")
    webhooks.wait_until_delivered()
    assert receiver.seen() == [("create", last, 1)]


def test_failed_retries_do_not_count_towards_the_ban(
    webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    fail(webhooks, account, receiver, 4)
    for seconds in (3, 30, 150):
        passed(webhooks, seconds)
    assert len(receiver.received) == 16
    assert state(webhooks)["failed_events"] == 4


def test_a_webhook_failing_for_three_days_is_removed(
    served: Served, webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    fail(webhooks, account, receiver, 1)
    passed(webhooks, 3 * 86_400 - 1)
    assert len(served.data("/api/v1/webhooks")) == 1
    receiver.always = 200
    account.create_person(name="Through")
    webhooks.wait_until_attempted()
    fail(webhooks, account, receiver, 1)
    passed(webhooks, 3 * 86_400 - 1)
    assert len(served.data("/api/v1/webhooks")) == 1
    passed(webhooks, 1)
    account.create_person(name="Too late")
    webhooks.wait_until_delivered()
    assert served.data("/api/v1/webhooks") == []
    assert account.observers == []


def test_lost_events(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    webhooks.lose(2)
    for name in "ABC":
        account.create_person(name=name)
    webhooks.wait_until_delivered()
    assert receiver.seen() == [("create", 3, 1)]


def test_doubled_events(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    webhooks.double()
    for name in "AB":
        account.create_person(name=name)
    webhooks.wait_until_delivered()
    assert receiver.seen() == [("create", 1, 1), ("create", 1, 1), ("create", 2, 1)]
    assert receiver.received[0].body == receiver.received[1].body


def test_events_in_reverse(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    webhooks.reverse(3)
    for name in "AB":
        account.create_person(name=name)
    webhooks.wait_until_delivered()
    assert receiver.received == []
    assert webhooks.state()["held"] == 2
    for name in "CD":
        account.create_person(name=name)
    webhooks.wait_until_delivered()
    assert [person for _, person, _ in receiver.seen()] == [3, 2, 1, 4]


def test_held_events_can_be_released(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    webhooks.reverse(9)
    webhooks.double()
    webhooks.lose()
    for name in "ABC":
        account.create_person(name=name)
    webhooks.cancel_faults()
    account.create_person(name="D")
    webhooks.wait_until_delivered()
    assert [person for _, person, _ in receiver.seen()] == [3, 2, 2, 4]


def test_an_old_event_can_come_again(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    with pytest.raises(UnknownRecordError, match="no event"):
        webhooks.replay()
    account.create_person(name="A")
    account.edit_person(1, name="B")
    account.delete_person(1)
    webhooks.wait_until_delivered()
    webhooks.replay()
    webhooks.replay(webhooks.deliveries()[1].event_id)
    webhooks.wait_until_delivered()
    assert [action for action, _, _ in receiver.seen()] == ["create", "change", "delete", "create", "change"]
    assert receiver.received[3].body == receiver.received[0].body
    with pytest.raises(UnknownRecordError, match="no event 'x'"):
        webhooks.replay("x")


def test_webhooks_can_vanish(
    served: Served, webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    fail(webhooks, account, receiver, 1)
    webhooks.drop_all()
    passed(webhooks, 500)
    account.create_person(name="B")
    webhooks.wait_until_delivered()
    assert len(receiver.received) == 1
    assert served.data("/api/v1/webhooks") == []


@pytest.mark.parametrize("events", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_events_is_refused(webhooks: Webhooks, events: Any) -> None:
    for order in (webhooks.lose, webhooks.double, webhooks.reverse):
        with pytest.raises(InvalidValueError):
            order(events)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_time_does_not_run_backwards(webhooks: Webhooks, seconds: float) -> None:
    with pytest.raises(InvalidValueError):
        webhooks.pass_time(seconds)


def test_waiting_too_long_is_an_error(webhooks: Webhooks, account: Account, receiver: Receiver) -> None:
    fail(webhooks, account, receiver, 2)
    with pytest.raises(
        SandboxError, match=r"^After 0\.01 seconds 2 webhook deliveries are still to be made\.$"
    ):
        webhooks.wait_until_delivered(timeout=0.01)


def test_the_clock_can_run_fast(serve: Serve, account: Account, receiver: Receiver) -> None:
    served = serve(account, limits=Limits(webhook_clock_speed=10_000))
    served.subscribe(receiver.url)
    receiver.answers.extend([500, 500, 500])
    account.create_person(name="A")
    served.server.webhooks.wait_until_delivered()
    assert [attempt for _, _, attempt in receiver.seen()] == [1, 2, 3, 4]


def test_a_new_speed_applies_immediately(served: Served, account: Account, receiver: Receiver) -> None:
    fail(served.server.webhooks, account, receiver, 1)
    receiver.always = 200
    served.server.limits = Limits(webhook_clock_speed=10_000)
    served.server.webhooks.wait_until_delivered()
    assert [attempt for _, _, attempt in receiver.seen()] == [1, 2]


def test_webhooks_outlive_a_restart_but_events_do_not(
    served: Served, webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    fail(webhooks, account, receiver, 1)
    webhooks.reverse(2)
    account.create_person(name="Held")
    served.server.stop()
    receiver.always = 200
    account.create_person(name="Nobody is told")
    webhooks.wait_until_delivered(timeout=0)
    served.server.start()
    last = account.create_person(name="Told")
    passed(webhooks, 3)
    assert receiver.seen() == [("create", 1, 1), ("create", last, 1)]
    assert webhooks.state()["reverse"] == 0


def test_concurrent_changes_are_delivered_in_order(
    webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    person = account.create_person(name="0")

    def edit(thread: int) -> None:
        for at in range(25):
            account.edit_person(person, name=f"{thread}-{at}")

    threads = [threading.Thread(target=edit, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        join(each)
    webhooks.wait_until_delivered(timeout=PATIENCE_SECONDS)
    events = [each.json for each in receiver.received]
    assert len(events) == 101
    for earlier, later in itertools.pairwise(events):
        assert later["previous"]["name"] == earlier["data"]["name"]


def test_the_controls_show_and_disrupt_webhooks(served: Served, account: Account, receiver: Receiver) -> None:
    def done(method: str, path: str, **body: Any) -> Any:
        response = served.control(method, path, **body)
        assert response.status_code == 200, response.text
        return response.json()

    assert done("GET", "/webhooks") == {
        "webhooks": [
            {
                "id": 4710,
                "name": "Test",
                "subscription_url": receiver.url,
                "event_action": "*",
                "event_object": "person",
                "failed_events": 0,
                "banned_for_seconds": 0,
                "waiting": [],
                "in_flight": False,
                "last_delivery_time": None,
                "last_http_status": None,
            }
        ],
        "lose": 0,
        "double": 0,
        "reverse": 0,
        "held": 0,
    }
    done("POST", "/webhooks/lose", events=1)
    done("POST", "/webhooks/double", events=2)
    assert done("POST", "/webhooks/reverse", events=5)["reverse"] == 5
    for name in "ABC":
        done("POST", "/persons", name=name)
    assert done("DELETE", "/webhooks/faults")["held"] == 0
    served.server.webhooks.wait_until_delivered()
    assert [person for _, person, _ in receiver.seen()] == [3, 3, 2, 2]
    receiver.always = 503
    done("POST", "/webhooks/replay")
    served.server.webhooks.wait_until_attempted()
    assert done("GET", "/webhooks")["webhooks"][0]["waiting"] == [2]
    done("POST", "/webhooks/pass-time", seconds=3.5)
    served.server.webhooks.wait_until_attempted()
    deliveries = done("GET", "/webhooks/deliveries")
    assert [(each["person_id"], each["attempt"], each["status"]) for each in deliveries[-2:]] == [
        (1, 1, 503),
        (1, 2, 503),
    ]
    assert done("DELETE", "/webhooks")["webhooks"] == []
    done("POST", "/reset")
    assert done("GET", "/webhooks/deliveries") == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("lose", {"events": 0}, 400),
        ("lose", {"nonsense": 1}, 400),
        ("reverse", {"events": "many"}, 400),
        ("replay", {}, 404),
        ("replay", {"event_id": "nothing"}, 404),
        ("pass-time", {}, 400),
        ("pass-time", {"seconds": -1}, 400),
        ("pass-time", {"seconds": "long"}, 400),
        ("nonsense", {}, 404),
    ],
)
def test_an_invalid_command_over_http_is_refused(
    served: Served, path: str, body: dict[str, Any], status: int
) -> None:
    response = served.control("POST", f"/webhooks/{path}", **body)
    assert response.status_code == status, response.text
    assert response.json()["error"].endswith(".")


def test_a_reset_keeps_the_webhooks(
    served: Served, webhooks: Webhooks, account: Account, receiver: Receiver
) -> None:
    webhooks.lose(5)
    served.server.reset()
    account.create_person(name="A")
    webhooks.wait_until_delivered()
    assert receiver.seen() == [("create", 1, 1)]
