"""The plan of a run: for each staged person, and each contact that lost its person, what is to be done. Plain cases
are told apart in SQL; only persons that share identifiers, or meet contacts of others, pass through `identity`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables

from . import channels, dialects
from .contact_list import ContactList
from .identity import Contact, Meeting, Person, Resolution, claim, resolve
from .stage import Work, stage_variables, staged_work

_BATCH = 5000
# How many contacts a conflict's message names.
_NAMED = 5
# The ends of a contact that the guard against mass deletion counts.
_GOING = ("delete", "deactivate")

links = tables.links


@dataclass(frozen=True)
class ListSettings:
    """The settings of a connection that the list depends on."""

    ignore_empty: bool = True
    consent: Literal["respect", "require", "ignore"] = "respect"
    on_delete: Literal["delete", "deactivate", "keep"] = "delete"


@dataclass(frozen=True)
class PlanSummary:
    """How many persons get what, of those who are counted (see `make_plan`): the first six add up. `deleted`: contacts
    that are to be deleted or deactivated. `adopted` and `taken_over` are counted in `updated` or `unchanged` too.
    `let_go`: adopted contacts that lose their person and stay. `doubly_owned`: contacts that two persons would write,
    which must not be. `contacts_before`: the size of the list. `planned`: all persons of the plan, counted or not."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    duplicates: int
    conflicts: int
    deleted: int
    adopted: int
    taken_over: int
    let_go: int
    doubly_owned: int
    contacts_before: int
    planned: int

    @property
    def staged(self) -> int:
        return self.created + self.updated + self.unchanged + self.rejected + self.duplicates + self.conflicts


def make_plan(
    db: sa.Connection,
    contact_list: ContactList,
    connection_id: int,
    settings: ListSettings,
    counted_run: str | None = None,
) -> PlanSummary:
    """Plans what the staged contacts mean for the list; writes nothing but the plan, which replaces any older one.

    The summary counts all persons or, given `counted_run`, those that this run mapped or read and those whose contact
    is created or updated.

    Raises ListError if the list has lost a variable since it was staged.
    """
    stored = contact_list.stored(db)
    work = staged_work(db, connection_id, stored)
    planner = _Planner(db, contact_list.contacts(stored), stored, connection_id, work, settings)
    dialects.ready_for_joins(db, work.stage, ["person_id"], *([name] for name in work.identifiers))
    for table in (work.plan, work.leaving, work.decisions, work.meetings):
        table.drop(db, checkfirst=True)
        table.create(db)
    planner.find_duplicates()
    planner.find_meetings()
    planner.adopt_plain()
    planner.resolve_rest()
    planner.decide_persons()
    planner.decide_left_contacts()
    return _summary(db, connection_id, work, contact_list.count(db), counted_run)


def changes(
    stage: sa.Table, listed: sa.FromClause, stored: dict[str, str | None], settings: ListSettings
) -> dict[str, sa.ColumnElement[bool]]:
    """For each fed variable, whether a contact differs from what is staged for it. Empty text equals null."""
    differs: dict[str, sa.ColumnElement[bool]] = {}
    for name in stage_variables(stage):
        if name == "emailSubscribe":
            differs[name] = channels.unsubscribes(stage, listed)
            continue
        now = sa.func.nullif(listed.c[name], "") if stored[name] == "text" else listed.c[name]
        distinct = now.is_distinct_from(stage.c[name])
        differs[name] = sa.and_(stage.c[name].is_not(None), distinct) if settings.ignore_empty else distinct
    return differs


