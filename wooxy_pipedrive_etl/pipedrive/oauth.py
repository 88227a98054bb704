"""The app in Pipedrive's OAuth 2.0: where users allow it, and how its tokens are issued, renewed and revoked."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
import tenacity

from wooxy_pipedrive_etl.http_api.clock import NEVER
from wooxy_pipedrive_etl.http_api.errors import (
    BrokenAnswer,
    InvalidApiUrl,
    ServerError,
    TransientError,
    Unreachable,
)
from wooxy_pipedrive_etl.http_api.host import tls

from .api_url import checked_pipedrive_url
from .budget import PROCESS_BUDGETS
from .credentials import fits_header
from .envelope import words_of
from .errors import GrantRefused, InvalidApp

logger = logging.getLogger(__name__)
T = TypeVar("T")

_TIMEOUT_SECONDS = 10.0
# A poll whose token is about to expire waits for these, so they must fit within a tick of the sensors.
_ATTEMPTS = 3
# An access token is valid for an hour; a longer time than this is not trusted.
_LONGEST_LIFE = 86_400


@dataclass(frozen=True)
class Grant:
    """What Pipedrive returns for a code or a refresh token. ``expires_at``: when the access token expires, UTC, by our
    clock; ``api_url``: the root of the account's host."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    scopes: frozenset[str]
    api_url: str


class _Answer(msgspec.Struct):
    access_token: str
    refresh_token: str
    expires_in: int
    scope: str
    api_domain: str


@dataclass(frozen=True)
class OAuthApp:
    """An app as registered in Pipedrive's Developer Hub; its scopes are chosen there.

    ``oauth_url``: the root of the OAuth host, https (http on loopback only); raises ``InvalidApiUrl``.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    oauth_url: str

    def __post_init__(self) -> None:
        checked_pipedrive_url(self.oauth_url)

    def authorize_url(self, state: str) -> str:
        """The page where a user allows the app; Pipedrive then leads to ``redirect_uri`` with ``state`` and a code."""
        query = {"client_id": self.client_id, "redirect_uri": self.redirect_uri, "state": state}
        return f"{checked_pipedrive_url(self.oauth_url)}/oauth/authorize?{urlencode(query)}"

    def exchange(self, code: str) -> Grant:
        """Exchanges the code for a grant. It is sent only once: Pipedrive treats a second use as theft.

        Raises ``GrantRefused`` (already used, or older than five minutes), ``InvalidApp`` and ``TransientError``.
        """
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return self._grant(form, code, attempts=1)

    def refresh(self, refresh_token: str) -> Grant:
        """A new access token. Raises ``GrantRefused`` (access was revoked, or not used for 60 days), ``InvalidApp`` and
        ``TransientError``."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self._grant(form, refresh_token, attempts=_ATTEMPTS)

    def revoke(self, refresh_token: str) -> None:
        """Revokes the access, which uninstalls the app for the user. Succeeds even if it is already revoked. Raises
        ``InvalidApp`` and ``TransientError``."""
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        _trying(lambda: self._post("/oauth/revoke", form, refresh_token), _ATTEMPTS)

    def is_pipedrive(self, authorization_header: str) -> bool:
        """Whether the caller (reporting an uninstallation) has the app's own secret."""
        scheme, _, given = authorization_header.partition(" ")
        return hmac.compare_digest(given.strip().encode(), self._basic.encode()) and scheme.lower() == "basic"

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()

    def _grant(self, form: Mapping[str, str], secret: str, *, attempts: int) -> Grant:
        def ask() -> Grant:
            asked_at = datetime.now(UTC)
            return self._read(self._post("/oauth/token", form, secret), asked_at)

        return _trying(ask, attempts)

    def _read(self, content: bytes, asked_at: datetime) -> Grant:
        try:
            answer = msgspec.json.decode(content, type=_Answer)
            api_url = checked_pipedrive_url(answer.api_domain)
        except (msgspec.MsgspecError, InvalidApiUrl, UnicodeDecodeError):
            answer = None
        if answer is None or not (fits_header(answer.access_token) and fits_header(answer.refresh_token)):
            raise BrokenAnswer(
                f"{self._endpoint('/oauth/token')} answered with something that is not a grant; try again, or "
                "reconnect."
            )
        return Grant(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            expires_at=asked_at + timedelta(seconds=min(max(0, answer.expires_in), _LONGEST_LIFE)),
            scopes=frozenset(filter(None, re.split(r"[,\s]+", answer.scope))),
            api_url=api_url,
        )

    def _post(self, path: str, form: Mapping[str, str], secret: str) -> bytes:
        endpoint = self._endpoint(path)
        try:
            with httpx.Client(
                headers={"accept": "application/json", "authorization": f"Basic {self._basic}"},
                timeout=_TIMEOUT_SECONDS,
                follow_redirects=False,
                trust_env=endpoint.startswith("https:"),
                verify=tls(),
            ) as client:
                response = client.post(endpoint, data=form)
        except httpx.RequestError as error:
            raise Unreachable(
                f"{endpoint} could not be asked, because the connection failed ({type(error).__name__}); "
                "try again later."
            ) from None
        logger.debug("POST %s -> %d", path, response.status_code)
        if response.is_success:
            return response.content
        raise self._failure(endpoint, response, secret)

    def _failure(self, endpoint: str, response: httpx.Response, secret: str) -> Exception:
        status, words = response.status_code, words_of(response.content)
        for hidden in (secret, self.client_secret, self._basic):
            words = words.replace(hidden, "***")
        said = f'{status}, "{words}"' if words else f"{status}"
        if status >= 500 or status in (408, 429):
            return ServerError(f"{endpoint} answered {said}; try again later.")
        if _error_code(response.content) == "invalid_grant":
            return GrantRefused(
                f"{endpoint} answered {said}: what the app was given is used up, expired or revoked; "
                "reconnect the account."
            )
        return InvalidApp(
            f"{endpoint} answered {said}: check the client ID, the client secret and the callback URL of the app "
            "in Pipedrive's Developer Hub."
        )

    def _endpoint(self, path: str) -> str:
        return checked_pipedrive_url(self.oauth_url) + path


def _trying(ask: Callable[[], T], attempts: int) -> T:
    """The result of `ask`, retried where that can help."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_exponential(0.5, max=4.0) + tenacity.wait_random(0, 0.5),
        sleep=lambda seconds: PROCESS_BUDGETS.clock.wait(seconds, NEVER),
        reraise=True,
    )
    return retrying(ask)


def _error_code(content: bytes) -> object:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body.get("error") if isinstance(body, dict) else None
