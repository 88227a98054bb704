"""How a request proves who asks. The secret enters a request at the last moment and shows nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

import httpx

from .errors import InvalidToken


class ApiToken(httpx.Auth):
    """A user's API token, sent as the ``x-api-token`` header (never in the URL, which ends up in logs).

    Raises ``InvalidToken`` for text that is empty or that a header cannot carry. ``repr`` and ``str`` hide the secret.
    """

    def __init__(self, secret: str) -> None:
        if not secret:
            raise InvalidToken("The Pipedrive API token is empty; copy it from Personal preferences > API.")
        if not all("!" <= character <= "~" for character in secret):
            raise InvalidToken(
                "The Pipedrive API token has a space, a line break or a character outside ASCII in it; "
                "copy it again from Personal preferences > API."
            )
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["x-api-token"] = self._secret
        yield request

    @property
    def fingerprint(self) -> str:
        """The same for the same token, and of no use to anyone who reads it."""
        return hashlib.sha256(self._secret.encode()).hexdigest()

    def hide_in(self, text: str) -> str:
        """``text`` without the secret, in case a server sends it back to us."""
        return text.replace(self._secret, "***")

    def __repr__(self) -> str:
        return "ApiToken(***)"

    __str__ = __repr__
