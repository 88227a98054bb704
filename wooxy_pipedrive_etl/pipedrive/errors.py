"""What Pipedrive's refusals mean, as types of errors. What can happen with any API is in `http_api.errors`, with the
roots of these.

ApiError
├── PermanentError
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
├── NotInWindows              this account's persons can't be read in windows, only sequentially
└── DailyBudgetSpent          the company's tokens for the day are used up: the run stops cleanly
"""

from __future__ import annotations

from wooxy_pipedrive_etl.http_api.errors import ApiError, PermanentError


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


class NotInWindows(ApiError):
    pass


class DailyBudgetSpent(ApiError):
    pass
