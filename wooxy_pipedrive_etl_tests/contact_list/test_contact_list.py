"""The table: its location, its variables, what it accepts and returns."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import BUILT_IN, ContactList, ListError, begin_stage
from wooxy_pipedrive_etl.contact_list.columns import MAX_COLUMNS
from wooxy_pipedrive_etl.store.contact_history import history_of

from .desk import Desk, person

AWKWARD = [
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "back\\slash",
    "\\N",
    "\\.",
    "\\",
    'it\'s "quoted"',
    "50 % %s :name {x}",
    "🦊 日本 ünï",
    " padded ",
    "NULL",
    "x" * 100_000,
]


@pytest.mark.parametrize(
    ("domain", "slug"),
    [
        ("Shop.Example-1.com", "shop_example_1_com"),
        ("24.example.com", "d_24_example_com"),
        ("pg.example.com", "d_pg_example_com"),
        ("user", "d_user"),
        ("information-schema", "d_information_schema"),
        ("пример.рф", "_"),
        ("a" * 60 + ".com", "a" * 50),
    ],
)
def test_where_a_list_is_stored(engine: sa.Engine, domain: str, slug: str) -> None:
    with engine.connect() as db:
        found = ContactList.of_domain(db, domain)
        again = ContactList.of_domain(db, domain)
        assert found == again
        expected = (
            f"default_contact_list_{slug}"
            if engine.dialect.name == "sqlite"
            else f"{slug}.default_contact_list"
        )
        assert found.qualified_name == expected
        assert db.exec_driver_sql(f"SELECT count(*) FROM {found.qualified_name}").scalar() == 0  # noqa: S608
        db.rollback()


def test_two_domains_of_one_slug(engine: sa.Engine) -> None:
    with engine.connect() as db:
        lists = [
            ContactList.of_domain(db, name) for name in ("same-slug.com", "same.slug.com", "same_slug.com")
        ]
        assert len({one.qualified_name for one in lists}) == 3
        assert "same_slug_com_2" in lists[1].qualified_name
        db.rollback()


def test_a_table_that_existed_before(engine: sa.Engine) -> None:
    with engine.connect() as db:
        postgres = engine.dialect.name == "postgresql"
        table = (
            "other_example_com.default_contact_list" if postgres else "default_contact_list_other_example_com"
        )
        if postgres:
            db.exec_driver_sql("CREATE SCHEMA other_example_com")
        db.exec_driver_sql(
            f'CREATE TABLE {table} (contact_id BIGINT PRIMARY KEY, email VARCHAR, "bonus points" NUMERIC)'
        )
        db.exec_driver_sql(f"INSERT INTO {table} VALUES (7, 'a@x.com', 12)")  # noqa: S608
        found = ContactList.of_domain(db, "other.example.com")
        (row,) = found.read(db)
        assert (row["contact_id"], row["email"], row["bonus points"], row["active"]) == (
            7,
            "a@x.com",
            "12",
            False,
        )
        variables = found.variables(db)
        assert [each.name for each in variables[: len(BUILT_IN)]] == [variable.name for variable in BUILT_IN]
        assert [each.targetable for each in variables if each.name == "bonus points"] == [False]
        db.rollback()


@pytest.mark.parametrize("columns", ["contact_id BIGINT PRIMARY KEY, active TEXT", "email TEXT"])
def test_a_table_that_is_not_a_list(engine: sa.Engine, columns: str) -> None:
    with engine.connect() as db:
        postgres = engine.dialect.name == "postgresql"
        table = "odd_example_com.default_contact_list" if postgres else "default_contact_list_odd_example_com"
        if postgres:
            db.exec_driver_sql("CREATE SCHEMA odd_example_com")
        db.exec_driver_sql(f"CREATE TABLE {table} ({columns})")
        with pytest.raises(ListError, match=r"active|contact_id"):
            ContactList.of_domain(db, "odd.example.com")
        db.rollback()


def test_all_problems_of_a_table_are_reported_together(engine: sa.Engine) -> None:
    with engine.connect() as db:
        postgres = engine.dialect.name == "postgresql"
        _make(
            db,
            "many.example.com",
            "contact_id BIGINT PRIMARY KEY, name VARCHAR(255), active TEXT NOT NULL, score REAL NOT NULL, "
            "email VARCHAR, \"createdAt\" TIMESTAMP NOT NULL, phone TEXT NOT NULL DEFAULT '', "
            + (
                '"updatedAt" TIMESTAMPTZ, "contactScore" NUMERIC, "userId" TEXT[], '
                "\"lastName\" TEXT GENERATED ALWAYS AS ('x') STORED"
                if postgres
                else '"updatedAt" TEXT, "contactScore" NUMERIC, "lastName" TEXT AS (\'x\')'
            ),
        )
        with pytest.raises(ListError) as refused:
            ContactList.of_domain(db, "many.example.com")
        db.rollback()
    required = "score is NOT NULL without a default, and not every contact has a value for it"
    if postgres:
        told = [
            "userId is _text and must be text",
            "name is varchar(255) and must be text",
            "lastName is text GENERATED ALWAYS and must be text",
            "active is text and must be boolean",
            "contactScore is numeric and must be bigint",
            "updatedAt is timestamptz and must be timestamp",
            required,
        ]
    else:
        told = [
            "lastName is text GENERATED ALWAYS and must be text",
            "active is text and must be boolean",
            "contactScore is numeric and must be bigint",
            "updatedAt is text and must be datetime",
            required,
        ]
    assert str(refused.value) == (
        f"The table {_place('many.example.com', engine)} can't be a Default Contact List: {'; '.join(told)}. "
        "Change these columns, or move the table out of the way."
    )


def test_generated_columns_are_accepted(engine: sa.Engine) -> None:
    with engine.connect() as db:
        on_postgres = engine.dialect.name == "postgresql"
        columns = (
            "contact_id BIGINT PRIMARY KEY, twice BIGINT NOT NULL GENERATED ALWAYS AS (contact_id * 2) STORED"
        )
        numbered = ", number BIGINT GENERATED BY DEFAULT AS IDENTITY" if on_postgres else ""
        _make(db, "filled.example.com", columns + numbered)
        assert ContactList.of_domain(db, "filled.example.com").count(db) == 0
        db.rollback()


def test_an_always_generated_id_is_refused(postgres_engine: sa.Engine) -> None:
    with postgres_engine.connect() as db:
        _make(db, "strict.example.com", "contact_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
        with pytest.raises(ListError, match="contact_id is bigint GENERATED ALWAYS and must be bigint"):
            ContactList.of_domain(db, "strict.example.com")
        db.rollback()


def test_a_later_required_column_does_not_block_reading(own_desk: Desk) -> None:
    """Otherwise pages and `status` would show nothing but that error."""
    with own_desk.engine.begin() as db:
        db.exec_driver_sql(f"DROP TABLE {own_desk.list.qualified_name}")
        db.exec_driver_sql(
            f"CREATE TABLE {own_desk.list.qualified_name} (contact_id BIGINT PRIMARY KEY, tag TEXT NOT NULL)"
        )
        assert ContactList.of_domain(db, own_desk.domain).count(db) == 0


def test_a_view_is_not_a_list(engine: sa.Engine) -> None:
    with engine.connect() as db:
        _make(db, "seen.example.com", "SELECT 1 AS contact_id", "CREATE VIEW {} AS {}")
        with pytest.raises(ListError) as refused:
            ContactList.of_domain(db, "seen.example.com")
        db.rollback()
    assert str(refused.value) == (
        f"{_place('seen.example.com', engine)} is a view, and the Default Contact List must be a table; "
        "move it out of the way."
    )


def test_an_adopted_table_gets_our_indexes(engine: sa.Engine) -> None:
    with engine.connect() as db:
        ContactList.of_domain(db, "made.example.com")
        _make(db, "kept.example.com", "contact_id BIGINT PRIMARY KEY, email TEXT")
        for _ in range(2):
            ContactList.of_domain(db, "kept.example.com")
        made, kept = (_indexes(db, domain) for domain in ("made.example.com", "kept.example.com"))
        db.rollback()
    assert len(made) == 3
    assert kept == {index.replace("made", "kept") for index in made}


def test_another_roles_table_is_adopted_without_indexes(postgres_engine: sa.Engine) -> None:
    with postgres_engine.connect() as db:
        ContactList.of_domain(db, "lent.example.com")
        db.exec_driver_sql("DROP INDEX lent_example_com.ix_default_contact_list_email")
        db.exec_driver_sql("DELETE FROM sync_domains WHERE name = 'lent.example.com'")
        for statement in (
            "CREATE ROLE borrower",
            "GRANT ALL ON ALL TABLES IN SCHEMA public, lent_example_com TO borrower",
            "GRANT USAGE ON SCHEMA lent_example_com TO borrower",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO borrower",
            "SET ROLE borrower",
        ):
            db.exec_driver_sql(statement)
        ContactList.of_domain(db, "lent.example.com")
        assert len(_indexes(db, "lent.example.com")) == 2
        db.rollback()


def _place(domain: str, engine: sa.Engine) -> str:
    slug = domain.replace(".", "_")
    return (
        f"{slug}.default_contact_list"
        if engine.dialect.name == "postgresql"
        else f"default_contact_list_{slug}"
    )


def _make(db: sa.Connection, domain: str, what: str, statement: str = "CREATE TABLE {} ({})") -> None:
    """Creates it without the program, where the domain's list is expected."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql(f"CREATE SCHEMA {domain.replace('.', '_')}")
    db.exec_driver_sql(statement.format(_place(domain, db.engine), what))


