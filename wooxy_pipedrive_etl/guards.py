"""What a run does only if a user allows it, and what a user may allow.

The guard that refused a run is a column of its report (`refused_by`); it is never read out of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Guard = Literal["mass_delete", "lost_fields", "reserve"]
GUARDS: tuple[Guard, ...] = get_args(Guard)


@dataclass(frozen=True)
class Permissions:
    """What a user allows for one run only.

    `deletions`: deleting or deactivating this many contacts at once. `deletions_of`: deleting the contacts that the
    refused run with this id listed, and no others. `lost_fields`: that many fields were deleted in Pipedrive.
    `reserve`: using the reserve of the daily token budget.
    """

    deletions: int = 0
    deletions_of: str | None = None
    lost_fields: bool = False
    reserve: bool = False

    def cover(self, others: Permissions) -> bool:
        """Whether this allows everything that the others allow."""
        return (
            self.deletions >= others.deletions
            and others.deletions_of in (None, self.deletions_of)
            and self.lost_fields >= others.lost_fields
            and self.reserve >= others.reserve
        )


NOTHING_ALLOWED = Permissions()


def way_out(guard: Guard, name: str, deleted: int) -> str:
    """For the command line and Dagster's UI: a sentence that says how a user can allow what the guard refused.

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
