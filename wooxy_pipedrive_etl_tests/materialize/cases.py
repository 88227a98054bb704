"""What a user can press in Dagster's UI, one function a case. Each acts in a world and returns the result and what is
wrong with it; the tests use some of the cases, `benchmarks.materialize` all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.failures import STOPPED
from wooxy_pipedrive_etl.orchestration.options import STEP
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.store import connections
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync.selection import PRODUCTS, Product

from .ui import LaunchRefused, Run
from .world import World

LIST: Product = "default_contact_list"
_PERSONS = "/api/v2/persons"
# A terminated run waits for the answer in flight.
_LATE = 5.0
# For 50 runs, four at a time.
_LONG = 900.0


@dataclass
class Outcome:
    """`came_out`: the result in a few words. `wrong`: every disagreement."""

    came_out: str
    wrong: list[str] = field(default_factory=list)


def selected(world: World, name: str, products: Sequence[Product]) -> Outcome:
    """*Materialize* on these assets of one connection."""
    run, wrong = world.tried(name, products)
    return Outcome(f"{run.status}, {_state(world, name, run)}", wrong)


def reexecuted(world: World, name: str) -> Outcome:
    """A successful run, re-executed after an edit."""
    with world.by_hand(name):
        first = world.ui.ended(world.materialize(name, PRODUCTS))
        world.edit(name)
        run = world.ui.ended(world.ui.reexecute(first.run_id, "ALL_STEPS"))
        return Outcome(run.status, world.disagreements(name, run, PRODUCTS, []))


def reexecuted_from_failure(world: World, name: str) -> Outcome:
    """A run that Pipedrive refused once."""
    with world.by_hand(name):
        world.edit(name)
        before = world.connections[name].dump()
        world.connections[name].server.faults.add(Fault("payment_402", _PERSONS))
        failed = world.ui.ended(world.materialize(name, PRODUCTS))
        wrong = world.failed_in_order(name, failed, "Company account is not open", before)
        run = world.ui.ended(world.ui.reexecute(failed.run_id, "FROM_FAILURE"))
        return Outcome(f"{failed.status}, then {run.status}", wrong + _again(world, name, run))


def refused_and_reexecuted(world: World, name: str) -> Outcome:
    """A run that would have deleted too many persons; they come back, and it is re-executed from its failure."""
    account = world.connections[name].account
    many = account.visible_person_ids()[5:]
    with world.by_hand(name):
        before = world.connections[name].dump()
        for person in many:
            account.delete_person(person)
        failed = world.ui.ended(world.materialize(name, PRODUCTS))
        wrong = world.failed_in_order(name, failed, "would be deleted", before)
        if failed.checks.get("no_mass_deletion") is not False:
            wrong.append(f"the check on mass deletions does not fail: {failed.checks}")
        for person in many:
            account.restore_person(person)
        run = world.ui.ended(world.ui.reexecute(failed.run_id, "FROM_FAILURE"))
        return Outcome(f"{failed.status}, then {run.status}", wrong + _again(world, name, run))


def followed_without_a_webhook(world: World, name: str) -> Outcome:
    """An edit whose webhook call is lost; polls find it."""
    world.connections[name].server.webhooks.lose(1)
    began = time.monotonic()
    world.syncs_automatically(name)
    return Outcome(f"in the list within {time.monotonic() - began:.0f} s")


def terminated(world: World, name: str) -> Outcome:
    """*Terminate* while Pipedrive is slow to answer."""
    with world.by_hand(name), _slow(world, name) as is_asked:
        world.edit(name)
        before = world.connections[name].dump()
        run_id = world.materialize(name, PRODUCTS)
        world.services.wait_until(is_asked, "The run does not ask for persons")
        world.ui.terminate(run_id)
        asked = time.monotonic()
        run = world.ui.ended(run_id)
        took = time.monotonic() - asked
        report = world.report(name, run_id)
        wrong = [
            f"{what}: {found} instead of {expected}"
            for what, found, expected in (
                ("Dagster's status", run.status, "CANCELED"),
                ("the report", report and report.state, "failed"),
                ("its message", report and report.message, STOPPED),
                ("the list changed", world.connections[name].dump() != before, False),
            )
            if found != expected
        ]
        return Outcome(f"{run.status} within {took:.0f} s, {report and report.state}", wrong)


def backfilled(world: World) -> Outcome:
    """All assets of all connections."""
    with world.all_by_hand():
        for name in world.connections:
            world.edit(name)
        backfill_id = world.ui.backfill([world.key(each) for each in PRODUCTS], list(world.connections))
        backfill = world.ui.backfill_ended(backfill_id)
        wrong = [] if backfill.status == "COMPLETED_SUCCESS" else [f"{backfill.status}: {backfill.error}"]
        if backfill.runs.keys() != world.connections.keys():
            wrong.append(f"runs for {sorted(backfill.runs)}")
        for name in world.connections.keys() & backfill.run_ids.keys():
            run = world.ui.ended(backfill.run_ids[name])
            wrong += world.disagreements(name, run, PRODUCTS, [])
        if backfill.count != len(world.connections):
            wrong.append(f"{backfill.count} runs")
        return Outcome(f"{backfill.status}, {backfill.count} runs", wrong)


def backfilled_twice_at_once(world: World, name: str) -> Outcome:
    """Two backfills of one connection: one run after the other."""
    with world.by_hand(name):
        world.edit(name)
        keys = [world.key(each) for each in PRODUCTS]
        started = [world.ui.backfill(keys, [name]) for _ in range(2)]
        ended = [world.ui.backfill_ended(each) for each in started]
        wrong = [f"{each.status}: {each.error}" for each in ended if each.status != "COMPLETED_SUCCESS"]
        last = world.last_run(name)
        for each in ended:
            run = world.ui.ended(each.run_ids[name])
            found = world.disagreements(name, run, PRODUCTS, [])
            # Of the two runs, status shows the later one.
            wrong += [
                one
                for one in found
                if (last and run.run_id == last.run_id) or "last run in status" not in one
            ]
        return Outcome(", ".join(each.status for each in ended), wrong)


def with_a_downstream_asset(world: World, name: str, location: str) -> Outcome:
    """The list, then an asset in another code location that depends on it."""
    run, wrong = world.tried(name, [LIST])
    after = world.ui.ended(world.ui.materialize(location, [["audience"]], name))
    if after.numbers.get("audience") != {"people": len(world.contacts(name))}:
        wrong.append(f"the downstream asset: {after.status}, {after.numbers}, {after.said}")
    return Outcome(f"{run.status}, downstream {after.status}", wrong)


def backfilled_with_a_downstream_asset(world: World) -> Outcome:
    """Both in one backfill, though they are in two code locations: the list comes first."""
    with world.all_by_hand():
        backfill_id = world.ui.backfill([world.key(LIST), ["audience"]], list(world.connections))
        backfill = world.ui.backfill_ended(backfill_id)
        wrong = [] if backfill.status == "COMPLETED_SUCCESS" else [f"{backfill.status}: {backfill.error}"]
        if backfill.count != 2 * len(world.connections):
            wrong.append(f"{backfill.count} runs")
        return Outcome(f"{backfill.status}, {backfill.count} runs", wrong)


def of_two_locations(world: World, name: str) -> Outcome:
    """One run for assets of two code locations, which Dagster refuses."""
    return _refused(
        world, name, lambda: world.ui.materialize(world.location, [world.key(LIST), ["audience"]], name)
    )


def configured(world: World, name: str, config: Mapping[str, Any], words: str) -> Outcome:
    """Invalid Launchpad configuration, refused at once or by the run; `words` are in the sentence."""
    run_config = {"ops": {STEP: {"config": dict(config)}}}
    with world.by_hand(name):
        return _refused(world, name, lambda: world.materialize(name, PRODUCTS, run_config=run_config), words)


def for_an_unknown_partition(world: World) -> Outcome:
    """A connection that does not exist."""
    return _fails(world, "nobody", "nobody")


def for_a_draft(world: World) -> Outcome:
    """A connection whose matching was never imported."""
    _connect(world, "draft")
    return _fails(world, "draft", "import")


def for_a_disconnected_one(world: World) -> Outcome:
    _connect(world, "parted")
    accounts.disconnect(world.store, "parted", forget=False)
    return _fails(world, "parted", "disconnected")


def for_a_forgotten_one(world: World) -> Outcome:
    """A connection that is deleted before its run starts."""
    _connect(world, "gone")
    world.wait_for_partition("gone")
    accounts.disconnect(world.store, "gone", forget=True)
    return _fails(world, "gone", "gone")


def without_a_partition(world: World) -> Outcome:
    """All assets with no connection chosen."""
    return _fails(world, None, "connection")


def for_a_range(world: World) -> Outcome:
    """All connections in one run, as Dagster offers for other assets."""
    names = sorted(world.connections)
    tags = {
        "dagster/asset_partition_range_start": names[0],
        "dagster/asset_partition_range_end": names[-1],
    }
    return _fails(world, None, "one connection", tags=tags)


def backfilled_while_many_go(world: World, drafts: int = 47, forgotten: int = 20) -> Outcome:
    """A backfill over the connections and several drafts, some of which are deleted after it is launched.

    Dagster fails such a backfill and names every missing partition. Runs that have started end normally, each with its
    sentence, and another backfill of the rest is possible at once.
    """
    names = [f"draft-{number:02}" for number in range(drafts)]
    for name in names:
        _connect(world, name)
    for name in names:
        world.wait_for_partition(name)
    gone, left = names[-forgotten:], names[:-forgotten]
    with world.all_by_hand():
        for name in world.connections:
            world.edit(name)
        keys = [world.key(each) for each in PRODUCTS]
        backfill_id = world.ui.backfill(keys, [*world.connections, *names])
        for name in gone:
            accounts.disconnect(world.store, name, forget=True)
        backfill = world.ui.backfill_ended(backfill_id, _LONG)
        wrong = []
        if backfill.status == "FAILED":
            unnamed = [name for name in gone if name not in str(backfill.error)]
            wrong += [f"the backfill gave up and did not name {name}" for name in unnamed]
        elif backfill.runs.keys() != {*world.connections, *names}:
            wrong.append(f"{backfill.status}, and runs for {sorted(backfill.runs)} only")
        for name, run_id in backfill.run_ids.items():
            run = world.ui.ended(run_id)
            if name in world.connections:
                wrong += world.disagreements(name, run, PRODUCTS, [])
            elif (run.status, backfill.status) == ("CANCELED", "FAILED") and "cancel" in run.said:
                # Dagster cancels what a failed backfill had launched, and says so.
                continue
            elif run.status == "SUCCESS" or name not in run.said:
                wrong.append(f"{name}: {run.status}, {run.said}")
    again = backfilled(world)
    for name in left:
        accounts.disconnect(world.store, name, forget=True)
    came_out = f"{backfill.status}, {backfill.count} runs; again {again.came_out}"
    return Outcome(came_out, wrong + again.wrong)


def _again(world: World, name: str, run: Run) -> list[str]:
    """What is wrong with a run re-executed from a failure, which must make everything once more."""
    return world.disagreements(name, run, PRODUCTS, [])


def _refused(world: World, name: str, launch: Callable[[], str], words: str = "") -> Outcome:
    """Dagster does not launch it, or the run refuses it; the list is unchanged."""
    before = world.connections[name].dump()
    try:
        run = world.ui.ended(launch())
    except LaunchRefused as refusal:
        said = str(refusal)
        wrong = [] if words in said else [f"the refusal does not say “{words}”: {said}"]
        return Outcome("refused before launch", wrong)
    return Outcome(f"{run.status}: {_first_line(run.said)}", world.failed_in_order(name, run, words, before))


def _fails(world: World, partition: str | None, words: str, tags: Mapping[str, str] | None = None) -> Outcome:
    """Ends in a sentence with `words`, from Dagster or from us, and leaves every list unchanged."""
    with world.all_by_hand():
        before = {name: each.dump() for name, each in world.connections.items()}
        try:
            run = world.ui.ended(world.materialize(partition, PRODUCTS, tags=tags))
        except LaunchRefused as refusal:
            status, said = "refused before launch", str(refusal)
        else:
            status, said = run.status, run.said
        wrong = [] if status != "SUCCESS" else ["it succeeded"]
        if words not in said or "report this as a defect" in said:
            wrong.append(f"the sentence does not say “{words}”: {said}")
        wrong += [
            f"the list of {name} changed" for name in before if before[name] != world.connections[name].dump()
        ]
        return Outcome(f"{status}: {_first_line(said)}", wrong)


def _connect(world: World, name: str) -> None:
    """Adds a connection to the first account, without an Import."""
    with reading(world.store.engine) as db:
        if name in {each.name for each in connections.list_connections(db)}:
            return
    first = next(iter(world.connections.values()))
    accounts.connect(
        world.store,
        name=name,
        domain=f"{name}.example.com",
        api_url=first.server.url,
        api_token=first.account.token,
    )


@contextmanager
def _slow(world: World, name: str) -> Iterator[Callable[[], bool]]:
    """Makes Pipedrive answer requests for persons late and with errors; gives a function that tells whether it was
    asked."""
    faults = world.connections[name].server.faults
    faults.add(Fault("timeout", _PERSONS, seconds=_LATE))
    faults.add(Fault("timeout", _PERSONS, seconds=_LATE, times=None))
    try:
        yield lambda: len(faults.pending()) == 1
    finally:
        faults.clear()


def _state(world: World, name: str, run: Run) -> str:
    report = world.report(name, run.run_id)
    return "no report" if report is None else report.state


def _first_line(text: str) -> str:
    """The sentence without Dagster's text around it."""
    lines = [line for line in text.splitlines() if line.strip()]
    best = next((line for line in lines if "Failure:" in line or "Error" in line), lines[0] if lines else "")
    return best[:160]
