"""How a request authenticates. The secret enters a request at the last moment and appears nowhere else."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator

import httpx

from .errors import InvalidToken


class ApiToken(httpx.Auth):
    """A user's API token, sent as the ``x-api-token`` header (never in the URL, which ends up in logs).

    Raises ``InvalidToken`` for text that is empty or that a header cannot carry. ``repr`` and ``str`` hide the secret.
    """

    # The burst limit of the smallest plan, in requests in two seconds.
    smallest_burst_limit = 20
    # What the user can do about a 401.
    if_refused = "give this connection a valid API token, and see that API use is allowed"

    def __init__(self, secret: str) -> None:
        if not secret:
            raise InvalidToken("The Pipedrive API token is empty; copy it from Personal preferences > API.")
        if not fits_header(secret):
            raise InvalidToken(
                "The Pipedrive API token has a space, a line break or a character outside ASCII in it; "
                "copy it again from Personal preferences > API."
            )
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["x-api-token"] = self._secret
        yield request

    def renew(self, refused: httpx.Request) -> bool:
        """Whether there is another secret than the one that the request was refused with: never."""
        return False

    @property
    def fingerprint(self) -> str:
        """The same for the same token, and useless to anyone who reads it."""
        return hashlib.sha256(self._secret.encode()).hexdigest()

    def hide_in(self, text: str) -> str:
        """``text`` without the secret, in case a server sends it back to us."""
        return text.replace(self._secret, "***")

    def __repr__(self) -> str:
        return "ApiToken(***)"

    __str__ = __repr__


class BearerTokens(httpx.Auth):
    """OAuth access tokens, each sent as long as it is valid.

    ``current``: returns the access token to send now; given a refused one, it returns another if there is one. It may
    be called from any thread, and raises ``ApiError`` if there is none. ``identity``: stays the same over all
    renewals and all grants of one user; ``fingerprint`` does not reveal it.
    """

    smallest_burst_limit = 80
    if_refused = "reconnect the account"

    def __init__(self, current: Callable[[str | None], str], identity: str) -> None:
        self._current = current
        self.fingerprint = hashlib.sha256(f"oauth {identity}".encode()).hexdigest()
        self._lock = threading.Lock()
        self._sent: set[str] = set()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._noted(self._current(None))}"
        yield request

    def renew(self, refused: httpx.Request) -> bool:
        """Whether there is another token by now than the one that the request was refused with."""
        token: str = refused.headers.get("authorization", "").removeprefix("Bearer ")
        return self._noted(self._current(token)) != token

    def hide_in(self, text: str) -> str:
        """``text`` without any token that was sent, in case a server sends it back to us."""
        with self._lock:
            for token in self._sent:
                text = text.replace(token, "***")
        return text

    def _noted(self, token: str) -> str:
        with self._lock:
            self._sent.add(token)
        return token

    def __repr__(self) -> str:
        return "BearerTokens(***)"

    __str__ = __repr__


Credentials = ApiToken | BearerTokens


def fits_header(secret: str) -> bool:
    """Whether a header can carry the text unchanged."""
    return bool(secret) and all("!" <= character <= "~" for character in secret)