def any_of(conditions: Iterable[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """OR, in a form that SQLite takes with more than a thousand conditions."""
    return sa.case(*((condition, sa.true()) for condition in conditions), else_=sa.false()).is_(sa.true())


class _Planner:
    def __init__(
        self,
        db: sa.Connection,
        listed: sa.FromClause,
        stored: dict[str, str | None],
        connection_id: int,
        work: Work,
        settings: ListSettings,
    ) -> None:
        self.connection = db
        self.listed = listed
        self.stored = stored
        self.stage, self.meetings, self.decisions = work.stage, work.meetings, work.decisions
        self.plan, self.leaving = work.plan, work.leaving
        self.identifiers = work.identifiers
        self.settings = settings
        self.connection_id = connection_id
        # This connection's links to contacts that are there.
        self.owned = (
            sa.select(links.c.person_id, links.c.contact_id, links.c.adopted)
            .join(listed, listed.c.contact_id == links.c.contact_id)
            .where(links.c.connection_id == connection_id)
            .subquery("owned")
        )

    def find_duplicates(self) -> None:
        stage = self.stage
        if not self.identifiers:
            return
        persons = sa.select(
            stage.c.person_id, stage.c.person_version, *(stage.c[name] for name in self.identifiers)
        )
        shared = []
        for name in self.identifiers:
            value = stage.c[name]
            contested = sa.select(value).where(value.is_not(None)).group_by(value).having(sa.func.count() > 1)
            shared.append(persons.where(value.in_(contested)))
        # Not one question with OR: where PostgreSQL thinks that the values do not fit into its memory, it would go
        # through all of them for each person.
        query = sa.union(*shared)
        duplicates = claim(
            (
                person_id,
                version,
                [
                    (kind, value)
                    for kind, value in zip(self.identifiers, values, strict=True)
                    if value is not None
                ],
            )
            for person_id, version, *values in self.connection.execute(query)
        )
        self._decide([_decision(person, "duplicate", owner_id=owner) for person, owner in duplicates.items()])

    def find_meetings(self) -> None:
        """Who holds which identifier of whom; duplicates claim nothing, so they meet nobody."""
        stage, listed, decisions = self.stage, self.listed, self.decisions
        own, holder = links.alias("own"), links.alias("holder")
        own_is_ours = own.c.connection_id == self.connection_id
        holder_is_ours = holder.c.connection_id == self.connection_id
        for name in self.identifiers:
            held = dialects.folded(self.connection, listed.c.email) if name == "email" else listed.c[name]
            met = (
                sa.select(
                    stage.c.person_id,
                    listed.c.contact_id,
                    sa.literal(name),
                    own.c.contact_id,
                    holder.c.person_id,
                    holder.c.adopted,
                )
                .join(listed, held == stage.c[name])
                .outerjoin(own, sa.and_(own_is_ours, own.c.person_id == stage.c.person_id))
                .outerjoin(holder, sa.and_(holder_is_ours, holder.c.contact_id == listed.c.contact_id))
                .outerjoin(decisions, decisions.c.person_id == stage.c.person_id)
                .where(
                    own.c.contact_id.is_distinct_from(listed.c.contact_id), decisions.c.person_id.is_(None)
                )
            )
            self.connection.execute(self.meetings.insert().from_select(_names(self.meetings), met))
        dialects.ready_for_joins(self.connection, self.meetings, ["person_id"], ["contact_id"])

    def adopt_plain(self) -> None:
        """A person without a contact that meets one contact only, which is nobody's and meets nobody else."""
        met = self.meetings
        alone = sa.select(
            met,
            sa.func.min(met.c.contact_id).over(partition_by=met.c.person_id).label("first_contact"),
            sa.func.max(met.c.contact_id).over(partition_by=met.c.person_id).label("last_contact"),
            sa.func.min(met.c.person_id).over(partition_by=met.c.contact_id).label("first_person"),
            sa.func.max(met.c.person_id).over(partition_by=met.c.contact_id).label("last_person"),
        ).subquery("alone")
        plain = (
            sa.select(alone.c.person_id, sa.literal("write"), alone.c.contact_id, sa.true(), sa.false())
            .distinct()
            .where(
                alone.c.own_contact_id.is_(None),
                alone.c.holder_id.is_(None),
                alone.c.first_contact == alone.c.last_contact,
                alone.c.first_person == alone.c.last_person,
            )
        )
        names = ["person_id", "state", "contact_id", "adopts", "takes_over"]
        self.connection.execute(self.decisions.insert().from_select(names, plain))

    def resolve_rest(self) -> None:
        met, decisions = self.meetings, self.decisions
        rows = self.connection.execute(
            sa.select(met.c.person_id, met.c.contact_id, met.c.identifier, met.c.holder_id, met.c.adopted)
            .outerjoin(decisions, decisions.c.person_id == met.c.person_id)
            .where(decisions.c.person_id.is_(None))
        ).all()
        if not rows:
            return
        taking_part = self._persons({row[0] for row in rows} | {row[3] for row in rows if row[3] is not None})
        persons = {row[0]: taking_part[row[0]] for row in rows}
        meetings = [Meeting(person_id, contact_id, kind) for person_id, contact_id, kind, *_ in rows]
        linked_to = {contact_id: (holder, adopted) for _, contact_id, _, holder, adopted in rows}
        contacts = {
            contact_id: Contact(contact_id, taking_part.get(holder), foreign=holder is None or adopted)
            for contact_id, (holder, adopted) in linked_to.items()
        }
        resolution = resolve(persons.values(), meetings, contacts, ignore_empty=self.settings.ignore_empty)
        decided = []
        for person_id, person in persons.items():
            if person_id in resolution.conflicts:
                detail = _conflict(resolution, person, contacts)
                decided.append(_decision(person_id, "conflict", detail=detail))
            elif person_id in resolution.contacts:
                contact_id = resolution.contacts[person_id]
                decided.append(
                    _decision(
                        person_id,
                        "write",
                        contact_id=contact_id,
                        adopts=contacts[contact_id].foreign,
                        takes_over=linked_to[contact_id][0] is not None,
                    )
                )
        self._decide(decided)

    def _persons(self, person_ids: set[int]) -> dict[int, Person]:
        """Those of the persons that take part: staged, no duplicate, and not rejected."""
        stage, decisions, owned = self.stage, self.decisions, self.owned
        query = (
            sa.select(
                stage.c.person_id,
                stage.c.person_version,
                owned.c.contact_id,
                *(stage.c[name].is_not(None) for name in self.identifiers),
            )
            .outerjoin(owned, owned.c.person_id == stage.c.person_id)
            .outerjoin(decisions, decisions.c.person_id == stage.c.person_id)
            .where(sa.or_(decisions.c.state.is_(None), decisions.c.state != "duplicate"))
        )
        found: dict[int, Person] = {}
        wanted = sorted(person_ids)
        for start in range(0, len(wanted), _BATCH):
            some = query.where(stage.c.person_id.in_(wanted[start : start + _BATCH]))
            for person_id, version, contact_id, *has in self.connection.execute(some):
                kinds = frozenset(name for name, there in zip(self.identifiers, has, strict=True) if there)
                if kinds or self.settings.ignore_empty:
                    found[person_id] = Person(person_id, version, contact_id, kinds)
        return found

    def decide_persons(self) -> None:
        stage, listed, decisions = self.stage, self.listed, self.decisions
        own = (
            sa.select(links.c.person_id, links.c.contact_id)
            .where(links.c.connection_id == self.connection_id)
            .subquery("own")
        )
        switched_off = (
            sa.select(links.c.contact_id)
            .where(links.c.connection_id == self.connection_id, links.c.deactivated)
            .subquery("switched_off")
        )
        changed = any_of(
            [
                *changes(stage, listed, self.stored, self.settings).values(),
                sa.and_(switched_off.c.contact_id.is_not(None), listed.c.active.is_not(sa.true())),
            ]
        )
        anonymous = sa.and_(sa.true(), *(stage.c[name].is_(None) for name in self.identifiers))
        if self.settings.ignore_empty:
            anonymous = sa.and_(anonymous, listed.c.contact_id.is_(None))
        action = sa.case(
            (decisions.c.state.in_(["duplicate", "conflict"]), decisions.c.state),
            (anonymous, "rejected"),
            (listed.c.contact_id.is_(None), "create"),
            (changed, "update"),
            else_="unchanged",
        )
        contact_id = sa.func.coalesce(decisions.c.contact_id, own.c.contact_id)
        writes_nothing = sa.or_(decisions.c.state.is_not_distinct_from("duplicate"), anonymous)
        query = (
            sa.select(
                stage.c.person_id,
                sa.case((writes_nothing, sa.null()), else_=listed.c.contact_id),
                action,
                sa.func.coalesce(decisions.c.adopts, sa.false()),
                sa.func.coalesce(decisions.c.takes_over, sa.false()),
                decisions.c.owner_id,
                decisions.c.detail,
            )
            .outerjoin(own, own.c.person_id == stage.c.person_id)
            .outerjoin(decisions, decisions.c.person_id == stage.c.person_id)
            .outerjoin(listed, listed.c.contact_id == contact_id)
            .outerjoin(switched_off, switched_off.c.contact_id == listed.c.contact_id)
        )
        self.connection.execute(self.plan.insert().from_select(_names(self.plan), query))
        dialects.ready_for_joins(self.connection, self.plan, ["contact_id"], ["action", "person_id"])

    def decide_left_contacts(self) -> None:
        """The contacts of this connection that nobody has in the plan."""
        listed, plan = self.listed, self.plan
        let_go = (links.c.adopted, "let_go")
        if self.settings.on_delete == "delete":
            action = sa.case(let_go, else_="delete")
        elif self.settings.on_delete == "deactivate":
            off = sa.or_(links.c.deactivated, listed.c.active.is_(sa.false()))
            action = sa.case(let_go, (sa.not_(off), "deactivate"))
        else:
            action = sa.case(let_go)
        query = (
            sa.select(links.c.contact_id, action.label("action"))
            .join(listed, listed.c.contact_id == links.c.contact_id)
            .outerjoin(plan, plan.c.contact_id == links.c.contact_id)
            .where(
                links.c.connection_id == self.connection_id, plan.c.contact_id.is_(None), action.is_not(None)
            )
        )
        self.connection.execute(self.leaving.insert().from_select(_names(self.leaving), query))
        dialects.ready_for_joins(self.connection, self.leaving, ["contact_id"], ["action"])

    def _decide(self, decisions: list[dict[str, Any]]) -> None:
        if decisions:
            self.connection.execute(self.decisions.insert(), decisions)


def _names(table: sa.Table) -> list[str]:
    return [column.name for column in table.c]


def _decision(
    person_id: int,
    state: str,
    *,
    contact_id: int | None = None,
    adopts: bool = False,
    takes_over: bool = False,
    owner_id: int | None = None,
    detail: str | None = None,
) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "state": state,
        "contact_id": contact_id,
        "adopts": adopts,
        "takes_over": takes_over,
        "owner_id": owner_id,
        "detail": detail,
    }


def _conflict(resolution: Resolution, person: Person, contacts: dict[int, Contact]) -> str:
    against = resolution.conflicts[person.person_id]
    named = []
    for contact_id in against[:_NAMED]:
        holder = contacts[contact_id].holder
        named.append(f"{contact_id} (of person {holder.person_id})" if holder else str(contact_id))
    if len(against) > _NAMED:
        named.append(f"{len(against) - _NAMED} more")
    own = f", and has contact {person.contact_id}" if person.contact_id is not None else ""
    several = "contacts" if len(against) > 1 else "contact"
    return (
        f"Person {person.person_id} has identifiers of {several} {', '.join(named)}{own}; contacts are never merged, "
        "so nothing was written: put the identifiers right in Pipedrive or in the list."
    )


def _summary(
    db: sa.Connection, connection_id: int, work: Work, contacts_before: int, counted_run: str | None
) -> PlanSummary:
    stage, plan, leaving = work.stage, work.plan, work.leaving
    columns = (plan.c.action, plan.c.adopts, plan.c.takes_over)
    of_persons = sa.select(*columns, sa.func.count()).group_by(*columns)
    if counted_run is not None:
        of_persons = of_persons.join(stage, stage.c.person_id == plan.c.person_id).where(
            sa.or_(stage.c.mapped_by == counted_run, plan.c.action.in_(["create", "update"]))
        )
    of_contacts = sa.select(leaving.c.action, sa.false(), sa.false(), sa.func.count()).group_by(
        leaving.c.action
    )
    rows = [*db.execute(of_persons), *db.execute(of_contacts)]

    def count(*actions: str) -> int:
        return sum(number for action, _, _, number in rows if action in actions)

    return PlanSummary(
        created=count("create"),
        updated=count("update"),
        unchanged=count("unchanged"),
        rejected=count("rejected"),
        duplicates=count("duplicate"),
        conflicts=count("conflict"),
        deleted=count(*_GOING),
        adopted=sum(number for _, adopts, _, number in rows if adopts),
        taken_over=sum(number for _, adopts, takes_over, number in rows if takes_over and not adopts),
        let_go=count("let_go"),
        doubly_owned=contacts_owned_twice(db, connection_id),
        contacts_before=contacts_before,
        planned=db.execute(sa.select(sa.func.count()).select_from(plan)).scalar_one(),
    )


def going_contacts(connection_id: int) -> sa.Select[tuple[int]]:
    """The ids of the contacts that the plan deletes or switches off."""
    leaving = sa.table(
        f"sync_leaving_{connection_id}", sa.column("contact_id", sa.BigInteger), sa.column("action")
    )
    return sa.select(leaving.c.contact_id).where(leaving.c.action.in_(_GOING))


def contacts_owned_twice(db: sa.Connection, connection_id: int) -> int:
    """How many contacts two persons would write: none, if the plan is sound."""
    plan = sa.table(f"sync_plan_{connection_id}", sa.column("contact_id"), sa.column("action"))
    doubles = (
        sa.select(plan.c.contact_id)
        .where(plan.c.action.in_(["update", "unchanged"]))
        .group_by(plan.c.contact_id)
        .having(sa.func.count() > 1)
    )
    return db.execute(sa.select(sa.func.count()).select_from(doubles.subquery())).scalar_one()
