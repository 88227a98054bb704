"""How several pages say the same thing: the state of a connection, and what its settings mean."""

from __future__ import annotations

from typing import Any, NamedTuple

CONSENT = {
    "respect": "Respect: whoever unsubscribed from marketing in Pipedrive is not subscribed; everybody else is.",
    "require": "Require: only whoever subscribed to marketing in Pipedrive is subscribed.",
    "ignore": "Ignore: everybody is subscribed, whatever Pipedrive says of marketing.",
}
ON_DELETE = {
    "delete": "Delete: the contact is deleted. One that was in the list before the sync is kept and let go.",
    "deactivate": "Deactivate: the contact stays and is switched off (active is false), until the person is back.",
    "keep": "Keep: the contact stays as it is, and the sync lets go of it.",
}
ACCESS_LOST = {
    "revoked": "access was revoked or has expired",
    "uninstalled": "the app was uninstalled in Pipedrive",
}


class State(NamedTuple):
    """`text`: with a shape of its own, so that nobody needs to tell colours apart; `colour`: a class of `.state`."""

    text: str
    colour: str


def state_of(status: dict[str, Any]) -> State:
    """Of a connection, from `sync.status.statuses`."""
    if status["access_lost"] is not None:
        return State(f"✗ Access lost: {ACCESS_LOST[status['access_lost']]}", "red")
    if status["state"] == "disconnected":
        return State("○ Disconnected", "gray")
    if status["state"] == "draft":
        return State("○ Draft: match variables", "amber")
    if status["paused"]:
        return State("‖ Paused", "amber")
    return State("● Active", "green")
