"""The commands of the control surface, which change an account and the sandbox that serves it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from .behaviours import Behaviours, Limits
from .errors import InvalidValueError
from .fault_mix import FaultMix
from .faults import Fault
from .gateway import Gateway
from .oauth import OAuthApp
from .oauth_pages import uninstall_app

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Command:
    """One command: `run` takes the gateway, the path's parameters and the JSON body, and returns the JSON answer."""

    method: str
    path: str
    summary: str
    run: Callable[[Gateway, dict[str, Any], dict[str, Any]], Any]


def _values(body: dict[str, Any]) -> dict[str, Any]:
    """Arguments for the account's methods: as received, except that times become datetimes."""
    values = dict(body)
    for key in ("add_time", "update_time"):
        if isinstance(values.get(key), str):
            values[key] = datetime.fromisoformat(values[key])
    return values


def _state(gateway: Gateway) -> dict[str, Any]:
    account = gateway.account
    return {
        "company_id": account.company_id,
        "persons": len(account.visible_person_ids()),
        "organizations": len(account.organizations),
        "users": {str(each.id): each.name for each in account.users.values()},
        "labels": {str(each.id): each.label for each in account.labels},
        "fields": [
            {
                "code": each.code,
                "name": each.name,
                "field_type": each.field_type,
                "options": {str(option.id): option.label for option in each.options},
            }
            for each in account.custom_fields.values()
        ],
        "contact_sync": account.contact_sync,
        "marketing": account.marketing,
        "behaviours": dataclasses.asdict(account.behaviours),
        "limits": dataclasses.asdict(gateway.budget.limits),
        "tokens_used": gateway.budget.tokens_used,
        "requests": len(gateway.log.records()),
    }