def _indexes(db: sa.Connection, domain: str) -> set[str]:
    """The indexes of a domain's list, except its key's, in SQL."""
    slug = domain.replace(".", "_")
    query = (
        f"SELECT indexdef FROM pg_indexes WHERE schemaname = '{slug}' AND indexname LIKE 'ix%%'"  # noqa: S608
        if db.dialect.name == "postgresql"
        else f"SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{_place(domain, db.engine)}'"  # noqa: S608
    )
    return {
        " ".join(sql.replace("IF NOT EXISTS ", "").split())
        for sql in db.exec_driver_sql(query).scalars()
        if sql is not None
    }


def test_variables(own_desk: Desk) -> None:
    own_desk.add_variables("budget")
    own_desk.add_variables("signedUp", format="DateTime")
    with own_desk.engine.begin() as db:
        variables = own_desk.list.variables(db)
    assert [each.name for each in variables] == [*(each.name for each in BUILT_IN), "budget", "signedUp"]
    rows = {each.name: each[1:] for each in variables}
    assert rows["budget"] == ("text", "String", False, True, True)
    assert rows["signedUp"] == ("datetime", "DateTime", False, True, True)
    assert rows["phoneNumber"] == ("phone", "String", True, True, False)
    closed = [each.name for each in variables if not each.targetable]
    assert closed == [
        "active",
        "smsSubscribe",
        "viberSubscribe",
        "telegramSubscribe",
        "desktopWebPushSubscribe",
        "mobileWebPushSubscribe",
        "createdAt",
        "updatedAt",
    ]


