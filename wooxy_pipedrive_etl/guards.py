"""What a run does not do unless a person allows it, and what a person may allow.

A guard that refuses a run is a column of its report (`refused_by`), never something to be read out of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Guard = Literal["mass_delete", "lost_fields", "reserve"]
GUARDS: tuple[Guard, ...] = get_args(Guard)


@dataclass(frozen=True)
class Permissions:
    """What a person allows one run, and no other.

    `deletions`: that so many contacts are deleted or switched off at once. `deletions_of`: that the contacts go which
    the refused run of this id listed, and nobody else. `lost_fields`: that many fields are gone from Pipedrive.
    `reserve`: that the reserve of the day's token budget is spent.
    """

    deletions: int = 0
    deletions_of: str | None = None
    lost_fields: bool = False
    reserve: bool = False

    def cover(self, others: Permissions) -> bool:
        """Whether this allows all that the others allow."""
        return (
            self.deletions >= others.deletions
            and others.deletions_of in (None, self.deletions_of)
            and self.lost_fields >= others.lost_fields
            and self.reserve >= others.reserve
        )


NOTHING_ALLOWED = Permissions()


def way_out(guard: Guard, name: str, deleted: int) -> str:
    """For the command line and Dagster's UI: how a person allows what the guard refused, as one sentence more.

    `deleted`: how many contacts the refused run would have deleted.
    """
    match guard:
        case "mass_delete":
            why, option = "If these deletions are right", f"--full --allow-mass-delete {deleted}"
            setting = f"allow_mass_delete: {deleted}"
        case "lost_fields":
            why, option = "If these fields were really deleted", "--allow-lost-fields"
            setting = "allow_lost_fields: true"
        case "reserve":
            why, option, setting = "To spend the reserve on this run", "--use-reserve", "use_reserve: true"
    return f"{why}, run: wooxy-pipedrive sync {name} {option} ({setting} in the launchpad)."
