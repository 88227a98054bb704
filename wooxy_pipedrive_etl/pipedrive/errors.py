"""The errors of Pipedrive, as types; the first branches are those that a retry can help and those that it can't.

    PipedriveError
    ├── PermanentError            nothing changes until a user changes something; never retried
    │   ├── InvalidApiUrl         the address of the account cannot be used
    │   ├── InvalidToken          401, or a token that no header can carry
    │   ├── GrantRefused          OAuth: a code that was already used, or access that was revoked
    │   ├── InvalidApp            OAuth: Pipedrive does not know the app as it is configured here
    │   ├── AccountClosed         402
    │   ├── Forbidden             403 with a message from Pipedrive
    │   │   └── MissingScope      403, the credential lacks a scope
    │   ├── CloudflareBlocked     403 with HTML: all requests with the credential stop
    │   ├── NotAccepted           400 or 422 about something that a user has chosen
    │   ├── BadRequest            400 and every other 4xx: a bug here, or a change there
    │   ├── EndpointGone          404 or 410 on a list
    │   ├── RedirectRefused       3xx
    │   └── NotPipedrive          the host answers, but not as Pipedrive does
    ├── TransientError            raised after the last retry; a later run may succeed
    │   ├── ServerError           5xx
    │   ├── Unreachable           no connection, a time-out, a connection that was cut
    │   ├── BrokenAnswer          an unreadable answer, or an endless walk
    │   └── OutcomeUnknown        a POST was sent and its answer was lost; never retried blindly
    ├── NotInWindows              this account's persons can't be read in windows, only sequentially
    └── DailyBudgetSpent          the company's tokens for the day are used up: the run stops cleanly

Every message is one sentence: what happened, to what, what to do. None contains a credential.
"""

from __future__ import annotations


class PipedriveError(Exception):
    """The root of the tree. ``permanent`` is true if no retry, on any level, can help."""

    permanent = False


class PermanentError(PipedriveError):
    permanent = True


class InvalidApiUrl(PermanentError):
    pass


class InvalidToken(PermanentError):
    pass


class GrantRefused(PermanentError):
    pass


class InvalidApp(PermanentError):
    pass


class AccountClosed(PermanentError):
    pass


class Forbidden(PermanentError):
    pass


class MissingScope(Forbidden):
    pass


class CloudflareBlocked(PermanentError):
    pass


class NotAccepted(PermanentError):
    pass


class BadRequest(PermanentError):
    pass


class EndpointGone(PermanentError):
    pass


class RedirectRefused(PermanentError):
    pass


class NotPipedrive(PermanentError):
    pass


class TransientError(PipedriveError):
    pass


class ServerError(TransientError):
    pass


class Unreachable(TransientError):
    pass


class BrokenAnswer(TransientError):
    pass


class OutcomeUnknown(TransientError):
    pass


class NotInWindows(PipedriveError):
    pass


class DailyBudgetSpent(PipedriveError):
    pass
