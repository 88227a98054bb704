"""The settings for several machines: Dagster accepts them, and they match those for one machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

import wooxy_pipedrive_etl.orchestration

SHIPPED = Path(wooxy_pipedrive_etl.orchestration.__path__[0])


def test_dagster_accepts_the_settings(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dagster_celery", reason="the extra `distributed` is not installed")
    shutil.copyfile(SHIPPED / "dagster-celery.yaml", tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres_url.replace("+psycopg:", "+psycopg2:"))
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://127.0.0.1:9/1")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.run_launcher).__name__ == "CeleryRunLauncher"
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_enabled
        assert instance.run_retries_max_retries == 1
        instance.add_dynamic_partitions("connection", ["acme"])
        assert instance.get_dynamic_partitions("connection") == ["acme"]


def test_the_settings_match_those_of_one_machine() -> None:
    """Except for what several machines need: whoever changes one file must check the other."""
    one, several = _settings("dagster.yaml"), _settings("dagster-celery.yaml")
    for name in ("storage", "run_launcher", "compute_logs"):
        del several[name]
    for name in ("start_timeout_seconds", "poll_interval_seconds"):
        del several["run_monitoring"][name]
    assert several == one


def _settings(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((SHIPPED / name).read_text("utf-8"))
    return settings
