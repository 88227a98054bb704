"""Times the Match variables page, Contacts and Issues over HTTP: python -m benchmarks.match_page [--fields 300]
[--persons 500] [--database sqlite|postgresql] [--rounds 9]

The account has this many custom fields of all types; everything is matched, imported and synced. Prints medians in
milliseconds, by the clock and of this process's CPU, which is more reliable on a busy machine: for the first view of
Match variables, which has to examine the persons, for later views, and for checking one row.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.servers import TOKEN, database
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.sandbox.pipedrive import large_account
from wooxy_pipedrive_etl.settings import ADMIN_PASSWORD_VARIABLE
from wooxy_pipedrive_etl_tests.scenario import Connected, connected
from wooxy_pipedrive_etl_tests.web.served import serving
from wooxy_pipedrive_etl_tests.web.visitor import PASSWORD, visiting

ROOT = "/integrations/acme"
PATH = f"{ROOT}/match"
TYPED = {"choice:name": "new", "wooxy:name": "fullName"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=300)
    parser.add_argument("--persons", type=int, default=500)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="match-page-") as folder:
        os.environ["WOOXY_PIPEDRIVE_HOME"] = folder
        os.environ[ADMIN_PASSWORD_VARIABLE] = PASSWORD
        account = large_account(chosen.persons, chosen.fields, token=TOKEN)
        with database(chosen.database, Path(folder)) as (url, _), connected(url, account) as acme:
            acme.import_all()
            acme.sync()
            # The sandbox shares this process, but a real server would not have its objects.
            gc.freeze()
            _time_pages(acme, chosen.rounds)


def _time_pages(acme: Connected, rounds: int) -> None:
    taken: dict[str, list[tuple[float, float]]] = {}

    def time_(name: str, act: Callable[[], httpx.Response]) -> None:
        taken.setdefault(name, []).append(_timed(act))

    for _ in range(rounds):
        with serving(acme.store) as url, visiting(url) as visitor:
            visitor.sign_in()
            time_("first look", lambda: visitor.get(PATH))
            time_("next look", lambda: visitor.get(PATH))
            time_("check", lambda: visitor.post(f"{PATH}/check", TYPED))
            time_("contacts", lambda: visitor.get(f"{ROOT}/contacts"))
            time_("issues", lambda: visitor.get(f"{ROOT}/issues"))
    print(f"{len(view.show_matching(acme.store, acme.name)[0])} variables")
    for name, times in taken.items():
        clock, cpu = (1000 * statistics.median(each) for each in zip(*times, strict=True))
        print(f"{name:<12} {clock:5.0f} ms, CPU {cpu:5.0f} ms")


def _timed(act: Callable[[], httpx.Response]) -> tuple[float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    assert act().status_code == 200
    return time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    main()
