"""The inbox: persons reported by webhooks, kept as pending changes until a run has processed them.

Its tables, and the table of `progress.py`, which is defined here too, are not part of `tables.metadata`. On SQLite they
are in a separate file beside the database: SQLite allows one writer at a time, a run may write for many seconds, and a
webhook needs its answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from .bulk import among
from .clock import utc_now
from .database import open_database, reading
from .upserts import insert

# The most persons recorded for a connection. With more pending changes, a full run is cheaper.
LIMIT = 100_000

# Pipedrive gives up on an event after 10 seconds and sends it again: a quick refusal is better than a long wait.
_SQLITE_WAIT_SECONDS = 3
# Two programs that start at once must not both create the tables.
_CREATION_LOCK = 7_036_871_205

metadata = sa.MetaData()

# One row per person, however many events reported it.
events = sa.Table(
    "sync_inbox",
    metadata,
    sa.Column("connection_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),  # of the newest event for the person
    sa.Column("deleted", sa.Boolean, nullable=False),  # whether any event reported a deletion
)

# What arrived for a connection since it was connected.
counters = sa.Table(
    "sync_inbox_counters",
    metadata,
    sa.Column("connection_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("newest", sa.BigInteger, nullable=False),  # the number of the newest event
    sa.Column("waiting", sa.Integer, nullable=False),  # the number of rows in `events`
    sa.Column("accepted", sa.BigInteger, nullable=False),
    sa.Column("overflowed", sa.BigInteger, nullable=False),
    sa.Column("malformed", sa.BigInteger, nullable=False),
    sa.Column("last_event_at", sa.DateTime),  # UTC; of the last well-formed event
)

# How far the current run is: one row per connection. A row left by a killed run does not match the current run.
progress = sa.Table(
    "sync_progress",
    metadata,
    sa.Column("connection_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger),
    sa.Column("began_with", sa.BigInteger, nullable=False),  # `done` when the step began
    sa.Column("began_at", sa.DateTime, nullable=False),  # when the step began; UTC
    sa.Column("noted_at", sa.DateTime, nullable=False),  # UTC
)

_COUNTS = ("newest", "waiting", "accepted", "overflowed", "malformed")


@dataclass(frozen=True)
class Hints:
    """Pending changes. `changed`: ids of all persons that events reported, ascending; `deleted`: those that any event
    reported as deleted or merged; `up_to`: the number of the newest event (0 if there is none)."""

    changed: list[int]
    deleted: frozenset[int]
    up_to: int


@dataclass(frozen=True)
class Received:
    """How many calls arrived for a connection: `accepted`; `overflowed` (well-formed, but the inbox was full);
    `malformed`. And when the last well-formed one arrived (UTC)."""

    accepted: int = 0
    overflowed: int = 0
    malformed: int = 0
    last_event_at: datetime | None = None


def open_inbox(engine: sa.Engine) -> sa.Engine:
    """The engine of the inbox that belongs to the state's database. Creates its tables if they are missing.

    On PostgreSQL it is `engine` itself. Raises DatabaseUnavailable.
    """
    inbox = engine
    if engine.dialect.name == "sqlite":
        database = Path(str(engine.url.database))
        # Named like the files that SQLite itself puts beside the database.
        beside = engine.url.set(database=str(database.with_name(f"{database.name}-inbox")))
        inbox = open_database(str(beside), _SQLITE_WAIT_SECONDS)
    with reading(inbox) as db:
        present = set(sa.inspect(db).get_table_names())
    if not metadata.tables.keys() <= present:
        with inbox.begin() as db:
            if db.dialect.name == "postgresql":
                db.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
            metadata.create_all(db)
    return inbox


def add_event(engine: sa.Engine, connection_id: int, person_id: int, *, deleted: bool) -> None:
    """Records an event for the person. A reported deletion is kept until the pending change is settled. If LIMIT
    persons are already waiting, a new person is counted but not recorded: the next run finds it without the event."""
    mine = (events.c.connection_id == connection_id, events.c.person_id == person_id)
    with engine.begin() as db:
        # The first statement locks the connection's counters, so events are committed in the order of their numbers: a
        # reader that sees one event has seen all events before it.
        number, waiting = _count(db, connection_id, newest=1, last_event_at=utc_now())
        noted = db.execute(
            events.update().where(*mine).values(number=number, deleted=events.c.deleted | sa.literal(deleted))
        ).rowcount
        if noted:
            _count(db, connection_id, accepted=1)
        elif waiting < LIMIT:
            db.execute(
                events.insert().values(
                    connection_id=connection_id, person_id=person_id, number=number, deleted=deleted
                )
            )
            _count(db, connection_id, accepted=1, waiting=1)
        else:
            _count(db, connection_id, overflowed=1)


def count_malformed(engine: sa.Engine, connection_id: int) -> None:
    """Counts a call with the right credentials that was not a valid person event."""
    with engine.begin() as db:
        _count(db, connection_id, malformed=1)


def pending_hints(engine: sa.Engine, connection_id: int) -> Hints:
    """The pending changes. They stay pending until `settle_hints`."""
    wanted = (
        sa.select(events.c.person_id, events.c.deleted, events.c.number)
        .where(events.c.connection_id == connection_id)
        .order_by(events.c.person_id)
    )
    with reading(engine) as db:
        rows = db.execute(wanted).all()
    return Hints(
        changed=[person_id for person_id, _, _ in rows],
        deleted=frozenset(person_id for person_id, deleted, _ in rows if deleted),
        up_to=max((number for _, _, number in rows), default=0),
    )


def settle_hints(engine: sa.Engine, connection_id: int, hints: Hints) -> None:
    """Removes the persons of `hints`, except those reported again since the hints were read."""
    if not hints.changed:
        return
    with engine.begin() as db:
        # Lock in the same order as `add_event`.
        _count(db, connection_id)
        settled = db.execute(
            events.delete().where(
                events.c.connection_id == connection_id,
                events.c.number <= hints.up_to,
                among(db, events.c.person_id, hints.changed),
            )
        ).rowcount
        _count(db, connection_id, waiting=-settled)


def count_hints(engine: sa.Engine, connection_id: int) -> int:
    """How many persons have pending changes."""
    wanted = sa.select(sa.func.count()).where(events.c.connection_id == connection_id)
    with reading(engine) as db:
        return db.execute(wanted).scalar_one()


def received(engine: sa.Engine, connection_id: int) -> Received:
    wanted = sa.select(
        counters.c.accepted, counters.c.overflowed, counters.c.malformed, counters.c.last_event_at
    ).where(counters.c.connection_id == connection_id)
    with reading(engine) as db:
        row = db.execute(wanted).one_or_none()
    return Received(*row) if row is not None else Received()


def forget_connection(engine: sa.Engine, connection_id: int) -> None:
    """Removes everything stored for the connection."""
    with engine.begin() as db:
        for table in metadata.sorted_tables:
            db.execute(table.delete().where(table.c.connection_id == connection_id))


def _count(
    db: sa.Connection, connection_id: int, *, last_event_at: datetime | None = None, **more: int
) -> tuple[int, int]:
    """Adds to the connection's counters, which stay locked until the transaction ends. Returns newest and waiting."""
    first = {name: more.get(name, 0) for name in _COUNTS}
    statement = insert(db, counters).values(connection_id=connection_id, last_event_at=last_event_at, **first)
    changed: dict[str, object] = {name: counters.c[name] + count for name, count in more.items()}
    # Always set a column: an upsert that changes nothing would lock nothing.
    changed["last_event_at"] = sa.func.coalesce(statement.excluded.last_event_at, counters.c.last_event_at)
    counted = statement.on_conflict_do_update(index_elements=["connection_id"], set_=changed)
    newest, waiting = db.execute(counted.returning(counters.c.newest, counters.c.waiting)).one()
    return newest, waiting
