"""What the control surface can do to an account and to the sandbox that serves it."""

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
    """One command: `run` gets the gateway, the path's parameters and the JSON body, and gives the JSON answer."""

    method: str
    path: str
    summary: str
    run: Callable[[Gateway, dict[str, Any], dict[str, Any]], Any]


def _values(body: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the account's methods: as they came, but times as datetimes."""
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
    # `on_page` runs Python code, which does not come over HTTP.
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
    """A method of the account that takes the path's parameters and the body's members by name.

    Answers `{"id": …}` or `{"code": …}` when it makes something, else `{}`.
    """

    def run(gateway: Gateway, path: dict[str, Any], body: dict[str, Any]) -> Any:
        made = getattr(gateway.account, method)(**path, **_values(body))
        if made is None:
            return {}
        return {"code" if isinstance(made, str) else "id": made}

    return run


def _on_webhooks(method: str) -> Callable[[Gateway, dict[str, Any], dict[str, Any]], Any]:
    """A method of the webhooks that takes the body's members by name; answers their state."""

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
    """A method of the grants that takes nothing; answers their state."""

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
        "The account in short, its fields, and what was spent",
        lambda g, p, b: _state(g),
    ),
    Command(
        "POST",
        "/sandbox/persons",
        "Create a person: v2 values, such as name, emails, custom_fields",
        _on_account("create_person"),
    ),
    Command(
        "GET", _PERSON, "One person, deleted and hidden ones too", lambda g, p, b: g.account.person_state(**p)
    ),
    Command("PATCH", _PERSON, "Edit: v2 values; what is left out stays", _on_account("edit_person")),
    Command("DELETE", _PERSON, "Delete (soft)", _on_account("delete_person")),
    Command("POST", _PERSON + "/restore", "Restore a deleted person", _on_account("restore_person")),
    Command("POST", _PERSON + "/merge", "Merge another person into this one: loser_id", _merge),
    Command("POST", _PERSON + "/hide", "Hide from the token's owner", _on_account("hide_person")),
    Command("POST", _PERSON + "/show", "Show again", _on_account("show_person")),
    Command("PUT", _PERSON + "/raw", "Serve this text, whatever it is, as the person: json", _put_raw),
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
    Command("POST", "/sandbox/labels", "Add a label of persons: name, color", _on_account("add_label")),
    Command("PATCH", "/sandbox/labels/{label_id:int}", "Rename a label: name", _on_account("rename_label")),
    Command("DELETE", "/sandbox/labels/{label_id:int}", "Delete a label", _on_account("delete_label")),
    Command("POST", "/sandbox/organizations", "Add an organisation: name", _on_account("add_organization")),
    Command("PATCH", _ORGANIZATION, "Rename an organisation: name", _on_account("rename_organization")),
    Command("DELETE", _ORGANIZATION, "Delete an organisation (soft)", _on_account("delete_organization")),
    Command("POST", _ORGANIZATION + "/hide", "Hide from the token's owner", _on_account("hide_organization")),
    Command("POST", _ORGANIZATION + "/show", "Show again", _on_account("show_organization")),
    Command("POST", "/sandbox/users", "Add a user: name, admin, active", _on_account("add_user")),
    Command("PATCH", "/sandbox/users/{user_id:int}", "Rename a user: name", _on_account("rename_user")),
    Command("PATCH", "/sandbox/settings", "Switch contact_sync, marketing", _settings),
    Command(
        "PATCH", "/sandbox/behaviours", "Switch undocumented behaviours; see state for names", _behaviours
    ),
    Command(
        "PATCH",
        "/sandbox/limits",
        "daily_tokens, burst_per_2s, latency_seconds, webhook_clock_speed, webhook_timeout_seconds",
        _limits,
    ),
    Command(
        "GET",
        "/sandbox/webhooks",
        "Webhooks: bans, what waits, the last status; and what is ordered for the next events",
        lambda g, p, b: g.webhooks.state(),
    ),
    Command("DELETE", "/sandbox/webhooks", "Drop all webhooks without a word", _on_webhooks("drop_all")),
    Command(
        "GET",
        "/sandbox/webhooks/deliveries",
        "The attempts so far",
        lambda g, p, b: [dataclasses.asdict(each) for each in g.webhooks.deliveries()],
    ),
    Command("POST", "/sandbox/webhooks/lose", "Lose the next events: events", _on_webhooks("lose")),
    Command("POST", "/sandbox/webhooks/double", "Double the next events: events", _on_webhooks("double")),
    Command(
        "POST",
        "/sandbox/webhooks/reverse",
        "Hold the next events until all are there, then the last one first: events",
        _on_webhooks("reverse"),
    ),
    Command(
        "POST",
        "/sandbox/webhooks/replay",
        "Send an old event again: event_id, else the oldest",
        _on_webhooks("replay"),
    ),
    Command(
        "POST",
        "/sandbox/webhooks/pass-time",
        "Let time pass for retries, bans and the end of webhooks: seconds",
        _on_webhooks("pass_time"),
    ),
    Command(
        "DELETE",
        "/sandbox/webhooks/faults",
        "Cancel what is ordered for the next events; held ones come",
        _on_webhooks("cancel_faults"),
    ),
    Command(
        "GET",
        "/sandbox/oauth",
        "The registered app and what was granted to it, without secrets",
        lambda g, p, b: g.oauth.state(),
    ),
    Command(
        "PATCH",
        "/sandbox/oauth/app",
        "Register the app, or change it: client_id, client_secret, redirect_uri, name, scopes",
        _set_app,
    ),
    Command(
        "POST",
        "/sandbox/oauth/uninstall",
        "Uninstall the app and tell it so: user_id, else the token's owner",
        _uninstall,
    ),
    Command("POST", "/sandbox/oauth/revoke", "Revoke all tokens without a word", _on_oauth("revoke_all")),
    Command(
        "POST",
        "/sandbox/oauth/expire",
        "Let all access tokens expire now; refresh tokens stay",
        _on_oauth("expire_access_tokens"),
    ),
    Command(
        "GET",
        "/sandbox/requests",
        "The calls of the API so far",
        lambda g, p, b: [dataclasses.asdict(each) for each in g.log.records()],
    ),
    Command("DELETE", "/sandbox/requests", "Forget them", _clear_log),
    Command("GET", "/sandbox/faults", "Faults that can still strike", lambda g, p, b: _pending_faults(g)),
    Command(
        "POST", "/sandbox/faults", "Order a fault: kind, path_prefix, times, after, status, …", _add_fault
    ),
    Command("DELETE", "/sandbox/faults", "Cancel all faults that are ordered", _clear_faults),
    Command(
        "GET",
        "/sandbox/fault-mix",
        "The faults that come at a rate, and how many have struck by kind",
        lambda g, p, b: _fault_mix(g),
    ),
    Command("PUT", "/sandbox/fault-mix", "Let faults come at a rate: rate, kinds, seed", _set_fault_mix),
    Command("DELETE", "/sandbox/fault-mix", "End that", _end_fault_mix),
    Command(
        "POST",
        "/sandbox/reset",
        "Forget faults, requests, deliveries and spent tokens; the account and its app stay",
        _reset,
    ),
)
"""Everything that the control surface can do."""
