"""The packages import each other one way only, so that a reader finds each rule in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wooxy_pipedrive_etl

PACKAGE = wooxy_pipedrive_etl.__name__
ROOT = Path(str(wooxy_pipedrive_etl.__file__)).parent

PARTS = {"mapping", "pipedrive", "store", "contact_list"}
# What people and Dagster touch. They may use each other, and only those for trying things out serve the sandbox.
SURFACES = {"orchestration", "web", "definitions", "cli", "terminal", "loading", "demo"}

# What each part may import of ours, beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "mapping": set(),
    "pipedrive": set(),
    "store": set(),
    "sandbox": set(),
    "contact_list": {"store"},
    "sync": PARTS,
    "orchestration": PARTS | {"sync"} | SURFACES,
    "web": PARTS | {"sync"} | SURFACES,
    "definitions": PARTS | {"sync"} | SURFACES,
    "terminal": set(),
    "loading": set(),
    "cli": PARTS | {"sync", "sandbox"} | SURFACES,
    "demo": PARTS | {"sync", "sandbox"} | SURFACES,
}


def _modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _part(module: Path) -> str:
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(module: Path, source: str) -> Iterator[str]:
    """The full names of what a module imports, wherever in it, relative ones too; `from a import b` gives `a.b`."""
    package = [PACKAGE, *module.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _forbidden(module: Path, source: str) -> set[str]:
    part = _part(module)
    allowed = MAY_IMPORT[part] | {part}
    found = set()
    for name in _imports(module, source):
        top, *below = name.split(".")
        if top == PACKAGE and (not below or below[0] not in allowed):
            found.add(name)
        if top.startswith("dagster") and part not in SURFACES:
            found.add(name)
        if top == f"{PACKAGE}_tests":
            found.add(name)
    return found


def test_imports_run_one_way() -> None:
    wrong = {
        str(module.relative_to(ROOT)): sorted(found)
        for module in _modules()
        if (found := _forbidden(module, module.read_text(encoding="utf-8")))
    }
    assert wrong == {}


def test_every_part_has_its_rule() -> None:
    assert {_part(module) for module in _modules()} <= MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("mapping/values.py", "from wooxy_pipedrive_etl.store import Store"),
        ("mapping/values.py", "from wooxy_pipedrive_etl import store"),
        ("mapping/values.py", "import wooxy_pipedrive_etl.store.tables as t"),
        ("mapping/values.py", "import wooxy_pipedrive_etl"),
        ("mapping/values.py", "from ..pipedrive import client"),
        ("mapping/values.py", "def f():\n    from .. import pipedrive"),
        ("store/migrations/env.py", "from ...mapping import variables"),
        ("contact_list/plan.py", "from ..pipedrive import client"),
        ("pipedrive/client.py", "from ..contact_list import plan"),
        ("sandbox/api.py", "from ..pipedrive import client"),
        ("sync/run.py", "from ..orchestration import assets"),
        ("sync/run.py", "import dagster as dg"),
        ("orchestration/assets.py", "from ..sandbox import api"),
        ("store/tables.py", "from dagster_postgres.utils import x"),
        ("cli.py", "from wooxy_pipedrive_etl_tests.conftest import x"),
    ],
)
def test_import_against_the_rules_is_seen(module: str, line: str) -> None:
    assert _forbidden(ROOT / module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (
            "store/migrations/env.py",
            "from ..tables import metadata\nfrom wooxy_pipedrive_etl.store import tables",
        ),
        ("contact_list/plan.py", "from wooxy_pipedrive_etl.store import tables\nimport sqlalchemy"),
        ("sync/run.py", "from wooxy_pipedrive_etl.pipedrive import PipedriveClient"),
        ("orchestration/assets.py", "import dagster as dg\nfrom wooxy_pipedrive_etl.sync import run"),
        ("cli.py", "from wooxy_pipedrive_etl.sandbox.api import app\nfrom . import web"),
    ],
)
def test_import_within_the_rules_is_not(module: str, line: str) -> None:
    assert not _forbidden(ROOT / module, line)