def test_a_custom_column_not_created_by_sync(own_desk: Desk) -> None:
    with own_desk.engine.begin() as db:
        db.exec_driver_sql(f"ALTER TABLE {own_desk.list.qualified_name} ADD COLUMN tags REAL")
        db.exec_driver_sql(f"ALTER TABLE {own_desk.list.qualified_name} ADD COLUMN remark TEXT")
        rows = {each.name: each for each in own_desk.list.variables(db)}
        assert (rows["tags"].targetable, rows["tags"].created_by_sync) == (False, False)
        assert (rows["remark"].targetable, rows["remark"].created_by_sync) == (True, False)
        with pytest.raises(ListError, match="was not created by the sync"):
            own_desk.list.rename_variable(db, "remark", "note")
        with pytest.raises(ListError, match="has no column tags that can be filled"):
            begin_stage(db, own_desk.list.view(db), own_desk.connection_id, ["tags"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Budget", "is not a valid name"),
        ("with space", "is not a valid name"),
        ("under_score", "is not a valid name"),
        ("é", "is not a valid name"),
        ("", "is not a valid name"),
        ("a" * 61, "is not a valid name"),
        ("newline\n", "is not a valid name"),
        ("ctid", "is a reserved name"),
        ("xmin", "is a reserved name"),
        ("tableoid", "is a reserved name"),
        ("email", "has a variable email already"),
        ("firstname", "has a variable firstName already"),
        ("taken", "has a variable taken already"),
        ("tAken", "has a variable taken already"),
    ],
)
def test_refused_names(own_desk: Desk, name: str, reason: str) -> None:
    own_desk.add_variables("taken", "other")
    with own_desk.engine.begin() as db:
        with pytest.raises(ListError, match=reason):
            own_desk.list.add_variable(db, name, "String")
        with pytest.raises(ListError, match=reason):
            own_desk.list.rename_variable(db, "other", name)
        assert [each.name for each in own_desk.list.variables(db)][-2:] == ["taken", "other"]


