"""Serves the web application in the foreground, until it is stopped."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette

from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.settings import Settings
from wooxy_pipedrive_etl.store import Store

from . import sign_in
from .app import build_app
from .connections import impatient
from .passwords import Passwords

# How long calls in progress may take when we are stopped.
_LAST_SECONDS = 5


def serve(store: Store, host: str, port: int, announce: Callable[[str], object]) -> None:
    """Returns after SIGINT or SIGTERM. `announce` receives the URL of the pages once the port is ours and, until the
    administrator's password is chosen, the sentence that says where to choose it. Raises SyncError if the port is not
    available or a setting is invalid. Call it in the main thread."""
    listener = _listen(host, port)
    bound_host, bound_port = listener.getsockname()[:2]
    bound_url = f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"
    public_url = Settings.current().public_root or bound_url
    app = build_app(store, public_url=public_url, hosts={bound_host})
    announce(f"Pages at {public_url}, webhooks too; stop with Ctrl+C.")
    passwords: Passwords = app.state.passwords
    if not passwords.is_chosen:
        announce(
            "Choose the administrator's password at "
            f"{public_url}{sign_in.WELCOME}?{urlencode({'invitation': passwords.invitation})}"
        )
    config = server_config(app)
    # uvicorn raises the signal again once it has shut down; for a server that is the normal end.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, former)
        listener.close()


def server_config(app: Starlette, **options: Any) -> uvicorn.Config:
    """How the application is served. `options`: of uvicorn, in place of ours."""
    ours: dict[str, Any] = {
        "http": impatient(),
        "log_config": None,
        # Nobody would read a line for each call, and a flood of calls would fill the disk.
        "access_log": False,
        "lifespan": "off",
        "ws": "none",
        "server_header": False,
        # The web servers in front of us, whose X-Forwarded-For is trusted. By default, uvicorn trusts any address that
        # a program on this machine makes up.
        "forwarded_allow_ips": Settings.current().forwarded_allow_ips,
        "timeout_graceful_shutdown": _LAST_SECONDS,
    }
    return uvicorn.Config(app, **ours | options)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from None
    return listener


def _unusable(host: str, port: int, error: Exception) -> SyncError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SyncError(
        f"Port {port} of {host} can't be used ({reason.lower()}); stop what uses it or choose another with --port."
    )
