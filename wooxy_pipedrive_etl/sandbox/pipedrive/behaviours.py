"""What of the account's API can be switched: its undocumented behaviours and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Behaviours:
    """Answers that Pipedrive's documentation leaves open; the defaults are the most likely ones."""

    limit_above_500: Literal["reject", "clamp"] = "reject"
    too_many_ids: Literal["reject", "truncate"] = "reject"
    null_update_time_matches_since: bool = False
    undated_sort: Literal["first", "last", "by_add_time"] = "first"
    """Where persons without an update_time come in a list that is sorted by it, ascending."""
    largest_page: int = 500
    """No list has more on a page, whatever `limit` asks for."""
    update_time_on_create: Literal["add_time", "null"] = "add_time"
    deleted_person: Literal["is_deleted", "404", "410"] = "is_deleted"
    hidden_person: Literal["404", "403"] = "404"
    last_page: Literal["null_cursor", "no_cursor", "no_additional_data"] = "null_cursor"
    custom_fields_when_none: Literal["null", "object"] = "null"
    removed_endpoints: Literal["404", "410"] = "404"
    daily_headers: bool = True
    retry_after: bool = False
    html_403_after: int = 10
    milliseconds: bool = False
    system_codes: Literal["record", "v1"] = "record"
    """How the catalogue spells e-mails, phones and labels: emails, phones, label_ids or email, phone, label."""
    im_key: Literal["im", "ims"] = "im"
    """The messenger field, in the record and in the catalogue."""
    string_option_ids: bool = False
    """Option ids of built-in fields as strings, such as "3" for visible_to 3."""
    marketing_fields_without_app: Literal["omit", "reject"] = "omit"
    """What `include_fields=marketing_status` gets in an account without the Campaigns app."""
    date_header: bool = True
    """Whether answers tell the time, which is the account's."""
    restored_person_event: Literal["change", "create", "none"] = "change"
    """What webhooks get when a deletion is undone."""
    webhook_url_check: Literal["connect", "request", "none"] = "connect"
    """How a new webhook's URL is tried: by a connection, or by a GET that must not be redirected."""


@dataclass(frozen=True)
class Limits:
    """Token budget of a day and requests in a rolling two-second window; by default those of one Premium seat.

    `daily_tokens` None is no budget. `latency_seconds` is added to every answer of the API.
    `webhook_clock_speed` is how much faster than real time the retries, bans and the end of webhooks come; 0 stops
    that clock, which can then only be pushed on. A webhook's receiver has `webhook_timeout_seconds` of real time.
    """

    daily_tokens: int | None = 150_000
    burst_per_2s: int = 100
    latency_seconds: float = 0.0
    webhook_clock_speed: float = 1.0
    webhook_timeout_seconds: float = 10.0
