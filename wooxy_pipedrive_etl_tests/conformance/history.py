"""A random history: an account, a list and the oracle, side by side, through edits of all kinds and syncs between them.

The account is small and has few addresses and numbers, so that persons collide: as duplicates, as next in line, as
conflicts, and with contacts that existed before. Pages are short, so even this account has several.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wooxy_pipedrive_etl.contact_list import BUILT_IN
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.http_api.errors import ApiError
from wooxy_pipedrive_etl.sandbox.pipedrive import Behaviours, Fault
from wooxy_pipedrive_etl.sandbox.pipedrive.account import PersonChange
from wooxy_pipedrive_etl.settings import WINDOWS_FROM_VARIABLE
from wooxy_pipedrive_etl.store import inbox, tables, walks
from wooxy_pipedrive_etl.store.catalogue import read_fields, read_names
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.walks import UnfinishedWalk
from wooxy_pipedrive_etl.sync.selection import Kind

from ..scenario import Connected, connected, empty_account
from .oracle import IDENTIFIERS, Key, Link, Oracle, Outcome
from .sync_process import reporting

CANDIDATES = {
    "name": ("name",),
    "emails": ("email",),
    "phones": ("phoneNumber",),
    "member": ("userId",),
    "note": ("noteOne", "noteTwo"),
    "colour": ("hue", "noteTwo", "tint"),
    "tags": ("tags",),
    "since": ("since",),
    "marketing_status": ("emailSubscribe",),
    "org_id": ("company",),
    "owner_id": ("owner",),
}
_SYSTEM_KEYS = {"name", "emails", "phones", "marketing_status", "org_id", "owner_id"}
_BUILT_IN = [variable.name for variable in BUILT_IN]
_FLAGS = [variable.name for variable in BUILT_IN if variable.type == "flag"]
_CHANNELS = [name for name in _FLAGS if name != "active"]
_PAGE = 5
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_WRITTEN_OR_LISTED = ("created", "updated", "unchanged", "rejected", "duplicates", "conflicts")
# Histories do not test permissions, so they allow everything.
_ALLOWED = Permissions(deletions=1_000_000, lost_fields=True)
_UNTOUCHED = "2001-01-01 00:00:00"
# The one field that is never matched, and what its values have in common.
UNMATCHED, SECRET = "secret", "nobody may see"

ADDRESSES = (
    *("ann@example.com", "Ann@Example.COM", "bo@example.com", "cy@example.com", "no address"),
    *("Bo <mailto:bo@example.com>", "none; cy@example.com", "dan@пример.рф", "dan@xn--e1afmkfd.xn--p1ai"),
)
NUMBERS = (
    *("+358401000001", "040 1000001", "+358 40 100-0002", "00358401000003", "call me"),
    *("tel:+358 40\u200b1000002", "040 1000003 / 040 1000001", "+358401000001, 12"),
)
NAMES = ("Acme", "Acme Oy", " Nimi", " ")
MEMBERS = ("m1", "m2", " m2 ", "m3")

_FEW = st.integers(0, 30)
_FATES = ["arrive", "arrive in disorder", "arrive twice", "are late", "are lost"]


def _points(values: tuple[str, ...]) -> st.SearchStrategy[list[dict[str, Any]]]:
    point = st.fixed_dictionaries(
        {
            "value": st.sampled_from(values),
            "primary": st.just(False),
            "label": st.sampled_from(["work", "home"]),
        }
    )

    def with_primary(points: list[dict[str, Any]], at: int) -> list[dict[str, Any]]:
        return [point | {"primary": i == at} for i, point in enumerate(points)]

    return st.builds(with_primary, st.lists(point, max_size=2), st.integers(0, 1))


_VALUES = {
    "name": st.sampled_from(["Ann", "Bo", "Cy", " "]),
    "emails": _points(ADDRESSES),
    "phones": _points(NUMBERS),
    "marketing_status": st.sampled_from(["no_consent", "subscribed", "unsubscribed", "archived"]),
    "member": st.sampled_from([None, None, *MEMBERS]),
    "note": st.sampled_from([None, "a", " b ", ""]),
    "colour": st.none() | st.integers(0, 2),
    "tags": st.lists(st.integers(0, 2), max_size=3, unique=True),
    "since": st.sampled_from([None, "2024-02-29", "0000-00-00"]),
    "org_id": st.sampled_from([None, 0, 1, 2]),
    "owner_id": st.integers(0, 2),
    UNMATCHED: st.sampled_from([None, SECRET]),
}
_KINDS: st.SearchStrategy[Kind] = st.sampled_from(["changes", "full", "re-map"])
_FAULT = st.builds(
    Fault,
    kind=st.sampled_from(["status", "truncated_json", "unauthorized_401", "daily_429"]),
    path_prefix=st.sampled_from(["/api/", "/api/v2/persons"]),
    after=st.integers(0, 8),
    times=st.none(),
)
_ODD_TIMES = {
    "none": None,
    "future": datetime(2222, 2, 22, tzinfo=UTC),
    "past": datetime(2020, 2, 20, tzinfo=UTC),
}
PERSON = st.fixed_dictionaries(_VALUES)
EDIT = st.fixed_dictionaries({}, optional=_VALUES)
CONTACT = st.fixed_dictionaries(
    {
        "email": st.sampled_from([None, "", *ADDRESSES[:4]]),
        "phoneNumber": st.sampled_from([None, "+358401000001", "+358401000002"]),
        "userId": st.sampled_from([None, "m1", "m2"]),
        "name": st.sampled_from([None, "Prior"]),
        "active": st.sampled_from([None, True, False]),
        "smsSubscribe": st.sampled_from([None, True, False]),
        "emailSubscribe": st.sampled_from([None, True, False]),
    }
)


class Killed(BaseException):
    """Raised to end the program before a statement or commit."""


class History(RuleBasedStateMachine):
    """Set `new_database` before the machine runs: a context that gives the URL of a fresh database. `made` counts what
    was done in all histories together."""

    new_database: Callable[[], AbstractContextManager[str]]
    made: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.now = 0
        self.used_ids = {0}
        # Webhook events on their way, all that have arrived, and those that no run has processed yet.
        self.under_way: list[tuple[int, bool]] = []
        self.arrived: list[tuple[int, bool]] = []
        self.hints: dict[int, bool] = {}
        # Keys whose values are unknown to a connection that has not seen what was deleted.
        self.last_known: set[str] = set()
        # Whether only the sync has written to the list.
        self.alone = True

    @initialize(
        persons=st.lists(PERSON, min_size=6, max_size=12),
        prior=st.just([]) | st.lists(CONTACT, min_size=2, max_size=5),
        matched=st.sets(st.sampled_from(sorted(CANDIDATES)), min_size=5),
        ignore_empty=st.booleans(),
        consent=st.sampled_from(["respect", "require", "ignore"]),
        on_delete=st.sampled_from(["delete", "deactivate", "keep"]),
        behaviours=st.builds(
            Behaviours,
            update_time_on_create=st.sampled_from(["add_time", "add_time", "null"]),
            null_update_time_matches_since=st.booleans(),
            restored_person_event=st.sampled_from(["change", "create", "none"]),
            undated_sort=st.sampled_from(["first", "last", "by_add_time"]),
            # Small accounts have several pages too.
            largest_page=st.just(_PAGE),
        ),
        in_windows=st.booleans(),
    )
    def begin(
        self,
        persons: list[dict[str, Any]],
        prior: list[dict[str, Any]],
        matched: set[str],
        ignore_empty: bool,
        consent: str,
        on_delete: str,
        behaviours: Behaviours,
        in_windows: bool,
    ) -> None:
        if in_windows:
            environment = self.resources.enter_context(pytest.MonkeyPatch.context())
            environment.setenv(WINDOWS_FROM_VARIABLE, "1")
        self.account = account = empty_account()
        account.behaviours = behaviours
        account.clock = self.clock
        account.marketing = True
        for code, kind in (
            ("member", "varchar"),
            ("note", "varchar"),
            (UNMATCHED, "varchar"),
            ("since", "date"),
        ):
            account.add_field(code.title(), kind, code=code)
        account.add_field("Colour", "enum", ["Gold", "Silver", "Copper"], code="colour")
        account.add_field("Tags", "set", ["VIP", "New", "Old"], code="tags")
        for name in NAMES[:3]:
            account.add_organization(name)
        for name in NAMES[:2]:
            account.add_user(name)
        for person in persons:
            self.create_person(person, later=False)
        url = self.resources.enter_context(self.new_database())
        self.acme: Connected = self.resources.enter_context(
            connected(
                url,
                account,
                behaviours=behaviours,
                default_region="FI",
                consent=consent,
                on_delete=on_delete,
            )
        )
        account.observers.append(self.hear)
        self.oracle = Oracle(consent, on_delete, _BUILT_IN)
        self.oracle.read_catalogue(self._catalogue())
        # Connecting reads some persons for the previews.
        self.oracle.know(self._visible(), None)
        for contact in prior:
            self.contact_by_hand(contact)
        # Without identifiers the list would be empty.
        matching = {key: CANDIDATES[key][0] for key in matched | {"emails"}}
        self._import(matching, ignore_empty)
        self.sync("full", again=False)

    def teardown(self) -> None:
        if hasattr(self, "oracle"):
            # Only what still exists.
            self._import(self.oracle.matching, self.oracle.ignore_empty)
            self.sync("full", again=True)
            self.compare_with_fresh_list()
        self.resources.close()
        self.made["histories"] += 1

    @invariant()
    def count_step(self) -> None:
        self.made["steps"] += 1

    # What happens in Pipedrive

    @rule(seconds=st.sampled_from([61, 600, 3_600]))
    def let_time_pass(self, seconds: int) -> None:
        """Enough time that earlier writes are outside a run's overlap."""
        self.now += seconds

    @rule(person=PERSON, later=st.booleans())
    def create_person(self, person: dict[str, Any], later: bool) -> None:
        self._pass_time(later)
        self.account.create_person(**self._record(person))

    @rule(person=PERSON, time=st.sampled_from(["none", "future", "past"]), new=st.booleans(), which=_FEW)
    def give_odd_time(self, person: dict[str, Any], time: str, new: bool, which: int) -> None:
        """Sets a time that Pipedrive itself would not write: only webhook hints and full runs find all such changes."""
        record = self._record(person) | {"update_time": _ODD_TIMES[time]}
        if new:
            self.account.create_person(**record)
        for person_id in [] if new else self._pick(which, lambda state: not state["is_deleted"]):
            self.account.edit_person(person_id, **record)

    @rule(edits=st.lists(st.tuples(_FEW, EDIT, st.booleans()), min_size=1, max_size=3))
    def edit_persons(self, edits: list[tuple[int, dict[str, Any], bool]]) -> None:
        for which, person, later in edits:
            for person_id in self._pick(which, lambda state: not state["is_deleted"]):
                self._pass_time(later)
                self.account.edit_person(person_id, **self._record(person))

    @rule(one=_FEW, other=_FEW, key=st.sampled_from(["emails", "phones"]))
    def swap_identifiers(self, one: int, other: int, key: str) -> None:
        picked = [self._pick(which, lambda state: not state["is_deleted"]) for which in (one, other)]
        persons = [self._json(person_id) for ids in picked for person_id in ids]
        if len(persons) == 2:
            self._pass_time(later=True)
            self.account.edit_person(persons[0]["id"], **{key: persons[1][key]})
            self.account.edit_person(persons[1]["id"], **{key: persons[0][key]})

    @rule(
        some=st.lists(_FEW, min_size=1, max_size=4),
        act=st.sampled_from(["delete", "restore", "hide or show"]),
    )
    def let_persons_come_or_go(self, some: list[int], act: str) -> None:
        for which in some:
            for person_id in self._pick(which, lambda state: state["is_deleted"] == (act == "restore")):
                if act == "delete":
                    self.account.delete_person(person_id)
                elif act == "restore":
                    self.account.restore_person(person_id)
                elif self.account.person_state(person_id)["is_hidden"]:
                    self.account.show_person(person_id)
                else:
                    self.account.hide_person(person_id)

    @rule(winner=_FEW, loser=_FEW)
    def merge_persons(self, winner: int, loser: int) -> None:
        ids = [self._pick(which, lambda state: not state["is_deleted"]) for which in (winner, loser)]
        if all(ids) and ids[0] != ids[1]:
            self._pass_time(later=True)
            self.account.merge_persons(*ids[0], *ids[1])

    @rule(
        act=st.sampled_from(
            ["new field", "rename field", "delete field", "new option", "rename option", "delete option"]
        ),
        which=_FEW,
    )
    def change_catalogue(self, act: str, which: int) -> None:
        """A new field is never imported automatically: neither its name nor its values may appear in the list."""
        account, fields = self.account, self.account.custom_fields
        plain = [code for code in ("member", "note", "since") if code in fields]
        with_options = ("colour", "tags")[which % 2]
        option = next(iter(fields[with_options].options[which % 3 :]), None)
        if act == "new field":
            account.add_field(f"{SECRET} {len(fields)}", "varchar")
        elif act == "rename field" and plain:
            account.rename_field(plain[which % len(plain)], f"Renamed at {self.now}")
        elif act == "delete field" and plain and which % 3 == 0:
            account.delete_field(plain[which % len(plain)])
        elif act == "new option":
            account.add_option(with_options, f"Option {len(fields[with_options].options)}")
        elif act == "rename option" and option is not None:
            account.rename_option(with_options, option.id, f"{option.label}!")
        elif act == "delete option" and option is not None:
            account.delete_option(with_options, option.id)
            self.last_known.add(with_options)

    @rule(
        act=st.sampled_from(["rename org", "rename user", "delete org"]),
        which=_FEW,
        name=st.sampled_from(NAMES),
    )
    def change_names(self, act: str, which: int, name: str) -> None:
        """Changes names without touching the persons that show them."""
        if act == "rename user":
            users = sorted(self.account.users)
            self.account.rename_user(users[which % len(users)], name)
            return
        self._pass_time(later=which % 2 == 0)
        organization_id = sorted(self.account.organizations)[which % 3]
        organization = self.account.organization(organization_id)
        if organization.deleted_at is None and act == "rename org":
            self.account.rename_organization(organization_id, name)
        elif organization.deleted_at is None and which % 5 == 0:
            self.account.delete_organization(organization_id)
            self.last_known.add("org_id")

    # What users do on our side

    @rule(key=st.sampled_from(sorted(CANDIDATES)), which=_FEW)
    def change_matching(self, key: str, which: int) -> None:
        matching = dict(self.oracle.matching)
        target = (None, *CANDIDATES[key], *CANDIDATES[key])[which % (2 * len(CANDIDATES[key]) + 1)]
        matching.pop(key, None)
        if target is not None and target not in matching.values():
            matching[key] = target
        self._import(matching, self.oracle.ignore_empty)

    @rule()
    def change_what_empty_values_do(self) -> None:
        self._import(self.oracle.matching, not self.oracle.ignore_empty)

    @precondition(lambda self: self.oracle.rows)
    @rule(which=_FEW, channel=st.sampled_from(_CHANNELS), flag=st.sampled_from([False, False, True]))
    def set_channel_by_hand(self, which: int, channel: str, flag: bool) -> None:
        self._edit_by_hand(which, **{channel: flag})

    @precondition(lambda self: self.oracle.rows)
    @rule(which=_FEW, contact=CONTACT)
    def edit_contact_by_hand(self, which: int, contact: dict[str, Any]) -> None:
        self.alone = False
        self._edit_by_hand(
            which, **{name: contact[name] for name in ("email", "phoneNumber", "name", "active")}
        )

    @precondition(lambda self: self.oracle.rows)
    @rule(which=_FEW)
    def delete_contact_by_hand(self, which: int) -> None:
        contact_id = self._contact(which)
        self._sql(f"DELETE FROM {{list}} WHERE contact_id = {contact_id}")  # noqa: S608
        del self.oracle.rows[contact_id]

    @rule(contact=CONTACT)
    def contact_by_hand(self, contact: dict[str, Any]) -> None:
        self.alone = False
        columns = ", ".join(f'"{name}"' for name in contact)
        values = ", ".join(_literal(value) for value in contact.values())
        self._sql(f"INSERT INTO {{list}} ({columns}) VALUES ({values})")  # noqa: S608
        contact_id = max(self._stored())
        self.used_ids.add(contact_id)
        empty = dict.fromkeys([*_BUILT_IN, *self.oracle.custom_variables])
        self.oracle.rows[contact_id] = _without_blanks(empty | contact)

    # Webhooks

    def hear(self, change: PersonChange) -> None:
        self.under_way.append((change.after.id, change.action == "delete"))

    @rule(fate=st.sampled_from(_FATES))
    def events(self, fate: str) -> None:
        """Decides what happens to the events since the last ones."""
        if fate == "are late":
            return
        events, self.under_way = self.under_way, []
        if fate == "are lost":
            return
        if fate == "arrive in disorder":
            events.reverse()
        for person_id, deleted in events * (2 if fate == "arrive twice" else 1):
            self._arrive(person_id, deleted)

    @precondition(lambda self: self.arrived)
    @rule(which=_FEW)
    def replay_event(self, which: int) -> None:
        self._arrive(*self.arrived[which % len(self.arrived)])

    def _arrive(self, person_id: int, deleted: bool) -> None:
        self.arrived.append((person_id, deleted))
        self.hints[person_id] = deleted or self.hints.get(person_id, False)
        inbox.add_event(self.acme.store.inbox, self.acme.record().id, person_id, deleted=deleted)

    # Syncs

    @rule(again=st.booleans())
    def full_run(self, again: bool) -> None:
        self.sync("full", again=again)

    @rule(again=st.booleans())
    def re_map(self, again: bool) -> None:
        self.sync("re-map", again=again)

    @rule(fate=st.sampled_from(_FATES), again=st.booleans())
    def changes_run(self, fate: str, again: bool) -> None:
        self.events(fate)
        self.sync("changes", again=again)

    @rule(fate=st.sampled_from(_FATES), seconds=st.sampled_from([61, 600, 3_600]))
    def changes_run_after_a_while(self, fate: str, seconds: int) -> None:
        self.events(fate)
        self.let_time_pass(seconds)
        self.sync("changes", again=False)

    @rule(persons=st.lists(PERSON, min_size=2, max_size=3), edited=_FEW)
    def changes_run_for_newcomers(self, persons: list[dict[str, Any]], edited: int) -> None:
        """Where new persons have no update_time, one of them has it by now."""
        for person in persons:
            self.create_person(person, later=True)
        newest = max(i for i in range(1, 100) if self.account.has_person(i))
        self.account.edit_person(newest - edited % len(persons), name="Newcomer")
        self.sync("changes", again=False)

    @rule(kind=_KINDS, fault=_FAULT, then=st.none() | _KINDS)
    def run_with_fault(self, kind: Kind, fault: Fault, then: Kind | None) -> None:
        """Pipedrive fails in the middle of the run, and keeps failing."""
        self.sync(kind, again=False, breaks=ApiError, trouble=self._fault(fault))
        if then is not None:
            self.sync(then, again=False)

    @rule(kind=_KINDS, moment=st.integers(0, 200), then=st.none() | _KINDS)
    def killed_run(self, kind: Kind, moment: int, then: Kind | None) -> None:
        """The program dies before a statement or a commit: none follows."""
        told = 0

        def die(statement: str) -> None:
            nonlocal told
            told += 1
            # The session that holds PostgreSQL's lock would die too.
            if told > moment and "pg_advisory_unlock" not in statement:
                raise Killed

        engine = self.acme.store.engine
        trouble = reporting(engine.url.render_as_string(hide_password=False), die)
        self.sync(kind, again=False, breaks=Killed, trouble=trouble)
        if then is not None:
            self.sync(then, again=False)

    def sync(
        self,
        kind: Kind,
        *,
        again: bool,
        breaks: type[BaseException] | None = None,
        trouble: AbstractContextManager[None] | None = None,
    ) -> None:
        """A sync, and everything that must hold after it. `again`: sync once more, with nothing to do. `breaks`: how
        the sync may end in `trouble`."""
        self._sql(f"UPDATE {{list}} SET \"updatedAt\" = '{_UNTOUCHED}'")  # noqa: S608
        before = self._stored()
        self.made[f"{kind} runs"] += 1
        successes = self._successes()
        walked = self._walked() if kind == "full" else None
        former, former_hints = copy.deepcopy(self.oracle), dict(self.hints)
        read = self._read(kind)
        refused = self._identifier_is_missing()
        expected = (*((breaks,) if breaks else ()), *((SyncError,) if refused else ()))
        counts = None
        with trouble or nullcontext():
            try:
                counts = self.acme.sync(kind, allowed=_ALLOWED)
            except expected:
                self.made["broken runs"] += 1
        if self._successes() == successes:
            self.oracle, self.hints = former, former_hints
            assert counts is None
            self._learn_from_broken_run(before)
            return
        assert not refused
        if counts is None:
            # It had committed, but the hints were not settled.
            counts = self.acme.last_run().counts
            self.hints = self._waiting()
            assert self.hints.items() <= former_hints.items()
        if walked is not None and self._walk_restarted():
            walked = None
        if walked is not None:
            self._learn_from_interrupted_walk(walked)
        outcome = self.oracle.sync()
        after = self._stored()
        self._know_new_contacts(outcome)
        self._check_counts(counts, outcome, read)
        self._check_list(after, outcome)
        self._check_consent(before, after)
        self._check_names_and_secrets(after)
        self._check_what_is_known()
        if walked is not None:
            # This run reads everyone, up to now.
            self.sync("full", again=again)
        elif again:
            dump = self.acme.dump()
            counts = self.acme.sync(kind, allowed=_ALLOWED)
            assert (counts["created"], counts["updated"], counts["deleted"]) == (0, 0, 0)
            assert self.acme.dump() == dump
            self._check_what_is_known()

    def _read(self, kind: Kind) -> set[int] | None:
        """Tells the oracle what such a run may know; returns whom a run of changes reads."""
        self.oracle.read_catalogue(self._catalogue())
        self.oracle.names = self._names()
        read = None
        if kind == "full":
            self.oracle.know(self._visible(), self.clock())
        elif kind == "changes":
            read = self.oracle.read_changes(
                self._visible(),
                self.clock(),
                self.hints,
                dateless_too=self.account.behaviours.null_update_time_matches_since,
                new_too=self.acme.record().sync_state.null_update_times is not False,
            )
        if kind != "re-map":
            self.hints = {}
        return read

    def _identifier_is_missing(self) -> bool:
        """Whether an identifier's field is deleted and a run would empty it in all contacts: such a run is refused."""
        gone = [key for key, variable in self.oracle.matching.items() if variable in IDENTIFIERS]
        known = _SYSTEM_KEYS | self.oracle.present_fields
        return not self.oracle.ignore_empty and not set(gone) <= known

    def _learn_from_broken_run(self, before: dict[int, dict[str, Any]]) -> None:
        """The list is unchanged, but persons read before the failure may be known in their current version."""
        assert self._stored() == before
        visible = {person["id"]: person for person in self._visible()}
        known = {person["id"]: person for person in self.oracle.snapshot}
        landed = {row["person_id"]: row for row in self.acme.rows(tables.snapshot)}
        assert known.keys() <= landed.keys()
        for person_id, row in landed.items():
            if row["gone"]:
                # A person deleted earlier may have come back, and this run may not have reached them.
                assert person_id not in known or person_id not in visible
                known.pop(person_id, None)
            elif person_id not in known or not _describes(row["raw"], known[person_id]):
                known[person_id] = visible[person_id]
                assert _describes(row["raw"], visible[person_id])
        self.oracle.know(list(known.values()), None)
        with reading(self.acme.store.engine) as db:
            fields = read_fields(db, self.acme.record().id)
        options = {
            field.field_code: [
                (option["id"], option["label"]) for option in field.options or [] if not option.get("gone")
            ]
            for field in fields
        }
        if options == options | self._catalogue():
            self.oracle.read_catalogue(self._catalogue())
        self._check_what_is_known()

    def _learn_from_interrupted_walk(self, walked: UnfinishedWalk) -> None:
        """A resumed full run does not read again what the interrupted one has read."""
        seen = {int(person_id) for page in walked.seen for person_id in page}
        visible = {person["id"]: person for person in self._visible()}
        known = []
        for row in self.acme.rows(tables.snapshot):
            person = visible.get(row["person_id"])
            if person is None or not _describes(row["raw"], person):
                assert row["person_id"] in seen
                person = json.loads(row["raw"])
            known.append(person)
        self.oracle.know(known, datetime.fromtimestamp(walked.began / 1e6, UTC))

    def _walked(self) -> UnfinishedWalk | None:
        """The walk that a full run resumes, if one was interrupted."""
        with reading(self.acme.store.engine) as db:
            return walks.unfinished_walk(db, self.acme.record().id)

    def _walk_restarted(self) -> bool:
        """If windows turn out not to show everyone, or Pipedrive no longer knows the cursor, a resumed full run starts
        the walk again, page by page: then it has read everyone itself."""
        return self.acme.record().sync_state.plain_walk_began == self.clock().timestamp() * 1e6

    def _successes(self) -> int:
        return [row["state"] for row in self.acme.rows(tables.runs)].count("success")

    def _waiting(self) -> dict[int, bool]:
        hints = inbox.pending_hints(self.acme.store.inbox, self.acme.record().id)
        return {person_id: person_id in hints.deleted for person_id in hints.changed}

    def _check_what_is_known(self) -> None:
        """The program knows exactly whom the oracle knows; nothing is forgotten or requested twice."""
        live = [row["person_id"] for row in self.acme.rows(tables.snapshot) if not row["gone"]]
        assert sorted(live) == sorted(person["id"] for person in self.oracle.snapshot)
        watermark = self.acme.record().sync_state.watermark
        known_until = None if watermark is None else datetime.fromtimestamp(watermark / 1e6, UTC)
        assert known_until == self.oracle.watermark
        assert self._waiting() == self.hints

    @contextmanager
    def _fault(self, fault: Fault) -> Iterator[None]:
        self.acme.server.faults.add(fault)
        try:
            yield
        finally:
            self.acme.server.faults.clear()

    def _know_new_contacts(self, outcome: Outcome) -> None:
        """A new contact has a number no contact ever had; from now on the oracle uses that number."""
        linked = {row["person_id"]: row["contact_id"] for row in self.acme.rows(tables.links)}
        known: dict[Key, int] = {}
        highest = max(self.used_ids)
        for person_id, link in self.oracle.links.items():
            if isinstance(link.contact, str):
                contact_id = linked[person_id]
                assert contact_id > highest
                known[link.contact] = contact_id
                self.used_ids.add(contact_id)
                self.oracle.rows[contact_id] = self.oracle.rows.pop(link.contact)
                link.contact = contact_id
        outcome.touched = {known.get(key, key) for key in outcome.touched}
        links = {
            row["person_id"]: Link(row["contact_id"], row["adopted"], row["phone_filled"], row["deactivated"])
            for row in self.acme.rows(tables.links)
        }
        assert links == self.oracle.links

    def _check_counts(self, counts: dict[str, int], outcome: Outcome, read: set[int] | None) -> None:
        """Nothing silent: the counts add up, and every person not written is listed with the reason.

        A run of changes counts the persons it `read` and those whose contact it wrote, and may count others it checked.
        """
        assert counts["fetched"] == sum(counts[name] for name in _WRITTEN_OR_LISTED)
        if read is None:
            assert {name: counts[name] for name in outcome.counts} == outcome.counts
        else:
            exact = ("created", "updated", "deleted")
            assert {name: counts[name] for name in exact} == {name: outcome.counts[name] for name in exact}
            least = outcome.counts_of(read)
            for name in (*_WRITTEN_OR_LISTED, "dropped_values"):
                assert least.get(name, 0) <= counts[name] <= outcome.counts[name], name
        issues = self.acme.issues()
        listed = {row["person_id"]: row for row in issues if row["kind"] != "dropped_value"}
        left_out = {
            person: {"duplicate": "duplicate_of", "conflict": "identifier_conflict"}.get(
                fate, "no_identifier"
            )
            for person, fate in outcome.fates.items()
            if fate in ("rejected", "duplicate", "conflict")
        }
        assert {person: row["reason"] for person, row in listed.items()} == left_out
        assert len(issues) == len(listed) + outcome.dropped_values
        for person, fate in outcome.fates.items():
            if fate == "duplicate":
                assert f"person {outcome.duplicate_of[person]}," in listed[person]["message"]

    def _check_list(self, after: dict[int, dict[str, Any]], outcome: Outcome) -> None:
        """The list matches the oracle, and no other row was touched."""
        clocks = ("createdAt", "updatedAt")
        assert {
            contact_id: {name: value for name, value in row.items() if name not in clocks}
            for contact_id, row in after.items()
        } == {
            contact_id: {name: value for name, value in row.items() if name not in clocks}
            for contact_id, row in self.oracle.rows.items()
        }
        touched = {contact_id for contact_id, row in after.items() if row["updatedAt"] != _UNTOUCHED}
        assert touched == outcome.touched

    @staticmethod
    def _check_consent(before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]]) -> None:
        for contact_id in before.keys() & after.keys():
            for channel in _CHANNELS:
                assert before[contact_id][channel] is not False or after[contact_id][channel] is False

    def _check_names_and_secrets(self, after: dict[int, dict[str, Any]]) -> None:
        """The list contains only what was matched, and no table is left over."""
        for row in after.values():
            assert set(row) == {*_BUILT_IN, *self.oracle.custom_variables}
        assert SECRET not in str(after)
        with reading(self.acme.store.engine) as db:
            left_over = [name for name in sa.inspect(db).get_table_names() if name.startswith("sync_plan_")]
        assert left_over == []

    def compare_with_fresh_list(self) -> None:
        """Convergence without a user: if only this account's persons made the list, a fresh connection to the same
        account ends with the same contacts, whatever happened before."""
        if not self.alone or self.oracle.ignore_empty or self.oracle.on_delete != "delete":
            return
        fresh = Connected(
            self.account, self.acme.server, self.acme.store, "fresh", "fresh.example.com", self.acme.settings
        )
        fresh.connect()
        rows = {
            key: (variable, "DateTime" if variable == "since" else "String")
            for key, variable in self.oracle.matching.items()
            if key in (_SYSTEM_KEYS | self.oracle.present_fields) - self.last_known
        }
        fresh.import_rows(rows, ignore_empty=False)
        fresh.sync()
        fed = [variable for variable, _ in rows.values() if variable != "emailSubscribe"]

        def seen(acme: Connected) -> list[list[Any]]:
            return sorted(([row[name] for name in fed] for row in acme.contacts()), key=repr)

        assert seen(self.acme) == seen(fresh)

    # Inside

    def clock(self) -> datetime:
        return _BEGAN + timedelta(seconds=self.now)

    def _pass_time(self, later: bool) -> None:
        """Times in Pipedrive are whole seconds, so many edits share one."""
        self.now += later

    def _record(self, person: dict[str, Any]) -> dict[str, Any]:
        """Values as the sandbox takes them; options by their position among the remaining ones."""
        record = {key: value for key, value in person.items() if key in _SYSTEM_KEYS}
        custom: dict[str, Any] = {}
        for code in person.keys() & self.account.custom_fields.keys():
            value = person[code]
            options = [option.id for option in self.account.custom_fields[code].options]
            if code == "colour":
                value = options[value] if value is not None and value < len(options) else None
            elif code == "tags":
                value = [options[i] for i in value if i < len(options)] or None
            custom[code] = value
        for key, entities in (("org_id", self.account.organizations), ("owner_id", self.account.users)):
            if record.get(key) is not None:
                record[key] = sorted(entities)[record[key]]
        return record | {"custom_fields": custom}

    def _pick(self, which: int, wanted: Callable[[dict[str, Any]], bool]) -> list[int]:
        """One of the persons that match, if any."""
        ids = [
            i for i in range(1, 100) if self.account.has_person(i) and wanted(self.account.person_state(i))
        ]
        return [ids[which % len(ids)]] if ids else []

    def _json(self, person_id: int) -> dict[str, Any]:
        person: dict[str, Any] = json.loads(self.account.person_state(person_id)["person"].text)
        return person

    def _visible(self) -> list[Mapping[str, Any]]:
        return [
            self._json(person_id) | {"marketing_status": self._marketing_status(person_id)}
            for person_id in self.account.visible_person_ids()
        ]

    def _marketing_status(self, person_id: int) -> str:
        person = self.account.find_person(person_id)
        assert person is not None
        return str(json.loads(person.optional["marketing_status"]))

    def _catalogue(self) -> dict[str, list[tuple[int, str]]]:
        return {
            code: [(option.id, option.label) for option in custom.options]
            for code, custom in self.account.custom_fields.items()
        }

    def _names(self) -> dict[str, dict[int, str]]:
        """Names as Pipedrive reports them, else as the program last saw them."""
        with reading(self.acme.store.engine) as db:
            seen = read_names(db, self.acme.record().id)
        listed = {
            each.id: each.name for each in self.account.organizations.values() if each.deleted_at is None
        }
        users = {user.id: user.name for user in self.account.users.values()}
        return {"org": seen["org"] | listed, "user": users}

    def _import(self, matching: dict[str, str], ignore_empty: bool) -> None:
        known = _SYSTEM_KEYS | self.oracle.present_fields
        matching = {key: variable for key, variable in matching.items() if key in known}
        self.oracle.import_matching(
            matching, [name for name in matching.values() if name not in _BUILT_IN], ignore_empty
        )
        self.acme.import_rows(
            {
                key: (variable, "DateTime" if variable == "since" else "String")
                for key, variable in matching.items()
            },
            ignore_empty=ignore_empty,
        )

    def _contact(self, which: int) -> int:
        ids = sorted(key for key in self.oracle.rows if isinstance(key, int))
        return ids[which % len(ids)]

    def _edit_by_hand(self, which: int, **values: Any) -> None:
        contact_id = self._contact(which)
        assigned = ", ".join(f'"{name}" = {_literal(value)}' for name, value in values.items())
        self._sql(f"UPDATE {{list}} SET {assigned} WHERE contact_id = {contact_id}")  # noqa: S608
        self.oracle.rows[contact_id] |= _without_blanks(values)

    def _sql(self, sql: str) -> None:
        self.acme.execute(sql)

    def _stored(self) -> dict[int, dict[str, Any]]:
        """The list by contact_id, with values of None, bool for a flag, or text."""
        with reading(self.acme.store.engine) as db:
            rows = db.exec_driver_sql(f"SELECT * FROM {self.acme.list_table()}").mappings().all()  # noqa: S608
        stored = {}
        for row in rows:
            values = {name: value for name, value in row.items() if name != "contact_id"}
            stored[row["contact_id"]] = _without_blanks(
                {
                    name: value if value is None else bool(value) if name in _FLAGS else str(value)
                    for name, value in values.items()
                }
            )
        return stored


def _describes(raw: str, person: Mapping[str, Any]) -> bool:
    """Whether this JSON describes the person in the same way."""
    told = json.loads(raw)
    return all(told.get(key) == value for key, value in person.items())


def _without_blanks(values: dict[str, Any]) -> dict[str, Any]:
    """Treats empty text as no text."""
    return {name: None if value == "" else value for name, value in values.items()}


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value).upper() if isinstance(value, bool) else f"'{value}'"
