"""Receives Pipedrive's calls about users who have uninstalled the app. Nobody is signed in here; the caller proves
itself with the app's own secret, which only Pipedrive and we have."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.connections import installations
from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH, oauth_app
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
from wooxy_pipedrive_etl.store.sentences import database_sentence

from .bodies import TooLarge, read_body, refusal

logger = logging.getLogger(__name__)

_MAX_BODY_BYTES = 4096
_BODY_SECONDS = 10.0
_MAX_ID = 2**63 - 1


class _Uninstalled(msgspec.Struct):
    """The part of the body that is used."""

    client_id: str
    company_id: int
    user_id: int


# Ids may come as text.
_decoder = msgspec.json.Decoder(_Uninstalled, strict=False)


def routes() -> list[BaseRoute]:
    return [Route(CALLBACK_PATH, _uninstalled, methods=["DELETE"])]


async def _uninstalled(request: Request) -> Response:
    try:
        app = oauth_app(request.app.state.public_url)
    except EXPECTED_ERRORS:
        # An invalid setting is for the administrator, who sees it on the pages.
        app = None
    if app is None or not app.is_pipedrive(request.headers.get("authorization", "")):
        challenge = {"www-authenticate": 'Basic realm="wooxy-pipedrive", charset="UTF-8"'}
        return refusal(401, "The client ID or secret is not right.", challenge)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            told = _decoder.decode(await read_body(request, _MAX_BODY_BYTES))
    except TooLarge:
        return refusal(413, f"This takes at most {_MAX_BODY_BYTES} bytes.")
    except TimeoutError:
        return refusal(408, "It did not arrive in time.")
    except (msgspec.MsgspecError, UnicodeDecodeError, ClientDisconnect):
        return refusal(400, "The company or user id is missing.")
    if told.client_id != app.client_id or not (
        0 < told.company_id <= _MAX_ID and 0 < told.user_id <= _MAX_ID
    ):
        return refusal(400, "This is not about a user of this app.")
    store: Store = request.app.state.store
    try:
        names = await run_in_threadpool(installations.uninstalled, store, told.company_id, told.user_id)
    except DATABASE_ERRORS as error:
        return refusal(503, database_sentence(error))
    logger.info("The app was uninstalled in Pipedrive; disconnected: %s", ", ".join(names) or "nothing")
    return PlainTextResponse("Noted.\n")
