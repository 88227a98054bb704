"""The Match variables page over HTTP, as a browser without scripts uses it, and what its script requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape

import httpx
import pytest

from wooxy_pipedrive_etl.connections.run_requests import requested_run
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl_tests.scenario import connected, small_account

from .match_editor import PATH, Editor, existing, new
from .served import serving
from .visitor import visiting


@pytest.fixture
def editor(sqlite_url: str) -> Iterator[Editor]:
    with (
        connected(sqlite_url, small_account(6)) as acme,
        serving(acme.store) as url,
        visiting(url) as visitor,
    ):
        yield Editor(acme, visitor.sign_in())


def test_the_table_shows_matches_and_example_values(editor: Editor) -> None:
    editor.open()
    assert "Draft: nothing is imported yet" in editor.text
    assert re.match(
        r"✓ Matched Email ?emails ?person\d@example.com Another ?in 6 of 6 persons", editor.row("emails")
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


def test_a_filtered_form_keeps_hidden_rows(editor: Editor) -> None:
    editor.open().press("draft", new("note", "remark"))
    assert "Draft saved." in editor.text
    editor.open("?q=city")
    assert not any("note" in name for name in editor.fields)
    answer = editor.press("draft", new("city", "place"), "?q=city")
    assert answer.request.url.query == b"q=city"
    editor.open()
    assert (editor.fields["wooxy:note"], editor.fields["wooxy:city"]) == ("remark", "place")
    # Rows with a problem stay visible with what was typed, whatever the filter.
    editor.open("?show=unmatched")
    answer = editor.press("draft", new("colour", ""), "?show=unmatched")
    assert answer.status_code == 422
    assert "colour" in editor.seen
    assert "emails" not in editor.seen


def test_problems_are_shown_and_input_is_kept(editor: Editor) -> None:
    typed = new("city", " ") | new("note", "2nd note")
    for button in ("check", "draft", "suggest", "fetch", "dry-run", "import"):
        answer = editor.open().press(button, typed)
        assert answer.status_code == 422
        assert "Give the new variable a name, or choose Don't import." in editor.row("city")
        assert "“2nd note” is not a valid name" in editor.row("note")
        assert (editor.fields["wooxy:city"], editor.fields["choice:city"]) == (" ", "new")
        # None of it was saved.
        assert editor.open().fields["wooxy:note"] == ""
    assert requested_run(editor.acme.record()) is None


def test_a_draft_with_doubles_cannot_be_imported(editor: Editor) -> None:
    double = new("city", "place") | new("note", "place")
    assert editor.open().press("check", double).status_code == 200
    assert "Draft saved and checked. 2 rows have a problem; each says why." in editor.text
    assert editor.row("city").startswith("✗ Problem")
    assert "“City” (city) and “Note” (note)" in editor.row("note")
    for button in ("dry-run", "import"):
        assert editor.open().press(button).status_code == 422
        assert "✗ Problem" in editor.row("city")
    assert (editor.acme.record().state, requested_run(editor.acme.record())) == ("draft", None)


def test_import_leads_to_its_progress_page(editor: Editor) -> None:
    answer = editor.open().press("import", new("city", "town"))
    assert answer.headers["location"] == "/integrations/acme/progress"
    assert editor.acme.record().state == "active"
    assert "✓ Live" in editor.open().text
    editor.press("import")
    assert "Nothing has changed since the last Import" in editor.text
    # A draft that would rename the column.
    editor.press("draft", new("city", "place"))
    assert "Draft: not live yet" in editor.text
    assert "Import would rename town to place." in editor.text
    editor.press("import")
    editor.confirm()
    editor.acme.sync()
    assert "place" in editor.acme.contacts()[0]


def test_an_unchanged_form_creates_no_draft(editor: Editor) -> None:
    """An unmatched row shows the format that suits it, whatever is stored."""
    editor.acme.import_rows({"emails": "email"})
    editor.open().press("draft")
    assert "✓ Live" in editor.text


def test_a_deleted_field_still_allows_a_dry_run(editor: Editor) -> None:
    editor.open().press("import", new("city", "town"))
    editor.acme.account.delete_field("city")
    editor.open().press("fetch")
    assert "The field City is gone" in editor.text
    assert editor.row("city").startswith("✗ Problem")
    assert editor.press("dry-run", new("note", "remark")).headers["location"].endswith("/progress")


def test_a_conflict_shows_both_versions(editor: Editor) -> None:
    mine = Editor(editor.acme, editor.visitor).open()
    editor.open().press("draft", new("city", "theirs") | {"ignore_empty": "off"})
    for button in ("check", "import"):
        answer = Editor(mine.acme, mine.visitor, mine.answer).press(button, new("city", "mine"))
        assert answer.status_code == 409
    mine.press("draft", new("city", "mine"))
    assert "Someone else changed this matching" in mine.text
    assert "The other version: “theirs”" in mine.row("city")
    assert "The other version" not in mine.row("emails")
    assert mine.fields["wooxy:city"] == "mine"
    assert editor.open().fields["wooxy:city"] == "theirs"
    assert "ignore_empty" not in editor.fields
    # After the warning, the user may save.
    mine.press("draft")
    assert editor.open().fields["wooxy:city"] == "mine"


def test_a_conflict_about_a_deleted_fields_row(editor: Editor) -> None:
    editor.open().press("import", new("city", "town"))
    editor.acme.account.delete_field("city")
    editor.open().press("fetch")
    mine = Editor(editor.acme, editor.visitor).open()
    editor.press("draft", {"choice:city": "none"})
    assert mine.press("draft", new("note", "remark")).status_code == 409
    assert "The other version: not imported" in mine.row("note")


def test_suggestions(editor: Editor) -> None:
    editor.open().press("use:city")
    assert (editor.fields["choice:city"], editor.fields["wooxy:city"]) == ("new", "city")
    assert editor.fields["choice:note"] == "none"
    assert editor.open().press("use:nothing").status_code == 422
    editor.open().press("suggest", {"wooxy:city": "place"})
    assert "suggestions to your draft" in editor.text
    assert (editor.fields["wooxy:city"], editor.fields["wooxy:note"]) == ("place", "note")
    assert "none" not in {value for name, value in editor.fields.items() if name.startswith("choice:")}


def test_fields_can_be_refreshed(editor: Editor) -> None:
    view.suggest_matching(editor.acme.store, "acme")
    editor.open().press("import")
    editor.acme.account.add_field("Size", "varchar", code="size")
    editor.open().press("fetch")
    assert "The field Size is new." in editor.text
    assert editor.open("?show=new").seen == ["size"]
    editor.press("fetch")
    assert "Fields refreshed. Nothing changed." in editor.text
    assert "saved as a draft" not in editor.text
    editor.press("fetch", new("size", "size"))
    assert "What you typed is saved as a draft." in editor.text
    editor.press("discard")
    editor.acme.account.token = "0" * 40
    editor.press("fetch", {"ignore_empty": "off"})
    assert "The fields were not refreshed. Pipedrive doesn’t accept the API token." in editor.text
    # A user is waiting, so the error comes soon, and they can try again.
    editor.acme.server.faults.add(Fault("status", status=503, times=None))
    editor.acme.server.clear_requests()
    editor.press("fetch", {"ignore_empty": "off"})
    assert "The fields were not refreshed. Pipedrive has a problem of its own at the moment." in editor.text
    assert len(editor.acme.requests()) == 2
    assert "ignore_empty" not in editor.fields


def test_a_dry_runs_result_is_shown_while_current(
    editor: Editor,
) -> None:
    answer = editor.open().press("dry-run", new("city", "town"))
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
    editor.press("draft", new("city", "place"))
    assert "The dry run of" not in editor.text
    editor.press("draft", new("city", "town"))
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


def test_requests_made_by_the_script(editor: Editor) -> None:
    editor.open()
    headers = {"accept": "application/json", "x-csrf-token": editor.visitor.csrf}
    typed = new("city", "place") | new("note", "place") | {"choice:gone": "none"}
    answer = editor.visitor.post(f"{PATH}/check", typed, headers=headers).json()
    assert answer["version"] == editor.fields["version"]
    assert answer["rows"]["city"][0] == "red"
    assert "“Note” (note)" in answer["rows"]["city"][1]
    assert answer["rows"]["emails"] == ["green", None, None, None]
    assert "2 rows have a problem" in answer["summary"]
    texts = {
        editor.visitor.get(f"{PATH}/preview?key=city&number={number}", headers=headers).json()["text"]
        for number in range(10)
    }
    assert len(texts) == 5
    wrong = editor.visitor.get(f"{PATH}/preview?key=nothing&number=x", headers=headers)
    assert (wrong.status_code, "no longer has this variable" in wrong.json()["error"]) == (400, True)
    # Checking saves nothing.
    assert editor.open().fields["choice:city"] == "none"


def test_impossible_forms_are_refused(editor: Editor) -> None:
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


def test_hostile_names_and_values_are_escaped(sqlite_url: str) -> None:
    account = small_account(0)
    account.add_field(HOSTILE, "enum", [HOSTILE], code="hostile")
    option = account.custom_field("hostile").options[0].id
    account.create_person(name=HOSTILE, custom_fields={"hostile": option})
    with connected(sqlite_url, account) as acme, serving(acme.store) as url, visiting(url) as visitor:
        editor = Editor(acme, visitor.sign_in()).open()
        row = editor.row("hostile")
        assert row.count(HOSTILE) > 3
        answer = editor.press("draft", existing("hostile", HOSTILE) | new("name", ""))
        assert answer.status_code == 422
        assert editor.fields["wooxy:hostile"] == HOSTILE
        query = httpx.QueryParams({"q": HOSTILE, "another": HOSTILE})
        answers = [answer, visitor.get(f"{PATH}?{query}")]
        assert all("<script>alert" not in each.text and "<img" not in each.text for each in answers)


def test_a_name_typed_beside_do_not_import_counts(editor: Editor) -> None:
    editor.open().press("draft", {"wooxy:city": "myTown", "wooxy:note": "sourceName"})
    assert (editor.fields["choice:city"], editor.fields["wooxy:city"]) == ("new", "myTown")
    assert (editor.fields["choice:note"], editor.fields["wooxy:note"]) == ("existing", "sourceName")
    # A row that was matched and is set to none is not imported, though its name is still beside it.
    editor.press("draft", {"choice:city": "none"})
    assert (editor.fields["choice:city"], editor.fields["wooxy:city"]) == ("none", "")


def test_a_rename_is_confirmed_once(editor: Editor) -> None:
    editor.open().press("import", new("city", "town") | new("note", "remark"))
    editor.acme.sync()
    sentence = "Renames “town” to “place”; templates and segments that use “town” must be changed."
    editor.open().press("draft", new("city", "place"))
    assert sentence in editor.row("city")
    assert "is added to the list" not in editor.row("city")
    answer = editor.press("import")
    assert (answer.status_code, sentence in editor.text) == (200, True)
    assert "place" not in editor.acme.contacts()[0]
    answer = editor.confirm()
    assert answer.headers["location"].endswith("/progress")
    assert "town" not in editor.acme.contacts()[0]
    assert "Renamed town to place." in editor.visitor.get(answer.headers["location"]).text
    # Without a rename there is no question.
    assert editor.open().press("import", new("colour", "shade")).headers["location"].endswith("/progress")


def test_going_back_keeps_what_was_typed(editor: Editor) -> None:
    editor.open().press("import", new("city", "town"))
    version = editor.open().fields["version"]
    editor.press("import", new("city", "place"))
    editor.confirm("back")
    assert (editor.fields["wooxy:city"], editor.fields["version"]) == ("place", version)
    assert editor.open().fields["wooxy:city"] == "town"


def test_only_the_renames_shown_are_allowed(editor: Editor) -> None:
    editor.open().press("import", new("city", "town"))
    mine = Editor(editor.acme, editor.visitor).open()
    mine.press("import", new("city", "place"))
    # Someone else changes the matching while the question is open.
    editor.open().press("draft", new("note", "remark"))
    assert mine.confirm().status_code == 409
    assert mine.press("import").status_code == 200
    assert "Rename and import?" in mine.text
    # An answer to another question allows nothing.
    for renames in ('[["town", "elsewhere"]]', "no JSON", "[1]", "{}"):
        assert mine.confirm(renames=renames).status_code == 200
        assert "Rename and import?" in mine.text
    mine.confirm()
    assert "place" in editor.open().fields["wooxy:city"]
    assert "✓ Live" in editor.text


def test_drafts_list_their_changes_and_can_be_discarded(editor: Editor) -> None:
    editor.open().press("import", new("city", "town"))
    assert "changed against" not in editor.open().text
    assert "Discard draft" not in editor.text
    editor.press("suggest", {"ignore_empty": "off", "choice:emails": "none"})
    assert "rows changed against what is live, and Ignore empty values" in editor.text
    assert "Ignore empty values: on → off" in editor.text
    assert "Note note: not imported → note (String)" in editor.text
    stale = Editor(editor.acme, editor.visitor, editor.answer)
    editor.press("draft", new("note", "remark"))
    assert stale.press("discard").status_code == 409
    editor.press("discard")
    assert "Draft discarded: " in editor.text
    assert "✓ Live" in editor.text
    assert (editor.fields["wooxy:note"], editor.fields["wooxy:city"], editor.fields["ignore_empty"]) == (
        "",
        "town",
        "on",
    )
    assert editor.press("discard").status_code == 422


def test_the_first_draft_can_be_discarded(editor: Editor) -> None:
    editor.open().press("suggest")
    editor.press("discard")
    assert "✓ Matched" in editor.row("emails")
    assert editor.fields["choice:city"] == "none"


SINCE: dict[str, Callable[[Editor], object]] = {
    "an Import": lambda editor: editor.press("import"),
    "another run": lambda editor: editor.acme.sync("changes"),
    "consent": lambda editor: editor.set(consent="require"),
    "a region": lambda editor: editor.set(default_region="FI"),
    "deletions": lambda editor: editor.set(on_delete="keep"),
    "empty values": lambda editor: editor.set(ignore_empty="off"),
}


@pytest.mark.parametrize("since", SINCE)
def test_a_dry_run_is_shown_until_outdated(editor: Editor, since: str) -> None:
    editor.open().press("import")
    editor.acme.sync()
    if since == "an Import":
        editor.open().press("draft", new("city", "town"))
    editor.acme.sync("re-map", dry_run=True, draft=True)
    assert "The dry run of a moment ago: this would create 0" in editor.open().text
    SINCE[since](editor)
    assert "The dry run of" not in editor.open().text


def test_a_variable_without_fitting_values_is_amber(editor: Editor) -> None:
    editor.open()
    headers = {"accept": "application/json", "x-csrf-token": editor.visitor.csrf}
    typed = new("city", "visited") | {"format:city": "DateTime"}
    status, reason, _, preview = editor.visitor.post(f"{PATH}/check", typed, headers=headers).json()["rows"][
        "city"
    ]
    assert status == "amber"
    assert re.search(
        r"6 of your 6 persons have a value and none fits: “City \d” is not an ISO date or date-time\.", reason
    )
    assert preview == [None, 0, "in 6 of 6 persons, 0 fit"]
    editor.press("draft", typed)
    assert editor.row("city").startswith("▲ No value fits City")
    assert "1 of them has no value that fits" in editor.text
    assert editor.open("?show=unfit").seen == ["city"]
    assert "city" in editor.open("?show=matched").seen
    # It is only a warning: the matching can be imported.
    assert editor.press("import").status_code == 303


def test_the_check_explains_what_happens_to_columns(editor: Editor) -> None:
    editor.open().press("import", new("city", "town"))
    editor.open()
    headers = {"accept": "application/json", "x-csrf-token": editor.visitor.csrf}
    answer = editor.visitor.post(f"{PATH}/check", new("city", "place"), headers=headers).json()
    assert answer["columns"] == "Import would rename town to place."
    assert answer["rows"]["city"][1].startswith("Renames “town” to “place”;")
    assert editor.visitor.post(f"{PATH}/check", {}, headers=headers).json()["columns"] is None


BACKWARDS = "\u202e"


def test_right_to_left_names_stay_in_place(sqlite_url: str) -> None:
    account = small_account(1)
    account.add_field(f"evil{BACKWARDS}emanresu", "varchar", code="evil")
    account.add_field("עיר", "varchar", code="city2")
    account.edit_person(1, custom_fields={"evil": f"value{BACKWARDS}eulav"})
    with connected(sqlite_url, account) as acme, serving(acme.store) as url, visiting(url) as visitor:
        editor = Editor(acme, visitor.sign_in()).open()
        assert editor.answer is not None
        assert '<bdi class="variable">evilemanresu</bdi>' in editor.answer.text
        assert '<bdi class="variable">עיר</bdi>' in editor.answer.text
        assert f'<bdi class="preview">value{BACKWARDS}eulav</bdi>' in editor.answer.text
        assert 'placeholder="evilemanresu"' in editor.answer.text
        acme.account.rename_field("evil", f"worse{BACKWARDS}esrow")
        editor.press("fetch")
        assert "is now called worseesrow." in editor.text
        outside = re.sub(r"<bdi[^>]*>.*?</bdi>", "", editor.answer.text)
        assert BACKWARDS not in outside
