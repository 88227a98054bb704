"""Measures what the sensors' polls cost on a day without changes: python -m benchmarks.idle_day [--tokens 30000]

A day of ticks takes seconds, because the clock jumps from one to the next. Each poll is a real one, over HTTP, of a
sandbox that counts the tokens.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from wooxy_pipedrive_etl.sandbox.pipedrive import Behaviours, Limits
from wooxy_pipedrive_etl_tests.idle_day import spend_a_day
from wooxy_pipedrive_etl_tests.scenario import add_person, connected, small_account


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tokens", type=int, default=30_000, help="the day's limit; the smallest plan has 30,000"
    )
    parser.add_argument("--persons", type=int, default=300)
    chosen = parser.parse_args()
    limits = Limits(daily_tokens=chosen.tokens, burst_per_2s=1_000_000)
    for dateless in (False, True):
        with tempfile.TemporaryDirectory(prefix="idle-day-") as folder:
            os.environ["WOOXY_PIPEDRIVE_HOME"] = folder
            behaviours = Behaviours(update_time_on_create="null" if dateless else "add_time")
            account = small_account(chosen.persons)
            if dateless:
                account.behaviours = behaviours
                add_person(account, chosen.persons + 1)
            database = f"sqlite:///{Path(folder) / 'list.db'}"
            with connected(database, account, behaviours=behaviours, limits=limits) as acme:
                acme.import_all()
                acme.sync()
                spent = spend_a_day(acme)
        share = 100 * spent["tokens"] / chosen.tokens
        print(
            f"{'some persons without' if dateless else 'all persons with'} an update_time: "
            f"{spent['polls_of_persons']} polls of persons, {spent['polls_of_fields']} of fields, "
            f"{spent['requests']} requests, {spent['tokens']} of {chosen.tokens} tokens ({share:.1f} %)"
        )


if __name__ == "__main__":
    main()