def _settings(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    unknown = body.keys() - {"contact_sync", "marketing"}
    if unknown:
        raise InvalidValueError(f"There is no setting {min(unknown)!r}.")
    for name, value in body.items():
        setattr(gateway.account, name, bool(value))
    return _state(gateway)


def _behaviours(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    present = dataclasses.asdict(gateway.account.behaviours)
    gateway.account.behaviours = _read(Behaviours, {**present, **body})
    return dataclasses.asdict(gateway.account.behaviours)


def _limits(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    present = dataclasses.asdict(gateway.budget.limits)
    gateway.budget.limits = _read(Limits, {**present, **body})
    return dataclasses.asdict(gateway.budget.limits)


def _add_fault(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    # `on_page` is a Python function, so it can't be set over HTTP.
    gateway.faults.add(_read(Fault, body))
    return {}


def _read(kind: type[T], body: dict[str, Any]) -> T:
    unknown = body.keys() - {each.name for each in dataclasses.fields(kind)}
    if unknown:
        raise InvalidValueError(f"There is no {min(unknown)!r} to set.")
    plain = {name: float(value) if isinstance(value, Decimal) else value for name, value in body.items()}
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise InvalidValueError(f"{error}.") from None


def _pending_faults(gateway: Gateway) -> list[dict[str, Any]]:
    names = [each.name for each in dataclasses.fields(Fault) if each.name != "on_page"]
    return [{name: getattr(fault, name) for name in names} for fault in gateway.faults.pending()]


def _fault_mix(gateway: Gateway) -> dict[str, Any]:
    mix = gateway.mixed_faults.mix
    return {
        "mix": None if mix is None else dataclasses.asdict(mix),
        "struck": gateway.mixed_faults.struck(),
    }


def _set_fault_mix(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.mixed_faults.mix = _read(FaultMix, body)
    return _fault_mix(gateway)


def _end_fault_mix(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.mixed_faults.mix = None
    return _fault_mix(gateway)


def _merge(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.account.merge_persons(path["person_id"], body["loser_id"])
    return {}


def _put_raw(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.account.put_raw_person(path["person_id"], body["json"])
    return {}


def _on_account(method: str) -> Callable[[Gateway, dict[str, Any], dict[str, Any]], Any]:
    """Runs a method of the account with the path's parameters and the body's members as arguments.

    Answers `{"id": …}` or `{"code": …}` if it creates something, otherwise `{}`.
    """

    def run(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> Any:
        made = getattr(gateway.account, method)(**path, **_values(body))
        if made is None:
            return {}
        return {"code" if isinstance(made, str) else "id": made}

    return run


def _on_webhooks(method: str) -> Callable[[Gateway, dict[str, Any], dict[str, Any]], Any]:
    """Runs a method of the webhooks with the body's members as arguments; answers their state."""

    def run(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        getattr(gateway.webhooks, method)(**body)
        return gateway.webhooks.state()

    return run


def _set_app(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    app = gateway.oauth.app
    present = {} if app is None else dataclasses.asdict(app)
    gateway.oauth.app = _read(OAuthApp, {**present, **body})
    return gateway.oauth.state()


def _uninstall(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    uninstall_app(gateway.oauth, gateway.budget.limits.webhook_timeout_seconds, **body)
    return gateway.oauth.state()


def _on_oauth(method: str) -> Callable[[Gateway, dict[str, Any], dict[str, Any]], Any]:
    """Runs a method of OAuth without arguments; answers the state of the app and its grants."""

    def run(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        getattr(gateway.oauth, method)()
        return gateway.oauth.state()

    return run


def _clear_log(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.log.clear()
    return {}


def _clear_faults(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.faults.clear()
    return {}


def _reset(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    gateway.reset()
    return {}


_PERSON: Final = "/sandbox/persons/{person_id:int}"
_FIELD: Final = "/sandbox/fields/{code}"
_OPTION: Final = "/sandbox/fields/{code}/options/{option_id:int}"
_ORGANIZATION: Final = "/sandbox/organizations/{organization_id:int}"

COMMANDS: Final = (
    Command(
        "GET",
        "/sandbox/state",
        "A summary of the account, its fields, and what was spent",
        lambda g, p, b: _state(g),
    ),
    Command(
        "POST",
        "/sandbox/persons",
        "Create a person from v2 values: name, emails, custom_fields, …",
        _on_account("create_person"),
    ),
    Command(
        "GET",
        _PERSON,
        "One person, even a deleted or hidden one",
        lambda g, p, b: g.account.person_state(**p),
    ),
    Command("PATCH", _PERSON, "Edit a person with v2 values; others stay", _on_account("edit_person")),
    Command("DELETE", _PERSON, "Delete a person (soft)", _on_account("delete_person")),
    Command("POST", _PERSON + "/restore", "Restore a deleted person", _on_account("restore_person")),
    Command("POST", _PERSON + "/merge", "Merge another person into this one: loser_id", _merge),
    Command("POST", _PERSON + "/hide", "Hide a person from the token's owner", _on_account("hide_person")),
    Command("POST", _PERSON + "/show", "Show a hidden person again", _on_account("show_person")),
    Command("PUT", _PERSON + "/raw", "Serve any text as this person: json", _put_raw),
    Command(
        "POST",
        "/sandbox/fields",
        "Add a custom field: name, field_type, options, code",
        _on_account("add_field"),
    ),
    Command("PATCH", _FIELD, "Rename a field: name", _on_account("rename_field")),
    Command("DELETE", _FIELD, "Delete a field", _on_account("delete_field")),
    Command("POST", _FIELD + "/options", "Add an option: label", _on_account("add_option")),
    Command("PATCH", _OPTION, "Rename an option: label", _on_account("rename_option")),
    Command("DELETE", _OPTION, "Delete an option", _on_account("delete_option")),
    Command("POST", "/sandbox/labels", "Add a label for persons: name, color", _on_account("add_label")),
    Command("PATCH", "/sandbox/labels/{label_id:int}", "Rename a label: name", _on_account("rename_label")),
    Command("DELETE", "/sandbox/labels/{label_id:int}", "Delete a label", _on_account("delete_label")),
    Command("POST", "/sandbox/organizations", "Add an organisation: name", _on_account("add_organization")),
    Command("PATCH", _ORGANIZATION, "Rename an organisation: name", _on_account("rename_organization")),
    Command("DELETE", _ORGANIZATION, "Delete an organisation (soft)", _on_account("delete_organization")),
    Command(
        "POST",
        _ORGANIZATION + "/hide",
        "Hide an organisation from the token's owner",
        _on_account("hide_organization"),
    ),
    Command(
        "POST", _ORGANIZATION + "/show", "Show a hidden organisation again", _on_account("show_organization")
    ),
    Command("POST", "/sandbox/users", "Add a user: name, admin, active", _on_account("add_user")),
    Command("PATCH", "/sandbox/users/{user_id:int}", "Rename a user: name", _on_account("rename_user")),
    Command("PATCH", "/sandbox/settings", "Switch contact_sync or marketing", _settings),
    Command(
        "PATCH",
        "/sandbox/behaviours",
        "Switch undocumented behaviours; /sandbox/state lists them",
        _behaviours,
    ),
    Command(
        "PATCH",
        "/sandbox/limits",
        "Set limits: daily_tokens, burst_per_2s, latency_seconds, webhook_clock_speed, webhook_timeout_seconds",
        _limits,
    ),
    Command(
        "GET",
        "/sandbox/webhooks",
        "Webhooks with their bans, waiting deliveries and last status, and the faults ordered for the next events",
        lambda g, p, b: g.webhooks.state(),
    ),
    Command(
        "DELETE",
        "/sandbox/webhooks",
        "Delete all webhooks without telling their receivers",
        _on_webhooks("drop_all"),
    ),
    Command(
        "GET",
        "/sandbox/webhooks/deliveries",
        "The delivery attempts so far",
        lambda g, p, b: [dataclasses.asdict(each) for each in g.webhooks.deliveries()],
    ),
    Command(
        "POST", "/sandbox/webhooks/lose", "Lose the next events: events (how many)", _on_webhooks("lose")
    ),
    Command(
        "POST",
        "/sandbox/webhooks/double",
        "Send the next events twice: events (how many)",
        _on_webhooks("double"),
    ),
    Command(
        "POST",
        "/sandbox/webhooks/reverse",
        "Hold the next events, then send them in reverse order: events (how many)",
        _on_webhooks("reverse"),
    ),
    Command(
        "POST",
        "/sandbox/webhooks/replay",
        "Send an event again: event_id, by default the oldest",
        _on_webhooks("replay"),
    ),
    Command(
        "POST",
        "/sandbox/webhooks/pass-time",
        "Advance the clock of webhook retries, bans and deletions: seconds",
        _on_webhooks("pass_time"),
    ),
    Command(
        "DELETE",
        "/sandbox/webhooks/faults",
        "Cancel the faults ordered for the next events, and send held events",
        _on_webhooks("cancel_faults"),
    ),
    Command(
        "GET",
        "/sandbox/oauth",
        "The registered app and its grants, without secrets",
        lambda g, p, b: g.oauth.state(),
    ),
    Command(
        "PATCH",
        "/sandbox/oauth/app",
        "Register or change the app: client_id, client_secret, redirect_uri, name, scopes",
        _set_app,
    ),
    Command(
        "POST",
        "/sandbox/oauth/uninstall",
        "Uninstall the app and notify it: user_id, by default the token's owner",
        _uninstall,
    ),
    Command(
        "POST",
        "/sandbox/oauth/revoke",
        "Revoke all tokens without notifying the app",
        _on_oauth("revoke_all"),
    ),
    Command(
        "POST",
        "/sandbox/oauth/expire",
        "Expire all access tokens now; refresh tokens stay valid",
        _on_oauth("expire_access_tokens"),
    ),
    Command(
        "GET",
        "/sandbox/requests",
        "The API calls so far",
        lambda g, p, b: [dataclasses.asdict(each) for each in g.log.records()],
    ),
    Command("DELETE", "/sandbox/requests", "Clear the log of API calls", _clear_log),
    Command("GET", "/sandbox/faults", "Faults that can still strike", lambda g, p, b: _pending_faults(g)),
    Command(
        "POST", "/sandbox/faults", "Order a fault: kind, path_prefix, times, after, status, …", _add_fault
    ),
    Command("DELETE", "/sandbox/faults", "Cancel all ordered faults", _clear_faults),
    Command(
        "GET",
        "/sandbox/fault-mix",
        "The random faults, and how many of each kind have struck",
        lambda g, p, b: _fault_mix(g),
    ),
    Command("PUT", "/sandbox/fault-mix", "Make calls fail at random: rate, kinds, seed", _set_fault_mix),
    Command("DELETE", "/sandbox/fault-mix", "Stop the random faults", _end_fault_mix),
    Command(
        "POST",
        "/sandbox/reset",
        "Clear faults, requests, deliveries and spent tokens; the account and its app stay",
        _reset,
    ),
)
"""All commands of the control surface."""
