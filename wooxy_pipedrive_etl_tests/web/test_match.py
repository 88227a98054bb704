"""The Match variables page over HTTP, as a browser without scripts uses it, and what its script asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest

from wooxy_pipedrive_etl.sync import matching
from wooxy_pipedrive_etl.sync.requests import requested_run
from wooxy_pipedrive_etl_tests.scenario import Connected, connected, small_account

from .served import serving
from .visitor import Visitor, text_of, visiting

PATH = "/integrations/acme/match"


class _Fields(HTMLParser):
    """The fields that a browser would send of the form `matching`, and the rows that can be seen."""

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
            # Without a value, the text is it.
            self._chosen = "" if "value" in given else self._select
        elif tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[given["name"]] = given.get("value", "on")

    def handle_data(self, data: str) -> None:
        if self._chosen:
            self.fields[self._chosen] = data
            self._chosen = ""


@dataclass
class Editor:
    """Who fills in the form: fetches it, types, presses a button."""

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
        """The keys of the rows that are shown."""
        return self._read.seen

    @property
    def text(self) -> str:
        assert self.answer is not None
        return text_of(self.answer)

    def row(self, key: str) -> str:
        """What a row says."""
        assert self.answer is not None
        found = re.search(rf'<tr [^>]*data-key="{re.escape(key)}".*?</tr>', self.answer.text, re.DOTALL)
        assert found is not None
        return text_of(found.group())

    def press(self, button: str, typed: dict[str, str] | None = None, query: str = "") -> httpx.Response:
        fields = {name: value for name, value in {**self.fields, **(typed or {})}.items() if value != "off"}
        self.answer = self.visitor.post(PATH + query, {**fields, "button": button})
        if self.answer.status_code == 303 and self.answer.headers["location"].startswith(PATH):
            self.answer = self.visitor.follow(self.answer)
        return self.answer


def _new(key: str, wooxy: str) -> dict[str, str]:
    return {f"choice:{key}": "new", f"wooxy:{key}": wooxy}


def _existing(key: str, wooxy: str) -> dict[str, str]:
    return {f"choice:{key}": "existing", f"wooxy:{key}": wooxy}


@pytest.fixture
def editor(sqlite_url: str) -> Iterator[Editor]:
    with (
        connected(sqlite_url, small_account(6)) as acme,
        serving(acme.store) as url,
        visiting(url) as visitor,
    ):
        yield Editor(acme, visitor.sign_in())


def test_the_table_says_what_is_matched_and_what_values_look_like(editor: Editor) -> None:
    editor.open()
    assert "Draft: nothing is imported yet" in editor.text
    assert re.match(
        r"✓ Matched Email ?emails person\d@example.com Another ?in 6 of 6 persons", editor.row("emails")
    )
    assert editor.row("city").startswith("○ Not matched City")
    assert "in 4 of 6 persons" in editor.row("note")
    assert editor.fields["choice:city"] == "none"
    assert (editor.fields["wooxy:emails"], editor.fields["format:emails"]) == ("email", "String")


def test_search_and_filter_without_a_script(editor: Editor) -> None:
    everything = set(editor.open().seen)
    assert {"emails", "city", "note"} < set(everything)
    assert editor.open("?q=CIT").seen == ["city"]
    assert editor.open("?q=contactBirth").seen == []
    assert "No variable fits" in editor.text
    matched, unmatched = set(editor.open("?show=matched").seen), set(editor.open("?show=unmatched").seen)
    assert ("emails" in matched, "city" in unmatched, matched | unmatched) == (True, True, everything)
    assert editor.open("?show=problems").seen == editor.open("?show=new").seen == []
    assert set(editor.open("?show=nonsense").seen) == everything


def test_a_filtered_form_loses_nothing_that_it_does_not_show(editor: Editor) -> None:
    editor.open().press("draft", _new("note", "remark"))
    assert "Draft saved." in editor.text
    editor.open("?q=city")
    assert not any("note" in name for name in editor.fields)
    answer = editor.press("draft", _new("city", "place"), "?q=city")
    assert answer.request.url.query == b"q=city"
    editor.open()
    assert (editor.fields["wooxy:note"], editor.fields["wooxy:city"]) == ("remark", "place")
    # What was typed stays in sight when something is wrong with it, whatever the filter says.
    editor.open("?show=unmatched")
    answer = editor.press("draft", _existing("colour", "tint"), "?show=unmatched")
    assert answer.status_code == 422
    assert "colour" in editor.seen
    assert "emails" not in editor.seen


def test_each_problem_is_said_and_what_was_typed_stays(editor: Editor) -> None:
    typed = _existing("city", "town") | _new("note", "2nd note")
    for button in ("check", "draft", "suggest", "fetch", "dry-run", "import"):
        answer = editor.open().press(button, typed)
        assert answer.status_code == 422
        assert (
            "The list has no variable “town”: choose it from the list, or choose New variable."
            in editor.row("city")
        )
        assert "“2nd note” is not a valid name" in editor.row("note")
        assert (editor.fields["wooxy:city"], editor.fields["choice:city"]) == ("town", "existing")
        # Nothing of it was saved.
        assert editor.open().fields["wooxy:note"] == ""
    assert requested_run(editor.acme.record()) is None


def test_a_double_is_a_draft_that_can_not_be_tried_or_imported(editor: Editor) -> None:
    double = _new("city", "place") | _new("note", "place")
    assert editor.open().press("check", double).status_code == 200
    assert "Checked. 2 rows can't be imported as they stand" in editor.text
    assert editor.row("city").startswith("✗ Problem")
    assert "“City” (city) and “Note” (note)" in editor.row("note")
    for button in ("dry-run", "import"):
        assert editor.open().press(button).status_code == 422
        assert "✗ Problem" in editor.row("city")
    assert (editor.acme.record().state, requested_run(editor.acme.record())) == ("draft", None)


def test_import_goes_on_to_its_progress(editor: Editor) -> None:
    answer = editor.open().press("import", _new("city", "town"))
    assert answer.headers["location"] == "/integrations/acme/progress"
    assert editor.acme.record().state == "active"
    assert "✓ In force" in editor.open().text
    editor.press("import")
    assert "Nothing has changed since the last Import" in editor.text
    # A draft over it, which would take the column along.
    editor.press("draft", _new("city", "place"))
    assert "Draft: changes that are not imported yet" in editor.text
    assert "To the list's variables Import would rename town to place." in editor.text
    editor.press("import")
    editor.acme.sync()
    assert "place" in editor.acme.contacts()[0]


def test_a_form_that_changes_nothing_makes_no_draft(editor: Editor) -> None:
    """A row of none shows the format that suits it, whatever is stored."""
    editor.acme.import_rows({"emails": "email"})
    editor.open().press("draft")
    assert "✓ In force" in editor.text


def test_a_field_that_is_gone_keeps_nobody_from_trying(editor: Editor) -> None:
    editor.open().press("import", _new("city", "town"))
    editor.acme.account.delete_field("city")
    editor.open().press("fetch")
    assert "The field City is gone" in editor.text
    assert editor.row("city").startswith("✗ Problem")
    assert editor.press("dry-run", _new("note", "remark")).headers["location"].endswith("/progress")


def test_a_conflict_shows_both_versions(editor: Editor) -> None:
    mine = Editor(editor.acme, editor.visitor).open()
    editor.open().press("draft", _new("city", "theirs") | {"ignore_empty": "off"})
    for button in ("check", "import"):
        answer = Editor(mine.acme, mine.visitor, mine.answer).press(button, _new("city", "mine"))
        assert answer.status_code == 409
    mine.press("draft", _new("city", "mine"))
    assert "Somebody else has changed this matching" in mine.text
    assert "The other version: “theirs”" in mine.row("city")
    assert "The other version" not in mine.row("emails")
    assert mine.fields["wooxy:city"] == "mine"
    assert editor.open().fields["wooxy:city"] == "theirs"
    assert "ignore_empty" not in editor.fields
    # Who has been told may save.
    mine.press("draft")
    assert editor.open().fields["wooxy:city"] == "mine"


def test_a_conflict_about_a_row_of_a_field_that_is_gone(editor: Editor) -> None:
    editor.open().press("import", _new("city", "town"))
    editor.acme.account.delete_field("city")
    editor.open().press("fetch")
    mine = Editor(editor.acme, editor.visitor).open()
    editor.press("draft", {"choice:city": "none"})
    assert mine.press("draft", _new("note", "remark")).status_code == 409
    assert "The other version: not imported" in mine.row("note")


def test_suggestions(editor: Editor) -> None:
    editor.open().press("use:city")
    assert (editor.fields["choice:city"], editor.fields["wooxy:city"]) == ("new", "city")
    assert editor.fields["choice:note"] == "none"
    assert editor.open().press("use:nothing").status_code == 422
    editor.open().press("suggest", {"wooxy:city": "place"})
    assert "matched anew by suggestion" in editor.text
    assert (editor.fields["wooxy:city"], editor.fields["wooxy:note"]) == ("place", "note")
    assert "none" not in {value for name, value in editor.fields.items() if name.startswith("choice:")}


def test_fields_are_fetched_anew(editor: Editor) -> None:
    matching.suggest_matching(editor.acme.store, "acme")
    editor.open().press("import")
    editor.acme.account.add_field("Size", "varchar", code="size")
    editor.open().press("fetch")
    assert "The field Size is new." in editor.text
    assert editor.open("?show=new").seen == ["size"]
    editor.press("fetch")
    assert "nothing has changed" in editor.text
    editor.acme.account.token = "0" * 40
    editor.press("fetch", {"ignore_empty": "off"})
    assert "The fields were not fetched. " in editor.text
    assert "ignore_empty" not in editor.fields


def test_a_dry_run_is_asked_for_and_its_result_shown_as_long_as_it_is_about_this_matching(
    editor: Editor,
) -> None:
    answer = editor.open().press("dry-run", _new("city", "town"))
    assert answer.headers["location"] == "/integrations/acme/progress"
    request = requested_run(editor.acme.record())
    assert request is not None
    assert (request.kind, request.dry_run) == ("full", True)
    assert "The dry run of" not in editor.open().text
    editor.acme.sync(dry_run=True, draft=True)
    assert "this would create 6, update 0, delete 0, reject 0: see them" in editor.open().text
    assert editor.answer is not None
    (run,) = re.findall(r'href="/integrations/acme/issues\?run=([^"]+)"', editor.answer.text)
    assert unescape(run).startswith("run-")
    editor.press("draft", _new("city", "place"))
    assert "The dry run of" not in editor.text
    editor.press("draft", _new("city", "town"))
    assert "The dry run of" in editor.text


def test_another_preview_without_a_script(editor: Editor) -> None:
    assert editor.open().answer is not None
    shown = set()
    for _ in range(5):
        assert editor.answer is not None
        (link,) = re.findall(
            r'href="([^"]+)#row-\d+"[^>]*aria-label="Another preview of City"', editor.answer.text
        )
        editor.answer = editor.visitor.get(unescape(link))
        shown.update(re.findall(r"City \d", editor.row("city")))
    assert len(shown) == 5


def test_what_the_script_asks_for(editor: Editor) -> None:
    editor.open()
    headers = {"accept": "application/json", "x-csrf-token": editor.visitor.csrf}
    typed = _new("city", "place") | _new("note", "place") | {"choice:gone": "none"}
    answer = editor.visitor.post(f"{PATH}/check", typed, headers=headers).json()
    assert answer["version"] == editor.fields["version"]
    assert answer["rows"]["city"][0] == "red"
    assert "“Note” (note)" in answer["rows"]["city"][1]
    assert answer["rows"]["emails"] == ["green", None, None]
    assert "2 rows can't be imported" in answer["summary"]
    texts = {
        editor.visitor.get(f"{PATH}/preview?key=city&number={number}", headers=headers).json()["text"]
        for number in range(10)
    }
    assert len(texts) == 5
    wrong = editor.visitor.get(f"{PATH}/preview?key=nothing&number=x", headers=headers)
    assert (wrong.status_code, "no such variable" in wrong.json()["error"]) == (400, True)
    # Checking saves nothing.
    assert editor.open().fields["choice:city"] == "none"


def test_forms_that_nobody_could_have_filled_in(editor: Editor) -> None:
    editor.open()
    for typed in (
        {"choice:city": "all of it"},
        {"choice:city": "new", "wooxy:city": "town", "format:city": "Number"},
        {"choice:no such key": "new", "wooxy:no such key": "town"},
        {"version": "another"},
    ):
        assert editor.press("draft", typed).status_code in (409, 422)
        editor.open()
    assert editor.press("explode").status_code == 400
    assert editor.visitor.get("/integrations/nobody/match").status_code == 404
    assert editor.visitor.post(PATH, {"button": "import"}, csrf="forged").status_code == 403
    assert editor.acme.record().state == "draft"


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_hostile_names_and_values_are_texts(sqlite_url: str) -> None:
    account = small_account(0)
    account.add_field(HOSTILE, "enum", [HOSTILE], code="hostile")
    option = account.custom_field("hostile").options[0].id
    account.create_person(name=HOSTILE, custom_fields={"hostile": option})
    with connected(sqlite_url, account) as acme, serving(acme.store) as url, visiting(url) as visitor:
        editor = Editor(acme, visitor.sign_in()).open()
        row = editor.row("hostile")
        assert row.count(HOSTILE) > 3
        answer = editor.press("draft", _existing("hostile", HOSTILE))
        assert answer.status_code == 422
        assert editor.fields["wooxy:hostile"] == HOSTILE
        query = httpx.QueryParams({"q": HOSTILE, "another": HOSTILE})
        answers = [answer, visitor.get(f"{PATH}?{query}")]
        assert all("<script>alert" not in each.text and "<img" not in each.text for each in answers)
