"""What you can switch in the account's API: its undocumented behaviours and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Behaviours:
    """Behaviours that Pipedrive's documentation leaves open; the defaults are the most likely ones."""

    limit_above_500: Literal["reject", "clamp"] = "reject"
    too_many_ids: Literal["reject", "truncate"] = "reject"
    null_update_time_matches_since: bool = False
    undated_sort: Literal["first", "last", "by_add_time"] = "first"
    """Where a list sorted by update_time, ascending, has the persons without one."""
    largest_page: int = 500
    """The most rows on a page of any list, whatever its `limit`."""
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
    """The catalogue's codes for emails, phones and labels: emails, phones, label_ids or email, phone, label."""
    im_key: Literal["im", "ims"] = "im"
    """The key of the messenger field, in the record and in the catalogue."""
    string_option_ids: bool = False
    """Whether option ids of built-in fields are strings, such as "3" for visible_to 3."""
    marketing_fields_without_app: Literal["omit", "reject"] = "omit"
    """How an account without the Campaigns app answers `include_fields=marketing_status`."""
    date_header: bool = True
    """Whether answers have a Date header, with the account's time."""
    restored_person_event: Literal["change", "create", "none"] = "change"
    """The event that webhooks get when a person is restored."""
    webhook_url_check: Literal["connect", "request", "none"] = "connect"
    """How a new webhook's URL is checked: with a connection, or with a GET that must not be redirected."""


@dataclass(frozen=True)
class Limits:
    """The day's token budget and the requests allowed in a rolling two-second window; by default a Premium seat's.

    `daily_tokens` None means no budget. `latency_seconds` is added to every answer of the API.
    `webhook_clock_speed` is how much faster than real time webhooks are retried, banned and deleted; 0 stops that
    clock, and only `pass_time` advances it. A webhook's receiver has `webhook_timeout_seconds` of real time to answer.
    """

    daily_tokens: int | None = 150_000
    burst_per_2s: int = 100
    latency_seconds: float = 0.0
    webhook_clock_speed: float = 1.0
    webhook_timeout_seconds: float = 10.0
