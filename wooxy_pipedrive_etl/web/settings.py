"""A connection's settings, and the actions on it as a whole: pause, run, webhook, reconnect, disconnect."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.connections import accounts, choices, run_requests, settings, webhooks
from wooxy_pipedrive_etl.connections.oauth_app import WANTED_SCOPES, oauth_app
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS, failure_code
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.pipedrive import OAuthApp
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.locks import ConnectionBusy
from wooxy_pipedrive_etl.views import status

from . import words
from .headers import forms_may_lead_to
from .visit import Visit, page

_ROOT = "/integrations/{name}"


def routes() -> list[BaseRoute]:
    return [
        Route(f"{_ROOT}/settings", page(_show), methods=["GET"]),
        Route(f"{_ROOT}/settings", page(_change), methods=["POST"]),
        Route(f"{_ROOT}/pause", page(_pause), methods=["POST"]),
        Route(f"{_ROOT}/resume", page(_resume), methods=["POST"]),
        Route(f"{_ROOT}/sync", page(_sync), methods=["POST"]),
        Route(f"{_ROOT}/webhook", page(_webhook), methods=["POST"]),
        Route(f"{_ROOT}/disconnect", page(_disconnect), methods=["POST"]),
    ]


def _show(visit: Visit) -> Response:
    record = visit.record()
    typed = {
        "default_region": record.default_region or "",
        "consent": record.consent,
        "on_delete": record.on_delete,
        "ignore_empty": view.ignores_empty_values(visit.store, record.name),
    }
    return _page(visit, record, typed)


def _change(visit: Visit) -> Response:
    record = visit.record()
    typed: dict[str, Any] = {
        field: visit.form.get(field) for field in ("default_region", "consent", "on_delete")
    }
    typed["ignore_empty"] = "ignore_empty" in visit.form
    try:
        follows = settings.change_settings(
            visit.store,
            record.name,
            default_region=typed["default_region"] or None,
            consent=typed["consent"],
            on_delete=typed["on_delete"],
        )
        # Compared with what is shown; a draft may have another value, which waits for its Import.
        if typed["ignore_empty"] != view.ignores_empty_values(visit.store, record.name):
            follows |= view.set_ignore_empty_values(visit.store, record.name, typed["ignore_empty"])
    except (InvalidSetting, ConnectionBusy) as error:
        return _page(visit, record, typed, 409 if isinstance(error, ConnectionBusy) else 422, str(error))
    if not follows:
        visit.flash("The settings are saved.")
    elif record.paused:
        visit.flash(
            f"The settings are saved. The list follows with the next run: {record.name} is paused.", "warning"
        )
    else:
        visit.flash("The settings are saved. A run that brings the whole list in line with them starts now.")
    return _back(visit, record)


def _pause(visit: Visit) -> Response:
    record = visit.record()
    settings.pause(visit.store, record.name)
    visit.flash(f"{record.name} is paused: no run starts automatically.")
    return _back(visit, record)


def _resume(visit: Visit) -> Response:
    record = visit.record()
    settings.resume(visit.store, record.name)
    visit.flash(f"{record.name} resumed. Changes made while it was paused will be synced now.")
    return _back(visit, record)


def _sync(visit: Visit) -> Response:
    record = visit.record()
    try:
        run_requests.request_run(
            visit.store,
            record.name,
            "full" if visit.form.get("kind") == "full" else "changes",
        )
    except EXPECTED_ERRORS as error:
        return _refused(visit, record, error)
    return visit.go(f"/integrations/{record.name}/progress")


def _webhook(visit: Visit) -> Response:
    record = visit.record()
    try:
        if visit.form.get("action") == "remove":
            found = webhooks.remove(visit.store, record.name)
        else:
            found = webhooks.register(visit.store, record.name, visit.public_url)
    except EXPECTED_ERRORS as error:
        return _refused(visit, record, error)
    visit.flash(found.message)
    return _back(visit, record)


def _disconnect(visit: Visit) -> Response:
    record = visit.record()
    if visit.form.get("confirm") != record.name:
        visit.flash(f"To disconnect it, type its name as it is here: {record.name}.", "error")
        return _back(visit, record)
    forget = "forget" in visit.form
    try:
        left = accounts.disconnect(visit.store, record.name, forget=forget)
    except EXPECTED_ERRORS as error:
        return _refused(visit, record, error)
    kept = "everything of it is forgotten but the list" if forget else "its list stays as it is"
    visit.flash(f"{record.name} is disconnected; {kept}.")
    if left is not None:
        visit.flash(left, "warning")
    return visit.go("/")


def _refused(visit: Visit, record: ConnectionRecord, error: Exception) -> Response:
    told = words.plain(failure_code(error), str(error))
    visit.flash(told.sentence, "error", told.details)
    return _back(visit, record)


def _back(visit: Visit, record: ConnectionRecord) -> Response:
    return visit.go(f"/integrations/{record.name}/settings")


def _page(
    visit: Visit,
    record: ConnectionRecord,
    typed: dict[str, Any],
    code: int = 200,
    problem: str | None = None,
) -> Response:
    (standing,) = status.statuses(visit.store, record.name, estimates=False)
    app, no_app = _app(visit)
    webhook_url, no_webhook = _webhook_url(visit, record)
    answer = visit.render(
        "settings.html",
        code,
        record=record,
        tab="settings",
        typed=typed,
        problem=problem,
        each=standing,
        state=words.state_of(standing),
        consent_words=words.CONSENT,
        on_delete_words=words.ON_DELETE,
        missing_scopes=_missing_scopes(record),
        no_app=no_app,
        regions=choices.regions(),
        drafted_ignore_empty=view.drafted_ignore_empty_values(visit.store, record.name),
        webhook_url=webhook_url,
        no_webhook=no_webhook,
        database=_database(visit.store),
    )
    if app is not None:
        answer.headers.update(forms_may_lead_to(app.authorize_url("")))
    return answer


def _app(visit: Visit) -> tuple[OAuthApp | None, str | None]:
    """The OAuth app, or why there is none."""
    try:
        app = oauth_app(visit.public_url)
    except InvalidSetting as error:
        return None, str(error)
    return app, None if app else "No OAuth app is set up on this server (see docs/pages.md)."


def _webhook_url(visit: Visit, record: ConnectionRecord) -> tuple[str | None, str | None]:
    """Where Pipedrive would send changes, or why it can't."""
    try:
        return webhooks.subscription_url(visit.public_url, record.name), None
    except InvalidSetting as error:
        return None, str(error)


def _missing_scopes(record: ConnectionRecord) -> list[str]:
    """The scopes that the app asks for and was not granted, in words. With an API token nothing is missing."""
    granted = WANTED_SCOPES.keys() if record.credentials.scopes is None else record.credentials.scopes
    return [meaning for scope, meaning in WANTED_SCOPES.items() if scope not in granted]


def _database(store: Store) -> str:
    """Which database holds the list's table; without credentials or a path on the server."""
    url = store.engine.url
    if store.engine.dialect.name == "sqlite":
        return "the embedded SQLite database"
    return f"the PostgreSQL database {url.database}" + (f" on {url.host}" if url.host else "")
