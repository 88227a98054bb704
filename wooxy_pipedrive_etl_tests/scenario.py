"""A connected account in three lines, for tests of the whole: a sandbox served over HTTP, a database, a user's actions
on the connection, and the steps of a run without Dagster, which costs seconds a run.

    with connected(database_url, small_account()) as acme:
        acme.import_all()
        counts = acme.sync()

An autouse fixture in the conftest of the folder that uses it calls `isolate`, so that nothing reaches the user's own
folder and the client never really waits.
"""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.errors import Refused as Refused
from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED, Permissions
from wooxy_pipedrive_etl.http_api.clock import Clock, Stopped
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.matching.view import ImportReport
from wooxy_pipedrive_etl.matching_row import Row
from wooxy_pipedrive_etl.pipedrive.budget import PROCESS_BUDGETS
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, Limits, SandboxServer, seeding
from wooxy_pipedrive_etl.store import Store, tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, get_connection
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import save_matching
from wooxy_pipedrive_etl.store.runs import RunReport
from wooxy_pipedrive_etl.sync import flow
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Kind, Selection
from wooxy_pipedrive_etl.views import status
from wooxy_pipedrive_etl.views.export import write_contacts
from wooxy_pipedrive_etl.views.status import ConnectionStatus

NAME = "acme"
DOMAIN = "shop.example.com"
ANY_DELETIONS = Permissions(deletions=1_000_000)
RESERVE = Permissions(reserve=True)
_run_numbers = itertools.count(1)
_token_numbers = itertools.count(1)

# What a row of a matching feeds: a variable as String, a variable with its format, or nothing.
Target = str | tuple[str, str] | None


class FakeClock(Clock):
    """Time that passes only by waiting, and then at once."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped
        self.waits.append(seconds)
        self.time += seconds


def isolate(monkeypatch: pytest.MonkeyPatch, folder: Path) -> FakeClock:
    """Keeps the key, the default database and Dagster's storage in `folder`, and makes the client's waits instant.

    Returns the clock, which records the waits.
    """
    monkeypatch.setenv("WOOXY_PIPEDRIVE_HOME", str(folder / "home"))
    for name in (
        "WOOXY_PIPEDRIVE_KEY",
        "WOOXY_PIPEDRIVE_DATABASE_URL",
        "WOOXY_PIPEDRIVE_PREVIEW",
        "WOOXY_PIPEDRIVE_OAUTH_CLIENT_ID",
        "WOOXY_PIPEDRIVE_OAUTH_CLIENT_SECRET",
        "WOOXY_PIPEDRIVE_OAUTH_URL",
        "WOOXY_PIPEDRIVE_PUBLIC_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
    clock = FakeClock()
    monkeypatch.setattr(PROCESS_BUDGETS, "clock", clock)
    return clock


def new_token() -> str:
    """A separate token for each account: what the client learns about a credential stays in the process."""
    return f"{next(_token_numbers):040x}"


def empty_account() -> Account:
    return Account(token=new_token())


def seeded_account(persons: int = 40, seed: int = 1) -> Account:
    """The sandbox's realistic account: many scripts, all field types, awkward values."""
    return seeding.seeded_account(persons, seed, token=new_token())


def small_account(persons: int = 3) -> Account:
    """Persons `Person 1`, `Person 2`, …, each with an e-mail (`person1@example.com`), a phone (`+35840100001`) and the
    custom fields `colour` (enum: Gold, Silver), `city` and `note` (varchar), whose codes are their names."""
    account = empty_account()
    account.add_field("Colour", "enum", ["Gold", "Silver"], code="colour")
    account.add_field("City", "varchar", code="city")
    account.add_field("Note", "varchar", code="note")
    for number in range(1, persons + 1):
        add_person(account, number)
    return account


def add_person(account: Account, number: int, **values: Any) -> int:
    """Adds one more person like those of `small_account`; `values` override."""
    gold, silver = (option.id for option in account.custom_field("colour").options)
    custom = {
        "colour": gold if number % 2 else silver,
        "city": f"City {number}",
        "note": f"Note {number}" if number % 3 else None,
    } | values.pop("custom_fields", {})
    usual: dict[str, Any] = {
        "name": f"Person {number}",
        "emails": [email(f"person{number}@example.com")],
        "phones": [{"value": f"+35840{100000 + number}", "primary": True, "label": "work"}],
    }
    return account.create_person(**{**usual, **values}, custom_fields=custom)


