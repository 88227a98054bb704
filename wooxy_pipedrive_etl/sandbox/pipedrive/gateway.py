"""What every call passes before its endpoint: faults, authentication, scopes, rate limits, rate headers, the log."""

from __future__ import annotations

import asyncio
import email.utils
import hmac
import threading
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .account import Account
from .answers import (
    Answer,
    ApiError,
    cloudflare_forbidden,
    gateway_error,
    over_limit,
    scope_mismatch,
    unauthorized,
)
from .api import REMOVED_PREFIXES, Call, Endpoint
from .behaviours import Limits
from .budget import Budget
from .fault_mix import MixedFaults
from .faults import Faults, fault_answer
from .oauth import Caller, OAuth
from .oauth_pages import OAuthHandler
from .webhooks import Webhooks

KEPT_REQUESTS: Final = 100_000

T = TypeVar("T")


@dataclass(frozen=True)
class RequestRecord:
    """One call as the sandbox saw it. `status` 0: never completely answered. `tokens`: what it cost.

    Queries of `/oauth/` are left out, because they contain codes and states.
    """

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    tokens: int


class RequestLog:
    """The latest API calls in order, without those of the control surface."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=KEPT_REQUESTS)

    def add(self, record: RequestRecord) -> None:
        with self._lock:
            self._records.append(record)

    def records(self) -> list[RequestRecord]:
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()


class CutResponse(Response):
    """Promises a body, then cuts the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server closes the connection if the application stops before the promised length.
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


