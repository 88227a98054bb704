"""The status of a connection as JSON: programs rely on its keys, whatever the fields are called internally."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wooxy_pipedrive_etl.connections.run_requests import request_run
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.scenario import Connected, Refused, connected, refused_deletions, small_account

BEGUN = ["run_id", "kind", "started_at"]
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def _json(acme: Connected) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(json.dumps(acme.status().to_json()))
    return shown


def test_the_json_keys_are_unchanged(sqlite_url: str) -> None:
    with refused_deletions(sqlite_url) as acme:
        acme.account.add_field("Size", "varchar")
        acme.account.delete_field("city")
        with pytest.raises(Refused):
            acme.sync()
        request_run(acme.store, acme.name, "full", dry_run=True)
        shown = _json(acme)
        failed = acme.last_run()
    assert list(shown) == [
        *("name", "domain", "list_table", "state", "paused", "api_url", "access", "scopes", "access_lost"),
        *("new_numbers_opted_out", "watermark", "matching_applied", "contacts", "daily_token_limit"),
        *("daily_tokens_left", "budget", "webhook", "hints_waiting", "last_run", "newest_run"),
        *("last_good_run_at", "failing_since", "not_written", "running", "requested_run", "next_full_run"),
        *("schema_changes", "fields_waiting", "red_rows"),
    ]
    assert list(shown["budget"]) == ["limit", "left", "noted_at", "reserve", "next_run_estimates"]
    assert list(shown["webhook"]) == ["url", "registered"]
    assert list(shown["last_run"]) == [
        *("run_id", "kind", "state", "started_at", "finished_at", "message", "guard", "failure"),
        *("fetched", "created", "updated", "unchanged", "deleted", "rejected", "duplicates", "conflicts"),
        *("dropped_values", "tokens_used", "requests", "estimated_tokens", "tokens_left"),
    ]
    assert shown["last_run"]["guard"] == "mass_delete"
    assert shown["last_run"]["started_at"] == failed.started_at.strftime(MOMENT)
    assert list(shown["newest_run"]) == [*BEGUN, "state", "selected", "finished_at", "message"]
    assert shown["newest_run"]["state"] == "failed"
    assert list(shown["requested_run"]) == ["kind", "dry_run", "requested_at"]
    assert [list(change) for change in shown["schema_changes"]] == [
        ["recorded_at", "kind", "field_code", "message"]
    ] * 2
    assert [list(field) for field in shown["fields_waiting"]] == [["pipedrive", "label"]]


def test_the_current_run_is_shown(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_all()
        assert _json(acme)["running"] is None
        with begin(acme.store, acme.name, "run-x"):
            shown = _json(acme)
        assert list(shown["running"]) == BEGUN
        assert (shown["running"]["run_id"], shown["last_run"]) == ("run-x", None)
