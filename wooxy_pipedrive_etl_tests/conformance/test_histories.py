"""After any sync of any history the list is what the naive oracle says (product rules: what always holds)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .conftest import NewDatabase
from .databases import Databases
from .history import History

_EXAMPLES = {"SQLite": 10, "PostgreSQL": 3}


def test_every_sync_of_a_random_history_ends_as_the_oracle_says(
    databases: Databases, new_database: NewDatabase
) -> None:
    machine = type("OneHistory", (History,), {"new_database": staticmethod(new_database)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=_EXAMPLES[databases.name],
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