def test_too_many_columns(engine: sa.Engine) -> None:
    """The widest list allowed works; one more column is refused."""
    custom = [f"c{number}" for number in range(MAX_COLUMNS - 1 - len(BUILT_IN))]
    columns = ", ".join(["contact_id INTEGER PRIMARY KEY", *(f"{name} TEXT" for name in custom)])
    postgres = engine.dialect.name == "postgresql"
    table = "wide_example_com.default_contact_list" if postgres else "default_contact_list_wide_example_com"
    with engine.begin() as db:
        if postgres:
            db.exec_driver_sql("CREATE SCHEMA wide_example_com")
        db.exec_driver_sql(f"CREATE TABLE {table} ({columns})")
    desk = Desk(engine, "wide.example.com")
    with engine.begin() as db, pytest.raises(ListError, match="no room for oneMore"):
        desk.list.add_variable(db, "oneMore", "String")
    desk.put(contact_id=40)
    wide, fed = person(1, email="a@x.com", c7="seven"), ("email", *custom)
    assert desk.sync(wide, fed=fed).created == 1
    assert desk.sync(wide | {"c1460": "last"}, fed=fed).updated == 1
    row = desk.contact(41)
    assert (row["c7"], row["c1460"]) == ("seven", "last")
    with engine.begin() as db:
        assert history_of(db, desk.connection_id, 41)[0].variables == ("c1460",)


HOSTILE = (
    "order",
    "select",
    "rowid",
    "version",
    "oid",
    "personId",
    "user",
    "table",
    "excluded",
    "new",
    "detail",
)


def test_hostile_names(own_desk: Desk) -> None:
    own_desk.add_variables(*HOSTILE)
    fed = ("email", *HOSTILE)
    values: dict[str, Any] = {name: f"value of {name}" for name in HOSTILE}
    persons = [person(1, email="a@x.com", **values), person(2, email="b@x.com")]
    assert own_desk.sync(*persons, fed=fed).created == 2
    assert {name: own_desk.contact(1)[name] for name in HOSTILE} == values
    assert own_desk.sync(*persons, fed=fed).unchanged == 2
    for name in HOSTILE:
        persons[0] = persons[0] | {name: "changed"}
        assert own_desk.sync(*persons, fed=fed).updated == 1
    with own_desk.engine.begin() as db:
        first = next(own_desk.list.read(db))
    assert [first[name] for name in HOSTILE] == ["changed"] * len(HOSTILE)


