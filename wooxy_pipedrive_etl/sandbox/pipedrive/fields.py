"""The field catalogue of persons: system, contact sync, optional and custom fields as `personFields` shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .behaviours import Behaviours

CUSTOM_FIELD_TYPES: Final = (
    "varchar", "varchar_auto", "text", "double", "monetary", "date", "set", "enum",
    "user", "org", "people", "phone", "time", "timerange", "daterange", "address",
)  # fmt: skip
"""The 16 types of custom person fields."""

OPTIONAL_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "next_activity_id": ("Next activity", "activity"),
    "last_activity_id": ("Last activity", "activity"),
    "open_deals_count": ("Open deals", "int"),
    "related_open_deals_count": ("Related open deals", "int"),
    "closed_deals_count": ("Closed deals", "int"),
    "related_closed_deals_count": ("Related closed deals", "int"),
    "participant_open_deals_count": ("Open deals as participant", "int"),
    "participant_closed_deals_count": ("Closed deals as participant", "int"),
    "email_messages_count": ("Email messages", "int"),
    "activities_count": ("Total activities", "int"),
    "done_activities_count": ("Done activities", "int"),
    "undone_activities_count": ("Activities to do", "int"),
    "files_count": ("Files", "int"),
    "notes_count": ("Notes count", "int"),
    "followers_count": ("Followers", "int"),
    "won_deals_count": ("Won deals", "int"),
    "related_won_deals_count": ("Related won deals", "int"),
    "lost_deals_count": ("Lost deals", "int"),
    "related_lost_deals_count": ("Related lost deals", "int"),
    "last_incoming_mail_time": ("Last email received", "date"),
    "last_outgoing_mail_time": ("Last email sent", "date"),
    "marketing_status": ("Marketing status", "varchar_options"),
    "doi_status": ("Double opt-in status", "varchar_options"),
    "smart_bcc_email": ("Smart Bcc email", "varchar"),
}
"""`include_fields` of the persons list, by code: name and type in the catalogue."""

MARKETING_FIELDS: Final = ("marketing_status", "doi_status")
CONTACT_SYNC_FIELDS: Final = ("postal_address", "notes", "im", "birthday", "job_title")

_SYSTEM_FIELDS: Final[dict[str, tuple[str, str, bool]]] = {
    "id": ("ID", "int", False),
    "name": ("Name", "varchar", True),
    "first_name": ("First name", "varchar", True),
    "last_name": ("Last name", "varchar", True),
    "phones": ("Phone", "phone", True),
    "emails": ("Email", "varchar", True),
    "label_ids": ("Labels", "set", True),
    "org_id": ("Organization", "org", True),
    "owner_id": ("Owner", "user", True),
    "visible_to": ("Visible to", "visible_to", True),
    "picture_id": ("Profile picture", "picture", False),
    "add_time": ("Person created", "date", False),
    "update_time": ("Update time", "date", False),
}
_CONTACT_SYNC: Final[dict[str, tuple[str, str, bool]]] = {
    "postal_address": ("Postal address", "address", True),
    "notes": ("Notes", "text", True),
    "im": ("Instant messenger", "varchar", True),
    "birthday": ("Birthday", "date", True),
    "job_title": ("Job title", "varchar", True),
}
_V1_CODES: Final = {"emails": "email", "phones": "phone", "label_ids": "label"}
_VISIBLE_TO: Final = {
    1: "Owner only",
    3: "Owner's visibility group",
    5: "Group and sub-groups",
    7: "Entire company",
}
_STATUS_OPTIONS: Final[dict[str, dict[str, str]]] = {
    "marketing_status": {
        "no_consent": "No consent",
        "unsubscribed": "Unsubscribed",
        "subscribed": "Subscribed",
        "archived": "Archived",
    },
    "doi_status": {"not_sent": "Not sent", "sent": "Sent", "confirmed": "Confirmed"},
}

ADDRESS_PARTS: Final = (
    "street_number", "route", "subpremise", "sublocality", "locality", "admin_area_level_1",
    "admin_area_level_2", "country", "postal_code", "formatted_address",
)  # fmt: skip


@dataclass
class Option:
    """One option of an enum, a set, or the labels."""

    id: int
    label: str
    color: str | None = None


@dataclass
class CustomField:
    """A custom field; `number` is its position in the catalogue and never changes."""

    number: int
    code: str
    name: str
    field_type: str
    options: list[Option] = field(default_factory=list)

    def option_label(self, option_id: object) -> str | None:
        return next((option.label for option in self.options if option.id == option_id), None)


def catalogue_rows(
    custom_fields: list[CustomField],
    labels: list[Option],
    behaviours: Behaviours,
    *,
    contact_sync: bool,
    marketing: bool,
) -> list[tuple[int, dict[str, Any]]]:
    """All rows of `personFields`, each with the number that its cursor uses."""
    builtin: list[dict[str, Any]] = []
    system = {**_SYSTEM_FIELDS, **(_CONTACT_SYNC if contact_sync else {})}
    for code, (name, field_type, writable) in system.items():
        builtin.append(
            _builtin_row(code, name, field_type, labels, behaviours, writable=writable, optional=False)
        )
    for code, (name, field_type) in OPTIONAL_FIELDS.items():
        if marketing or code not in MARKETING_FIELDS:
            builtin.append(
                _builtin_row(code, name, field_type, labels, behaviours, writable=False, optional=True)
            )
    # Custom fields have higher numbers than any built-in row, so cursors stay valid when a setting is switched.
    return [*enumerate(builtin, 1), *((1000 + each.number, _custom_row(each)) for each in custom_fields)]


def _builtin_row(
    code: str,
    name: str,
    field_type: str,
    labels: list[Option],
    behaviours: Behaviours,
    *,
    writable: bool,
    optional: bool,
) -> dict[str, Any]:
    def option_id(number: int) -> int | str:
        return str(number) if behaviours.string_option_ids else number

    options: list[dict[str, Any]] | None = None
    if code == "label_ids":
        options = [{"id": option_id(each.id), "label": each.label, "color": each.color} for each in labels]
    elif code == "visible_to":
        options = [{"id": option_id(number), "label": label} for number, label in _VISIBLE_TO.items()]
    elif code in _STATUS_OPTIONS:
        options = [{"id": status, "label": label} for status, label in _STATUS_OPTIONS[code].items()]
    spelled = _V1_CODES.get(code, code) if behaviours.system_codes == "v1" else code
    return {
        "field_name": name,
        "field_code": behaviours.im_key if code == "im" else spelled,
        "description": None,
        "field_type": field_type,
        "options": options,
        "subfields": subfields(name, field_type),
        "is_custom_field": False,
        "is_optional_response_field": optional,
        "is_writable": writable,
    }


def _custom_row(custom: CustomField) -> dict[str, Any]:
    options: list[dict[str, Any]] | None = None
    if custom.field_type in ("enum", "set"):
        options = [{"id": each.id, "label": each.label, "color": each.color} for each in custom.options]
    return {
        "field_name": custom.name,
        "field_code": custom.code,
        "description": None,
        "field_type": custom.field_type,
        "options": options,
        "subfields": subfields(custom.name, custom.field_type),
        "is_custom_field": True,
        "is_optional_response_field": False,
        "is_writable": True,
    }


def subfields(name: str, field_type: str) -> list[dict[str, str]] | None:
    """The parts that the catalogue lists, for amounts and addresses only."""
    if field_type == "monetary":
        return [
            {"field_code": "value", "field_name": f"Monetary value of {name}", "field_type": "double"},
            {"field_code": "currency", "field_name": f"Currency of {name}", "field_type": "varchar"},
        ]
    if field_type == "address":
        return [
            {
                "field_code": part,
                "field_name": f"{part.replace('_', ' ').capitalize()} of {name}",
                "field_type": "varchar",
            }
            for part in ("value", *ADDRESS_PARTS)
        ]
    return None


FIELD_NAMESPACES: Final[dict[str, dict[str, Any]]] = {
    "ui_visibility": {
        "add_visible_flag": False,
        "details_visible_flag": True,
        "show_in_add_deal_dialog": {"show": False, "order": None},
    },
    "important_fields": {"enabled": False, "stage_ids": []},
    "required_fields": {"enabled": False},
}
"""`include_fields` of `personFields`, and what each adds to a row."""
