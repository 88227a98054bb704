"""The errors that can happen with any API, as types. What the refusals of one API mean belongs to its client, in
subclasses of these.

    ApiError
    ├── PermanentError            nothing changes until a user changes something; never retried
    │   └── InvalidApiUrl         the address of the API cannot be used
    └── TransientError            raised after the last retry; a later run may succeed
        ├── ServerError           5xx
        ├── Unreachable           no connection, a time-out, a connection that was cut
        ├── BrokenAnswer          an unreadable answer, or an endless walk
        └── OutcomeUnknown        a request that must not be repeated was sent and its answer was lost

Every message is one sentence: what happened, to what, what to do. None contains a credential.
"""

from __future__ import annotations


class ApiError(Exception):
    """The root of the tree. ``permanent`` is true if no retry, on any level, can help."""

    permanent = False


class PermanentError(ApiError):
    permanent = True


class InvalidApiUrl(PermanentError):
    pass


class TransientError(ApiError):
    pass


class ServerError(TransientError):
    pass


class Unreachable(TransientError):
    pass


class BrokenAnswer(TransientError):
    pass


class OutcomeUnknown(TransientError):
    pass
