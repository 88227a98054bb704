"""What the sandbox raises at the people who use it: one sentence, ready to be printed."""

from __future__ import annotations


class SandboxError(Exception):
    """Anything that the sandbox refuses; the text is one clear sentence."""


class PortTakenError(SandboxError):
    """The wanted port of 127.0.0.1 is in use, or may not be used."""


class UnknownRecordError(SandboxError):
    """No such person, field, option, organisation, user or label in the account."""


class InvalidValueError(SandboxError):
    """A value that Pipedrive would not accept; `validate=False` stores it all the same."""
