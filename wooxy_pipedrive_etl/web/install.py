"""Add integration: a user grants access to a Pipedrive account (Allow and Install, or an API token), then chooses its
domain."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.connections import choices, installations
from wooxy_pipedrive_etl.connections.oauth_app import WANTED_SCOPES, oauth_app
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
from wooxy_pipedrive_etl.list_settings import Consent, OnDelete
from wooxy_pipedrive_etl.pipedrive import OAuthApp
from wooxy_pipedrive_etl.pipedrive.api_url import completed_api_url
from wooxy_pipedrive_etl.store.installations import Installation

from . import words
from .consent import NEW
from .headers import forms_may_lead_to
from .visit import Visit, page

_INSTALLATION = NEW + "/{installation_id:int}"
_MAX_ID = 2**63 - 1


def routes() -> list[BaseRoute]:
    return [
        Route(NEW, page(_show), methods=["GET"]),
        Route(f"{NEW}/token", page(_take_api_token), methods=["POST"]),
        Route(_INSTALLATION, page(_show_installed), methods=["GET"]),
        Route(f"{_INSTALLATION}/cancel", page(_cancel), methods=["POST"]),
        Route(f"{_INSTALLATION}/domain", page(_show_domain), methods=["GET"]),
        Route(f"{_INSTALLATION}/domain", page(_connect), methods=["POST"]),
    ]


# Allow and Install


def _show(visit: Visit) -> Response:
    return _page(visit)


def _take_api_token(visit: Visit) -> Response:
    api_url, api_token = visit.form.get("api_url"), visit.form.get("api_token")
    if not api_url or not api_token:
        return _page(visit, 422, "Give both the account's address and the API token.")
    try:
        installation = installations.install_with_api_token(
            visit.store, completed_api_url(api_url), api_token
        )
    except EXPECTED_ERRORS as error:
        return _page(visit, 422, str(error))
    return visit.go(f"{NEW}/{installation.id}")


def _page(visit: Visit, status: int = 200, problem: str | None = None) -> Response:
    app: OAuthApp | None = None
    no_app = "No OAuth app is set up on this server (see docs/pages.md), so an API token is the way in."
    try:
        app = oauth_app(visit.public_url)
    except InvalidSetting as error:
        no_app = str(error)
    answer = visit.render(
        "new.html",
        status,
        no_app=None if app is not None else no_app,
        scopes=list(WANTED_SCOPES.values()),
        waiting=installations.waiting(visit.store),
        problem=problem,
        # A URL with a user and a password in it is not shown again.
        api_url="" if "@" in visit.form.get("api_url") else visit.form.get("api_url"),
    )
    if app is not None:
        answer.headers.update(forms_may_lead_to(app.authorize_url("")))
    return answer


def _show_installed(visit: Visit) -> Response:
    """The page that follows once access is granted."""
    installation = _installation(visit)
    if not installation.connected_to:
        return visit.go(f"{NEW}/{installation.id}/domain")
    return visit.render("installed.html", installation=installation)


def _cancel(visit: Visit) -> Response:
    installation = _installation(visit)
    installations.forget(visit.store, installation.id)
    visit.flash(f"{installation.company_name} was not connected, and its credentials are forgotten.")
    return visit.go("/")


# Select the domain


def _show_domain(visit: Visit) -> Response:
    installation = _installation(visit)
    taken = choices.names_taken(visit.store)
    typed = {
        "name": installations.suggested_name(installation.company_domain, taken),
        "domain": "",
        "default_region": "",
        "consent": Consent.RESPECT,
        "on_delete": OnDelete.DELETE,
    }
    return _domain_page(visit, installation, typed)


def _connect(visit: Visit) -> Response:
    installation = _installation(visit)
    typed = {
        field: visit.form.get(field) for field in ("name", "domain", "default_region", "consent", "on_delete")
    }
    try:
        similar = choices.similar_domain(visit.store, typed["domain"])
        if similar is not None and visit.form.get("new_list") != typed["domain"]:
            return _domain_page(visit, installation, typed, similar=similar)
        record, _ = installations.connect_installation(
            visit.store,
            installation.id,
            name=typed["name"],
            domain=typed["domain"],
            default_region=typed["default_region"] or None,
            consent=typed["consent"],
            on_delete=typed["on_delete"],
        )
    except EXPECTED_ERRORS as error:
        return _domain_page(visit, installation, typed, 422, str(error))
    visit.flash(f"{installation.company_name} is connected with {record.domain}. Match its variables now.")
    return visit.go(f"/integrations/{record.name}/match")


def _domain_page(
    visit: Visit,
    installation: Installation,
    typed: dict[str, str],
    status: int = 200,
    problem: str | None = None,
    similar: str | None = None,
) -> Response:
    """`similar`: a domain with a list of which the typed one may be a typo; the user is asked about it."""
    return visit.render(
        "domain.html",
        status,
        installation=installation,
        typed=typed,
        problem=problem,
        similar=similar,
        regions=choices.regions(),
        free_domains=choices.free_domains(visit.store),
        left=choices.disconnected(visit.store, installation.company_id),
        consent_words=words.CONSENT,
        on_delete_words=words.ON_DELETE,
    )


def _installation(visit: Visit) -> Installation:
    """The installation in the path. Raises UnknownInstallation."""
    # No installation has an id beyond what the column can store.
    return installations.get(visit.store, min(visit.request.path_params["installation_id"], _MAX_ID))
