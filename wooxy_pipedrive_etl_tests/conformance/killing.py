"""Syncs killed in the middle, and the next sync, which must end as if nothing had happened.

Four situations, each made once and copied for every kill: a connection before its first run, one whose matching has
just changed, and one whose account has changed since its last run, checked by a full run or by one of changes.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import sqlalchemy as sa
import yaml

from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Limits, SandboxServer
from wooxy_pipedrive_etl.store import Store, inbox, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import RunReport
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS

from ..databases import Databases, copied
from ..scenario import DOMAIN, NAME, Connected
from .sync_process import reporting, sync, writing

SITUATIONS = ("first run", "re-map", "second run", "changes")
# The time between a process's report and its death: enough to die in the middle of a statement.
_LONGEST_DELAY = 0.02
_PLAIN = re.compile(r"[A-Za-z.]+@[a-z.]+")
_LONG_AGO = "2001-01-01 00:00:00"
_PROGRAM = "wooxy_pipedrive_etl_tests.conformance.sync_process"
_ROOT = Path(__file__).parents[2]


class End(NamedTuple):
    """The final state: the list by contact_id, everything else that a sync stores, and the last run's report."""

    contacts: dict[int, dict[str, Any]]
    kept: dict[str, Any]
    last_run: RunReport | None


@dataclass
class Situation:
    """`url`: a database to copy; `before` and `expected`: the state of a copy before and after an undisturbed sync,
    which reported `moments`."""

    name: str
    databases: Databases
    server: SandboxServer
    url: str
    way: str
    before: End
    expected: End
    moments: list[str]

    @property
    def kind(self) -> Kind:
        return _kind(self.name)


class Kill(NamedTuple):
    """What a kill hit: the last moment reported (None: the sync finished first), whether the list was being written,
    whether it was committed, and how many seconds the dead process's session survived."""

    moment: str | None
    writing: bool
    committed: bool
    wait: float


@contextmanager
def situations(
    databases: Databases,
    make_account: Callable[[], Account],
    way: str = "steps",
    names: Collection[str] = SITUATIONS,
) -> Iterator[list[Situation]]:
    """The situations of these names on one kind of database. `make_account` gives the same account each time, except
    for its token."""
    limits = Limits(burst_per_2s=100_000, daily_tokens=None)
    with (
        SandboxServer(make_account(), limits=limits) as server,
        SandboxServer(make_account(), limits=limits) as edited,
    ):
        first = prepared(databases, server)
        synced = databases.copy(first)
        sync(synced, NAME, "full", "steps")
        _age(synced, server)
        _change_matching(synced)
        second = prepared(databases, edited)
        sync(second, NAME, "full", "steps")
        _age(second, edited)
        _edit(edited.account)
        third = databases.copy(second)
        _hint(third, edited)
        made = ((first, server), (synced, server), (second, edited), (third, edited))
        yield [
            _situation(name, databases, account_server, url, way)
            for name, (url, account_server) in zip(SITUATIONS, made, strict=True)
            if name in names
        ]
        for url, _ in made:
            databases.drop(url)


def kill_and_repair(situation: Situation, rng: random.Random, within: range) -> Kill:
    """Kills a sync at a random one of these moments, then runs the next one; raises AssertionError if anything differs
    from an undisturbed sync."""
    moment = rng.choice(within)
    with copied(situation.databases, situation.url) as url:
        told = _killed_process(situation, url, moment, rng.uniform(0, _LONGEST_DELAY))
        wait = situation.databases.wait_until_left(url)
        committed = _check_all_or_nothing(situation, url)
        with _environment(url):
            sync(url, NAME, situation.kind, situation.way)
        end = look(url, situation.server)
    _check_end(situation, end, committed)
    return Kill(told, moment in writing(situation.moments), committed, wait)


