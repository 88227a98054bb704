"""The control surface under `/sandbox`: JSON over HTTP, for another process or a person playing with the demo."""

from __future__ import annotations

from starlette.routing import BaseRoute

from .gateway import Gateway


def control_routes(gateway: Gateway) -> list[BaseRoute]:
    return []
