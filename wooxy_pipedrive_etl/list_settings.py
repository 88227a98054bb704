"""The choices that a connection has for its list."""

from __future__ import annotations

from enum import StrEnum


class Consent(StrEnum):
    """What Pipedrive's marketing status decides when a channel is subscribed automatically (product.md section 3)."""

    RESPECT = "respect"
    REQUIRE = "require"
    IGNORE = "ignore"


class OnDelete(StrEnum):
    """What becomes of the contact of a person who is deleted in Pipedrive."""

    DELETE = "delete"
    DEACTIVATE = "deactivate"
    KEEP = "keep"
