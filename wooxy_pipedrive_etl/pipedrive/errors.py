"""What can go wrong with Pipedrive, as types: whether trying again can help is the first branching.

    PipedriveError
    ├── PermanentError            nothing changes until a person changes something; never retried
    │   ├── InvalidApiUrl         the address of the account cannot be used
    │   ├── InvalidToken          401, or a token that no header can carry
    │   ├── GrantRefused          OAuth: a code that is used up, or access that was revoked
    │   ├── InvalidApp            OAuth: Pipedrive does not know the app as it is set up here
    │   ├── AccountClosed         402
    │   ├── Forbidden             403 with Pipedrive's own words
    │   │   └── MissingScope      403, the credential's scopes do not reach
    │   ├── CloudflareBlocked     403 with HTML: all traffic of the credential stops
    │   ├── NotAccepted           400 or 422 about something that a person has chosen
    │   ├── BadRequest            400 and every other 4xx: a bug here, or a change there
    │   ├── EndpointGone          404 or 410 on a list
    │   ├── RedirectRefused       3xx
    │   └── NotPipedrive          the host answers, but not as Pipedrive does
    ├── TransientError            raised after the retries were spent; a later run may go through
    │   ├── ServerError           5xx
    │   ├── Unreachable           no connection, a time-out, a connection that was cut
    │   ├── BrokenAnswer          an answer that cannot be read, or a walk that leads nowhere
    │   └── OutcomeUnknown        a POST went out and no answer tells what became of it; never retried blindly
    ├── NotInWindows              this account's persons can't be read in windows; page after page they can
    └── DailyBudgetSpent          the company's tokens of the day are used up: the run stops cleanly

Every message is one sentence: what happened, to what, what to do. None holds a credential.
"""

from __future__ import annotations


class PipedriveError(Exception):
    """The root of the tree. ``permanent`` is true where no retry, by whatever layer, can help."""

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
