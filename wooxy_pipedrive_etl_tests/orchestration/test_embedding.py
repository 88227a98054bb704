"""A project that embeds the assets: the one shown in docs/dagster.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from wooxy_pipedrive_etl.orchestration.partitions import keep_in_step
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account

PAGE = Path(__file__).parents[2] / "docs" / "dagster.md"
ROWS: dict[str, Target] = {"emails": "email", "name": "name"}
LIST = dg.AssetKey(["crm", "default_contact_list"])


@pytest.fixture
def acme(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connected]:
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", database_url)
    with connected(database_url, small_account()) as connection:
        connection.import_rows(ROWS)
        yield connection


@pytest.fixture
def host() -> dg.Definitions:
    (code,) = re.findall(r"<!-- embed -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, PAGE.name, "exec", dont_inherit=True), names)
    defs: dg.Definitions = names["defs"]
    return defs


def test_the_embedded_list_runs_with_its_downstream_assets(
    acme: Connected, host: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    keep_in_step(instance, [acme.name])
    job = host.resolve_implicit_global_asset_job_def()
    assert job.executor_def is dg.multiprocess_executor
    result = job.execute_in_process(instance=instance, partition_key=acme.name)
    made = [event.asset_key for event in result.get_asset_materialization_events()]
    assert {LIST, dg.AssetKey("audience")} < set(made)
    assert made[-1] == dg.AssetKey("audience")
    assert len(acme.contacts()) == 3
    (event,) = [each for each in result.get_asset_materialization_events() if each.asset_key == LIST]
    lineage = event.materialization.metadata["dagster/column_lineage"]
    assert isinstance(lineage, dg.TableColumnLineageMetadataValue)
    (dep,) = lineage.value.deps_by_column["email"]
    assert dep.asset_key == dg.AssetKey(["crm", "person_fields"])
    assert {check.check_name for check in result.get_asset_check_evaluations()} == {
        "no_schema_change",
        "source_is_fresh",
        "no_mass_deletion",
        "one_person_a_contact",
        "counts_balance",
    }


def test_embedded_jobs_and_dry_runs_find_prefixed_assets(
    acme: Connected, host: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    keep_in_step(instance, [acme.name])
    job = host.resolve_job_def("full_sync")
    keys = [key for key in job.asset_layer.executable_asset_keys if key != LIST]
    assert all(key.path[0] == "crm" for key in keys)
    result = job.execute_in_process(instance=instance, partition_key=acme.name, asset_selection=keys)
    assert result.success
    assert acme.contacts() == []
    assert acme.newest_run().state == "dry_run"
    assert job.execute_in_process(instance=instance, partition_key=acme.name).success
    assert len(acme.contacts()) == 3
