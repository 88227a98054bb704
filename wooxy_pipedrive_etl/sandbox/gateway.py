"""What stands before the endpoints: faults, authentication, rate limits, rate headers and the request log."""

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
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .account import Account
from .answers import Answer, ApiError, cloudflare_forbidden, gateway_error, over_limit, unauthorized
from .api import REMOVED_PREFIXES, Call, Endpoint
from .behaviours import Limits
from .budget import Budget
from .faults import Faults, fault_answer
from .webhooks import Webhooks

KEPT_REQUESTS: Final = 100_000


@dataclass(frozen=True)
class RequestRecord:
    """One call as the sandbox saw it. `status` 0: never answered whole. `tokens`: what it cost."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    tokens: int


class RequestLog:
    """The last calls of the API in order; the control surface is not in it."""

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
    """Promises a body and cuts the connection instead."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server closes a connection whose application stops before the promised length.
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


class Gateway:
    """One served account with its limits, faults, webhooks and log."""

    def __init__(self, account: Account, limits: Limits) -> None:
        self.account = account
        self.budget = Budget(limits, account.now)
        self.faults = Faults()
        self.log = RequestLog()
        self.webhooks = Webhooks(account, lambda: self.budget.limits)
        self.stopping: asyncio.Event | None = None

    def path(self, methods: Mapping[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        """A path's endpoints by method, behind the gateway, for a route of Starlette."""

        async def serve(request: Request) -> Response:
            return await self._serve(request, methods)

        return serve

    def reset(self) -> None:
        """Forget faults, spent tokens, requests and deliveries; the account and its webhooks stay."""
        self.faults.clear()
        self.webhooks.reset()
        self.budget.reset()
        self.log.clear()

    async def unknown(self, request: Request) -> Response:
        """Every path that is not an endpoint."""
        return await self._serve(request, None)

    async def _serve(self, request: Request, methods: Mapping[str, Endpoint] | None) -> Response:
        if self.budget.limits.latency_seconds:
            await asyncio.sleep(self.budget.limits.latency_seconds)
        fault = self.faults.take(request.url.path)
        if fault is not None and fault.kind == "timeout":
            # In the log from the start: the client is gone before the end.
            self._record(request, 0, 0)
            await self._hang(request, fault.seconds)
            return Response(status_code=504, headers=self._date())
        if fault is not None and fault.kind == "reset":
            self._record(request, 0, 0)
            return CutResponse()
        whole = None if fault is None else fault_answer(fault)
        if fault is not None and whole is not None:
            headers = self._headers() if fault.headers else {}
            if fault.kind == "daily_429" and "x-daily-ratelimit-token-remaining" in headers:
                headers["x-daily-ratelimit-token-remaining"] = "0"
            if fault.kind == "rate_429" and headers:
                headers["x-ratelimit-remaining"] = "0"
            return self._finish(request, whole.with_headers(headers))
        if fault is not None and fault.on_page is not None:
            fault.on_page(self.account)
        answer, tokens = await self._answer(
            request, methods, duplicate=fault is not None and fault.kind == "duplicated_rows"
        )
        if fault is not None and fault.kind == "truncated_json":
            answer = replace(answer, body=answer.body[: len(answer.body) // 2])
        return self._finish(request, answer.with_headers(self._headers()), tokens)

    async def _answer(
        self, request: Request, methods: Mapping[str, Endpoint] | None, *, duplicate: bool
    ) -> tuple[Answer, int]:
        """The answer and what it cost."""
        path = request.url.path
        if methods is None:
            if path.startswith(REMOVED_PREFIXES) and self.account.behaviours.removed_endpoints == "410":
                return gateway_error(410, "This endpoint has been removed"), 0
            return gateway_error(404, "Unknown method ."), 0
        if not self._is_token(request.headers.get("x-api-token")):
            return unauthorized(), 0
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            return gateway_error(405, "Method Not Allowed", {"allow": ", ".join(methods)}), 0
        verdict = self.budget.admit(endpoint.cost, self.account.behaviours)
        if verdict == "banned":
            return cloudflare_forbidden(), 0
        if verdict == "over_limit":
            wait = self._headers()["x-ratelimit-reset"]
            return over_limit().with_headers(
                {"retry-after": wait} if self.account.behaviours.retry_after else {}
            ), 0
        call = Call(
            self.account,
            self.webhooks,
            request.path_params.get("id"),
            request.query_params.multi_items(),
            await request.body(),
            request.scope["server"][1],
            duplicate,
        )
        try:
            return await endpoint.answer(call), endpoint.cost
        except ApiError as error:
            return error.answer, endpoint.cost

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self.account.token.encode())

    def _headers(self) -> dict[str, str]:
        return self.budget.headers(self.account.behaviours)

    def _finish(self, request: Request, answer: Answer, tokens: int = 0) -> Response:
        self._record(request, answer.status, tokens)
        headers = {**answer.headers, **self._date(), "x-correlation-id": str(uuid.uuid4())}
        return Response(answer.body, answer.status, headers, answer.content_type)

    def _date(self) -> dict[str, str]:
        """The account's time, not the machine's: clients may only trust one clock."""
        if not self.account.behaviours.date_header:
            return {}
        return {"date": email.utils.format_datetime(self.account.clock().astimezone(UTC), usegmt=True)}

    def _record(self, request: Request, status: int, tokens: int) -> None:
        self.log.add(
            RequestRecord(request.method, request.url.path, dict(request.query_params), status, tokens)
        )

    async def _hang(self, request: Request, seconds: float) -> None:
        """Until the client gives up, the server stops, or the time is over."""
        await request.body()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(request.receive())]
        if self.stopping is not None:
            waits.append(asyncio.ensure_future(self.stopping.wait()))
        _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
