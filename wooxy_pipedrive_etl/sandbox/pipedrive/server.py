"""Serves an account on 127.0.0.1: in a thread for tests and the demo, in the foreground for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route

from .account import Account
from .api import ENDPOINTS, Endpoint
from .behaviours import Behaviours, Limits
from .control import control_routes
from .errors import PortTakenError, SandboxError
from .fault_mix import FaultMix
from .faults import Faults
from .gateway import Gateway, RequestRecord
from .oauth import OAuth, OAuthApp
from .oauth_pages import OAUTH_PATHS, uninstall_app
from .webhooks import Webhooks

HOST = "127.0.0.1"
DEFAULT_PORT = 8765
# For the server to start and to stop, which is immediate unless the machine is very busy.
_PATIENCE_SECONDS = 120
_LAST_SECONDS = 30
_SECONDS_BETWEEN_LOOKS = 0.001
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build_app(gateway: Gateway) -> Starlette:
    """The API, OAuth under `/oauth`, and the control surface under `/sandbox`."""
    # Routes accept every method, because the gateway itself answers 405, in Pipedrive's form.
    paths: dict[str, dict[str, Endpoint]] = {}
    for each in ENDPOINTS:
        paths.setdefault(each.path, {})[each.method] = each
    api = [Route(path, gateway.path(methods), methods=_METHODS) for path, methods in paths.items()]
    oauth = [
        Route(path, gateway.oauth_path(handlers), methods=_METHODS) for path, handlers in OAUTH_PATHS.items()
    ]
    rest = Route("/{path:path}", gateway.unknown, methods=_METHODS)
    return Starlette(
        routes=[*control_routes(gateway), *api, *oauth, rest],
        # Refuses other host names that resolve to this machine (DNS rebinding).
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


class SandboxServer:
    """An account served over HTTP from its own thread.

    Use it as a context manager, or call `start` and `stop`. `port` 0 picks a free one. Starting it raises
    PortTakenError if the port is in use.
    """

    def __init__(
        self,
        account: Account,
        port: int = 0,
        behaviours: Behaviours | None = None,
        limits: Limits | None = None,
    ) -> None:
        if behaviours is not None:
            account.behaviours = behaviours
        self.account = account
        self.gateway = Gateway(account, limits or Limits())
        self.port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The root of the account's host, such as ``http://127.0.0.1:8765``."""
        return f"http://{HOST}:{self.port}"

    @property
    def requests(self) -> list[RequestRecord]:
        """The API calls so far, in order."""
        return self.gateway.log.records()

    def clear_requests(self) -> None:
        self.gateway.log.clear()

    @property
    def faults(self) -> Faults:
        return self.gateway.faults

    @property
    def fault_mix(self) -> FaultMix | None:
        """The random faults, in addition to ordered ones; setting a mix restarts its random sequence."""
        return self.gateway.mixed_faults.mix

    @fault_mix.setter
    def fault_mix(self, mix: FaultMix | None) -> None:
        self.gateway.mixed_faults.mix = mix

    @property
    def mixed_faults_struck(self) -> dict[str, int]:
        """How many faults of the current mix have struck, by kind."""
        return self.gateway.mixed_faults.struck()

    @property
    def webhooks(self) -> Webhooks:
        """The account's webhooks, and ways to disturb their deliveries."""
        return self.gateway.webhooks

    @property
    def oauth(self) -> OAuth:
        """The app's grants, and ways to revoke them."""
        return self.gateway.oauth

    @property
    def oauth_app(self) -> OAuthApp | None:
        """The app registered with Pipedrive; to change it, for example its scopes, set another one."""
        return self.gateway.oauth.app

    @oauth_app.setter
    def oauth_app(self, app: OAuthApp | None) -> None:
        self.gateway.oauth.app = app

    def uninstall_app(self, user_id: int | None = None) -> None:
        """Uninstalls the app for a user, by default the token's owner; returns once the app's callback was notified.

        Raises SandboxError if there is no app, UnknownRecordError if there is no such user.
        """
        uninstall_app(self.oauth, self.limits.webhook_timeout_seconds, user_id)

    @property
    def limits(self) -> Limits:
        return self.gateway.budget.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self.gateway.budget.limits = limits

    @property
    def tokens_used(self) -> int:
        """The API tokens spent today."""
        return self.gateway.budget.tokens_used

    def reset(self) -> None:
        """Clears faults, spent tokens, requests and deliveries; the account, its webhooks and its app stay."""
        self.gateway.reset()

    def start(self) -> SandboxServer:
        """Returns once the server answers."""
        listener = _listen(self.port)
        self.port = listener.getsockname()[1]
        self._server = server = _Server(self.gateway)
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="pipedrive-sandbox", daemon=True
        )
        self._thread.start()
        if not server.answers.wait(_PATIENCE_SECONDS):
            raise SandboxError(
                f"The sandbox on port {self.port} did not start within {_PATIENCE_SECONDS} seconds."
            )
        return self

    def stop(self) -> None:
        """Ends open calls and frees the port."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join(_PATIENCE_SECONDS)
            self._server = self._thread = None

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_sandbox(
    account: Account,
    port: int = DEFAULT_PORT,
    *,
    behaviours: Behaviours | None = None,
    limits: Limits | None = None,
    fault_mix: FaultMix | None = None,
    announce: Callable[[str], object] | None = None,
) -> None:
    """Serves in the foreground until Ctrl+C or SIGTERM. `announce` is called with the URL once the port is bound.

    Raises PortTakenError.
    """
    if behaviours is not None:
        account.behaviours = behaviours
    gateway = Gateway(account, limits or Limits())
    gateway.mixed_faults.mix = fault_mix
    listener = _listen(port)
    if announce is not None:
        announce(f"http://{HOST}:{listener.getsockname()[1]}")
    # uvicorn raises the signal again after shutting down; for a server that is a normal end.
    with contextlib.suppress(KeyboardInterrupt):
        _Server(gateway).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, except that it starts and stops immediately, where the original polls ten times a second."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            uvicorn.Config(
                build_app(gateway),
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                date_header=False,
            )
        )
        self.answers = threading.Event()
        self._gateway = gateway
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Called from another thread."""
        self.should_exit = True
        loop, stopping = self._loop, self._gateway.stopping
        if loop is not None and stopping is not None:
            loop.call_soon_threadsafe(stopping.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gateway.stopping = stopping = asyncio.Event()
        self._gateway.webhooks.start()
        self.answers.set()
        while not await self.on_tick(0):
            # A signal only sets a flag, so check it regularly; `stop` wakes this immediately.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), timeout=0.5)
        stopping.set()
        await self._gateway.webhooks.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # Everything must have ended before the loop closes, however busy the machine is.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LAST_SECONDS
        while (self.server_state.tasks or self.server_state.connections) and loop.time() < deadline:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PortTakenError(
            f"Port {port} of {HOST} can't be used ({reason.lower()}); stop what uses it or choose another port."
        ) from None
    return listener
