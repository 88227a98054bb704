"""A second run of an unchanged account."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.sync import contacts
from wooxy_pipedrive_etl_tests.scenario import connected, seeded_account, small_account


@pytest.mark.parametrize("re_map", [False, True], ids=["full", "re-map"])
def test_the_second_run_touches_nothing(database_url: str, re_map: bool) -> None:
    with connected(database_url, seeded_account(60), default_region="FI") as acme:
        acme.import_all()
        first = acme.sync()
        export, dump, issues = acme.export(), acme.dump(), acme.issues()
        assert first["created"] > 30
        acme.forbid_touching()
        second = acme.sync("re-map" if re_map else "full")
        assert (second["created"], second["updated"], second["deleted"]) == (0, 0, 0)
        assert second["unchanged"] == first["created"] + first["updated"]
        assert acme.export() == export
        assert acme.dump() == dump
        assert acme.issues() == issues


def test_new_links_are_analyzed_on_postgresql(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With statistics older than the new link, PostgreSQL would join its next run row by row."""
    monkeypatch.setattr(contacts, "MANY_CREATED", 3)
    with connected(postgres_url, small_account()) as acme:
        acme.import_all()
        acme.sync()
        statistics = sa.text("SELECT n_distinct FROM pg_stats WHERE tablename = 'sync_links' LIMIT 1")
        with acme.store.engine.connect() as db:
            assert db.scalar(statistics) is not None
