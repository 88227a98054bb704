"""What several pages say in the same way: the state of a connection, and what its settings mean."""

from __future__ import annotations

from typing import NamedTuple

from wooxy_pipedrive_etl.views.status import ConnectionStatus

from .formats import moment, number

CONSENT = {
    "respect": "Everyone who has not unsubscribed: people who unsubscribed from marketing in Pipedrive are not "
    "subscribed (recommended).",
    "require": "Only people who opted in: they subscribed to marketing in Pipedrive.",
    "ignore": "Everyone: even people who unsubscribed in Pipedrive.",
}
ON_DELETE = {
    "delete": "Delete: the contact is deleted. One that was in the list before the sync stays, no longer updated.",
    "deactivate": "Deactivate: the contact stays and is switched off (active is false), until the person is back.",
    "keep": "Keep: the contact stays in the list, and is no longer updated.",
}
ACCESS_LOST = {
    "revoked": "access was revoked or has expired",
    "uninstalled": "the app was uninstalled in Pipedrive",
}

# By the code of a failure (`failures.failure_code`): what it means to users who do not run servers.
FAILURES = {
    "unreachable": "Pipedrive could not be reached. The list was not changed.",
    "server_error": "Pipedrive has a problem of its own at the moment. The list was not changed.",
    "broken_answer": "Pipedrive gave answers that can’t be read. The list was not changed.",
    "outcome_unknown": "Pipedrive did not say whether it did what was asked. Try again: that looks first.",
    "invalid_token": "Pipedrive doesn’t accept the API token. Disconnect the integration and add it again with a valid "
    "one; its list stays as it is.",
    "access_lost": "Access to Pipedrive was revoked. Reconnect in the settings.",
    "account_closed": "The Pipedrive account is closed. Reopen it in Pipedrive (billing or trial).",
    "forbidden": "Pipedrive doesn’t let the token’s user read the persons. Use the token of an administrator.",
    "missing_scope": "The app lacks a permission in Pipedrive. Reconnect, and allow all that it asks for.",
    "cloudflare_blocked": "Pipedrive has blocked this server for a while. Leave it alone for an hour, then try again.",
    "not_pipedrive": "What answers at this address is not Pipedrive. Check the address.",
    "invalid_api_url": "The address of the Pipedrive account can’t be used. Check it.",
    "daily_budget_spent": "Today’s Pipedrive API tokens are used up. The next run continues tomorrow.",
    "wrong_account": "These credentials belong to another Pipedrive account, so nothing was done.",
    "stopped": "The run was stopped. What it had not finished was undone, and the next run resumes from there.",
}


class Told(NamedTuple):
    """`details`: the technical sentence behind it, if the user asks; None if the sentence says it all."""

    sentence: str
    details: str | None


def plain(failure: str | None, message: str | None) -> Told:
    """What a page says about a failure: `failure` is its code, `message` the sentence of the run or the error."""
    if failure is not None and failure.startswith("database "):
        return Told("The list’s database refused, so nothing was written.", message)
    if failure in FAILURES:
        return Told(FAILURES[failure], message)
    return Told(message or "The run stopped before its end. The next run resumes from there.", None)


class State(NamedTuple):
    """`text`: starts with a distinct shape, so that nobody needs to tell colours apart; `colour`: a class of
    `.state`."""

    text: str
    colour: str


def state_of(status: ConnectionStatus) -> State:
    if status.access_lost is not None:
        return State(f"✗ Access lost: {ACCESS_LOST[status.access_lost]}", "red")
    if status.state == "disconnected":
        return State("○ Disconnected", "gray")
    if status.state == "draft":
        return State("○ Draft: match variables", "amber")
    if status.paused:
        return State("‖ Paused", "amber")
    if status.failing_since is not None:
        return _failing(status)
    return State("● Active", "green")


def _failing(status: ConnectionStatus) -> State:
    last = status.last_run
    if last is not None:
        match last.refused_by:
            case "mass_delete":
                return State(f"▲ Needs you: {number(last.deleted)} deletions wait", "amber")
            case "reserve":
                return State("▲ Needs you: today’s API tokens are nearly used up", "amber")
            case "lost_fields":
                return State("▲ Needs you: many fields are missing in Pipedrive", "amber")
    return State(f"✗ Failing since {moment(status.failing_since)}", "red")
