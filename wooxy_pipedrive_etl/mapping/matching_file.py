"""The matching as a YAML file, for review and for git; its JSON schema is beside this module.

Reading finds all the errors of a file at once, each with its row. It accepts no YAML that a matching does not need: no
anchors, no tags, no merge keys, so that a small file can't expand to an enormous one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from wooxy_pipedrive_etl.custom_variables import NAME_RULE
from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.mapping.match_rules import Target
from wooxy_pipedrive_etl.mapping.matching import FORMATS, Matching, auto_match, check_matching
from wooxy_pipedrive_etl.mapping.variables import Variable

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

# A few thousand variables; a larger file is not a matching.
MAX_CHARACTERS = 500_000

_BOOLEANS = yaml.SafeLoader.bool_values
_TYPE_NAMES = {
    "object": "names with values",
    "array": "a list",
    "string": "text (put it in quotes)",
    "boolean": "true or false",
    "null": "null",
}


def matching_schema() -> dict[str, Any]:
    """The published JSON schema of a matching file."""
    text = files("wooxy_pipedrive_etl.mapping").joinpath("matching_file.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_matching_file(
    variables: Sequence[Variable], matching: Matching, list_variables: Sequence[Target]
) -> str:
    """The YAML text of a matching: a row for each current Pipedrive variable, with its current label.

    New variables appear as they would be matched automatically. Rows of deleted fields are left out, since importing
    the file again would refuse them.
    """
    by_key = {row.pipedrive: row for row in auto_match(variables, matching, list_variables).rows}
    rows = [
        {
            "pipedrive": each.key,
            "label": each.label,
            "wooxy": by_key[each.key].wooxy,
            "format": by_key[each.key].format,
        }
        for each in variables
    ]
    content = {"ignore_empty_values": matching.ignore_empty_values, "variables": rows}
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def read_matching_file(
    text: str, variables: Sequence[Variable], list_variables: Sequence[Target]
) -> Matching:
    """The matching that a file describes, with an unmatched row for every variable that it does not name.

    Raises MatchingFileError with all its errors.
    """
    content = _content(text)
    shape = [(_row_of(error), _sentence(error, content)) for error in _shape_errors(content)]
    rows = _sound_rows(content)
    errors = shape + _key_errors(rows, {each.key for each in variables})
    matching = _matching(content, rows, variables)
    errors += _rule_errors(rows, matching, variables, list_variables, {i for i, _ in errors})
    if errors:
        raise MatchingFileError([sentence for _, sentence in sorted(errors, key=lambda error: error[0])])
    return matching


# YAML ----------------------------------------------------------------------------------------------------


def _content(text: str) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise MatchingFileError(
            [f"The file has more than {MAX_CHARACTERS} characters: it is not a matching."]
        )
    try:
        node = yaml.compose(text, Loader=_Loader)
    except RecursionError:
        raise MatchingFileError(["The file is nested too deeply to be a matching."]) from None
    except yaml.reader.ReaderError as error:
        problem = f"The file has a character that YAML does not allow (character {error.position + 1})."
        raise MatchingFileError([problem]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = f"The file is not valid YAML{where}: {error.problem or error.context}."
        raise MatchingFileError([problem]) from None
    if node is None:
        raise MatchingFileError(["The file is empty."])
    twice: list[str] = []
    content = _plain(node, twice)
    if twice:
        raise MatchingFileError(twice)
    return content


class _Loader(yaml.SafeLoader):
    """Only composes nodes; an alias is an error at its position."""

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not allowed in a matching", event.start_mark
            )
        return super().compose_node(parent, index)


def _plain(node: yaml.Node, twice: list[str]) -> Any:
    """Dicts, lists, texts, booleans and None; numbers and dates stay nodes, which no rule accepts."""
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            value = _plain(value_node, twice)
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "[…]"
            if key in result:
                twice.append(f"Line {key_node.start_mark.line + 1}: “{key}” is there twice in one place.")
            result[key] = value
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, twice) for item in node.value]
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "bool":
        return _BOOLEANS.get(node.value.lower(), node)
    return {"str": node.value, "null": None}.get(kind, node)


# Shape ---------------------------------------------------------------------------------------------------


def _shape_errors(content: Any) -> list[ValidationError]:
    # Runs import this module too, but check no file.
    from jsonschema import Draft202012Validator

    found = Draft202012Validator(matching_schema()).iter_errors(content)
    return sorted(found, key=lambda error: [str(step) for step in error.absolute_path])


def _sentence(error: ValidationError, content: Any) -> str:
    """The schema's complaint in words, without the value: a stray text may be anything."""
    path = list(error.absolute_path)
    given: Any = error.instance
    schema: Any = error.schema
    where = _row_name(content["variables"], path[1]) + ": " if len(path) > 1 else ""
    rule: Any = error.validator_value
    name = f"“{path[-1]}”" if path and isinstance(path[-1], str) else "it" if path else "the file"
    if error.validator == "required":
        # There is one error for each missing key, and only its message says which key.
        what = "; ".join(f"“{key}” is missing" for key in rule if f"'{key}'" in error.message)
    elif error.validator == "additionalProperties":
        unknown = [key for key in given if key not in schema["properties"]]
        what = "; ".join(f"“{key}” is not a name that belongs here" for key in unknown)
    elif error.validator == "type":
        types = rule if isinstance(rule, list) else [rule]
        what = f"{name} must be {' or '.join(_TYPE_NAMES[each] for each in types)}"
    elif error.validator == "enum":
        what = f"{name} must be {' or '.join(rule)}"
    elif error.validator == "anyOf" and not isinstance(given, str):
        what = f"{name} must be text (put it in quotes) or null"
    elif error.validator == "anyOf":
        what = f"{name} is not a valid name: {NAME_RULE}"
    else:
        what = f"{name} must not be empty"
    sentence = f"{where}{what}."
    return sentence[0].upper() + sentence[1:]


