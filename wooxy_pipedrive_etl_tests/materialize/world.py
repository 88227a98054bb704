"""Connections whose lists Dagster's services sync, and what must be true after whatever a user pressed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from wooxy_pipedrive_etl.connections import settings, webhooks
from wooxy_pipedrive_etl.sandbox.pipedrive import Limits
from wooxy_pipedrive_etl.store import Store, runs
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import RunReport
from wooxy_pipedrive_etl.sync.selection import PRODUCTS, Product, Selection
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account
from wooxy_pipedrive_etl_tests.web.served import serving

from .hosts import PRODUCT
from .services import PATIENCE, Services, running_services
from .ui import DagsterUI, LaunchRefused, Run

__all__ = ["PRODUCTS", "LaunchRefused", "World", "running_world"]

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "phones": "phoneNumber"}
NAMES = ("acme", "bolt", "cord")
# A large company's budget, so that polls are as frequent as they ever are.
_LIMITS = Limits(daily_tokens=1_500_000, burst_per_2s=100_000)
_edits = itertools.count(1)

# Names by e-mail address.
People = Mapping[str, str]


@dataclass
class World:
    """`location` and `prefix`: where the assets are in Dagster, and what their keys begin with."""

    store: Store
    services: Services
    ui: DagsterUI
    connections: dict[str, Connected]
    location: str
    prefix: tuple[str, ...]
    snapshots: dict[str, People] = field(default_factory=dict)

    # What happens

    def key(self, product: Product) -> tuple[str, ...]:
        return (*self.prefix, product)

    def materialize(self, partition: str | None, products: Sequence[Product], **options: Any) -> str:
        """Presses *Materialize*; returns the run's id. Raises LaunchRefused."""
        return self.ui.materialize(self.location, [self.key(each) for each in products], partition, **options)

    def edit(self, name: str) -> None:
        """Renames the first person in Pipedrive."""
        account = self.connections[name].account
        account.edit_person(account.visible_person_ids()[0], name=f"Renamed {next(_edits)}")

    @contextmanager
    def by_hand(self, name: str) -> Iterator[None]:
        """No runs of the connection start automatically until the end of the block."""
        settings.pause(self.store, name)
        try:
            self.wait_until_idle(name)
            yield
        finally:
            settings.resume(self.store, name)

    @contextmanager
    def all_by_hand(self) -> Iterator[None]:
        with ExitStack() as stack:
            for name in self.connections:
                stack.enter_context(self.by_hand(name))
            yield

    # What exists

    def people(self, name: str) -> People:
        """The persons in Pipedrive."""
        account = self.connections[name].account
        found = [
            json.loads(account.person_state(each)["person"].text) for each in account.visible_person_ids()
        ]
        return {person["emails"][0]["value"]: person["name"] for person in found}

    def contacts(self, name: str) -> People:
        """The contacts in the list."""
        return cast(dict[str, str], self.connections[name].column("name"))

    def report(self, name: str, run_id: str) -> RunReport | None:
        with reading(self.store.engine) as db:
            return runs.get_run(db, self.connections[name].record().id, run_id)

    def last_run(self, name: str) -> RunReport | None:
        """The last run, from `status --json`."""
        return self.connections[name].status().last_run

    # What must be true

    def wait_until_idle(self, name: str) -> None:
        self.services.wait_until(lambda: not self.ui.under_way(name), f"A run of {name} is still under way")

    def wait_for_partition(self, name: str) -> None:
        """Waits until the sensors have added the connection's partition."""
        self.services.wait_until(
            lambda: name in self.ui.partitions(self.key("default_contact_list")), f"{name} is no partition"
        )

    def syncs_automatically(self, name: str) -> None:
        """An edit in Pipedrive soon reaches the list without a user. Raises AssertionError with the logs."""
        self.edit(name)
        self.services.wait_until(
            lambda: self.contacts(name) == self.people(name),
            f"The edit in the account of {name} is not in the list",
        )
        self.wait_until_idle(name)
        self.snapshots[name] = self.people(name)

    def tried(self, name: str, products: Sequence[Product], **options: Any) -> tuple[Run, list[str]]:
        """Materializes these products by hand, after an edit in Pipedrive, and returns the run and what is wrong."""
        with self.by_hand(name):
            self.edit(name)
            before = self.connections[name].dump()
            run = self.ui.ended(self.materialize(name, products, **options))
            return run, self.disagreements(name, run, products, before)

    def disagreements(
        self, name: str, run: Run, products: Sequence[Product], before: Sequence[object]
    ) -> list[str]:
        """Compares Dagster, the run's report and the list after a run that should have succeeded.

        `before`: the list's rows when it began.
        """
        selection = Selection(frozenset(products))
        state = "success" if selection.writes else "dry_run" if selection.is_dry_run else "partial"
        if "pipedrive_persons" in selection:
            self.snapshots[name] = self.people(name)
        report = self.report(name, run.run_id)
        wrong = [
            _differ("Dagster's status", run.status, "SUCCESS"),
            _differ("the assets", run.materialized, {"/".join(self.key(each)) for each in products}),
            _differ("the report", report and report.state, state),
        ]
        if selection.writes:
            wrong.append(_differ("the list", self.contacts(name), self.snapshots[name]))
            last = self.last_run(name)
            found_last = last and (last.run_id, last.state)
            wrong.append(_differ("the last run in status", found_last, (run.run_id, state)))
        else:
            wrong.append(_differ("the list", self.connections[name].dump(), before))
        if "contact_plan" in selection:
            failed = [check for check, passed in run.checks.items() if not passed]
            wrong.append(_differ("failed checks", failed, []))
            if "counts_balance" not in run.checks:
                wrong.append("the checks of contact_plan are not reported")
        found = [each for each in wrong if each]
        return [*found, run.said] if found and run.said else found

    def failed_in_order(self, name: str, run: Run, words: str, before: Sequence[object]) -> list[str]:
        """What is wrong after a run that had to fail, with `words` in its sentence."""
        report = self.report(name, run.run_id)
        wrong = [
            _differ("Dagster's status", run.status, "FAILURE"),
            _differ("the list", self.connections[name].dump(), before),
            "" if words in run.said else f"Dagster does not say “{words}”: {run.said}",
        ]
        if report is not None:
            wrong.append(_differ("the report", report.state, "failed"))
            wrong.append("" if words in str(report.message) else f"the report says {report.message}")
        return [each for each in wrong if each]


