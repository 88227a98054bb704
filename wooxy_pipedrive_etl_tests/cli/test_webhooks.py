"""Registering, checking and removing a webhook, and the program that receives its events."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl_tests.cli.command_line import PROGRAM, CommandLine
from wooxy_pipedrive_etl_tests.patience import http_client, running, wait_for_end

WEBHOOKS = "/api/v1/webhooks"


@contextmanager
def _serving(program: CommandLine) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Runs `wooxy-pipedrive serve` in a separate process until it listens; gives its URL and the process."""
    environment = {**program.environment, "WOOXY_PIPEDRIVE_ADMIN_PASSWORD": "a password of the tests"}
    with running(
        [PROGRAM, "serve", "--port", "0"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Pages at http://127.0.0.1:"), line
        yield line.removeprefix("Pages at ").partition(",")[0], process


@pytest.fixture
def public_url() -> Iterator[str]:
    """A URL where something listens; the answer does not matter."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_from_connecting_to_disconnecting(program: CommandLine) -> None:
    """With the receiver in a separate process, as in production."""
    account, webhooks = program.server.account, program.server.webhooks
    with _serving(program) as (url, process):
        ended = program.connect("acme", "--webhook-url", url)
        assert (ended.code, ended.err) == (0, "")
        subscribed = f"{url}/webhooks/pipedrive/acme"
        assert f"Webhook registered: Pipedrive sends changes to {subscribed}." in ended.out
        (row,) = program("status", "--json").json
        assert row["webhook"] == {"url": subscribed, "registered": True}
        assert row["hints_waiting"] == 0

        account.edit_person(1, name="Renamed")
        account.delete_person(2)
        webhooks.wait_until_delivered()
        assert [each.status for each in webhooks.deliveries()] == [200, 200]
        assert program("status", "--json").json[0]["hints_waiting"] == 2
        shown = program("status").out
        assert f"  webhook: {subscribed} (registered)" in shown
        assert "  2 changed persons are waiting for the next run" in shown
        ended = program("webhook", "acme")
        assert (ended.code, ended.err) == (0, "")
        assert f"Pipedrive sends changes to {subscribed}. (Checked just now.)" in ended.out
        assert "Events so far: 2, the last at 20" in ended.out

        webhooks.drop_all()
        assert "Webhook registered" in program("webhook", "acme").out
        assert len(webhooks.shown()) == 1
        assert program("disconnect", "acme").out == "Disconnected acme; its list stays as it is.\n"
        assert webhooks.shown() == []

        process.send_signal(signal.SIGTERM)
        assert wait_for_end(process) == (0, "", "")


def test_ctrl_c_stops_it_cleanly(program: CommandLine) -> None:
    with _serving(program) as (url, process):
        with http_client() as client:
            assert client.post(f"{url}/webhooks/pipedrive/nowhere").status_code == 401
        process.send_signal(signal.SIGINT)
        assert wait_for_end(process) == (0, "", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_already_in_use(program: CommandLine, host: str) -> None:
    with socket.create_server((host, 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = program("serve", "--host", host, "--port", port)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"Port {port} of {host} can't be used (address already in use); "
        "stop what uses it or choose another with --port.\n"
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "a" * 70 + ".example"])
def test_a_host_of_another_machine_is_refused(program: CommandLine, host: str) -> None:
    ended = program("serve", "--host", host, "--port", "0")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"Port 0 of {host} can't be used (")
    assert ended.err.count("\n") == 1


def test_registering_later_and_removing(program: CommandLine, public_url: str) -> None:
    program.connect()
    assert program("webhook", "acme").out.startswith("The connection acme has no webhook; it is synced by")
    ended = program("webhook", "acme", "--url", public_url)
    assert (ended.code, ended.err) == (0, "")
    assert len(program.server.webhooks.shown()) == 1
    assert "Pipedrive sends changes to" in program("webhook", "acme", "--url", public_url).out
    ended = program("webhook", "acme", "--remove")
    assert (ended.code, ended.err) == (0, "")
    assert program.server.webhooks.shown() == []
    ended = program("webhook", "acme", "--remove", "--url", public_url)
    assert (ended.code, ended.err) == (1, "Choose --url or --remove, not both.\n")


def test_a_failed_registration_is_explained_in_a_sentence(program: CommandLine, public_url: str) -> None:
    program.connect()
    ended = program("webhook", "acme", "--url", "http://sync.example.com")
    assert (ended.code, ended.out) == (1, "")
    assert "in the clear; use https://sync.example.com." in ended.err
    ended = program("webhook", "acme", "--url", "http://127.0.0.1:1")
    assert (ended.code, ended.out) == (1, "")
    assert "invalid or non-reachable URL" in ended.err
    program("webhook", "acme", "--url", public_url)
    program.server.faults.add(Fault("scope_403", WEBHOOKS, times=None))
    ended = program("webhook", "acme")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("The webhook is not registered; changes are found by polling")


def test_connecting_succeeds_even_if_registering_fails(program: CommandLine, public_url: str) -> None:
    ended = program.connect("acme", "--webhook-url", "ftp://x")
    assert (ended.code, ended.out) == (1, "")
    assert program("status", "--json").json == []
    program.server.faults.add(Fault("scope_403", WEBHOOKS, times=None))
    ended = program.connect("acme", "--webhook-url", public_url)
    assert ended.code == 1
    assert ended.out.startswith("Connected acme with")
    assert ended.err.startswith(
        "acme is connected, but its webhook was not registered, so it will be synced by polling"
    )
    assert f"Then: wooxy-pipedrive webhook acme --url {public_url}" in ended.err
    program.server.faults.clear()
    assert program("webhook", "acme", "--url", public_url).code == 0


def test_disconnecting_reports_a_webhook_left_behind(program: CommandLine, public_url: str) -> None:
    program.connect("acme", "--webhook-url", public_url)
    program.server.faults.add(Fault("status", WEBHOOKS, times=None, status=503))
    ended = program("disconnect", "acme", "--forget")
    assert ended.code == 0
    assert "Disconnected acme" in ended.out
    assert f"The webhook to {public_url}/webhooks/pipedrive/acme may still be in Pipedrive" in ended.out
    assert program("status", "--json").json == []
