"""One request to an account: paced, attempted again where that can help, its outcome typed; and what each status of
Pipedrive means, with what a user can do about it."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import httpx

from wooxy_pipedrive_etl.http_api.clock import NEVER
from wooxy_pipedrive_etl.http_api.errors import ApiError, BrokenAnswer, ServerError
from wooxy_pipedrive_etl.http_api.host import Host
from wooxy_pipedrive_etl.http_api.retries import Failed, Retries, with_retries

from .api_url import checked_pipedrive_url
from .budget import PROCESS_BUDGETS, Budgets
from .credentials import Credentials
from .endpoints import Endpoint
from .envelope import Unreadable, words_of
from .errors import (
    AccountClosed,
    BadRequest,
    CloudflareBlocked,
    EndpointGone,
    Forbidden,
    InvalidToken,
    MissingScope,
    NotAccepted,
    NotPipedrive,
    RedirectRefused,
)
from .times import http_date

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Usage:
    """``requests`` sent and ``tokens_used`` by one client; ``daily_*``: what Pipedrive last reported for the company.

    A request refused with 401 or 429 costs nothing. Whether other failed requests do is not documented, so they are
    counted. ``daily_*`` are None until an answer to this client has the (undocumented) headers: what an earlier client
    received may be from another day.
    """

    requests: int
    tokens_used: int
    daily_limit: int | None
    daily_remaining: int | None


@dataclass(frozen=True)
class _Call:
    """What to send where. ``secret``: a part of ``body`` that must not appear in a message."""

    endpoint: Endpoint
    params: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    body: Mapping[str, Any] | None = None
    secret: str | None = None


class Session:
    """Sends requests with one credential to one account. Safe to use from several threads; close it after use."""

    def __init__(
        self,
        api_url: str,
        credentials: Credentials,
        *,
        transport: httpx.BaseTransport | None = None,
        retries: Retries | None = None,
        timeout: float = 60.0,
        budgets: Budgets = PROCESS_BUDGETS,
    ) -> None:
        self.api_url = checked_pipedrive_url(api_url)
        self._credentials = credentials
        self._retries = retries or Retries()
        self._clock = budgets.clock
        self._budget = budgets.of(self.api_url, credentials)
        self._lock = threading.Lock()
        self._requests = 0
        self._tokens_used = 0
        self._answered = False
        self._told_of_the_day = False
        self.server_time: datetime | None = None
        self._host = Host(self.api_url, credentials, clock=self._clock, timeout=timeout, transport=transport)

    def close(self) -> None:
        self._host.close()

    @property
    def usage(self) -> Usage:
        with self._lock:
            requests, tokens_used = self._requests, self._tokens_used
        if not self._told_of_the_day:
            return Usage(requests, tokens_used, None, None)
        return Usage(requests, tokens_used, self._budget.daily_limit, self._budget.daily_remaining)

    def get(
        self,
        endpoint: Endpoint,
        read: Callable[[bytes], T],
        params: Mapping[str, str] | None = None,
        stop: threading.Event = NEVER,
    ) -> T:
        """The result of ``read`` for the body of a 200.

        Raises any ``ApiError``; ``Stopped`` if ``stop`` is set while it waits.
        """
        return self._send(_Call(endpoint, params or {}), read, stop)

    def post(
        self,
        endpoint: Endpoint,
        read: Callable[[bytes], T],
        body: Mapping[str, Any],
        *,
        secret: str | None = None,
    ) -> T:
        """Sends ``body`` as JSON; retries only as long as it can't have arrived. ``secret``: what no message may
        contain.

        Raises any ``ApiError``, including ``OutcomeUnknown``.
        """
        return self._send(_Call(endpoint, body=body, secret=secret), read, NEVER)

    def delete(self, endpoint: Endpoint, read: Callable[[bytes], T], number: int) -> T:
        """Deletes the object with this id; raises ``EndpointGone`` if it no longer exists."""
        return self._send(_Call(endpoint, path=endpoint.path.format(id=number)), read, NEVER)

    def _send(self, call: _Call, read: Callable[[bytes], T], stop: threading.Event) -> T:
        return with_retries(
            lambda: self._attempt(call, read, stop),
            call.endpoint,
            api="Pipedrive",
            repeatable=call.endpoint.method != "POST",
            retries=self._retries,
            clock=self._clock,
            stop=stop,
        )

    def _attempt(self, call: _Call, read: Callable[[bytes], T], stop: threading.Event) -> T:
        response, content = self._answer(call, stop)
        if not response.is_success:
            raise self._failure(call, response, content)
        try:
            result = read(content)
        except Unreadable as error:
            # A host that has answered correctly before is Pipedrive on a bad day; any other may not be Pipedrive at
            # all.
            kind = BrokenAnswer if self._answered or not _is_html(content) else NotPipedrive
            words = self._clean(call, str(error))
            what = f"Pipedrive answered {response.status_code} with {words}{_id(response)}"
            raise Failed(kind, what) from error
        self._answered = True
        return result

    def _answer(self, call: _Call, stop: threading.Event) -> tuple[httpx.Response, bytes]:
        """The first answer that is not a 429 (after the waits that those demanded) and not a 401 that renewing the
        credentials could fix."""
        endpoint = call.endpoint
        first_refusal, refusals, renewed = self._clock.now(), 0, False
        while True:
            with self._budget.pace.turn(stop) as place:
                response, content = self._exchange(call, place)
            logger.debug("%s -> %d%s", endpoint, response.status_code, _id(response))
            with self._lock:
                self._requests += 1
                if response.status_code not in (401, 429):
                    self._tokens_used += endpoint.token_cost
            if response.status_code == 401 and not renewed:
                renewed = self._credentials.renew(response.request)
                if renewed:
                    continue
            if response.status_code != 429:
                return response, content
            if refusals == 0:
                first_refusal = self._clock.now()
            refusals += 1
            seconds = self._budget.refused(response.headers, first_refusal, refusals)
            if self._retries.refusals is not None and refusals > self._retries.refusals:
                raise Failed(ServerError, f"Pipedrive answered 429, too many requests{_id(response)}")
            logger.warning("%s: 429; going on in %.1f s%s", endpoint, seconds, _id(response))

    def _exchange(self, call: _Call, place: int) -> tuple[httpx.Response, bytes]:
        def began(headers: httpx.Headers) -> None:
            self._budget.learn(headers, place)
            if "x-daily-ratelimit-token-remaining" in headers:
                self._told_of_the_day = True
            self.server_time = http_date(headers.get("date")) or self.server_time

        return self._host.exchange(
            call.endpoint.method,
            call.path or call.endpoint.path,
            params=call.params,
            body=call.body,
            clean=lambda text: self._clean(call, text),
            began=began,
        )

    def _failure(self, call: _Call, response: httpx.Response, content: bytes) -> Exception:
        """The error for an answer that is neither a success nor a 429."""
        endpoint, status = call.endpoint, response.status_code
        words = self._clean(call, words_of(content))
        said = f'{status}, "{words}"' if words else f"{status}"
        if status >= 500 or status == 408:
            return Failed(ServerError, f"Pipedrive answered {said}{_id(response)}")
        if status == 403 and not words and _is_html(content):
            reason = (
                f"Cloudflare, in front of Pipedrive, blocked {endpoint} with a 403, so all traffic of these "
                f"credentials has stopped; leave Pipedrive alone for an hour, then run again{_id(response)}."
            )
            self._budget.block(reason)
            return CloudflareBlocked(reason)
        kind: type[ApiError]
        if response.has_redirect_location or 300 <= status < 400:
            kind, to_do = RedirectRefused, "redirects are not followed; check the API URL"
        elif status == 401:
            kind, to_do = InvalidToken, self._credentials.if_refused
        elif status == 402:
            kind, to_do = AccountClosed, "open the Pipedrive account again (billing or trial)"
        elif status == 403 and "scope" in words.lower():
            kind, to_do = MissingScope, f"the credential needs the scope {endpoint.scope}"
        elif status == 403:
            kind, to_do = Forbidden, "use the token of an admin, and see that the plan has this feature"
        elif status in (404, 410) and not self._answered and not _is_json(response):
            kind, to_do = NotPipedrive, "nothing at this host answers like Pipedrive; check the API URL"
        elif status in (404, 410):
            kind, to_do = (
                EndpointGone,
                "the endpoint no longer exists; look for a newer release of this program",
            )
        elif status in endpoint.to_do:
            kind, to_do = NotAccepted, endpoint.to_do[status]
        else:
            kind, to_do = (
                BadRequest,
                "this is a fault of the program or a change of Pipedrive's API; report it",
            )
        return kind(f"Pipedrive answered {endpoint} with {said}: {to_do}{_id(response)}.")

    def _clean(self, call: _Call, text: str) -> str:
        text = self._credentials.hide_in(text)
        return text.replace(call.secret, "***") if call.secret else text


def _id(response: httpx.Response) -> str:
    """The id by which Pipedrive's support can find the request, to append to a message."""
    correlation = re.sub(r"[^\w.:-]", "", response.headers.get("x-correlation-id", ""))[:64]
    return f" [{correlation}]" if correlation else ""


def _is_html(content: bytes) -> bool:
    return content.lstrip()[:1] == b"<"


def _is_json(response: httpx.Response) -> bool:
    return "json" in response.headers.get("content-type", "")
