"""The environment variables: documented correctly, read in one place, checked by the code that needs them."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

import wooxy_pipedrive_etl
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.settings import (
    DAGSTER_HOME_VARIABLE,
    DATABASE_URL_VARIABLE,
    HOME_VARIABLE,
    RESERVE_VARIABLE,
    TIMEZONE_VARIABLE,
    Settings,
)
from wooxy_pipedrive_etl.store.home import dagster_home, database_url, home

ROOT = Path(str(wooxy_pipedrive_etl.__file__)).parent
DOCS = ROOT.parent / "docs"
VARIABLES = {each.metadata["variable"]: each for each in fields(Settings)}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def _documented() -> dict[str, str]:
    """The defaults in the documentation's table, by variable."""
    text = (DOCS / "production.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^## Settings\n\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: default for names, _, default in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_documentation_has_each_variable_with_its_default() -> None:
    documented = _documented()
    assert documented.keys() == VARIABLES.keys()
    # If a variable has no default of its own, the table describes what happens.
    defaults = {name: each.default for name, each in VARIABLES.items() if each.default}
    assert {name: documented[name].strip("`") for name in defaults} == defaults
    assert all(documented.values())


def test_the_default_folders_are_those_of_the_documentation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    documented = _documented()
    assert str(home()) == documented[HOME_VARIABLE].strip("`").replace("~", str(tmp_path))
    assert documented[DAGSTER_HOME_VARIABLE] == "`dagster` in the home folder"
    assert dagster_home() == home() / "dagster"
    assert documented[DATABASE_URL_VARIABLE] == "a SQLite file in the home folder"
    assert database_url() == f"sqlite:///{home()}/wooxy_pipedrive.db"


def test_every_variable_name_is_a_known_variable() -> None:
    files = [each for each in ROOT.rglob("*") if each.suffix in (".py", ".html", ".yaml", ".js")]
    for file in [*files, *DOCS.glob("*.md"), ROOT.parent / "README.md"]:
        found = set(re.findall(r"\bWOOXY_PIPEDRIVE_\w+", file.read_text(encoding="utf-8")))
        assert found <= VARIABLES.keys(), file


def test_only_the_settings_read_the_environment() -> None:
    using = {
        str(file.relative_to(ROOT))
        for file in ROOT.rglob("*.py")
        if re.search(r"\benviron\b|\bgetenv\b", file.read_text(encoding="utf-8"))
    }
    # `connect` reads the variable that the user names; the demo and Dagster's folder set some that others read.
    assert using == {"settings.py", "cli/connections.py", "demo.py", "orchestration/dagster_home.py"}


def test_a_change_of_the_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Settings.current()
    assert before == Settings()
    monkeypatch.setenv(RESERVE_VARIABLE, "7")
    assert (before.reserve_percent, Settings.current().reserve_percent) == (20, 7)
    monkeypatch.setenv(RESERVE_VARIABLE, "")
    assert Settings.current() == before
    with pytest.raises(FrozenInstanceError):
        before.reserve = "3"  # type: ignore[misc]


def test_a_bad_value_stops_only_what_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "hunter2:²")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv(TIMEZONE_VARIABLE, "Europe/Helsinki")
    settings = Settings.current()
    assert settings.zone.key == "Europe/Helsinki"
    assert home() == tmp_path
    for name in ("days_kept", "reserve_percent", "persons_for_windows", "checked_alert_url", "smtp_server"):
        with pytest.raises(InvalidSetting, match=r"^WOOXY_PIPEDRIVE_") as refused:
            getattr(settings, name)
        assert "hunter2" not in str(refused.value)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"DATABASE_URL", "KEY", "ALERT_URL", "SMTP_URL", "ADMIN_PASSWORD", "OAUTH_CLIENT_SECRET"}
    for name in secrets:
        monkeypatch.setenv(f"WOOXY_PIPEDRIVE_{name}", f"hunter2-{name}")
    monkeypatch.setenv(TIMEZONE_VARIABLE, "Europe/Helsinki")
    shown = repr(Settings.current())
    assert "hunter2" not in shown
    assert "Europe/Helsinki" in shown
