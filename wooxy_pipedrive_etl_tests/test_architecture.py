"""Packages and modules import each other in one direction only, so that a reader finds each rule in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import wooxy_pipedrive_etl

PACKAGE = wooxy_pipedrive_etl.__name__
ROOT = Path(str(wooxy_pipedrive_etl.__file__)).parent

# Each package imports only from the lines below it; packages on one line do not import each other.
STACK: list[set[str]] = [
    {"definitions", "cli", "demo"},
    {"web", "orchestration"},
    {"views"},
    {"automation"},
    {"sync"},
    {"matching"},
    {"connections"},
    {"failures"},
    {"contact_list"},
    {"mapping", "pipedrive", "store"},
    {"settings"},
    {"errors"},
    {"http_api"},
    {"custom_variables", "guards", "late", "list_settings", "matching_row", "person_fields"},
]
# What a package must not import although it is below.
APART = {"contact_list": {"mapping", "pipedrive", "http_api"}, "mapping": {"http_api"}, "store": {"http_api"}}
# These tools are for the entry points, which import each other: the command line starts the demo.
ENTRY_POINTS = {"definitions", "cli", "demo", "terminal", "loading"}
# A sandbox is served on its own; it imports nothing of ours.
SANDBOX = "sandbox"
SURFACES = {"web", "orchestration", *ENTRY_POINTS}


def _may_import(part: str) -> set[str]:
    if part in ("__init__", "terminal", "loading", SANDBOX):
        return set()
    (height,) = (number for number, level in enumerate(STACK) if part in level)
    below = {each for level in STACK[height + 1 :] for each in level}
    if part in ENTRY_POINTS:
        return below | ENTRY_POINTS | {SANDBOX}
    return below - APART.get(part, set())


def _modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _part(module: Path) -> str:
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(module: Path, source: str) -> Iterator[str]:
    """The full names of everything a module imports, anywhere in it, including relative imports; `from a import b`
    gives `a.b`."""
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
    allowed = _may_import(part) | {part}
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


def _name(module: Path) -> str:
    parts = [PACKAGE, *module.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _circle(sources: Mapping[Path, str]) -> list[str]:
    """Modules of which each imports the one before it, ending with the first again; empty if there is no cycle. Late
    imports and imports for types alone count."""
    names = {_name(module) for module in sources}
    imported = {
        _name(module): {
            name if name in names else name.rpartition(".")[0] for name in _imports(module, source)
        }
        for module, source in sources.items()
    }
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_there_are_no_import_cycles() -> None:
    assert _circle({module: module.read_text(encoding="utf-8") for module in _modules()}) == []


@pytest.mark.parametrize(
    "back",
    [
        "from .account import Account",
        "from . import account",
        "from wooxy_pipedrive_etl.sandbox.pipedrive import account",
        "def f():\n    from .account import Account",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .account import Account",
    ],
)
def test_an_import_cycle_is_found(back: str) -> None:
    folder = ROOT / "sandbox" / "pipedrive"
    sources = {
        folder / "account.py": "def f():\n    from . import samples",
        folder / "samples.py": "from .seeding import f",
        folder / "seeding.py": back,
        folder / "__init__.py": "from .account import Account",
    }
    names = [f"{PACKAGE}.sandbox.pipedrive.{each}" for each in ("account", "samples", "seeding")]
    circle = _circle(sources)
    assert circle[0] == circle[-1]
    assert sorted(circle[:-1]) == names


def test_imports_run_one_way() -> None:
    wrong = {
        str(module.relative_to(ROOT)): sorted(found)
        for module in _modules()
        if (found := _forbidden(module, module.read_text(encoding="utf-8")))
    }
    assert wrong == {}


def test_every_part_has_its_place() -> None:
    placed = {part for level in STACK for part in level} | {"__init__", "terminal", "loading", SANDBOX}
    assert {_part(module) for module in _modules()} == placed


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
        ("errors.py", "from .pipedrive.errors import PipedriveError"),
        ("settings.py", "from .store.errors import StoreError"),
        ("pipedrive/client.py", "from ..contact_list import plan"),
        ("http_api/host.py", "from ..pipedrive.errors import InvalidToken"),
        ("contact_list/plan.py", "from ..http_api.errors import ApiError"),
        ("sandbox/pipedrive/api.py", "from ...pipedrive import client"),
        ("sync/run.py", "from ..orchestration import assets"),
        ("sync/run.py", "from ..automation import due"),
        ("connections/accounts.py", "from ..matching import view"),
        ("matching/view.py", "from wooxy_pipedrive_etl.sync import run"),
        ("web/app.py", "from ..orchestration import launch"),
        ("orchestration/assets.py", "from ..web import app"),
        ("sync/run.py", "import dagster as dg"),
        ("orchestration/assets.py", "from ..sandbox import api"),
        ("store/tables.py", "from dagster_postgres.utils import x"),
        ("cli/main.py", "from wooxy_pipedrive_etl_tests.conftest import x"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str) -> None:
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
        ("pipedrive/session.py", "from wooxy_pipedrive_etl.http_api.host import Host"),
        ("orchestration/assets.py", "import dagster as dg\nfrom wooxy_pipedrive_etl.sync import run"),
        ("cli/main.py", "from wooxy_pipedrive_etl.sandbox.pipedrive.api import app\nfrom .. import web"),
    ],
)
def test_an_allowed_import_is_not_reported(module: str, line: str) -> None:
    assert not _forbidden(ROOT / module, line)