def email(address: str) -> dict[str, Any]:
    return {"value": address, "primary": True, "label": "work"}


@dataclass
class Connected:
    """A connection and both of its ends."""

    account: Account
    server: SandboxServer
    store: Store
    name: str
    domain: str
    settings: dict[str, Any] = field(default_factory=dict)

    # What a user does

    def connect(self) -> ConnectionRecord:
        record, _ = accounts.connect(
            self.store,
            name=self.name,
            domain=self.domain,
            api_url=self.server.url,
            api_token=self.account.token,
            **self.settings,
        )
        return record

    def import_all(self) -> ImportReport:
        """Imports every Pipedrive variable as suggested."""
        view.suggest_matching(self.store, self.name)
        return view.import_matching(
            self.store, self.name, view.export_matching(self.store, self.name), allowed_renames=None
        )

    def import_rows(self, rows: Mapping[str, Target], *, ignore_empty: bool = True) -> ImportReport:
        """Imports a matching that feeds what `rows` says, by key, and nothing else."""
        content = {
            "ignore_empty_values": ignore_empty,
            "variables": [
                {
                    "pipedrive": key,
                    "wooxy": target[0] if isinstance(target, tuple) else target,
                    "format": target[1] if isinstance(target, tuple) else "String",
                }
                for key, target in rows.items()
            ],
        }
        text = yaml.safe_dump(content, sort_keys=False)
        return view.import_matching(self.store, self.name, text, allowed_renames=None)

    def draft_rows(self, rows: Mapping[str, Target], *, ignore_empty: bool = True) -> None:
        """Saves a draft that feeds what `rows` says, valid or not, and nothing else."""
        matched = [
            Row(key, key, *(target if isinstance(target, tuple) else (target, "String")), None)
            for key, target in rows.items()
        ]
        record = self.record()
        with self.store.engine.begin() as db:
            save_matching(
                db,
                record.id,
                ignore_empty_values=ignore_empty,
                rows=matched,
                confirmed=False,
            )

    def sync(
        self,
        kind: Kind = "full",
        *,
        dry_run: bool = False,
        allowed: Permissions = NOTHING_ALLOWED,
        draft: bool = False,
        automatic: bool = False,
    ) -> dict[str, int]:
        """A run without Dagster; returns the counts. Raises what a run raises, and Refused if a check stops it."""
        counts: dict[str, int] = {}
        with begin(
            self.store,
            self.name,
            f"run-{next(_run_numbers)}",
            Selection.of(kind, dry_run=dry_run),
            allowed=allowed,
            draft=draft,
            automatic=automatic,
        ) as run:
            for done in flow.sync(run):
                if done.product == "contact_plan":
                    counts = done.report.counts
                elif done.product == "default_contact_list":
                    counts = done.report
        return counts

    def remap(self, *, dry_run: bool = False) -> dict[str, int]:
        return self.sync("re-map", dry_run=dry_run)

    # What a user sees

    def contacts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.export())
        return found

    def contact(self, **values: Any) -> dict[str, Any]:
        """The one contact with these values."""
        found = [each for each in self.contacts() if all(each[key] == values[key] for key in values)]
        assert len(found) == 1, f"{len(found)} contacts have {values}"
        return found[0]

    def column(self, name: str) -> dict[str | None, Any]:
        """A column of the list, keyed by the contacts' e-mail addresses."""
        return {contact["email"]: contact[name] for contact in self.contacts()}

    def export(self, format: str = "json") -> str:
        """The output of `wooxy-pipedrive contacts`."""
        text = io.StringIO()
        write_contacts(self.store, self.name, format, text)
        return text.getvalue()

    def issues(self) -> list[dict[str, Any]]:
        return status.standing_issues(self.store, self.name)

    def status(self) -> ConnectionStatus:
        (found,) = status.statuses(self.store, self.name)
        return found

    def last_run(self) -> RunReport:
        """The last run meant to write the list; there must be one."""
        last = self.status().last_run
        assert last is not None
        return last

    def newest_run(self) -> RunReport:
        """The run that began last, of any kind; there must be one."""
        newest = self.status().newest_run
        assert newest is not None
        return newest

    # What is in the database and on the wire

    def record(self) -> ConnectionRecord:
        with reading(self.store.engine) as db:
            return get_connection(db, self.name)

    def list_table(self) -> str:
        """The list's table, quoted for SQL."""
        with reading(self.store.engine) as db:
            contact_list = ContactList.of_domain(db, self.domain)
            table = contact_list.table({"contact_id": "integer"})
            return db.dialect.identifier_preparer.format_table(table)

    def dump(self) -> list[tuple[Any, ...]]:
        """Every row and column of the list's table, as the database has it."""
        with reading(self.store.engine) as db:
            rows = db.exec_driver_sql(f"SELECT * FROM {self.list_table()} ORDER BY contact_id")  # noqa: S608
            return [tuple(row) for row in rows]

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """The rows of the connection, or of its domain, in a table of the state."""
        record = self.record()
        with reading(self.store.engine) as db:
            of_domain = "domain_id" in table.c
            mine = table.c.domain_id == record.domain_id if of_domain else table.c.connection_id == record.id
            wanted = sa.select(table).where(mine)
            return [dict(row) for row in db.execute(wanted).mappings()]

    def snapshot_ids(self) -> list[int]:
        return sorted(row["person_id"] for row in self.rows(tables.snapshot))

    def execute(self, sql: str) -> None:
        """Changes the database from outside; `{list}` stands for the list's table."""
        sql = sql.replace("{list}", self.list_table())
        with self.store.engine.begin() as db:
            db.exec_driver_sql(sql)

    def forbid_touching(self) -> None:
        """From now on, touching any row of the list is an error."""
        if self.store.engine.dialect.name == "postgresql":
            self.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'touched'; END $$"
            )
            self.execute(
                "CREATE TRIGGER untouched BEFORE INSERT OR UPDATE OR DELETE ON {list} "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        else:
            for act in ("INSERT", "UPDATE", "DELETE"):
                self.execute(
                    f"CREATE TRIGGER untouched_{act} BEFORE {act} ON {{list}} "
                    "BEGIN SELECT RAISE(ABORT, 'touched'); END"
                )

    def requests(self, prefix: str = "/") -> list[str]:
        """Paths of the calls since the last `clear_requests` that start with `prefix`."""
        return [each.path for each in self.server.requests if each.path.startswith(prefix)]


@contextmanager
def connected(
    database_url: str,
    account: Account,
    *,
    name: str = NAME,
    domain: str = DOMAIN,
    behaviours: Behaviours | None = None,
    limits: Limits | None = None,
    **settings: Any,
) -> Iterator[Connected]:
    """Serves the account and connects it without importing a matching. `settings`: those of `connect`."""
    store = Store.open(database_url)
    limits = limits or Limits(burst_per_2s=100_000)
    try:
        with SandboxServer(account, behaviours=behaviours, limits=limits) as server:
            connection = Connected(account, server, store, name, domain, settings)
            connection.connect()
            yield connection
    finally:
        store.close()


@contextmanager
def refused_deletions(database_url: str, **settings: Any) -> Iterator[Connected]:
    """A connection whose account hid 30 of 40 persons after the first run, so that the second was refused."""
    with connected(database_url, small_account(40), **settings) as acme:
        acme.import_rows({"emails": "email", "phones": "phoneNumber", "name": "name"})
        acme.sync()
        for person_id in range(1, 31):
            acme.account.hide_person(person_id)
        with pytest.raises(Refused):
            acme.sync()
        yield acme


@contextmanager
def closing_databases() -> Iterator[None]:
    """Closes the databases opened meanwhile, as the end of a process does."""
    opened: list[sa.Connection] = []
    note = opened.append
    sa.event.listen(sa.Engine, "engine_connect", note)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "engine_connect", note)
        for db in opened:
            db.engine.dispose()


def everything(store: Store) -> str:
    """All rows of all tables of the database, the lists included, as text."""
    engine = store.engine
    quote = engine.dialect.identifier_preparer.quote_identifier
    inspector = sa.inspect(engine)
    rows = []
    with engine.connect() as db:
        for schema in set(inspector.get_schema_names()) - {"information_schema"}:
            for table in inspector.get_table_names(schema):
                query = f"SELECT * FROM {quote(schema)}.{quote(table)}"  # noqa: S608
                rows += [f"{table} {tuple(row)}" for row in db.exec_driver_sql(query)]
    return "\n".join(rows)