def look(url: str, server: SandboxServer) -> End:
    store = Store.open(url)
    acme = Connected(server.account, server, store, NAME, DOMAIN)
    status = acme.status()
    links = {row["person_id"]: row for row in acme.rows(tables.links)}
    with reading(store.engine) as db:
        inspector = sa.inspect(db)
        scratch = [
            name for name in inspector.get_table_names() if name.startswith(("sync_stage", "sync_plan"))
        ]
    end = End(
        {contact.pop("contact_id"): contact for contact in acme.contacts()},
        {
            "links": {
                person: (row["contact_id"], row["adopted"], row["phone_filled"], row["deactivated"])
                for person, row in links.items()
            },
            "issues": [
                (row["person_id"], row["kind"], row["reason"], row["variable"]) for row in acme.issues()
            ],
            "snapshot": [(row["person_id"], row["raw"], row["gone"]) for row in acme.rows(tables.snapshot)],
            "opt_outs": {(row["phone_hash"], row["channel"]) for row in acme.rows(tables.opt_outs)},
            "tombstones": {row["person_id"] for row in acme.rows(tables.tombstones)},
            "scratch": scratch,
            "status": {
                name: getattr(status, name)
                for name in ("state", "watermark", "matching_applied", "contacts", "list_table")
            },
        },
        status.last_run,
    )
    store.close()
    return end


def prepared(databases: Databases, server: SandboxServer) -> str:
    """A database with a connection before its first run: everything is matched, and three contacts exist already."""
    url = databases.new()
    store = Store.open(url)
    acme = Connected(server.account, server, store, NAME, DOMAIN, {"default_region": "FI"})
    acme.connect()
    # In the list before the sync: two to adopt, one to leave alone.
    for email in ("PERSON@other.example", *_addresses(server.account)[:2]):
        acme.execute(f"INSERT INTO {{list}} (email) VALUES ('{email}')")  # noqa: S608
    acme.import_all()
    store.close()
    return url


def _addresses(account: Account) -> list[str]:
    """E-mail addresses of the first persons, one each."""
    persons = [account.find_person(person_id) for person_id in account.visible_person_ids()[:20]]
    firsts = [_decoded(person.members["emails"])[:1] for person in persons if person is not None]
    return [point["value"] for points in firsts for point in points if _PLAIN.fullmatch(point["value"])]


def _age(url: str, server: SandboxServer) -> None:
    """Makes the contacts old, so that any touched from now on can be recognized; some opt out."""
    store = Store.open(url)
    acme = Connected(server.account, server, store, NAME, DOMAIN)
    acme.execute(f"""UPDATE {{list}} SET "createdAt" = '{_LONG_AGO}', "updatedAt" = '{_LONG_AGO}'""")  # noqa: S608
    acme.execute('UPDATE {list} SET "smsSubscribe" = false WHERE contact_id IN (5, 10, 15, 20, 25, 30)')
    store.close()


def _change_matching(url: str) -> None:
    """Renames two columns, swaps the rows that feed two others, and unmatches a row."""
    store = Store.open(url)
    content = yaml.safe_load(view.export_matching(store, NAME))
    rows = {row["pipedrive"]: row for row in content["variables"]}
    for key in ("owner_id", "org_id"):
        rows[key]["wooxy"] += "Renamed"
    rows["first_name"]["wooxy"], rows["last_name"]["wooxy"] = "lastName", "firstName"
    rows["add_time"]["wooxy"] = None
    view.import_matching(store, NAME, yaml.safe_dump(content), allowed_renames=None)
    store.close()


def _edit(account: Account) -> None:
    """Everything that can happen to persons between two runs; few enough are deleted to need no permission."""
    ids = account.visible_person_ids()
    for person_id in ids[::5]:
        account.edit_person(person_id, name=f"Renamed {person_id}")
    points = {person_id: account.find_person(person_id) for person_id in ids[1:9]}
    emails = [_decoded(person.members["emails"]) for person in points.values() if person is not None]
    for person_id, moved in zip(points, [*emails[1:], emails[0]], strict=True):
        account.edit_person(person_id, emails=moved)
    for person_id in ids[12:15]:
        account.delete_person(person_id)
    account.merge_persons(ids[15], ids[16])
    account.hide_person(ids[17])
    for number in range(5):
        account.create_person(name=f"New {number}", emails=[f"new{number}@example.com"])


def _hint(url: str, server: SandboxServer) -> None:
    """Webhook events report some deleted persons, and wrongly report others as deleted."""
    store = Store.open(url)
    acme = Connected(server.account, server, store, NAME, DOMAIN)
    for person_id in acme.snapshot_ids()[10:20]:
        inbox.add_event(store.inbox, acme.record().id, person_id, deleted=True)
    store.close()


def _kind(situation: str) -> Kind:
    return "changes" if situation == "changes" else "re-map" if situation == "re-map" else "full"


def _decoded(text: bytes) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = json.loads(text)
    return points


