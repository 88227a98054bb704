"""The Match variables page: its form, its buttons, and what its script asks for.

A row of the form is three fields, `choice:KEY`, `wooxy:KEY` and `format:KEY`. Every button saves what was typed as a
draft first, but Import, which confirms it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.pipedrive.errors import PipedriveError
from wooxy_pipedrive_etl.sync import match_page, matching, requests
from wooxy_pipedrive_etl.sync.errors import InvalidMatching, MatchingChanged, SyncError
from wooxy_pipedrive_etl.sync.match_page import Choice, MatchPage, PageRow, TypedRow
from wooxy_pipedrive_etl.sync.previews import SampleCache
from wooxy_pipedrive_etl.sync.selection import Kind

from .visit import Form, Visit, page

# What a row's dot says, in words and in shape.
STATES = {"green": "✓ Matched", "gray": "○ Not matched", "red": "✗ Problem"}

FILTERS: dict[str, tuple[str, Callable[[PageRow], bool]]] = {
    "all": ("All", lambda row: True),
    "matched": ("Matched", lambda row: row.status == "green"),
    "unmatched": ("Not matched", lambda row: row.status == "gray"),
    "problems": ("Problems", lambda row: row.status == "red"),
    "new": ("New", lambda row: row.new),
}
# More names, or changes, than a sentence should have.
_SHOWN_NAMES = 8
_SHOWN_CHANGES = 4


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
            "fetch": self._fetch,
            "dry-run": self._dry_run,
            "import": self._import,
        }

    def show(self, visit: Visit) -> Response:
        return self._render(visit, match_page.read_page(visit.store, _name(visit), self._samples))

    def act(self, visit: Visit) -> Response:
        action, _, key = visit.form.get("button").partition(":")
        try:
            if action == "use":
                return self._use_suggestion(visit, key)
            if action in self._actions:
                return self._actions[action](visit, action)
        except MatchingChanged as error:
            return self._again(visit, 409, [str(error)])
        except InvalidMatching as error:
            return self._again(visit, 422, error.errors)
        except (SyncError, ListError) as error:
            return self._again(visit, 422, [str(error)])
        return visit.problem(400, "The form has no such button; nothing was changed.")

    def check(self, visit: Visit) -> Response:
        """What became of each row, for the script: key -> [status, reason, suggestion]."""
        version, rows = match_page.check_rows(visit.store, _name(visit), _typed(visit.form)[0])
        return visit.json(
            {
                "version": version,
                "rows": {row.key: [row.status, row.reason, row.suggestion] for row in rows},
                "summary": _summary(rows),
            }
        )

    def preview(self, visit: Visit) -> Response:
        """Another value, for the script. `number`: how many it has shown already."""
        found = match_page.another_preview(visit.store, _name(visit), self._samples, visit.query("key"))
        return visit.json({"text": _text(found.texts, _number(visit)), "values": len(found.texts)})

    # The buttons

    def _save(self, visit: Visit, action: str) -> Response:
        self._save_draft(visit)
        problems = sum(row.status == "red" for row in self._saved(visit))
        done = "Draft saved." if action == "draft" else "Checked."
        if problems:
            visit.flash(f"{done} {_cannot(problems)}", "warning")
        else:
            visit.flash(f"{done} Every row can be imported as it stands.")
        return _back(visit)

    def _suggest(self, visit: Visit, _: str) -> Response:
        self._save_draft(visit)
        count = matching.suggest_matching(visit.store, _name(visit))
        visit.flash(
            f"{count:,} variables are matched anew by suggestion, in a draft; look them over, then import."
        )
        return _back(visit)

    def _use_suggestion(self, visit: Visit, key: str) -> Response:
        typed, ignore_empty = _typed(visit.form)
        _, rows = match_page.check_rows(visit.store, _name(visit), typed)
        row = next((row for row in rows if row.key == key and row.suggestion is not None), None)
        if row is None:
            raise SyncError("There is no suggestion for that variable any more; nothing was changed.")
        typed[key] = TypedRow("new", row.suggestion or "", row.suggested_format)
        match_page.save_draft(visit.store, _name(visit), typed, ignore_empty, visit.form.get("version"))
        visit.flash(f"“{row.label}” becomes the new variable “{row.suggestion}”, in a draft.")
        return _back(visit)

    def _fetch(self, visit: Visit, _: str) -> Response:
        self._save_draft(visit)
        try:
            changes = match_page.fetch_fields(visit.store, _name(visit))
        except (SyncError, PipedriveError) as error:
            visit.flash(f"The fields were not fetched. {error}", "error")
            return _back(visit)
        if changes:
            shown = [change.message for change in changes[:_SHOWN_CHANGES]]
            more = len(changes) - len(shown)
            visit.flash(" ".join([*shown, f"And {more:,} changes more." if more else ""]).strip(), "warning")
        else:
            visit.flash("The fields are fetched anew: nothing has changed in them.")
        return _back(visit)

    def _dry_run(self, visit: Visit, _: str) -> Response:
        self._save_draft(visit)
        refused = sum(row.refused for row in self._saved(visit))
        if refused:
            return self._again(visit, 422, [f"There is nothing to try yet: {_cannot(refused)}"])
        # Before the first run, the snapshot has a few persons only.
        kind: Kind = "full" if visit.record().watermark is None else "re-map"
        requests.request_run(visit.store, _name(visit), kind, dry_run=True)
        return visit.go(f"/integrations/{_name(visit)}/progress")

    def _import(self, visit: Visit, _: str) -> Response:
        typed, ignore_empty = _typed(visit.form)
        report = match_page.import_rows(
            visit.store, _name(visit), typed, ignore_empty, visit.form.get("version")
        )
        if not report.changed:
            visit.flash("Nothing has changed since the last Import; the matching is in force as it was.")
            return _back(visit)
        visit.flash(f"Imported: {report.matched:,} variables are matched.")
        return visit.go(f"/integrations/{_name(visit)}/progress")

    def _save_draft(self, visit: Visit) -> None:
        typed, ignore_empty = _typed(visit.form)
        match_page.save_draft(visit.store, _name(visit), typed, ignore_empty, visit.form.get("version"))

    def _saved(self, visit: Visit) -> list[PageRow]:
        return match_page.check_rows(visit.store, _name(visit), {})[1]

    # The page

    def _again(self, visit: Visit, status: int, errors: list[str]) -> Response:
        """The page with what was typed, and why nothing came of it."""
        typed, ignore_empty = _typed(visit.form)
        shown = match_page.read_page(visit.store, _name(visit), self._samples, typed, ignore_empty)
        theirs: dict[str, str] = {}
        if status == 409:
            stored = {row.key: row for row in match_page.check_rows(visit.store, _name(visit), {})[1]}
            theirs = {
                mine.key: f"“{other.wooxy}”" if other.choice != "none" else "not imported"
                for mine in shown.rows
                if (other := stored.get(mine.key)) is not None
                and (mine.choice, mine.wooxy.strip()) != (other.choice, other.wooxy)
                and not mine.choice == other.choice == "none"
            }
        return self._render(visit, shown, status, errors=errors, theirs=theirs)

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
                # What was typed must not be out of sight when something is wrong.
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
            errors=errors or [],
            theirs=theirs or {},
        )


def _name(visit: Visit) -> str:
    return cast(str, visit.request.path_params["name"])


def _number(visit: Visit) -> int:
    number = visit.query("number")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0


def _text(texts: tuple[str, ...], number: int) -> str | None:
    """One after the other, and from the beginning again."""
    return texts[number % len(texts)] if texts else None


def _back(visit: Visit) -> Response:
    """To the page as it was filtered."""
    query = {name: visit.query(name) for name in ("show", "q") if visit.query(name)}
    return visit.go(f"/integrations/{_name(visit)}/match", **query)


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
        return "1 row can't be imported as it stands, and says why."
    return f"{problems:,} rows can't be imported as they stand; each says why."


def _summary(rows: list[PageRow]) -> str:
    matched = sum(row.status == "green" for row in rows)
    problems = sum(row.status == "red" for row in rows)
    told = f"{matched:,} of {len(rows):,} variables are matched"
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
    return f"To the list's variables Import would {' and '.join(parts)}." if parts else None


def _listed(names: list[str]) -> str:
    shown = names[:_SHOWN_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
