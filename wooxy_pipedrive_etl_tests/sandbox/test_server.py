"""The server itself: ports, start and stop, threads, and serving in the foreground."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import httpx
import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import (
    Account,
    Fault,
    Limits,
    PortTakenError,
    SandboxServer,
    large_account,
    run_sandbox,
)
from wooxy_pipedrive_etl_tests.patience import http_client, join, running, wait_for_end, wait_until

from .receiver import Receiver
from .served import Served

Serve = Callable[..., Served]


def test_a_taken_port_is_a_clear_error(serve: Serve) -> None:
    port = serve().server.port
    for start in (
        lambda: SandboxServer(Account(), port).start(),
        lambda: run_sandbox(Account(), port),
    ):
        with pytest.raises(
            PortTakenError, match=rf"^Port {port} of 127\.0\.0\.1 can't be used .*another port\.$"
        ):
            start()


def test_an_invalid_port_is_a_clear_error() -> None:
    with pytest.raises(PortTakenError, match="Port 99999"):
        SandboxServer(Account(), 99999).start()


def test_stopping_frees_the_port(http: httpx.Client) -> None:
    server = SandboxServer(Account())
    with server:
        port = server.port
        assert http.get(f"{server.url}/sandbox").status_code == 200
    with SandboxServer(Account(), port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        assert http.get(f"{again.url}/sandbox").status_code == 200


def test_only_loopback_is_served(serve: Serve) -> None:
    port = serve().server.port
    with socket.socket() as other:
        # Another loopback address of this machine; a server on all interfaces would accept the call.
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_a_hanging_call_does_not_delay_stopping(http: httpx.Client) -> None:
    server = SandboxServer(Account()).start()
    server.faults.add(Fault("timeout", path_prefix="/", seconds=3600))
    outcomes: list[int] = []
    call = threading.Thread(
        target=lambda: outcomes.append(http.get(f"{server.url}/api/v2/persons").status_code)
    )
    call.start()
    wait_until(lambda: server.requests, "no call")
    server.stop()
    join(call)
    assert outcomes == [504]


def test_two_accounts_side_by_side(serve: Serve) -> None:
    one, two = serve(), serve()
    one.account.create_person(name="A")
    assert (len(one.persons()), len(two.persons())) == (1, 0)


def test_the_account_may_change_while_being_read(serve: Serve) -> None:
    account = large_account(persons=2000, custom_fields=3)
    served = serve(account, limits=Limits(daily_tokens=None, burst_per_2s=10_000))
    stop = threading.Event()

    def change() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            account.edit_person(1 + turn % 1000, name=f"Turn {turn}")
            account.delete_person(account.create_person(name="Short life"))
            account.rename_field(account.add_field("Short", "text"), "Life")
            account.delete_field(list(account.custom_fields)[-1])

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(5):
            ids = [row["id"] for row in served.walk(limit=500)]
            assert ids == sorted(set(ids))
            assert set(range(1, 2001)) <= set(ids)
    finally:
        stop.set()
        join(changing)


_FOREGROUND = """
from wooxy_pipedrive_etl.sandbox.pipedrive import run_sandbox, seeded_account
run_sandbox(seeded_account(5, token="secret"), 0, announce=lambda url: print(url, flush=True))
print("stopped")
"""


def test_the_foreground_server_ends_with_ctrl_c(http: httpx.Client) -> None:
    command = [sys.executable, "-W", "error", "-c", _FOREGROUND]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        response = http.get(f"{url}/api/v2/persons", headers={"x-api-token": "secret"})
        assert len(response.json()["data"]) == 5
        process.send_signal(signal.SIGINT)
        end = wait_for_end(process)
    assert end == (0, "stopped\n", "")


def test_the_foreground_server_stops_despite_hanging_webhooks(receiver: Receiver) -> None:
    command = [sys.executable, "-W", "error", "-c", _FOREGROUND]
    receiver.answers.extend([200, 0])
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with http_client(base_url=url, headers={"x-api-token": "secret"}) as client:
            asked = {
                "subscription_url": receiver.url,
                "event_action": "*",
                "event_object": "person",
                "name": "A",
            }
            assert client.post("/api/v1/webhooks", json=asked).status_code == 201
            client.patch("/sandbox/persons/1", json={"name": "Edited"})
            client.delete("/sandbox/persons/1")
        events = [receiver.next().json for _ in range(2)]
        process.send_signal(signal.SIGINT)
        end = wait_for_end(process)
    assert [each["meta"]["action"] for each in events] == ["change", "delete"]
    assert end == (0, "stopped\n", "")