class Gateway:
    """One served account with its limits, faults, webhooks, app and log."""

    def __init__(self, account: Account, limits: Limits) -> None:
        self.account = account
        self.budget = Budget(limits, account.now)
        self.faults = Faults()
        self.mixed_faults = MixedFaults()
        self.log = RequestLog()
        self.webhooks = Webhooks(account, lambda: self.budget.limits)
        self.oauth = OAuth(account, self.webhooks)
        self.stopping: asyncio.Event | None = None

    def path(self, methods: Mapping[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a Starlette route for a path's endpoints (by method), behind the gateway."""

        async def serve(request: Request) -> Response:
            return await self._serve(
                request, lambda duplicate: self._answer(request, methods, duplicate=duplicate)
            )

        return serve

    def oauth_path(self, methods: Mapping[str, OAuthHandler]) -> Callable[[Request], Awaitable[Response]]:
        """The same for a path of OAuth, with faults and the log, but without a token, costs and limits."""

        async def serve(request: Request) -> Response:
            return await self._serve(request, lambda duplicate: self._oauth_answer(request, methods))

        return serve

    def reset(self) -> None:
        """Clears faults, spent tokens, requests and deliveries; the account, its webhooks and its app stay."""
        self.faults.clear()
        self.mixed_faults.mix = None
        self.webhooks.reset()
        self.budget.reset()
        self.log.clear()

    async def unknown(self, request: Request) -> Response:
        """Answers any path that is not an endpoint."""
        return await self._serve(request, lambda duplicate: self._answer(request, None, duplicate=duplicate))

    async def _serve(
        self, request: Request, answering: Callable[[bool], Awaitable[tuple[Answer, int]]]
    ) -> Response:
        """`answering` takes whether to duplicate a page's first row, and returns the answer and its cost."""
        if self.budget.limits.latency_seconds:
            await asyncio.sleep(self.budget.limits.latency_seconds)
        # Ordered faults take precedence.
        fault = self.faults.take(request.url.path) or self.mixed_faults.take(request.url.path)
        if fault is not None and fault.kind == "timeout":
            # Logged at the start: the client disconnects before the end.
            self._record(request, 0, 0)
            await self._hang(request, fault.seconds)
            return Response(status_code=504, headers=self._date())
        if fault is not None and fault.kind == "reset":
            self._record(request, 0, 0)
            return CutResponse()
        whole = None if fault is None else fault_answer(fault)
        if fault is not None and whole is not None:
            headers = self._headers(request) if fault.headers else {}
            if fault.kind == "daily_429" and "x-daily-ratelimit-token-remaining" in headers:
                headers["x-daily-ratelimit-token-remaining"] = "0"
            if fault.kind == "rate_429" and headers:
                headers["x-ratelimit-remaining"] = "0"
            return self._finish(request, whole.with_headers(headers))
        if fault is not None and fault.on_page is not None:
            fault.on_page(self.account)
        answer, tokens = await answering(fault is not None and fault.kind == "duplicated_rows")
        if fault is not None and fault.kind == "truncated_json":
            answer = replace(answer, body=answer.body[: len(answer.body) // 2])
        return self._finish(request, answer, tokens)

    async def _answer(
        self, request: Request, methods: Mapping[str, Endpoint] | None, *, duplicate: bool
    ) -> tuple[Answer, int]:
        """The API's answer with the rate headers, and its cost."""
        tokens = 0
        try:
            caller, endpoint = self._admitted(request, methods)
            tokens = endpoint.cost
            call = Call(
                self.account,
                self.webhooks,
                caller,
                request.path_params.get("id"),
                request.query_params.multi_items(),
                await request.body(),
                request.scope["server"][1],
                duplicate,
            )
            answer = await endpoint.answer(call)
        except ApiError as error:
            answer = error.answer
        return answer.with_headers(self._headers(request)), tokens

    async def _oauth_answer(
        self, request: Request, methods: Mapping[str, OAuthHandler]
    ) -> tuple[Answer, int]:
        try:
            return await _of_method(request, methods)(self.oauth, request), 0
        except ApiError as error:
            return error.answer, 0

    def _admitted(self, request: Request, methods: Mapping[str, Endpoint] | None) -> tuple[Caller, Endpoint]:
        """Spends the call's tokens; returns the caller and the endpoint. Raises ApiError, which costs nothing."""
        behaviours = self.account.behaviours
        if methods is None:
            if request.url.path.startswith(REMOVED_PREFIXES) and behaviours.removed_endpoints == "410":
                raise ApiError(gateway_error(410, "This endpoint has been removed"))
            raise ApiError(gateway_error(404, "Unknown method ."))
        caller = self._caller(request)
        if caller is None:
            raise ApiError(unauthorized())
        endpoint = _of_method(request, methods)
        if not caller.may(endpoint.scope):
            raise ApiError(scope_mismatch())
        verdict = self.budget.admit(endpoint.cost, behaviours, caller.grant_id)
        if verdict == "banned":
            raise ApiError(cloudflare_forbidden())
        if verdict == "over_limit":
            wait = self._headers(request)["x-ratelimit-reset"]
            raise ApiError(over_limit().with_headers({"retry-after": wait} if behaviours.retry_after else {}))
        return caller, endpoint

    def _caller(self, request: Request) -> Caller | None:
        """The caller, by API token or access token; None if there is neither, both, or one in the other's header."""
        api_token, authorization = request.headers.get("x-api-token"), request.headers.get("authorization")
        if api_token is not None and authorization is None:
            is_right = hmac.compare_digest(api_token.encode(), self.account.token.encode())
            return Caller(self.account.token_owner_id) if is_right else None
        scheme, _, access_token = (authorization or "").partition(" ")
        if api_token is None and scheme.lower() == "bearer":
            return self.oauth.caller(access_token)
        return None

    def _headers(self, request: Request) -> dict[str, str]:
        """The rate headers for the caller's own window, if the caller is known."""
        caller = self._caller(request)
        return self.budget.headers(self.account.behaviours, None if caller is None else caller.grant_id)

    def _finish(self, request: Request, answer: Answer, tokens: int = 0) -> Response:
        self._record(request, answer.status, tokens)
        headers = {**answer.headers, **self._date(), "x-correlation-id": str(uuid.uuid4())}
        return Response(answer.body, answer.status, headers, answer.content_type)

    def _date(self) -> dict[str, str]:
        """The account's time, not the machine's: clients must be able to rely on a single clock."""
        if not self.account.behaviours.date_header:
            return {}
        return {"date": email.utils.format_datetime(self.account.clock().astimezone(UTC), usegmt=True)}

    def _record(self, request: Request, status: int, tokens: int) -> None:
        path = request.url.path
        query = {} if path.startswith("/oauth/") else dict(request.query_params)
        self.log.add(RequestRecord(request.method, path, query, status, tokens))

    async def _hang(self, request: Request, seconds: float) -> None:
        """Waits until the client gives up, the server stops, or the time has passed."""
        await request.body()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(request.receive())]
        if self.stopping is not None:
            waits.append(asyncio.ensure_future(self.stopping.wait()))
        _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _of_method(request: Request, methods: Mapping[str, T]) -> T:
    """Raises ApiError (405)."""
    method = "GET" if request.method == "HEAD" else request.method
    if method not in methods:
        raise ApiError(gateway_error(405, "Method Not Allowed", {"allow": ", ".join(methods)}))
    return methods[method]
