"""One exchange: a request, sent only to the API's own host, and its answer, complete within a time limit."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from .clock import Clock
from .errors import Unreachable
from .retries import Failed


class Host:
    """The host at ``url`` (checked, see ``api_url``). Safe to use from several threads; close it after use.

    ``timeout``: seconds without a byte before a request counts as failed; a whole answer may take five times as long.
    """

    def __init__(
        self,
        url: str,
        auth: httpx.Auth,
        *,
        clock: Clock,
        timeout: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._longest_answer = 5 * timeout
        self._http = httpx.Client(
            base_url=url,
            auth=auth,
            headers={"accept": "application/json"},
            timeout=httpx.Timeout(timeout, connect=min(10.0, timeout)),
            follow_redirects=False,
            # A proxy from the environment sees https only as an opaque tunnel, but could read http.
            trust_env=url.startswith("https:"),
            verify=tls(),
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: Mapping[str, Any] | None,
        clean: Callable[[str], str],
        began: Callable[[httpx.Headers], None],
    ) -> tuple[httpx.Response, bytes]:
        """Sends ``body`` as JSON; returns the answer, whatever its status, and its content.

        ``clean`` removes secrets from the text of an error; ``began`` gets the headers as soon as the answer begins.
        Raises ``Failed``.
        """
        deadline = self._clock.now() + self._longest_answer
        content = bytearray()
        try:
            with self._http.stream(method, path, params=params, json=body) as response:
                began(response.headers)
                for chunk in response.iter_bytes():
                    content += chunk
                    # httpx applies its time-out to each chunk: a server that drips bytes would hold us for ever.
                    if self._clock.now() > deadline:
                        raise Failed(
                            Unreachable, f"the answer was not complete after {self._longest_answer:.0f} s"
                        )
        except httpx.TimeoutException as error:
            sent = not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            raise Failed(Unreachable, "no answer within the time-out", sent=sent) from error
        except httpx.RequestError as error:
            what = clean(str(error)) or type(error).__name__
            sent = not isinstance(error, httpx.ConnectError)
            raise Failed(Unreachable, f"the connection failed ({what})", sent=sent) from error
        return response, bytes(content)


@functools.cache
def tls() -> ssl.SSLContext:
    """One context per process: loading the certificates takes longer than a request."""
    return httpx.create_ssl_context()
