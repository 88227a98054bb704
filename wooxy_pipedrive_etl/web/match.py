"""The Match variables page: its form, its buttons, and the calls of its script.

A row of the form has three fields, `choice:KEY`, `wooxy:KEY` and `format:KEY`. Every button first saves what was typed
as a draft, except Import, which confirms it, and those that save nothing: Discard draft, and Back from a question.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.connections import run_requests
from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.errors import InvalidMatching, MatchingChanged, SyncError
from wooxy_pipedrive_etl.failures import failure_code
from wooxy_pipedrive_etl.http_api.errors import ApiError
from wooxy_pipedrive_etl.mapping.match_rules import rename_sentence
from wooxy_pipedrive_etl.matching import form as match_form
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.matching.form import Choice, MatchPage, PageRow, TypedRow
from wooxy_pipedrive_etl.matching.previews import SampleCache
from wooxy_pipedrive_etl.sync.selection import Kind

from .visit import Form, Visit, page
from .words import plain

# What a row's dot means, in words and in shape.
STATES = {
    "green": "✓ Matched",
    "amber": "▲ No value fits",
    "gray": "○ Not matched",
    "red": "✗ Problem",
}
_MATCHED = ("green", "amber")

FILTERS: dict[str, tuple[str, Callable[[PageRow], bool]]] = {
    "all": ("All", lambda row: True),
    "matched": ("Matched", lambda row: row.status in _MATCHED),
    "unfit": ("No value fits", lambda row: row.status == "amber"),
    "unmatched": ("Not matched", lambda row: row.status == "gray"),
    "problems": ("Problems", lambda row: row.status == "red"),
    "new": ("New", lambda row: row.new),
}
# More names, or changes, than this are too many for one sentence.
_SHOWN_NAMES = 8
_SHOWN_CHANGES = 4
# The differences between a draft and the matching in force; after "Use all suggestions" there are hundreds.
_SHOWN_DIFFERENCES = 100


def routes() -> list[BaseRoute]:
    pages = _Pages()
    return [
        Route("/integrations/{name}/match", page(pages.show), methods=["GET"]),
        Route("/integrations/{name}/match", page(pages.act), methods=["POST"]),
        Route("/integrations/{name}/match/check", page(pages.check), methods=["POST"]),
        Route("/integrations/{name}/match/preview", page(pages.preview), methods=["GET"]),
    ]


class _Pages:
    def __init__(self) -> None:
        self._samples = SampleCache()
        self._actions: dict[str, Callable[[Visit, str], Response]] = {
            "check": self._save,
            "draft": self._save,
            "suggest": self._suggest,
            "discard": self._discard,
            "fetch": self._fetch,
            "dry-run": self._dry_run,
            "import": self._import,
            "back": self._typed_again,
        }

    def show(self, visit: Visit) -> Response:
        return self._render(visit, match_form.read_page(visit.store, _name(visit), self._samples))

    def act(self, visit: Visit) -> Response:
        action, _, key = visit.form.get("button").partition(":")
        try:
            if action == "use":
                return self._use_suggestion(visit, key)
            if action in self._actions:
                return self._actions[action](visit, action)
        except view.RenamesNotAllowed as question:
            return self._ask_about(visit, question.renames)
        except MatchingChanged as error:
            return self._again(visit, 409, [str(error)])
        except InvalidMatching as error:
            return self._again(visit, 422, error.errors)
        except (SyncError, ListError) as error:
            return self._again(visit, 422, [str(error)])
        return visit.problem(400, "The form has no such button; nothing was changed.")

    def check(self, visit: Visit) -> Response:
        """The state of each row, for the script: key -> [status, reason, suggestion, preview]; the preview only for
        rows that were typed."""
        shown = match_form.read_page(visit.store, _name(visit), self._samples, _typed(visit.form)[0])
        return visit.json(
            {
                "version": shown.version,
                "rows": {row.key: _checked(row, shown.sampled) for row in shown.rows},
                "summary": _summary(shown.rows),
                "columns": _columns(shown),
            }
        )

    def preview(self, visit: Visit) -> Response:
        """Another value, for the script. `number`: how many it has shown already."""
        found = match_form.another_preview(visit.store, _name(visit), self._samples, visit.query("key"))
        return visit.json({"text": _text(found.texts, _number(visit)), "values": len(found.texts)})

    # The buttons

    def _save(self, visit: Visit, action: str) -> Response:
        self._save_draft(visit)
        problems = sum(row.status == "red" for row in self._saved(visit))
        done = "Draft saved." if action == "draft" else "Draft saved and checked."
        if problems:
            visit.flash(f"{done} {_cannot(problems)}", "warning")
        else:
            visit.flash(f"{done} Every row can be imported.")
        return _back(visit)

    def _suggest(self, visit: Visit, _: str) -> Response:
        self._save_draft(visit)
        count = view.suggest_matching(visit.store, _name(visit))
        visit.flash(
            f"Added {count:,} suggestions to your draft. Review them, then import or discard the draft."
        )
        return _back(visit)

    def _discard(self, visit: Visit, _: str) -> Response:
        count = view.discard_draft(visit.store, _name(visit), visit.form.get("version"))
        changes = "1 row is" if count == 1 else f"{count:,} rows are"
        visit.flash(f"Draft discarded: {changes} as before.")
        return _back(visit)

    def _typed_again(self, visit: Visit, _: str) -> Response:
        return self._again(visit, 200, [])

    def _use_suggestion(self, visit: Visit, key: str) -> Response:
        typed, ignore_empty = _typed(visit.form)
        rows = match_form.check_rows(visit.store, _name(visit), typed)
        row = next((row for row in rows if row.key == key and row.suggestion is not None), None)
        if row is None:
            raise SyncError("There is no longer a suggestion for that variable; nothing was changed.")
        typed[key] = TypedRow("new", row.suggestion or "", row.suggested_format)
        match_form.save_draft(visit.store, _name(visit), typed, ignore_empty, visit.form.get("version"))
        visit.flash(f"“{row.label}” becomes the new variable “{row.suggestion}”, in a draft.")
        return _back(visit)

    def _fetch(self, visit: Visit, _: str) -> Response:
        self._save_draft(visit, say=True)
        try:
            changes = match_form.fetch_fields(visit.store, _name(visit))
        except (SyncError, ApiError) as error:
            told = plain(failure_code(error), str(error))
            visit.flash(f"The fields were not refreshed. {told.sentence}", "error", told.details)
            return _back(visit)
        if changes:
            shown = [change.message for change in changes[:_SHOWN_CHANGES]]
            more = len(changes) - len(shown)
            visit.flash(" ".join([*shown, f"And {more:,} changes more." if more else ""]).strip(), "warning")
        else:
            visit.flash("Fields refreshed. Nothing changed.")
        return _back(visit)

    def _dry_run(self, visit: Visit, _: str) -> Response:
        self._save_draft(visit, say=True)
        refused = sum(row.refused for row in self._saved(visit))
        if refused:
            return self._again(visit, 422, [f"There is nothing to try yet: {_cannot(refused)}"])
        # Before the first run, the snapshot has only a few persons.
        kind: Kind = "full" if visit.record().sync_state.watermark is None else "re-map"
        run_requests.request_run(visit.store, _name(visit), kind, dry_run=True)
        return visit.go(f"/integrations/{_name(visit)}/progress")

    def _import(self, visit: Visit, _: str) -> Response:
        typed, ignore_empty = _typed(visit.form)
        report = match_form.import_rows(
            visit.store,
            _name(visit),
            typed,
            ignore_empty,
            visit.form.get("version"),
            allowed_renames=_allowed_renames(visit.form),
        )
        if not report.changed:
            visit.flash("Nothing has changed since the last Import.")
            return _back(visit)
        renamed = "".join(f" Renamed {old} to {new}." for old, new in report.renamed[:_SHOWN_NAMES])
        visit.flash(f"Imported: {report.matched:,} variables are matched.{renamed}")
        return visit.go(f"/integrations/{_name(visit)}/progress")

    def _save_draft(self, visit: Visit, *, say: bool = False) -> None:
        """`say`: the button is for something else, so the page says that it also saved."""
        typed, ignore_empty = _typed(visit.form)
        before = visit.form.get("version")
        saved = match_form.save_draft(visit.store, _name(visit), typed, ignore_empty, before)
        if say and saved != before:
            visit.flash("What you typed is saved as a draft.")

    def _saved(self, visit: Visit) -> list[PageRow]:
        return match_form.check_rows(visit.store, _name(visit), {})

    # The page

    def _again(self, visit: Visit, status: int, errors: list[str]) -> Response:
        """The page with what was typed, and why it was not accepted."""
        typed, ignore_empty = _typed(visit.form)
        shown = match_form.read_page(visit.store, _name(visit), self._samples, typed, ignore_empty)
        theirs: dict[str, str] = {}
        if status == 409:
            stored = {row.key: row for row in self._saved(visit)}
            theirs = {
                mine.key: f"“{other.wooxy}”" if other.choice != "none" else "not imported"
                for mine in shown.rows
                if (other := stored.get(mine.key)) is not None
                and (mine.choice, mine.wooxy.strip()) != (other.choice, other.wooxy)
                and not mine.choice == other.choice == "none"
            }
        return self._render(visit, shown, status, errors=errors, theirs=theirs)

    def _ask_about(self, visit: Visit, renames: list[tuple[str, str]]) -> Response:
        """The question that an Import asks once; its form contains what was typed, and what the question was about."""
        carried = [(name, value) for name, value in visit.form.items() if name not in _OWN_FIELDS]
        return visit.render(
            "renames.html",
            record=visit.record(),
            tab="match",
            sentences=[rename_sentence(*each) for each in renames],
            carried=[*carried, ("renames", json.dumps(renames))],
            query=_filter_of(visit),
        )

    def _render(
        self,
        visit: Visit,
        shown: MatchPage,
        status: int = 200,
        *,
        errors: list[str] | None = None,
        theirs: dict[str, str] | None = None,
    ) -> Response:
        show = visit.query("show") if visit.query("show") in FILTERS else "all"
        search = visit.query("q")
        another, number = visit.query("another"), _number(visit)
        fits = FILTERS[show][1]
        rows = [
            (
                row,
                # What was typed must stay in sight when something is wrong.
                row.typed or (fits(row) and _is_found(row, search)),
                _text(row.preview.texts, number if row.key == another else 0),
                number + 1 if row.key == another else 1,
            )
            for row in shown.rows
        ]
        return visit.render(
            "match.html",
            status,
            record=shown.record,
            tab="match",
            shown=shown,
            rows=rows,
            filters=[(key, label, sum(map(fit, shown.rows))) for key, (label, fit) in FILTERS.items()],
            show=show,
            search=search,
            states=STATES,
            summary=_summary(shown.rows),
            columns=_columns(shown),
            differences=shown.changes[:_SHOWN_DIFFERENCES],
            filled=_filled,
            errors=errors or [],
            theirs=theirs or {},
        )


# The form's fields that are neither a row nor a setting.
_OWN_FIELDS = ("csrf", "button", "renames")


def _name(visit: Visit) -> str:
    return cast(str, visit.request.path_params["name"])


def _number(visit: Visit) -> int:
    number = visit.query("number")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0


def _text(texts: tuple[str, ...], number: int) -> str | None:
    """The texts in turn, starting again after the last."""
    return texts[number % len(texts)] if texts else None


def _back(visit: Visit) -> Response:
    """To the page with the same filter."""
    return visit.go(f"/integrations/{_name(visit)}/match", **_filter_of(visit))


def _filter_of(visit: Visit) -> dict[str, str]:
    return {name: visit.query(name) for name in ("show", "q") if visit.query(name)}


def _allowed_renames(form: Form) -> set[tuple[str, str]]:
    """The renames that the user has been asked about."""
    try:
        return {(str(old), str(new)) for old, new in json.loads(form.get("renames") or "[]")}
    except (ValueError, TypeError, RecursionError):
        return set()


def _checked(row: PageRow, sampled: int) -> list[Any]:
    preview = None
    if row.typed:
        texts = row.preview.texts
        preview = [_text(texts, 0), len(texts), _filled(row, sampled)]
    return [row.status, row.reason, row.suggestion, preview]


def _filled(row: PageRow, sampled: int) -> str:
    """How many persons have a value, and how many of these values can be stored."""
    preview = row.preview
    told = f"in {preview.filled + preview.skipped:,} of {sampled:,} persons"
    return f"{told}, {preview.filled:,} fit" if preview.skipped else told


def _typed(form: Form) -> tuple[dict[str, TypedRow], bool]:
    """The rows of the form by key, and whether empty values are ignored."""
    rows = {}
    for field, choice in form.items():
        kind, _, key = field.partition(":")
        if kind == "choice":
            format_ = form.raw(f"format:{key}") or "String"
            rows[key] = TypedRow(cast(Choice, choice), form.raw(f"wooxy:{key}"), format_)
    return rows, "ignore_empty" in form


def _is_found(row: PageRow, search: str) -> bool:
    wanted = search.casefold()
    return any(wanted in text.casefold() for text in (row.label, row.key, row.wooxy))


def _cannot(problems: int) -> str:
    if problems == 1:
        return "1 row has a problem; the row says why."
    return f"{problems:,} rows have a problem; each says why."


def _summary(rows: list[PageRow]) -> str:
    matched = sum(row.status in _MATCHED for row in rows)
    problems = sum(row.status == "red" for row in rows)
    unfit = sum(row.status == "amber" for row in rows)
    told = f"{matched:,} of {len(rows):,} variables are matched"
    if unfit:
        told += f"; {unfit:,} of them {'has' if unfit == 1 else 'have'} no value that fits"
    return f"{told}; {_cannot(problems)}" if problems else f"{told}."


def _columns(shown: MatchPage) -> str | None:
    """What an Import would do to the list's columns, in a sentence."""
    if any(row.refused for row in shown.rows):
        return None
    parts = []
    if shown.columns.added:
        parts.append(f"add {_listed([name for name, _ in shown.columns.added])}")
    if shown.columns.renamed:
        parts.append(f"rename {_listed([f'{old} to {new}' for old, new in shown.columns.renamed])}")
    return f"Import would {' and '.join(parts)}." if parts else None


def _listed(names: list[str]) -> str:
    shown = names[:_SHOWN_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
