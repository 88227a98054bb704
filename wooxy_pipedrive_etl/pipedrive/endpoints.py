"""The endpoints in use, with what Pipedrive publishes about each: path, token cost, OAuth scope.

Source: Pipedrive's OpenAPI documents of 2026-08-18 (``x-token-cost``, ``security``). ``/users``, ``/users/me`` and
``/webhooks`` have no v2 counterpart and are not deprecated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """One method of one path (with ``{id}`` in place of a number).

    ``token_cost`` is what a request takes from the company's daily budget, whatever it returns. ``to_do``: what a user
    can do about a refusal, by HTTP status; any other status means that the request is wrong, or no longer right.
    """

    path: str
    token_cost: int
    scope: str
    method: str = "GET"
    to_do: Mapping[int, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


CURRENT_USER = Endpoint("/api/v1/users/me", 2, "base")
USERS = Endpoint("/api/v1/users", 20, "users:read")
PERSON_FIELDS = Endpoint("/api/v2/personFields", 10, "contacts:read")
PERSONS = Endpoint("/api/v2/persons", 10, "contacts:read")
ORGANIZATIONS = Endpoint("/api/v2/organizations", 10, "contacts:read")
WEBHOOKS = Endpoint("/api/v1/webhooks", 10, "admin")
CREATE_WEBHOOK = Endpoint(
    "/api/v1/webhooks",
    10,
    "admin",
    "POST",
    {
        400: "give a public https URL at which `wooxy-pipedrive serve` answers without a redirect",
        422: "remove unused webhooks in Pipedrive's settings (a user may have 40)",
    },
)
DELETE_WEBHOOK = Endpoint("/api/v1/webhooks/{id}", 6, "admin", "DELETE")

# A request costs the same for one row as for a full page.
PAGE_LIMIT = 500
# More ids than this may be cut off silently, and a missing answer would read as "deleted".
IDS_LIMIT = 100

# The values that `include_fields` of GET /api/v2/persons accepts; any other name gets a 400.
PERSON_INCLUDE_FIELDS = frozenset(
    {
        "next_activity_id",
        "last_activity_id",
        "open_deals_count",
        "related_open_deals_count",
        "closed_deals_count",
        "related_closed_deals_count",
        "participant_open_deals_count",
        "participant_closed_deals_count",
        "email_messages_count",
        "activities_count",
        "done_activities_count",
        "undone_activities_count",
        "files_count",
        "notes_count",
        "followers_count",
        "won_deals_count",
        "related_won_deals_count",
        "lost_deals_count",
        "related_lost_deals_count",
        "last_incoming_mail_time",
        "last_outgoing_mail_time",
        "marketing_status",
        "doi_status",
        "smart_bcc_email",
    }
)