@contextmanager
def running_world(
    folder: Path,
    database_url: str,
    *,
    location: str = PRODUCT,
    prefix: Sequence[str] = (),
    beside: Sequence[str] = (),
    persons: int = 30,
    names: Sequence[str] = NAMES,
    storage_url: str | None = None,
) -> Iterator[World]:
    """Connections that are imported and have synced once automatically. `beside`: other code locations of the
    workspace.

    The webhooks are registered, so that an edit arrives within seconds.
    """
    with ExitStack() as stack:
        made: dict[str, Connected] = {}
        for number, name in enumerate(names, start=1):
            account = small_account(persons)
            account.company_id = number
            made[name] = stack.enter_context(
                connected(database_url, account, name=name, domain=f"{name}.example.com", limits=_LIMITS)
            )
        store = next(iter(made.values())).store
        url = stack.enter_context(serving(store))
        for each in made.values():
            each.import_rows(ROWS)
            webhooks.register(store, each.name, url)
        environment = {"WOOXY_PIPEDRIVE_DATABASE_URL": database_url}
        services = stack.enter_context(
            running_services(folder, [location, *beside], environment, storage_url=storage_url)
        )
        ui = stack.enter_context(DagsterUI(services))
        ui.wait_for_code([location, *beside])
        world = World(store, services, ui, made, location, tuple(prefix))
        for name in made:
            services.wait_until(
                lambda name=name: world.contacts(name) == world.people(name),  # type: ignore[misc]
                f"The first run of {name} does not come",
                2 * PATIENCE,
            )
            world.wait_until_idle(name)
            world.snapshots[name] = world.people(name)
        yield world


def _differ(what: str, found: object, expected: object) -> str:
    return "" if found == expected else f"{what}: {_short(found)} instead of {_short(expected)}"


def _short(value: object) -> str:
    text = str(sorted(value) if isinstance(value, set | frozenset) else value)
    return text if len(text) < 300 else f"{text[:300]}…"
