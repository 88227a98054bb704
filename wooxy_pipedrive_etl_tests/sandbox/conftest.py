"""Accounts served for the duration of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, SandboxServer
from wooxy_pipedrive_etl_tests.patience import http_client

from .receiver import Receiver
from .served import Clock, Served


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with http_client() as client:
        yield client


@pytest.fixture
def serve(http: httpx.Client) -> Iterator[Callable[..., Served]]:
    """Serves an account, an empty one unless given; further arguments are those of SandboxServer."""
    with ExitStack() as stack:

        def start(account: Account | None = None, **options: Any) -> Served:
            account = account or Account()
            return Served(account, stack.enter_context(SandboxServer(account, **options)), http)

        yield start


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> Account:
    """An empty account on the test's clock."""
    account = Account()
    account.clock = clock
    return account
