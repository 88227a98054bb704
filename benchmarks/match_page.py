"""Times the Match variables page over HTTP: python -m benchmarks.match_page [--fields 300] [--persons 500]
[--database sqlite|postgresql] [--rounds 9]

The account has so many custom fields of all types, everything is matched. Told are medians in milliseconds, by the
clock and of this process's CPU, which on a busy machine says more: of the first look, which has to look at the persons,
of the next ones, and of the check of one row.
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
from wooxy_pipedrive_etl.sandbox import Account
from wooxy_pipedrive_etl.sync import matching
from wooxy_pipedrive_etl.web.passwords import PASSWORD_VARIABLE
from wooxy_pipedrive_etl_tests.scenario import Connected, connected
from wooxy_pipedrive_etl_tests.web.served import serving
from wooxy_pipedrive_etl_tests.web.visitor import PASSWORD, visiting

PATH = "/integrations/acme/match"
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
        os.environ[PASSWORD_VARIABLE] = PASSWORD
        account = Account.large(chosen.persons, chosen.fields, token=TOKEN)
        with database(chosen.database, Path(folder)) as (url, _), connected(url, account) as acme:
            matching.suggest_matching(acme.store, acme.name)
            # The sandbox shares the process, and its objects are none that the page's server would have.
            gc.freeze()
            _time_pages(acme, chosen.rounds)


def _time_pages(acme: Connected, rounds: int) -> None:
    first, next_, check = [], [], []
    for _ in range(rounds):
        with serving(acme.store) as url, visiting(url) as visitor:
            visitor.sign_in()
            first.append(_timed(lambda: visitor.get(PATH)))
            next_.append(_timed(lambda: visitor.get(PATH)))
            check.append(_timed(lambda: visitor.post(f"{PATH}/check", TYPED)))
    print(f"{len(matching.show_matching(acme.store, acme.name)[0])} variables")
    for name, taken in (("first look", first), ("next look", next_), ("check", check)):
        clock, cpu = (1000 * statistics.median(each) for each in zip(*taken, strict=True))
        print(f"{name:<12} {clock:5.0f} ms, CPU {cpu:5.0f} ms")


def _timed(act: Callable[[], httpx.Response]) -> tuple[float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    assert act().status_code == 200
    return time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    main()
