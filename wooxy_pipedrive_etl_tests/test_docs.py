"""The documentation is true: its commands and options exist, its links work, its examples are valid, and each behaviour
names existing tests."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import typer.main
import yaml

from wooxy_pipedrive_etl.cli import app
from wooxy_pipedrive_etl.mapping.matching_file import matching_schema

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in re.findall(r"wooxy-pipedrive (\w+)([^\n`|#]*)", text):
        assert name in commands, f"{page.name}: wooxy-pipedrive {name}"
        command = commands[name]
        if hasattr(command, "commands"):
            (part,) = re.findall(r"^ (\w+)", rest)
            assert part in command.commands, f"{page.name}: wooxy-pipedrive {name} {part}"
            command = command.commands[part]
        known = {
            option for parameter in command.params for option in parameter.opts + parameter.secondary_opts
        }
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}, f"{page.name}: {name}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_are_not_broken(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_example_matching_file_fits_the_schema() -> None:
    text = (ROOT / "docs" / "matching.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    jsonschema.validate(yaml.safe_load(example), matching_schema())


def test_behaviours_are_numbered_and_name_existing_tests() -> None:
    text = (ROOT / "docs" / "behaviours.md").read_text(encoding="utf-8")
    entries = re.split(r"^(\d+)\. ", text, flags=re.MULTILINE)[1:]
    numbers, behaviours = [int(number) for number in entries[::2]], entries[1::2]
    assert numbers == list(range(1, len(numbers) + 1))
    tests = {
        name
        for file in Path(__file__).parent.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    for number, behaviour in zip(numbers, behaviours, strict=True):
        named = set(re.findall(r"`(test_\w+)`", behaviour))
        assert named, f"behaviour {number} names no test"
        assert named <= tests, f"behaviour {number} names {named - tests}"
