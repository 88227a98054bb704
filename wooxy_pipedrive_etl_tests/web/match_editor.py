"""Fills in the Match variables page without a browser: the form as it was shown, and its buttons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

import httpx

from wooxy_pipedrive_etl_tests.scenario import Connected

from .visitor import Visitor, text_of

PATH = "/integrations/acme/match"


class _Fields(HTMLParser):
    """The fields a browser would send from the form `matching`, and the visible rows."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.seen: list[str] = []
        self._select = self._chosen = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "tr" and "data-key" in given and "hidden" not in given:
            self.seen.append(given["data-key"])
        if "disabled" in given or (given.get("name") in (None, "q", "show") and tag != "option"):
            self._select = "" if tag == "select" else self._select
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select and "selected" in given:
            self.fields[self._select] = given.get("value", "")
            # Without a value attribute, the text is the value.
            self._chosen = "" if "value" in given else self._select
        elif tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[given["name"]] = given.get("value", "on")

    def handle_data(self, data: str) -> None:
        if self._chosen:
            self.fields[self._chosen] = data
            self._chosen = ""


@dataclass
class Editor:
    """Fills in the form: fetches it, types, presses a button."""

    acme: Connected
    visitor: Visitor
    answer: httpx.Response | None = None

    def open(self, query: str = "") -> Editor:
        self.answer = self.visitor.get(PATH + query)
        assert self.answer.status_code == 200, text_of(self.answer)
        return self

    @property
    def _read(self) -> _Fields:
        assert self.answer is not None
        found = _Fields()
        found.feed(self.answer.text)
        return found

    @property
    def fields(self) -> dict[str, str]:
        return self._read.fields

    @property
    def seen(self) -> list[str]:
        """The keys of the visible rows."""
        return self._read.seen

    @property
    def text(self) -> str:
        assert self.answer is not None
        return text_of(self.answer)

    def row(self, key: str) -> str:
        """The text of a row."""
        assert self.answer is not None
        found = re.search(rf'<tr [^>]*data-key="{re.escape(key)}".*?</tr>', self.answer.text, re.DOTALL)
        assert found is not None
        return text_of(found.group()).removeprefix("Skip to Import")

    def set(self, **changed: str) -> None:
        """Saves the connection's settings with these changes."""
        self.visitor.get("/integrations/acme/settings")
        same = {"default_region": "", "consent": "respect", "on_delete": "delete", "ignore_empty": "on"}
        fields = {name: value for name, value in {**same, **changed}.items() if value != "off"}
        assert self.visitor.post("/integrations/acme/settings", fields).status_code == 303

    def confirm(self, button: str = "import", **changed: str) -> httpx.Response:
        """Answers the question an Import asked."""
        assert self.answer is not None
        fields = {
            unescape(name): unescape(value)
            for name, value in re.findall(
                r'<input type="hidden" name="([^"]*)" value="([^"]*)">', self.answer.text
            )
        }
        self.answer = self.visitor.post(PATH, {**fields, **changed, "button": button})
        return self.answer

    def press(self, button: str, typed: dict[str, str] | None = None, query: str = "") -> httpx.Response:
        fields = {name: value for name, value in {**self.fields, **(typed or {})}.items() if value != "off"}
        self.answer = self.visitor.post(PATH + query, {**fields, "button": button})
        if self.answer.status_code == 303 and self.answer.headers["location"].startswith(PATH):
            self.answer = self.visitor.follow(self.answer)
        return self.answer


def new(key: str, wooxy: str) -> dict[str, str]:
    return {f"choice:{key}": "new", f"wooxy:{key}": wooxy}


def existing(key: str, wooxy: str) -> dict[str, str]:
    return {f"choice:{key}": "existing", f"wooxy:{key}": wooxy}
