"""The sandbox's errors; the text of each is one sentence, ready to print."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox refuses to do something."""


class PortTakenError(SandboxError):
    """The port of 127.0.0.1 is in use, or not permitted."""


class UnknownRecordError(SandboxError):
    """The account has no such person, field, option, organisation, user, label, webhook or event."""


class InvalidValueError(SandboxError):
    """Pipedrive would not accept this value; `validate=False` stores it anyway."""