def test_a_rename_keeps_values(own_desk: Desk) -> None:
    own_desk.add_variables("budget")
    own_desk.sync(person(1, email="a@x.com", budget="12"), fed=("email", "budget"))
    with own_desk.engine.begin() as db:
        own_desk.list.rename_variable(db, "budget", "order")
        own_desk.list.rename_variable(db, "order", "oRder")
        assert own_desk.list.variables(db)[-1].name == "oRder"
        assert next(own_desk.list.read(db))["oRder"] == "12"
    own_desk.refresh()
    assert own_desk.sync(person(1, email="a@x.com", oRder="12"), fed=("email", "oRder")).unchanged == 1


def test_awkward_texts(desk: Desk) -> None:
    persons = [person(n, email=f"p{n}@x.com", name=text) for n, text in enumerate(AWKWARD)]
    desk.sync(*persons)
    assert [row["name"] for row in desk.rows()] == AWKWARD
    assert desk.sync(*persons).unchanged == len(AWKWARD)


EVERY_TYPE: dict[str, Any] = {
    "email": "a@x.com",
    "contactBirthday": "1990-02-03",
    "contactGender": 2,
    "contactScore": -(2**63),
    "emailSubscribe": True,
    "signedUp": "2024-05-06 07:08:09",
    "cacValue": "0.10",
}


def test_every_type_in_and_out(own_desk: Desk) -> None:
    own_desk.add_variables("signedUp", format="DateTime")
    fed = tuple(EVERY_TYPE)
    assert own_desk.sync(person(1, **EVERY_TYPE), person(2, email="b@x.com"), fed=fed).created == 2
    assert own_desk.sync(person(1, **EVERY_TYPE), person(2, email="b@x.com"), fed=fed).unchanged == 2
    with own_desk.engine.begin() as db:
        first, second = own_desk.list.read(db)
    assert list(first) == ["contact_id", *(variable.name for variable in BUILT_IN), "signedUp"]
    assert {name: value for name, value in first.items() if value not in (None, False)} == {
        "contact_id": 1,
        "email": "a@x.com",
        "active": True,
        "emailSubscribe": True,
        "contactBirthday": "1990-02-03",
        "contactGender": "2",
        "contactScore": "-9223372036854775808",
        "cacValue": "0.10",
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
        "signedUp": "2024-05-06T07:08:09Z",
    }
    assert second["signedUp"] is None
    assert (second["smsSubscribe"], second["telegramSubscribe"]) == (False, False)
    emptied = person(1, email="a@x.com")
    assert own_desk.sync(emptied, person(2, email="b@x.com"), fed=fed, ignore_empty=False).updated == 1
    assert own_desk.contact(1)["signedUp"] is None
    assert own_desk.contact(1)["emailSubscribe"] is True


def test_reads_in_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wooxy_pipedrive_etl.contact_list.contact_list._READ_BATCH", 3)
    desk.sync(*(person(n, email=f"p{n}@x.com") for n in range(1, 8)))
    with desk.engine.begin() as db:
        assert desk.list.count(db) == 7
        assert [row["contact_id"] for row in desk.list.read(db)] == [1, 2, 3, 4, 5, 6, 7]
        assert [row["contact_id"] for row in desk.list.read(db, limit=4, after=2)] == [3, 4, 5, 6]
        assert list(desk.list.read(db, ["email", "active"], limit=1)) == [
            {"contact_id": 1, "email": "p1@x.com", "active": True}
        ]


def test_dates_written_in_other_formats(desk: Desk) -> None:
    desk.put(email="", contactBirthday=None)
    with desk.engine.begin() as db:
        name = desk.list.qualified_name
        db.exec_driver_sql(
            f"UPDATE {name} SET \"createdAt\" = '2024-01-02T03:04:05', \"contactBirthday\" = '2000-01-01'"  # noqa: S608
        )
        (row,) = desk.list.read(db)
    assert (row["createdAt"], row["contactBirthday"], row["email"]) == (
        "2024-01-02T03:04:05Z",
        "2000-01-01",
        None,
    )
