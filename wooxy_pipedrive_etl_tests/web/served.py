"""The web application over HTTP, in its own thread, and webhook calls as Pipedrive makes them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.web.app import build_app
from wooxy_pipedrive_etl.web.receiver import REMEMBER_SECONDS
from wooxy_pipedrive_etl.web.server import server_config
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, join


class _Server(uvicorn.Server):
    answers: threading.Event

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()


@contextmanager
def serving(
    store: Store, *, remember_seconds: float = REMEMBER_SECONDS, app: Starlette | None = None, **options: Any
) -> Iterator[str]:
    """The root of the application's URL, which is also its public one. With `remember_seconds` 0 it reads the passwords
    on every call; `app`: one built already; `options`: of `server_config`."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = server_config(
        app or build_app(store, public_url=url, remember_seconds=remember_seconds),
        timeout_graceful_shutdown=round(PATIENCE_SECONDS),
        **options,
    )
    server = _Server(config)
    server.answers = threading.Event()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert server.answers.wait(PATIENCE_SECONDS)
        yield url
    finally:
        server.should_exit = True
        join(thread)
        listener.close()


def event(person_id: int | str = "101", action: Any = "change", **meta: Any) -> dict[str, Any]:
    """An event as in section 3.3 of the reference."""
    person = {"id": 101, "name": "Maija Virtanen", "emails": [{"value": "maija@example.fi"}], "phones": []}
    return {
        "meta": {
            "action": action,
            "entity": "person",
            "company_id": "777",
            "correlation_id": "7d0e6a0e-1c55-4c4b-8b5b-1f5f3f1a0001",
            "entity_id": person_id,
            "id": "0f2c9a52-6f4e-4a1b-9a0c-2a1b3c4d0001",
            "is_bulk_edit": False,
            "timestamp": "2026-11-20T08:15:30.412Z",
            "type": "general",
            "user_id": "9001",
            "version": "2.0",
            "webhook_id": "4710",
            "webhook_owner_id": "9001",
            "change_source": "app",
            "attempt": 1,
            "host": "example.pipedrive.com",
            "permitted_user_ids": ["9001", "9002"],
            **meta,
        },
        "data": None if action == "delete" else person,
        "previous": None if action == "create" else person,
    }
