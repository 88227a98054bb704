"""Receives Pipedrive's webhooks: accepts calls with the connection's password, and records which person they report.

An event only says which person to look up again. Nothing of it is trusted or stored except the person's id and whether
it reported a deletion: a run checks for itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from wooxy_pipedrive_etl.connections.webhooks import USER
from wooxy_pipedrive_etl.store import Store, connections, inbox
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS, StoreError
from wooxy_pipedrive_etl.store.sentences import database_sentence

from .bodies import TooLarge, read_body, refusal

logger = logging.getLogger(__name__)

# Events about persons with hundreds of fields stay far below.
MAX_BODY_BYTES = 256 * 1024
REMEMBER_SECONDS = 2.0
# After a wrong password the passwords are read again, but no more often than this.
_LOOK_SECONDS = 0.1
# Pipedrive itself gives up after 10 seconds.
_BODY_SECONDS = 10.0
# Writers of one connection's inbox wait for each other anyway; the remaining connections of the database are for
# others.
_WRITERS = 4
# A repeated error is logged only this often.
_SILENCE_SECONDS = 60.0

_ACTIONS = frozenset({"create", "change", "delete"})
_MAX_ID = 2**63 - 1


class _Meta(msgspec.Struct):
    entity: str
    entity_id: str | int
    action: str
    version: str


class _Event(msgspec.Struct):
    """The part of an event that is used."""

    meta: _Meta


_decoder = msgspec.json.Decoder(_Event)


@dataclass(frozen=True)
class _Hint:
    person_id: int
    deleted: bool


class _Malformed(Exception):
    """The body is not an event about a person; the text says why, and repeats nothing of it."""


class Receiver:
    """The endpoint, for one store. It writes to the inbox and reads the connections; nothing else."""

    def __init__(self, store: Store, remember_seconds: float = REMEMBER_SECONDS) -> None:
        self._store = store
        self._doors = _Doors(store, remember_seconds)
        # SQLite's writers wait by retrying at growing intervals, so it is better to queue them here.
        writers = 1 if store.inbox.dialect.name == "sqlite" else _WRITERS
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="webhooks")
        self._said: dict[str, float] = {}

    async def receive(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            door = await self._doors.find(name, request.headers.get("authorization", ""))
        except StoreError as error:
            return self._unavailable(str(error))
        if door is None or not door.lets_in(request.headers.get("authorization", "")):
            # A stranger must not learn which connections there are; the administrator may.
            if door is not None:
                self._warn(f"A call for the connection {name} came without the webhook's password.")
            challenge = {"www-authenticate": 'Basic realm="wooxy-pipedrive", charset="UTF-8"'}
            return refusal(401, "Wrong user or password of the webhook.", challenge)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await read_body(request, MAX_BODY_BYTES)
        except TooLarge:
            return refusal(413, f"An event has at most {MAX_BODY_BYTES} bytes.")
        except TimeoutError:
            return refusal(408, "The event did not arrive in time.")
        except ClientDisconnect:
            return refusal(400, "The event did not arrive.")
        try:
            return await self._note(door.connection_id, body)
        except DATABASE_ERRORS as error:
            return self._unavailable(database_sentence(error))

    async def _note(self, connection_id: int, body: bytes) -> Response:
        try:
            hint = _read(body)
        except _Malformed as error:
            await self._write(lambda: inbox.count_malformed(self._store.inbox, connection_id))
            return refusal(400, str(error))
        await self._write(
            lambda: inbox.add_event(self._store.inbox, connection_id, hint.person_id, deleted=hint.deleted)
        )
        return PlainTextResponse("Noted.\n")

    def _unavailable(self, sentence: str) -> Response:
        self._warn(f"Webhook events can't be recorded: {sentence}")
        # Pipedrive sends it again.
        return refusal(503, "The event can't be recorded now; send it again later.")

    async def _write(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writers, work)

    def _warn(self, sentence: str) -> None:
        now = time.monotonic()
        if now - self._said.get(sentence, -_SILENCE_SECONDS) >= _SILENCE_SECONDS:
            self._said[sentence] = now
            logger.warning("%s", sentence)


@dataclass(frozen=True)
class _Door:
    """A connection that has a webhook, and its credentials."""

    connection_id: int
    encrypted_password: str
    expected: bytes

    def lets_in(self, authorization: str) -> bool:
        """Takes the same time for every wrong password."""
        scheme, _, given = authorization.partition(" ")
        try:
            credentials = base64.b64decode(given.strip(), validate=True)
        except (binascii.Error, ValueError):
            credentials = b""
        return hmac.compare_digest(credentials, self.expected) and scheme.lower() == "basic"


class _Doors:
    """The passwords of all connections, read in one query and cached for a moment, so that a flood of calls does not
    become a flood of queries."""

    def __init__(self, store: Store, remember_seconds: float) -> None:
        self._store = store
        self._remember_seconds = remember_seconds
        # A thread of its own, so that reading never waits for writers.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhook-passwords")
        self._doors: dict[str, _Door] = {}
        self._failure: str | None = None
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()

    async def find(self, name: str, authorization: str) -> _Door | None:
        """The webhook credentials of the connection, None without a webhook. If they would refuse the call, they are
        read again, because the webhook may have been registered since: a refusal is as of the call or later. Raises
        StoreError."""
        called_at = time.monotonic()
        if self._failure is not None or self._read_at < called_at - self._remember_seconds:
            await self._read(called_at, called_at - self._remember_seconds)
        door = self._doors.get(name)
        if door is None or not door.lets_in(authorization):
            await self._read(called_at, called_at)
            door = self._doors.get(name)
        return door

    async def _read(self, called_at: float, as_of: float) -> None:
        """Returns when the passwords are as of `as_of` or later; concurrent callers share one read. Raises
        StoreError."""
        async with self._reading:
            if self._read_at < (as_of if self._failure is None else called_at):
                await asyncio.sleep(self._read_at + _LOOK_SECONDS - time.monotonic())
                began = time.monotonic()
                try:
                    loop = asyncio.get_running_loop()
                    self._doors = await loop.run_in_executor(self._thread, self._load)
                    self._failure = None
                except DATABASE_ERRORS as error:
                    self._failure = database_sentence(error)
                except StoreError as error:
                    self._failure = str(error)
                self._read_at = began
            if self._failure is not None:
                raise StoreError(self._failure)

    def _load(self) -> dict[str, _Door]:
        with reading(self._store.engine) as db:
            records = connections.list_connections(db)
        return {
            record.name: self._door(record.name, record.id, record.webhook.encrypted_password)
            for record in records
            if record.webhook.encrypted_password is not None and record.state != "disconnected"
        }

    def _door(self, name: str, connection_id: int, encrypted_password: str) -> _Door:
        known = self._doors.get(name)
        if known is not None and known.encrypted_password == encrypted_password:
            return _Door(connection_id, encrypted_password, known.expected)
        password = self._store.secrets.decrypt(encrypted_password)
        return _Door(connection_id, encrypted_password, f"{USER}:{password}".encode())


def _read(body: bytes) -> _Hint:
    """Raises _Malformed."""
    try:
        meta = _decoder.decode(body).meta
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Malformed("The body is not the JSON of a webhook's event.") from None
    if meta.entity != "person":
        raise _Malformed("The event is not one of a person.")
    if meta.action not in _ACTIONS:
        raise _Malformed("The event's action is not create, change or delete.")
    if not re.fullmatch(r"2(\.\d+)?", meta.version, re.ASCII):
        raise _Malformed("The event is not one of version 2.")
    text = str(meta.entity_id)
    person_id = int(text) if re.fullmatch(r"\d{1,19}", text, re.ASCII) else 0
    if not 1 <= person_id <= _MAX_ID:
        raise _Malformed("The event's entity_id is not the id of a person.")
    return _Hint(person_id, meta.action == "delete")
