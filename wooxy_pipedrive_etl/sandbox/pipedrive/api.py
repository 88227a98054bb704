"""The API's endpoints: what each one costs, which parameters it takes, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .account import Account, Organization, User
from .answers import (
    Answer,
    application_error,
    invalid_parameter,
    json_answer,
    success,
    success_list,
    webhooks_error,
)
from .behaviours import Behaviours
from .cursors import read_cursor, write_cursor
from .errors import UnknownRecordError
from .fields import FIELD_NAMESPACES, MARKETING_FIELDS, OPTIONAL_FIELDS
from .json_text import NULL, encode, encode_object, timestamp
from .keyset import Position, SortField, Window
from .oauth import Caller
from .parameters import (
    Parser,
    boolean,
    choice,
    choices,
    integer,
    integers,
    moment,
    positive,
    read_parameters,
    text,
    words,
)
from .rendering import View, person_json
from .subscriptions import Subscription, check_reachable, read_subscription
from .webhooks import Webhooks

MAX_LIMIT: Final = 500
MAX_IDS: Final = 100
MAX_CUSTOM_FIELDS: Final = 15

_ORGANIZATION_OPTIONAL: Final = (
    *(
        name
        for name in OPTIONAL_FIELDS
        if not name.startswith(("participant_", "last_incoming", "last_outgoing"))
    ),
    "people_count",
)


@dataclass(frozen=True)
class Call:
    """One admitted call. `port` is the port it arrived at.

    `duplicate_rows` is a fault: the page contains its first row twice.
    """

    account: Account
    webhooks: Webhooks
    caller: Caller
    path_id: str | None
    query: Sequence[tuple[str, str]]
    body: bytes
    port: int
    duplicate_rows: bool = False


@dataclass(frozen=True)
class Endpoint:
    """One method of one path. `cost` is Pipedrive's `x-token-cost`; `scope` is the scope that an app needs.

    `check` runs before `handle` and without the account's lock, for anything that has to wait.
    """

    path: str
    cost: int
    handle: Callable[[Call, dict[str, Any]], Answer]
    parameters: Mapping[str, Parser] = field(default_factory=dict)
    method: str = "GET"
    scope: str = "contacts:read"
    check: Callable[[Call], Awaitable[None]] | None = None

    async def answer(self, call: Call) -> Answer:
        """Raises ApiError."""
        given = read_parameters(call.query, self.parameters)
        if self.check is not None:
            await self.check(call)
        with call.account.lock:
            return self.handle(call, given)


def list_persons(call: Call, given: dict[str, Any]) -> Answer:
    _reject_saved_filter(given)
    account = call.account
    if "deal_id" in given:
        return _list_answer([], None, account.behaviours)
    window = _window(given, account.behaviours)
    rows, following = account.persons_page(
        window, _view(given, account), owner_id=given.get("owner_id"), org_id=given.get("org_id")
    )
    return _page_answer(rows, following, window, call)


def get_person(call: Call, given: dict[str, Any]) -> Answer:
    account = call.account
    behaviours = account.behaviours
    person = account.find_person(_path_id(call))
    if person is None or account.is_purged(person):
        raise application_error(404, "Person not found")
    if person.hidden:
        if behaviours.hidden_person == "403":
            raise application_error(403, "You do not have permissions to do this")
        raise application_error(404, "Person not found")
    if person.deleted_at is not None and behaviours.deleted_person != "is_deleted":
        raise application_error(int(behaviours.deleted_person), "Person not found")
    return success(person_json(person, account.layout(), _view(given, account)))


def list_organizations(call: Call, given: dict[str, Any]) -> Answer:
    _reject_saved_filter(given)
    window = _window(given, call.account.behaviours)
    _check_custom_fields(given)
    found, following = call.account.organizations_page(window, owner_id=given.get("owner_id"))
    rows = [_organization_json(each, given, call.account) for each in found]
    return _page_answer(rows, following, window, call)


def get_organization(call: Call, given: dict[str, Any]) -> Answer:
    account = call.account
    _check_custom_fields(given)
    organization = account.organizations.get(_path_id(call))
    if organization is None or organization.hidden or account.is_purged(organization):
        raise application_error(404, "Organization not found")
    return success(_organization_json(organization, given, account))


def list_person_fields(call: Call, given: dict[str, Any]) -> Answer:
    window = _window(given, call.account.behaviours)
    start = 0 if window.start is None else window.start.id
    rows = [(number, row) for number, row in call.account.catalogue() if number >= start]
    page = [_field_json(row, given) for _, row in rows[: window.limit]]
    following = rows[window.limit][0] if len(rows) > window.limit else None
    position = None if following is None else Position(following, following)
    return _page_answer(page, position, window, call)


def get_person_field(call: Call, given: dict[str, Any]) -> Answer:
    for _, row in call.account.catalogue():
        if row["field_code"] == call.path_id:
            return success(_field_json(row, given))
    raise application_error(404, "Field not found")


def list_users(call: Call, given: dict[str, Any]) -> Answer:
    users = [_user(each, call) for each in call.account.users.values()]
    return success(encode(users), encode({"company_id": call.account.company_id}))


def get_me(call: Call, given: dict[str, Any]) -> Answer:
    account = call.account
    company = {
        "company_id": account.company_id,
        "company_name": account.company_name,
        "company_domain": account.company_domain,
        "company_country": "FI",
        "company_industry": "IT Services",
        "language": {"language_code": "fi", "country_code": "FI"},
    }
    return success(encode({**_user(account.users[call.caller.user_id], call), **company}))


def list_webhooks(call: Call, given: dict[str, Any]) -> Answer:
    return json_answer(200, {"status": "ok", "success": True, "data": call.webhooks.shown()})


async def check_webhook(call: Call) -> None:
    await check_reachable(_subscription(call).subscription_url, call.port, call.account.behaviours)


def create_webhook(call: Call, given: dict[str, Any]) -> Answer:
    caller = call.caller
    webhook = call.webhooks.add(_subscription(call), owner_id=caller.user_id, by_app=caller.grant is not None)
    return json_answer(201, {"status": "ok", "success": True, "data": webhook})


def delete_webhook(call: Call, given: dict[str, Any]) -> Answer:
    try:
        call.webhooks.remove(int(call.path_id or ""))
    except (ValueError, UnknownRecordError):
        raise webhooks_error(404, {"id": ["not found"]}) from None
    return json_answer(200, {"status": "ok", "success": True})


def _subscription(call: Call) -> Subscription:
    user_ids = call.account.users.keys()
    return read_subscription(call.body, token_owner_id=call.caller.user_id, user_ids=user_ids)


def _path_id(call: Call) -> int:
    return positive("id", call.path_id or "")


def _reject_saved_filter(given: dict[str, Any]) -> None:
    if "filter_id" in given:
        raise application_error(404, "Filter not found")


def _window(given: dict[str, Any], behaviours: Behaviours) -> Window:
    limit = given.get("limit", 100)
    if limit > MAX_LIMIT and behaviours.limit_above_500 == "reject":
        raise invalid_parameter(f"Validation failed: limit: must be less than or equal to {MAX_LIMIT}")
    ids = given.get("ids")
    if ids is not None and len(ids) > MAX_IDS:
        if behaviours.too_many_ids == "reject":
            raise invalid_parameter(f"Validation failed: ids: must have at most {MAX_IDS} ids")
        ids = ids[:MAX_IDS]
    sort_by: SortField = given.get("sort_by", "id")
    descending = given.get("sort_direction") == "desc"
    return Window(
        sort_by=sort_by,
        descending=descending,
        limit=min(limit, MAX_LIMIT, behaviours.largest_page),
        start=read_cursor(given["cursor"], sort_by, descending) if "cursor" in given else None,
        ids=None if ids is None else frozenset(ids),
        updated_since=given.get("updated_since"),
        updated_until=given.get("updated_until"),
        null_matches_since=behaviours.null_update_time_matches_since,
        undated=behaviours.undated_sort,
    )


def _check_custom_fields(given: dict[str, Any]) -> frozenset[str] | None:
    codes = given.get("custom_fields")
    if codes is not None and len(codes) > MAX_CUSTOM_FIELDS:
        raise invalid_parameter(
            f"Validation failed: custom_fields: must have at most {MAX_CUSTOM_FIELDS} keys"
        )
    return None if codes is None else frozenset(codes)


def _view(given: dict[str, Any], account: Account) -> View:
    optional: tuple[str, ...] = given.get("include_fields", ())
    rejects = account.behaviours.marketing_fields_without_app == "reject"
    if rejects and not account.marketing and any(name in MARKETING_FIELDS for name in optional):
        raise invalid_parameter("Validation failed: include_fields: marketing fields need the marketing app")
    return View(
        optional=optional,
        custom_fields=_check_custom_fields(given),
        option_labels=given.get("include_option_labels", False),
        labels=given.get("include_labels", False),
    )


def _page_answer(rows: list[bytes], following: Position | None, window: Window, call: Call) -> Answer:
    if call.duplicate_rows:
        rows = [*rows[:1], *rows]
    cursor = None if following is None else write_cursor(following, window.sort_by, window.descending)
    return _list_answer(rows, cursor, call.account.behaviours)


def _list_answer(rows: list[bytes], cursor: str | None, behaviours: Behaviours) -> Answer:
    additional = encode({"next_cursor": cursor})
    if cursor is None and behaviours.last_page != "null_cursor":
        additional = b"{}" if behaviours.last_page == "no_cursor" else NULL
    return success_list(rows, additional)


def _organization_json(organization: Organization, given: dict[str, Any], account: Account) -> bytes:
    layout = account.layout()
    members = {
        "id": encode(organization.id),
        "name": encode(organization.name),
        "add_time": layout.timestamp(organization.add_time),
        "update_time": layout.timestamp(organization.update_time),
        "visible_to": b"3",
        "owner_id": encode(organization.owner_id),
        "label_ids": b"[]",
        "is_deleted": encode(organization.deleted_at is not None),
        "address": NULL,
        "website": NULL,
        "linkedin": NULL,
        "industry": NULL,
        "annual_revenue": NULL,
        "employee_count": NULL,
        "custom_fields": NULL,
    }
    optional = [name for name in given.get("include_fields", ()) if name not in MARKETING_FIELDS]
    members.update(layout.optional_members({}, optional))
    if given.get("include_labels"):
        members["labels"] = b"[]"
    return encode_object(members)


def _field_json(row: dict[str, Any], given: dict[str, Any]) -> bytes:
    return encode({**row, **{name: FIELD_NAMESPACES[name] for name in given.get("include_fields", ())}})


def _user(user: User, call: Call) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "default_currency": "EUR",
        "locale": "fi_FI",
        "lang": 1,
        "email": user.email,
        "phone": None,
        "activated": True,
        "last_login": _v1_time(call.account.now()),
        "created": "2025-01-10 10:00:00",
        "modified": "2025-01-10 10:00:00",
        "has_created_company": False,
        "access": [
            {
                "app": "global",
                "admin": user.admin,
                "permission_set_id": "62cc4d7f-0000-4352-abf3-a8c1c822b631",
            }
        ],
        "active_flag": user.active,
        "timezone_name": "Europe/Helsinki",
        "timezone_offset": "+02:00",
        "role_id": 1,
        "icon_url": None,
        "is_you": user.id == call.caller.user_id,
        "is_deleted": False,
    }


def _v1_time(seconds: int) -> str:
    return timestamp(seconds).replace("T", " ").rstrip("Z")


_PAGING: Final[dict[str, Parser]] = {"limit": positive, "cursor": text}
_LIST: Final[dict[str, Parser]] = {
    **_PAGING,
    "filter_id": integer,
    "ids": integers,
    "owner_id": integer,
    "updated_since": moment,
    "updated_until": moment,
    "sort_by": choice("id", "update_time", "add_time"),
    "sort_direction": choice("asc", "desc"),
}
_LOOK: Final[dict[str, Parser]] = {
    "include_fields": choices(OPTIONAL_FIELDS),
    "custom_fields": words,
    "include_option_labels": boolean,
    "include_labels": boolean,
}
_ORGANIZATION_LOOK: Final[dict[str, Parser]] = {**_LOOK, "include_fields": choices(_ORGANIZATION_OPTIONAL)}
_FIELD_LOOK: Final[dict[str, Parser]] = {"include_fields": choices(FIELD_NAMESPACES)}

ENDPOINTS: Final = (
    Endpoint("/api/v2/persons", 10, list_persons, {**_LIST, **_LOOK, "org_id": integer, "deal_id": integer}),
    Endpoint("/api/v2/persons/{id}", 1, get_person, _LOOK),
    Endpoint("/api/v2/organizations", 10, list_organizations, {**_LIST, **_ORGANIZATION_LOOK}),
    Endpoint("/api/v2/organizations/{id}", 1, get_organization, _ORGANIZATION_LOOK),
    Endpoint("/api/v2/personFields", 10, list_person_fields, {**_PAGING, **_FIELD_LOOK}),
    Endpoint("/api/v2/personFields/{id}", 1, get_person_field, _FIELD_LOOK),
    *(
        endpoint
        for prefix in ("/api/v1", "/v1")
        for endpoint in (
            Endpoint(f"{prefix}/users", 20, list_users, scope="users:read"),
            Endpoint(f"{prefix}/users/me", 2, get_me, scope="base"),
            Endpoint(f"{prefix}/webhooks", 10, list_webhooks, scope="admin"),
            Endpoint(
                f"{prefix}/webhooks", 10, create_webhook, method="POST", scope="admin", check=check_webhook
            ),
            Endpoint(f"{prefix}/webhooks/{{id}}", 6, delete_webhook, method="DELETE", scope="admin"),
        )
    ),
)
"""Everything that is served. v1 has two prefixes; v2 has only `/api/v2`."""

REMOVED_PREFIXES: Final = ("/v2/", "/api/v1/persons", "/v1/persons")
"""Paths that were removed or never existed, but that old clients still call."""