def _situation(name: str, databases: Databases, server: SandboxServer, url: str, way: str) -> Situation:
    kind = _kind(name)
    moments: list[str] = []
    before = look(url, server)
    with copied(databases, url) as copy:
        with _environment(copy), reporting(copy, moments.append):
            sync(copy, NAME, kind, way)
        expected = look(copy, server)
    if name == "changes":
        assert expected.last_run is not None
        assert expected.last_run.deleted > 0
    return Situation(name, databases, server, url, way, before, expected, moments)


def _killed_process(situation: Situation, url: str, moment: int, delay: float) -> str | None:
    """Starts a sync, waits for its n-th moment, and kills it a little later; returns the last moment reported, or None
    if the sync finished first."""
    with started(url, situation.kind, situation.way) as process:
        assert process.stdout is not None
        told = [line.strip() for line in islice(process.stdout, moment + 1)]
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        process.kill()
    assert process.returncode in (0, -signal.SIGKILL), f"The sync broke off by itself after: {told[-1:]}"
    return told[-1] if process.returncode else None


@contextmanager
def started(url: str, kind: Kind, way: str, errors: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A sync in a separate process that prints its moments, one a line, and has ended when the context has. `errors`:
    the file for its error output."""
    command = [sys.executable, "-m", _PROGRAM, url, NAME, kind, way]
    with _environment(url):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=_ROOT, text=True)
    assert process.stdout is not None
    # If it ever hangs, the test must not.
    watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
    watchdog.start()
    try:
        with process.stdout:
            yield process
            process.wait()
    finally:
        process.kill()
        process.wait()
        watchdog.cancel()
        watchdog.join()


@contextmanager
def _environment(url: str) -> Iterator[None]:
    """Dagster's job finds its database through the environment."""
    name = "WOOXY_PIPEDRIVE_DATABASE_URL"
    before = os.environ.get(name)
    os.environ[name] = url
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _check_all_or_nothing(situation: Situation, url: str) -> bool:
    """The list is in its old state or in its new one, never in between; True: it is in the new one."""
    end = look(url, situation.server)
    committed = end.last_run is not None and end.last_run != situation.before.last_run
    wanted = situation.expected if committed else situation.before
    assert _comparable(end, situation) == _comparable(wanted, situation)
    return committed


def _check_end(situation: Situation, end: End, committed: bool) -> None:
    expected = situation.expected
    assert _comparable(end, situation) == _comparable(expected, situation)
    for part in end.kept.keys() - {"links"}:
        assert end.kept[part] == expected.kept[part], part
    assert end.last_run is not None
    assert expected.last_run is not None
    # A run of changes counts what it checks, and need not check again everything that the dead run did.
    counts = ("fetched", "rejected", "duplicates", "conflicts", "dropped_values", "unchanged")
    compared = () if situation.kind == "changes" else counts
    for name in ("kind", "state", "message", *compared[:-1]):
        assert getattr(end.last_run, name) == getattr(expected.last_run, name), name
    written = {
        name: expected.last_run.counts[name] for name in ("created", "updated", "deleted", *compared[-1:])
    }
    if committed:
        there = sum(expected.last_run.counts[name] for name in ("created", "updated", "unchanged"))
        written = {name: there if name == "unchanged" else 0 for name in written}
    assert {name: end.last_run.counts[name] for name in written} == written


def _comparable(end: End, situation: Situation) -> tuple[Any, ...]:
    """The list and its links without what may differ: the numbers of contacts made since `before` (a rolled-back sync
    may have used some) and the exact times contacts were touched."""
    known = situation.before.contacts

    def plain(contact_id: int, contact: dict[str, Any]) -> dict[str, Any]:
        was = known.get(contact_id, {})
        clocks = {
            name: "as before" if contact[name] == was.get(name, "") else "now"
            for name in ("createdAt", "updatedAt")
        }
        return contact | clocks

    old = {
        contact_id: plain(contact_id, row) for contact_id, row in end.contacts.items() if contact_id in known
    }
    new = sorted(
        repr(sorted(plain(contact_id, row).items(), key=lambda item: item[0]))
        for contact_id, row in end.contacts.items()
        if contact_id not in known
    )
    links = {
        person: (contact_id if contact_id in known else "new", *rest)
        for person, (contact_id, *rest) in end.kept["links"].items()
    }
    return old, new, links
