"""Closes idle connections: a head or a body is waited for only some seconds, and if too many clients are being waited
for, the oldest is disconnected. So clients that do send something are always served.

uvicorn alone waits for ever, and its limit of connections would refuse the next clients instead of the idle ones.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# For a head or a body, from its first byte to its last.
WAIT_SECONDS = 10.0
WAITING_AT_MOST = 200


def impatient(
    wait_seconds: float = WAIT_SECONDS, waiting_at_most: int = WAITING_AT_MOST
) -> type[asyncio.Protocol]:
    """The protocol of one server, for `uvicorn.Config(http=…)`."""
    # The clients being waited for, the longest first.
    waiting: dict[_Impatient, asyncio.TimerHandle] = {}

    class _Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._note()
            if len(waiting) > waiting_at_most:
                next(iter(waiting))._close()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._note()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._stop_waiting()
            self._note()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _note(self) -> None:
            """Starts to wait for the client, or stops if everything has arrived."""
            cycle: Any = self.cycle
            if cycle is not None and not cycle.response_complete and not cycle.more_body:
                self._stop_waiting()
            elif self not in waiting and not self.transport.is_closing():
                waiting[self] = self.loop.call_later(wait_seconds, self._close)

        def _stop_waiting(self) -> None:
            timer = waiting.pop(self, None)
            if timer is not None:
                timer.cancel()

        def _close(self) -> None:
            self._stop_waiting()
            self.transport.close()

    return _Impatient
