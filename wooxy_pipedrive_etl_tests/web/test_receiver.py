"""The receiver over HTTP: who is accepted, what is recorded, what is refused, and what a flood cannot do."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.webhooks import USER
from wooxy_pipedrive_etl.store import Store, inbox
from wooxy_pipedrive_etl.store.inbox import Hints, count_hints, pending_hints, received
from wooxy_pipedrive_etl.web.receiver import _LOOK_SECONDS as LOOK_SECONDS
from wooxy_pipedrive_etl.web.receiver import MAX_BODY_BYTES
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, http_client
from wooxy_pipedrive_etl_tests.state import change_stored
from wooxy_pipedrive_etl_tests.store.programs import program, read_line, say

from .conftest import PASSWORD, Receiver, new_receiving_connection
from .served import event, serving

LARGEST = 2**63 - 1


def hints(receiver: Receiver) -> Hints:
    return pending_hints(receiver.store.inbox, receiver.connection_id)


def test_events_are_recorded_by_person(receiver: Receiver) -> None:
    told = [
        event("1", "create"),
        event("2", "change"),
        event("2", "change", attempt=3),
        event("3", "delete"),
        # A merge: the person merged away, and the one that stays.
        event("4", "delete", merged_to_id="5"),
        event("5", "change", merged_from_id="4"),
        event(str(LARGEST), is_bulk_edit=True),
        event(7),
        event("3", "create"),
    ]
    for body in told:
        answer = receiver.call(body)
        assert (answer.status_code, answer.text) == (200, "Noted.\n")
    assert hints(receiver) == Hints([1, 2, 3, 4, 5, 7, LARGEST], frozenset({3, 4}), len(told))
    assert received(receiver.store.inbox, receiver.connection_id).accepted == len(told)


def test_only_the_persons_id_is_stored(receiver: Receiver) -> None:
    assert receiver.call(event("1")).status_code == 200
    with receiver.store.inbox.connect() as db:
        rows = [tuple(row) for table in inbox.metadata.sorted_tables for row in db.execute(sa.select(table))]
    assert len(rows) == 2
    assert "Maija" not in str(rows)


WITHOUT_META: dict[str, Any] = {"data": {"id": 1}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"meta": ' * 2000,
        json.dumps(event("1")).encode()[:-20],
        None,
        [],
        WITHOUT_META,
        {"meta": []},
        {"meta": {"action": "change", "entity": "person", "version": "2.0"}},
        event("1", entity="deal"),
        event("1", entity=None),
        event("1", "updated"),
        event("1", action=["change"]),
        event("1", version="1.0"),
        event("1", version="20"),
        event("1", version=None),
        *(event(odd) for odd in ("", "0", "-1", "1.5", "1e3", " 1", "1 ", "+1", "１", "abc", str(2**63))),
        *(event("1", entity_id=odd) for odd in (0, -1, 2**63, 1.5, True, None, [1], {"id": 1})),
        event("9" * 5000),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_malformed_events_are_refused_and_counted(receiver: Receiver, body: object) -> None:
    answer = receiver.call(body)
    assert answer.status_code == 400
    assert answer.text.count("\n") == 1
    assert hints(receiver).changed == []
    assert received(receiver.store.inbox, receiver.connection_id).malformed == 1
    assert receiver.call(event("1")).status_code == 200


def _basic(text: str | bytes) -> str:
    return "Basic " + b64encode(text if isinstance(text, bytes) else text.encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        _basic(USER),
        _basic(f"{USER}:"),
        _basic(f"{USER}:wrong"),
        _basic(f"{USER}:{PASSWORD}x"),
        _basic(f"{USER}:{PASSWORD[:-1]}"),
        _basic(f"other:{PASSWORD}"),
        _basic(f":{PASSWORD}"),
        _basic(b"\xff\xfe"),
        _basic(f"{USER}:{PASSWORD}").replace("Basic", "Bearer"),
        f"Bearer {PASSWORD}",
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_wrong_credentials(receiver: Receiver, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = receiver.call(event("1"), auth=None, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert hints(receiver).changed == []
    assert received(receiver.store.inbox, receiver.connection_id) == inbox.Received()


def test_each_connection_has_its_own_password(receiver: Receiver) -> None:
    other = new_receiving_connection(receiver.store, "other", "other.example.com", "another-password")
    assert receiver.call(event("1"), name="other").status_code == 401
    assert receiver.call(event("2"), auth=(USER, "another-password")).status_code == 401
    assert receiver.call(event("3"), name="other", auth=(USER, "another-password")).status_code == 200
    assert hints(receiver).changed == []
    assert pending_hints(receiver.store.inbox, other).changed == [3]


def test_nobody_learns_which_connections_have_a_webhook(forgetful_receiver: Receiver) -> None:
    wrong = forgetful_receiver.call(event("1"), auth=(USER, "a guess"))
    unknown = forgetful_receiver.call(event("1"), name="unknown")
    assert (unknown.status_code, unknown.text) == (wrong.status_code, wrong.text)
    assert forgetful_receiver.call(event("1"), name="unknown").status_code == 401
    assert forgetful_receiver.call(event("1"), name="ACME").status_code == 401
    for values in ({"state": "disconnected"}, {"state": "draft", "encrypted_password": None}):
        with forgetful_receiver.store.engine.begin() as db:
            change_stored(db, forgetful_receiver.connection_id, **values)
        assert forgetful_receiver.call(event("1")).status_code == 401
    assert hints(forgetful_receiver).changed == []


def test_a_draft_receives_too(receiver: Receiver) -> None:
    """Its first full run comes after the Import; until then the events wait."""
    with receiver.store.engine.begin() as db:
        change_stored(db, receiver.connection_id, state="draft")
    assert receiver.call(event("1")).status_code == 200


def test_the_largest_body_that_is_read(receiver: Receiver) -> None:
    body = json.dumps(event("1")).encode()
    assert receiver.call(body.ljust(MAX_BODY_BYTES)).status_code == 200
    assert receiver.call(body.ljust(MAX_BODY_BYTES + 1)).status_code == 413
    assert hints(receiver).changed == [1]


@contextmanager
def _raw_call(receiver: Receiver, *headers: str) -> Iterator[socket.socket]:
    port = httpx.URL(receiver.url).port
    assert port is not None
    lines = (
        "POST /webhooks/pipedrive/acme HTTP/1.1",
        "host: localhost",
        f"authorization: {_basic(f'{USER}:{PASSWORD}')}",
        *headers,
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield connection


def _answer(connection: socket.socket) -> bytes:
    """Everything until the server closes, which resets a connection it has not read fully."""
    answer = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_a_body_without_length_cannot_exceed_the_limit(receiver: Receiver) -> None:
    """The body never ends: an answer shows that the server does not wait for the end."""
    chunk = b"x" * 65536
    with _raw_call(receiver, "transfer-encoding: chunked") as connection:
        for _ in range(MAX_BODY_BYTES // len(chunk) + 1):
            connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")
    assert receiver.call(event("1")).status_code == 200


def test_an_announced_oversized_body_is_not_read(receiver: Receiver) -> None:
    with _raw_call(receiver, "content-length: 9999999999") as connection:
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_never_arrives(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wooxy_pipedrive_etl.web.receiver._BODY_SECONDS", 0.05)
    with _raw_call(receiver, "content-length: 100") as connection:
        connection.sendall(b"{")
        assert _answer(connection).startswith(b"HTTP/1.1 408 ")


def test_a_caller_that_disconnects_midway(receiver: Receiver) -> None:
    with _raw_call(receiver, "content-length: 100") as connection:
        connection.sendall(b"{")
    assert receiver.call(event("1")).status_code == 200
    assert hints(receiver).changed == [1]


def test_an_unauthorised_callers_body_is_not_read(receiver: Receiver) -> None:
    port = httpx.URL(receiver.url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(
            b"POST /webhooks/pipedrive/acme HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
        )
        assert _answer(connection).startswith(b"HTTP/1.1 401 ")


def test_other_methods_and_paths(receiver: Receiver) -> None:
    url = f"{receiver.url}/webhooks/pipedrive/acme"
    assert receiver.client.get(url).status_code == 405
    assert receiver.client.delete(url).status_code == 405
    assert receiver.client.post(f"{url}/").status_code == 404
    assert receiver.client.get(f"{receiver.url}/webhooks").status_code == 404


def test_headers_of_every_answer(receiver: Receiver) -> None:
    for answer in (receiver.call(event("1")), receiver.call(b""), receiver.client.get(receiver.url)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers or "uvicorn" in answer.headers["server"]


HOLDS_THE_LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO sync_domains (name, list_table) VALUES ('a', 'b')")
print("held", flush=True)
input()
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_answers_while_sqlite_is_locked(receiver: Receiver) -> None:
    with program(HOLDS_THE_LOCK, str(receiver.store.engine.url.database)) as writer:
        assert read_line(writer) == "held"
        for person_id in range(1, 21):
            assert receiver.call(event(str(person_id))).status_code == 200
        assert receiver.call(b"").status_code == 400
        # The lock is held until here; a request that waited for it would have been refused.
        assert count_hints(receiver.store.inbox, receiver.connection_id) == 20
        say(writer)


def test_an_inbox_that_is_locked_for_long(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_SQLITE_WAIT_SECONDS", 0.05)
    store = Store.open(sqlite_url)
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    with serving(store) as url, http_client() as client:
        receiver = Receiver(store, connection_id, url, client)
        other = sqlite3.connect(str(store.inbox.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert receiver.call(event("1")).status_code == 503
        other.rollback()
        other.close()
        assert receiver.call(event("1")).status_code == 200
        assert hints(receiver).changed == [1]
    store.close()


def test_a_database_that_fails_and_recovers(
    forgetful_receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = forgetful_receiver

    def rename(old: str, new: str) -> None:
        with receiver.store.engine.begin() as db:
            db.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    assert receiver.call(event("1")).status_code == 200
    rename("sync_connections", "sync_elsewhere")
    assert [receiver.call(event("2")).status_code for _ in range(3)] == [503] * 3
    assert receiver.call(event("2"), name="unknown").status_code == 503
    rename("sync_elsewhere", "sync_connections")
    assert receiver.call(event("3")).status_code == 200
    assert hints(receiver).changed == [1, 3]
    assert caplog.text.count("can't be recorded") == 1


def _looks(store: Store) -> list[str]:
    """Grows each time the connections' passwords are read."""
    looks: list[str] = []

    def note(db: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM sync_connections" in statement:
            looks.append(statement)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    return looks


def test_passwords_are_read_once_for_many_calls(store: Store) -> None:
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    looks = _looks(store)
    with serving(store, remember_seconds=3600) as url, http_client() as client:
        receiver = Receiver(store, connection_id, url, client)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: receiver.call(event(str(number))), range(1, 101)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(looks) == 1
        assert count_hints(store.inbox, connection_id) == 100


def test_wrong_passwords_do_not_flood_the_database(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    looks = _looks(store)
    with serving(store, remember_seconds=3600) as url, http_client() as client:
        receiver = Receiver(store, connection_id, url, client)

        def call(number: int) -> int:
            if number % 2:
                return receiver.call(event("1"), auth=(USER, f"guess-{number}")).status_code
            return receiver.call(event("1"), name=f"name-{number}").status_code

        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(call, range(80))) == {401}
        # On a slow machine the calls take long, and more reads are due.
        assert len(looks) <= 1 + (time.monotonic() - began) / LOOK_SECONDS
    assert caplog.text.count("without the webhook's password") == 1
    assert "guess-" not in caplog.text
    assert PASSWORD not in caplog.text
    assert received(store.inbox, connection_id) == inbox.Received()


def test_authorised_callers_do_not_wait_for_others(store: Store) -> None:
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    looking, go_on = threading.Event(), threading.Event()

    def hold(db: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM sync_connections" in statement:
            looking.set()
            assert go_on.wait(PATIENCE_SECONDS)

    with serving(store, remember_seconds=3600) as url, http_client() as client:
        receiver = Receiver(store, connection_id, url, client)
        assert receiver.call(event("1")).status_code == 200
        sa.event.listen(store.engine, "before_cursor_execute", hold)
        with ThreadPoolExecutor(1) as pool:
            wrong = pool.submit(receiver.call, event("2"), auth=(USER, "wrong"))
            assert looking.wait(PATIENCE_SECONDS)
            assert receiver.call(event("3")).status_code == 200
            assert not wrong.done()
            go_on.set()
            assert wrong.result().status_code == 401


def test_a_new_webhook_is_accepted_immediately(store: Store) -> None:
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    with serving(store, remember_seconds=3600) as url, http_client() as client:
        receiver = Receiver(store, connection_id, url, client)
        assert receiver.call(event("1")).status_code == 200
        assert receiver.call(event("1"), name="other").status_code == 401
        new_receiving_connection(store, "other", "other.example.com")
        assert receiver.call(event("1"), name="other").status_code == 200
        with store.engine.begin() as db:
            change_stored(db, connection_id, encrypted_password=store.secrets.encrypt("a-new-one"))
        assert receiver.call(event("2"), auth=(USER, "a-new-one")).status_code == 200
        assert receiver.call(event("3")).status_code == 401


def test_many_events_fill_the_inbox_to_its_limit(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "LIMIT", 5)
    with ThreadPoolExecutor(8) as pool:
        statuses = pool.map(lambda number: receiver.call(event(str(number))).status_code, range(1, 31))
        assert set(statuses) == {200}
    came = received(receiver.store.inbox, receiver.connection_id)
    assert (came.accepted, came.overflowed) == (5, 25)
    assert count_hints(receiver.store.inbox, receiver.connection_id) == 5
