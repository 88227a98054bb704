"""Random edits that people make in Pipedrive between two runs of the soak."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from wooxy_pipedrive_etl.sandbox.pipedrive import Account

# Few enough that persons share identifiers: as duplicates, as next in line, in conflicts.
_SHARED = 25
_PLAIN_TYPES = ("varchar", "text")


class Editor:
    """Edits the account. Its clock advances a minute per second from now on, so a run takes longer than the overlap
    that it rereads. `deleted`: the persons that webhooks reported as deleted since the last `take_deleted`."""

    def __init__(self, account: Account, rng: random.Random) -> None:
        self._account = account
        self._rng = rng
        self._skipped = timedelta()
        self._gone: list[int] = []
        self._hidden: list[int] = []
        self._made = 0
        self.deleted: list[int] = []
        account.clock = _fast_clock(lambda: self._skipped)

    def edit(self) -> None:
        """Makes a few random edits while some time passes."""
        acts = (
            *(self._rename, self._change_emails, self._change_phones, self._change_field) * 2,
            *(self._swap_emails, self._create, self._create, self._delete, self._restore, self._merge),
            *(self._hide_or_show, self._rename_organization, self._rename_option, self._rename_user),
        )
        for _ in range(self._rng.randint(3, 12)):
            self._skipped += timedelta(seconds=self._rng.choice([0, 1, 20, 90, 900]))
            self._rng.choice(acts)()

    def take_deleted(self) -> list[int]:
        taken, self.deleted = self.deleted, []
        return taken

    def _person(self) -> int:
        return self._rng.choice(self._account.visible_person_ids())

    def _new(self, what: str) -> str:
        self._made += 1
        return f"{what} {self._made}"

    def _points(self, value: str) -> list[dict[str, Any]]:
        """One email address or phone, or none."""
        return [{"value": value, "primary": True, "label": "work"}] if self._rng.random() < 0.8 else []

    def _emails(self) -> list[dict[str, Any]]:
        self._made += 1
        numbers = [f"alone.{self._made}", f"shared.{self._rng.randrange(_SHARED)}"]
        return self._points(f"{self._rng.choice(numbers)}@example.com")

    def _phones(self) -> list[dict[str, Any]]:
        return self._points(f"+35840{200_000 + self._rng.randrange(_SHARED)}")

    def _rename(self) -> None:
        self._account.edit_person(self._person(), name=self._new("Renamed"))

    def _change_emails(self) -> None:
        self._account.edit_person(self._person(), emails=self._emails())

    def _change_phones(self) -> None:
        self._account.edit_person(self._person(), phones=self._phones())

    def _change_field(self) -> None:
        fields = self._account.custom_fields.values()
        code = self._rng.choice([each.code for each in fields if each.field_type in _PLAIN_TYPES])
        value = self._new("Value") if self._rng.random() < 0.7 else None
        self._account.edit_person(self._person(), custom_fields={code: value})

    def _swap_emails(self) -> None:
        one, other = self._rng.sample(self._account.visible_person_ids(), 2)
        found = [self._account.find_person(person_id) for person_id in (one, other)]
        emails = [json.loads(person.members.get("emails", b"[]")) for person in found if person is not None]
        self._account.edit_person(one, emails=emails[1], validate=False)
        self._account.edit_person(other, emails=emails[0], validate=False)

    def _create(self) -> None:
        self._account.create_person(name=self._new("New"), emails=self._emails(), phones=self._phones())

    def _delete(self) -> None:
        person_id = self._person()
        self._account.delete_person(person_id)
        self._left(person_id)

    def _merge(self) -> None:
        winner, loser = self._rng.sample(self._account.visible_person_ids(), 2)
        self._account.merge_persons(winner, loser)
        self._left(loser)

    def _left(self, person_id: int) -> None:
        # Only the latest: after a month, a deleted person can't be restored.
        self._gone = [*self._gone[-20:], person_id]
        # Some events are lost.
        if self._rng.random() < 0.7:
            self.deleted.append(person_id)

    def _restore(self) -> None:
        if self._gone:
            self._account.restore_person(self._gone.pop(self._rng.randrange(len(self._gone))))

    def _hide_or_show(self) -> None:
        if self._hidden and self._rng.random() < 0.5:
            self._account.show_person(self._hidden.pop())
        else:
            self._hidden.append(self._person())
            self._account.hide_person(self._hidden[-1])

    def _rename_organization(self) -> None:
        organization_id = self._rng.choice(sorted(self._account.organizations))
        self._account.rename_organization(organization_id, self._new("Organisation"))

    def _rename_option(self) -> None:
        fields = [each for each in self._account.custom_fields.values() if each.options]
        field = self._rng.choice(fields)
        self._account.rename_option(field.code, self._rng.choice(field.options).id, self._new("Option"))

    def _rename_user(self) -> None:
        self._account.rename_user(self._rng.choice(sorted(self._account.users)), self._new("User"))


def _fast_clock(skipped: Callable[[], timedelta]) -> Callable[[], datetime]:
    began, start = datetime.now(UTC), time.monotonic()
    return lambda: began + skipped() + timedelta(minutes=time.monotonic() - start)
