"""Commands that run until they are stopped (`serve`, `sandbox`, `demo`), and `prepare`, which comes before them."""

from __future__ import annotations

from typing import Annotated

import typer

from wooxy_pipedrive_etl.loading import loading
from wooxy_pipedrive_etl.terminal import say

from .common import progress_bars


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8000,
) -> None:
    """The pages (integrations, Match variables, the list), and the receiver of webhooks, until it is stopped.

    It speaks http: let a web server that has a certificate pass https://YOUR-HOST/ on to it.
    """
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.web.server import serve as serve_web

    # The pages themselves say what is wrong with the key. A user waiting for a page would rather be told that the
    # database is busy.
    store = Store.open(any_key=True, sqlite_wait_seconds=10)
    try:
        serve_web(store, host, port, say)
    finally:
        store.close()


def prepare() -> None:
    """Make Dagster's folder and its storage; run it once before Dagster's services start for the first time."""
    with loading():
        from wooxy_pipedrive_etl.orchestration.dagster_home import prepare_dagster_home

    say(f"Dagster's folder is ready: {prepare_dagster_home()}")


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1.")] = 8765,
    persons: Annotated[int, typer.Option(min=0, help="How many persons the account has.")] = 300,
    fault_rate: Annotated[
        float, typer.Option(min=0, max=1, help="The share of calls that go wrong: 5xx, time-outs, 429, …")
    ] = 0.0,
    fault_seed: Annotated[int, typer.Option(help="Which faults come when.")] = 1,
) -> None:
    """A local Pipedrive account alone, to play with and to test against."""
    from wooxy_pipedrive_etl.demo import serve_sandbox
    from wooxy_pipedrive_etl.sandbox.pipedrive import FaultMix

    serve_sandbox(port, persons, say, FaultMix(fault_rate, seed=fault_seed))


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Sync once, print the list's first rows, and end.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The Dagster UI's port.")] = 3000,
    persons: Annotated[int, typer.Option(min=0, help="How many persons the account has.")] = 300,
) -> None:
    """A Pipedrive account on this machine, connected, synced, with the Dagster UI open."""
    from wooxy_pipedrive_etl.demo import run_demo

    with progress_bars():
        run_demo(once=once, port=port, persons=persons, say=say)
