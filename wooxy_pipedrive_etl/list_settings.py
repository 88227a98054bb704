"""The choices that a connection has for its list."""

from __future__ import annotations

from enum import StrEnum


class Consent(StrEnum):
    """How Pipedrive's marketing status affects the automatic subscription of a channel (docs/contact-list.md)."""

    RESPECT = "respect"
    REQUIRE = "require"
    IGNORE = "ignore"


class OnDelete(StrEnum):
    """What becomes of the contact of a person who is deleted in Pipedrive."""

    DELETE = "delete"
    DEACTIVATE = "deactivate"
    KEEP = "keep"
