"""Measures how long changes in Pipedrive take to reach the list automatically, in a running demo:

wooxy-pipedrive demo                                          in one terminal
python -m benchmarks.demo_times --sandbox http://127.0.0.1:PORT    in another, with the sandbox's address

It makes each change through the sandbox's controls, then checks the list ten times a second. For the run that follows,
it prints when the webhook's pending change was in the inbox, when Dagster created the run, when its process began and
when it ended.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any

import dagster as dg
import httpx

from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.orchestration.dagster_home import prepare_dagster_home
from wooxy_pipedrive_etl.store import Store, connections, inbox, runs
from wooxy_pipedrive_etl.store.database import reading

NAME = "demo"
PATIENCE_SECONDS = 400.0
Check = Callable[[list[dict[str, Any]]], bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandbox", required=True, help="the root of the sandbox, http://127.0.0.1:PORT")
    chosen = parser.parse_args()
    store = Store.open()
    prepare_dagster_home()
    with dg.DagsterInstance.get() as instance, httpx.Client(base_url=chosen.sandbox, timeout=30) as sandbox:
        for what, act, check in _acts(sandbox):
            print(f"{what:<28} {_until(store, instance, act, check)}", flush=True)
    store.close()


def _acts(sandbox: httpx.Client) -> list[tuple[str, Callable[[], object], Check]]:
    def do(method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = sandbox.request(method, f"/sandbox{path}", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def has(name: str) -> Check:
        return lambda rows: any(row["name"] == name for row in rows)

    made = {
        who: do("POST", "/persons", name=who, emails=[{"value": f"{who}@demo.example", "primary": True}])[
            "id"
        ]
        for who in ("edited", "deleted", "winner", "loser")
    }
    state = sandbox.get("/sandbox/state").json()
    field = next(each for each in state["fields"] if each["field_type"] == "enum")
    option_id, label = next(iter(field["options"].items()))
    renamed = f"{label} renamed {int(time.time())}"
    return [
        ("create (four persons)", lambda: None, has("loser")),
        ("edit", lambda: do("PATCH", f"/persons/{made['edited']}", name="Edited Now"), has("Edited Now")),
        (
            "delete",
            lambda: do("DELETE", f"/persons/{made['deleted']}"),
            lambda rows: not has("deleted")(rows),
        ),
        (
            "merge",
            lambda: do("POST", f"/persons/{made['winner']}/merge", loser_id=made["loser"]),
            lambda rows: not has("loser")(rows) and has("winner")(rows),
        ),
        (
            "rename an option",
            lambda: do("PATCH", f"/fields/{field['code']}/options/{option_id}", label=renamed),
            lambda rows: any(renamed in row.values() for row in rows),
        ),
    ]


def _until(store: Store, instance: dg.DagsterInstance, act: Callable[[], object], check: Check) -> str:
    begun = time.time()
    act()
    hinted: float | None = None
    while time.time() - begun < PATIENCE_SECONDS:
        if hinted is None and inbox.count_hints(store.inbox, _record(store).id):
            hinted = time.time() - begun
        if check(_contacts(store)):
            seen = time.time() - begun
            return f"{seen:6.1f} s in the list; {_made_of(store, instance, begun, hinted)}"
        time.sleep(0.1)
    return f"not within {PATIENCE_SECONDS:.0f} s"


def _made_of(store: Store, instance: dg.DagsterInstance, begun: float, hinted: float | None) -> str:
    with reading(store.engine) as db:
        run_id = runs.newest_run_id(db, _record(store).id)
        report = runs.get_run(db, _record(store).id, run_id or "")
    if run_id is None or report is None:
        return ""
    (found,) = instance.get_run_records(filters=dg.RunsFilter(run_ids=[run_id]))
    steps = [("hint", hinted), ("run made", found.create_timestamp.timestamp() - begun)]
    for name, moment in (("run began", report.started_at), ("run ended", report.finished_at)):
        if moment is not None:
            steps.append((name, moment.replace(tzinfo=UTC).timestamp() - begun))
    shown = ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps if seconds is not None)
    return f"{report.kind}: {shown}"


def _record(store: Store) -> connections.ConnectionRecord:
    with reading(store.engine) as db:
        return connections.get_connection(db, NAME)


def _contacts(store: Store) -> list[dict[str, Any]]:
    with reading(store.engine) as db:
        return list(ContactList.of_domain(db, _record(store).domain).read(db))


if __name__ == "__main__":
    main()
