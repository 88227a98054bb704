"""The demo: a sandbox account, connected, imported and synced, with the Dagster UI open; whatever happens in the
account reaches the list automatically. Also the sandbox alone."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from wooxy_pipedrive_etl.connections import accounts, webhooks
from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.orchestration.dagster_home import prepare_dagster_home
from wooxy_pipedrive_etl.orchestration.launch import run_sync
from wooxy_pipedrive_etl.sandbox.pipedrive import (
    Account,
    FaultMix,
    Limits,
    OAuthApp,
    PortTakenError,
    SandboxServer,
    large_account,
    run_sandbox,
    seeded_account,
)
from wooxy_pipedrive_etl.settings import (
    ADMIN_PASSWORD_VARIABLE,
    OAUTH_CLIENT_ID_VARIABLE,
    OAUTH_CLIENT_SECRET_VARIABLE,
    OAUTH_URL_VARIABLE,
    Settings,
)
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.home import home
from wooxy_pipedrive_etl.views.export import write_contacts

NAME = "demo"
DOMAIN = "demo.example.com"
# From this number on, persons are generated only when they are requested, so that any number starts within seconds.
_LARGE = 5_000
_PATIENCE_SECONDS = 120
# A large company's budget, so that nobody has to wait for the sensors to read the fields.
_LIMITS = Limits(daily_tokens=1_500_000, burst_per_2s=120)

Say = Callable[[str], None]


def serve_sandbox(port: int, persons: int, say: Say, fault_mix: FaultMix | None = None) -> None:
    """Serves a Pipedrive account until it is stopped; its calls fail as `fault_mix` says. Raises SyncError if the port
    is taken."""
    account = _account(persons)

    def announce(url: str) -> None:
        say(f"A Pipedrive account with {persons} persons at {url}; its API token is {account.token}")
        say(f"Play with it at {url}/sandbox; stop it with Ctrl+C.")

    try:
        run_sandbox(account, port, fault_mix=fault_mix, announce=announce)
    except PortTakenError as error:
        raise SyncError(str(error)) from None


def run_demo(*, once: bool, port: int, persons: int, say: Say) -> None:
    """Connects a sandbox account, imports all suggestions, runs a full sync, and shows the result; unless `once`, the
    account, the pages, and Dagster's UI and daemon then run until they are stopped."""
    if not once:
        _check_port(port)
    account = _account(persons)
    with SandboxServer(account, limits=_LIMITS) as server:
        say(f"A Pipedrive account with {persons} persons is at {server.url}.")
        store = Store.open()
        _connect(store, server.url, account.token)
        view.suggest_matching(store, NAME)
        imported = view.import_matching(store, NAME, view.export_matching(store, NAME))
        say(f"Connected it as {NAME} and matched {imported.matched} variables.")
        report = run_sync(store, NAME)
        say(
            f"Synced {report.fetched} persons: {report.created} created, {report.updated} updated, "
            f"{report.unchanged} unchanged, {report.deleted} deleted, {report.rejected} rejected, "
            f"{report.duplicates} duplicates, {report.conflicts} conflicts."
        )
        write_contacts(store, NAME, "table", sys.stdout)
        if not once:
            password = Settings.current().admin_password or secrets.token_urlsafe(12)
            with _pages(password, server) as url, _dagster(port):
                say(webhooks.register(store, NAME, url).message)
                say(f"The pages: {url} (the password is {password})  The Dagster UI: http://127.0.0.1:{port}")
                say(f"The account's controls: {server.url}/sandbox")
                say("Changes that you make there reach the list automatically. Stop with Ctrl+C.")
                _wait_for_stop()


def _account(persons: int) -> Account:
    token = secrets.token_hex(20)
    if persons >= _LARGE:
        return large_account(persons, token=token)
    return seeded_account(persons, token=token)


def _connect(store: Store, url: str, token: str) -> None:
    with reading(store.engine) as db:
        known = {record.name: record for record in connections.list_connections(db)}.get(NAME)
    if known is not None and known.state != "disconnected":
        # An earlier demo's account had another port and another token.
        accounts.disconnect(store, NAME, forget=False)
    accounts.connect(store, name=NAME, domain=DOMAIN, api_url=url, api_token=token, default_region="FI")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SyncError(f"The port {port} is taken; choose another one with --port.") from None


@contextmanager
def _pages(password: str, server: SandboxServer) -> Iterator[str]:
    """Runs `wooxy-pipedrive serve` as a process of its own, on any free port, with an OAuth app that the account's
    users can allow and install; yields the URL."""
    client_id, client_secret = "demo", secrets.token_hex(20)
    command = [str(Path(sys.executable).parent / "wooxy-pipedrive"), "serve", "--port", "0"]
    environment = {
        ADMIN_PASSWORD_VARIABLE: password,
        OAUTH_CLIENT_ID_VARIABLE: client_id,
        OAUTH_CLIENT_SECRET_VARIABLE: client_secret,
        OAUTH_URL_VARIABLE: server.url,
    }
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        if found is None:
            raise SyncError("The pages did not come up; run: wooxy-pipedrive serve")
        server.oauth_app = OAuthApp(client_id, client_secret, redirect_uri=found.group() + CALLBACK_PATH)
        yield found.group()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _dagster(port: int) -> Iterator[None]:
    """The Dagster UI and its daemon, which runs schedules, as processes of their own."""
    prepare_dagster_home()
    scripts = Path(sys.executable).parent
    definitions = ["-m", "wooxy_pipedrive_etl.definitions"]
    commands: list[list[str | Path]] = [
        [scripts / "dagster-webserver", "-h", "127.0.0.1", "-p", str(port), *definitions],
        [scripts / "dagster-daemon", "run", *definitions],
    ]
    processes: list[subprocess.Popen[bytes]] = []
    log_path = home() / "dagster.log"
    try:
        with open(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            for command in commands:
                process = subprocess.Popen(command, stdout=log, stderr=log)
                processes.append(process)
        _wait_until_up(f"http://127.0.0.1:{port}/server_info", processes, log_path)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _wait_until_up(url: str, processes: list[subprocess.Popen[bytes]], log_path: Path) -> None:
    """Returns when the UI answers. Raises SyncError if it does not within two minutes, or has died."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise SyncError(f"The Dagster UI did not come up; see {log_path}.")


def _wait_for_stop() -> None:
    stopping = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    signal.sigwait(stopping)