def _row_of(error: ValidationError) -> int:
    """The index of the row that an error is in; -1 for the file itself, whose errors come first."""
    path = list(error.absolute_path)
    return int(path[1]) if len(path) > 1 else -1


def _row_name(rows: Any, index: Any) -> str:
    row = rows[index]
    key = row.get("pipedrive") if isinstance(row, dict) else None
    return f"Row {index + 1} ({key})" if isinstance(key, str) and key else f"Row {index + 1}"


# Rules ---------------------------------------------------------------------------------------------------


def _sound_rows(content: Any) -> list[tuple[int, dict[str, Any]]]:
    """The rows with a usable key and name, with their indices, whatever else is wrong with the file."""
    rows = content.get("variables") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        return []
    return [
        (i, row)
        for i, row in enumerate(rows)
        if isinstance(row, dict)
        and isinstance(row.get("pipedrive"), str)
        and row["pipedrive"]
        and isinstance(row.get("wooxy"), str | None)
    ]


def _key_errors(rows: list[tuple[int, dict[str, Any]]], known: set[str]) -> list[tuple[int, str]]:
    errors: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    for i, row in rows:
        key = row["pipedrive"]
        if key not in known:
            errors.append((i, f"Row {i + 1} ({key}): Pipedrive has no such variable."))
        if key in first:
            errors.append((i, f"Row {i + 1} ({key}): row {first[key] + 1} is about the same variable."))
        first.setdefault(key, i)
    return errors


def _matching(
    content: Any, rows: list[tuple[int, dict[str, Any]]], variables: Sequence[Variable]
) -> Matching:
    labels = {each.key: each.label for each in variables}
    described: dict[str, tuple[str, str, str | None, str]] = {}
    for _, row in rows:
        key, row_format = row["pipedrive"], row.get("format")
        if key in labels and key not in described:
            row_format = row_format if row_format in FORMATS else "String"
            described[key] = (key, labels[key], row.get("wooxy"), row_format)
    missing = [(key, label, None, "String") for key, label in labels.items() if key not in described]
    ignore_empty = content.get("ignore_empty_values") if isinstance(content, dict) else None
    return Matching.of(ignore_empty is True, [*described.values(), *missing])


def _rule_errors(
    rows: list[tuple[int, dict[str, Any]]],
    matching: Matching,
    variables: Sequence[Variable],
    list_variables: Sequence[Target],
    in_error: set[int],
) -> list[tuple[int, str]]:
    """What the rules of the table say; a row that already has an error gets no further ones."""
    first: dict[str, int] = {}
    for i, row in rows:
        first.setdefault(row["pipedrive"], i)
    return [
        (first[error.pipedrive], f"Row {first[error.pipedrive] + 1} ({error.pipedrive}): {error.problem}")
        for error in check_matching(variables, matching, list_variables)
        if first[error.pipedrive] not in in_error
    ]
