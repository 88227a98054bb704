"""`docs/plan.sql` shows the statements of a plan as PostgreSQL gets them.

After a change, run `pytest wooxy_pipedrive_etl_tests/contact_list/test_plan_sql.py --write-plan-sql` to write it again.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList, ListSettings, begin_stage, make_plan
from wooxy_pipedrive_etl.contact_list.plan import STEPS
from wooxy_pipedrive_etl.contact_list.work import tables_of

from .readable_sql import readable

PLAN_SQL = Path(__file__).parents[2] / "docs" / "plan.sql"
_HEAD = """\
-- The statements of a plan (contact_list/plan.py) where `email` and `phoneNumber` are filled from Pipedrive, as
-- PostgreSQL gets them. SQLite gets the same in its own dialect. What Python adds to `resolved` is not shown.
--
-- Table names are shortened: `listed` is the list, `links` is sync_links, `matches` is sync_identifier_matches_1, and
-- `stage`, `resolved`, `plan` and `orphaned` are sync_stage_1 and so on, for the connection with the id 1.
--
-- Written by test_plan_sql.py.

"""
_SHORT = {
    r"acme_example_com\.default_contact_list": "listed",
    r"\bsync_identifier_matches_1\b": "matches",
    r"\bsync_(\w+)_1\b": r"\1",
    r"\bsync_links\b": "links",
    r'"([a-z_]+)"': r"\1",
    # A column keeps its name.
    r"\b(\w+)\.(\w+) AS \2\b": r"\1.\2",
}


def test_the_statements_of_a_plan(postgres_engine: sa.Engine, pytestconfig: pytest.Config) -> None:
    written = _plan_sql(postgres_engine)
    if pytestconfig.getoption("write_plan_sql"):
        PLAN_SQL.write_text(written, encoding="utf-8")
    assert PLAN_SQL.read_text(encoding="utf-8") == written


def _plan_sql(engine: sa.Engine) -> str:
    """Rolls back the list that it plans for."""
    connection_id, settings = 1, ListSettings()
    with engine.connect() as db:
        view = ContactList.of_domain(db, "acme.example.com").view(db)
        begin_stage(db, view, connection_id, ["email", "phoneNumber"])
        make_plan(db, view, connection_id, settings)
        t = tables_of(db, view, connection_id, settings)
        parts = [_HEAD]

        def write(db: sa.Connection, statement: sa.ClauseElement, *_: Any) -> None:
            compiled = statement.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
            sql = str(compiled)
            for name, short in _SHORT.items():
                sql = re.sub(name, short, sql)
            parts.append(f"{readable(sql)};\n\n")

        sa.event.listen(db, "before_execute", write)
        for step in STEPS:
            about = " ".join((inspect.getdoc(step) or "").split())
            parts.append(f"-- {step.__name__}: {about}\n")
            step(db, t)
        return "".join(parts).rstrip() + "\n"
