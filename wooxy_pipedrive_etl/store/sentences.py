"""Messages for users about database errors: what happened, to which database, and what to do about it.

The cause is read from the SQLSTATE (PostgreSQL) or the error code (SQLite), not from the driver's message. That message
may quote personal data, so only the names of tables, columns, constraints and roles are taken from it.
"""

from __future__ import annotations

import re
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, OperationalError

_DRIVERS = (DBAPIError, psycopg.Error, sqlite3.Error)

_quoted = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]

# By code, or by class: the first two characters of a SQLSTATE, the first two words of a SQLite code.
_SENTENCES = {
    "08": "{database} can't be reached or ended the connection ({code}); "
    "check that the server is running and accepts your login, then try again.",
    "25006": "{database} is read-only ({code}); name the primary server in {url}, then try again.",
    "26000": "{database} is behind a pooler in transaction mode ({code}); "
    "connect to PostgreSQL itself or to a pooler in session mode, then try again.",
    "28": "{database} refused the sign-in ({code}); check the user and the password in {url}, then try again.",
    "3D000": "{database} does not exist ({code}); create it or check its name in {url}, then try again.",
    "3F000": "{database} has no schema for new tables of the role {role} ({code}); "
    "have an administrator run: CREATE SCHEMA AUTHORIZATION {role}; then try again.",
    "40": "{database} undid the step because another program was changing the same rows ({code}); try again.",
    "42809": "{database} has a view or another object in place of a table ({code}: {message}); "
    "rename it, then try again.",
    "53": "{database} has run out of a resource ({code}); see the server's log, then try again.",
    "53100": "{database} has no space left on its disk ({code}); make room, then try again.",
    "53200": "{database} has run out of memory ({code}); give the server more, then try again.",
    "53300": "{database} has no connections left ({code}); "
    "close some, or raise the limit of the server or the role, then try again.",
    "55P03": "{database} is locked by another program ({code}); wait until that has ended, then try again.",
    "57": "{database} is shutting down, starting or restarting ({code}); try again when it is up.",
    "57014": "{database} cancelled a statement ({code}); "
    "if the server or the role has a statement_timeout, raise it, then try again.",
    "57P04": "{database} was dropped ({code}); restore it or check its name in {url}, then try again.",
    "58": "{database} can't read or write its files ({code}); see the server's log, then try again.",
    "P0": "{database} has a trigger that refused a change ({code}); remove or fix it, then try again.",
    "XX": "{database} reports damaged data or an internal error ({code}); see the server's log.",
    "SQLITE_BUSY": "{database} is locked by another program ({code}); "
    "wait until that has ended, then try again.",
    "SQLITE_CANTOPEN": "{database} can't be opened ({code}); "
    "see that its folder exists and that you may read and write in it, then try again.",
    "SQLITE_CORRUPT": "{database} is damaged, or its file is not a database ({code}); restore a back-up.",
    "SQLITE_FULL": "{database} has no space left on its disk ({code}); make room, then try again.",
    "SQLITE_INTERRUPT": "{database} was interrupted ({code}); try again.",
    "SQLITE_IOERR": "{database} can't read or write its file ({code}); check the disk, then try again.",
    "SQLITE_NOMEM": "{database} has run out of memory ({code}); free some, then try again.",
    "SQLITE_READONLY": "{database} can't be written ({code}); "
    "see that you may write its file and its folder, then try again.",
}
_SENTENCES |= {
    code: _SENTENCES[like]
    for code, like in {
        "34000": "26000",  # the cursor belongs to another session
        "42P05": "26000",
        "55006": "55P03",
        "SQLITE_AUTH": "SQLITE_READONLY",
        "SQLITE_CONSTRAINT_TRIGGER": "P0",
        "SQLITE_LOCKED": "SQLITE_BUSY",
        "SQLITE_NOTADB": "SQLITE_CORRUPT",
        "SQLITE_PERM": "SQLITE_READONLY",
        "SQLITE_PROTOCOL": "SQLITE_BUSY",
    }.items()
}

_GRANTS = {
    "database": "CREATE ON DATABASE",
    "schema": "USAGE, CREATE ON SCHEMA",
    "sequence": "USAGE, SELECT, UPDATE ON SEQUENCE",
    "table": "SELECT, INSERT, UPDATE, DELETE ON TABLE",
}
_DENIED = re.compile(rf"permission denied for ({'|'.join(_GRANTS)}) (.+)")
_NOT_OWNER = re.compile(r"must be owner of table (.+)")
_TAKEN = re.compile(r'relation "(.+)" already exists')
_SQLITE_COLUMN = re.compile(r"constraint failed: (\w+)\.([^,]+)$")


@dataclass(frozen=True)
class _Refusal:
    """A driver's error. `statement`: the SQL without its values, if known. `lost`: the database gave no answer."""

    original: BaseException
    code: str
    statement: str
    lost: bool
    by_dagster: bool

    @classmethod
    def of(cls, error: BaseException) -> _Refusal:
        raised = next((each for each in _causes(error) if isinstance(each, _DRIVERS)), error)
        wrapped = raised if isinstance(raised, DBAPIError) else None
        original = (wrapped and wrapped.orig) or raised
        codes = [getattr(original, name, None) for name in ("sqlstate", "pgcode", "sqlite_errorname")]
        code = next(filter(None, codes), "")
        # libpq gives no SQLSTATE if a connection fails or breaks.
        lost = not code and isinstance(raised, OperationalError | psycopg.OperationalError)
        statement = (wrapped and wrapped.statement) or ""
        return cls(original, code, statement, lost, _raised_by_dagster(raised))

    @property
    def codes(self) -> tuple[str, ...]:
        """The code and its class."""
        if self.lost:
            return ("08",)
        if self.code.startswith("SQLITE_"):
            return (self.code, "_".join(self.code.split("_")[:2]))
        return (self.code, self.code[:2])

    @property
    def kind(self) -> str:
        """For the report of a defect."""
        return f"{type(self.original).__name__} {self.code}".strip()

    @property
    def message(self) -> str:
        """The first line of the database's own message, or of the driver's if there was no answer."""
        line = (self.told("message_primary") or str(self.original)).strip().partition("\n")[0]
        return line.rpartition("FATAL:")[2].strip()

    @property
    def role(self) -> str:
        return _quoted(getattr(self.original, "role", None) or "your_role")

    def told(self, field: str) -> str | None:
        """A field of PostgreSQL's error message."""
        return getattr(getattr(self.original, "diag", None), field, None)

    def in_schema(self, name: str) -> str:
        """A table or sequence as SQL writes it, with the schema it has in the rejected statement."""
        schema = re.search(rf'(\w+)"?\."?{re.escape(name)}\b', self.statement)
        return f"{_quoted(schema[1])}.{_quoted(name)}" if schema else _quoted(name)


def database_code(error: BaseException) -> str:
    """The SQLSTATE or SQLite code of the error, or else the name of its class."""
    return _Refusal.of(error).codes[0]


def database_sentence(error: BaseException) -> str:
    """The message for an error of DATABASE_ERRORS, or for an error raised from one. It is complete: it also says what
    to do."""
    refusal = _Refusal.of(error)
    for code in refusal.codes:
        if code in _SPECIAL and not refusal.by_dagster:
            special = _SPECIAL[code](refusal)
            if special is not None:
                return special
        elif code in _SENTENCES:
            return _filled(_SENTENCES[code], refusal)
    return _defect_of_dagster(refusal) if refusal.by_dagster else _defect(refusal)


def _filled(sentence: str, refusal: _Refusal) -> str:
    if refusal.by_dagster:
        at_home = " in DAGSTER_HOME" if refusal.code.startswith("SQLITE_") else ""
        database, url = f"Dagster's storage{at_home}", "dagster.yaml"
    else:
        database, url = "The list's database", "WOOXY_PIPEDRIVE_DATABASE_URL"
    return sentence.format(
        database=database,
        url=url,
        code=refusal.code or refusal.message,
        message=refusal.message,
        role=refusal.role,
    )


def _defect(refusal: _Refusal) -> str:
    return (
        f"wooxy-pipedrive asked the list's database for something impossible ({refusal.kind}). "
        "This is a defect of wooxy-pipedrive, not of the database; report it with this code."
    )


def _defect_of_dagster(refusal: _Refusal) -> str:
    if type(refusal.original).__module__.startswith("psycopg."):
        return (
            f"Dagster's storage needs the driver psycopg2 ({refusal.kind}); "
            "begin its URL in dagster.yaml with postgresql+psycopg2://, then try again."
        )
    return (
        f"Dagster's storage does not fit Dagster's version ({refusal.kind}); "
        "run dagster instance migrate, then try again."
    )


def _privilege(refusal: _Refusal) -> str:
    role, code = refusal.role, refusal.code
    if denied := _DENIED.match(refusal.message):
        kind, name = denied.groups()
        target = refusal.in_schema(name) if kind in ("table", "sequence") else _quoted(name)
        return (
            f"The role {role} lacks privileges on the {kind} {target} in the list's database ({code}); "
            f"have an administrator run: GRANT {_GRANTS[kind]} {target} TO {role}; then try again."
        )
    if owned := _NOT_OWNER.match(refusal.message):
        table = refusal.in_schema(owned[1])
        return (
            f"The role {role} may not alter the table {table} of the list's database, because it does not own it "
            f"({code}); have an administrator run: ALTER TABLE {table} OWNER TO {role}; then try again."
        )
    return (
        f"The role {role} lacks a privilege in the list's database ({code}); "
        "make it the database's owner, or grant what docs/production.md names, then try again."
    )


def _taken(refusal: _Refusal) -> str | None:
    if (taken := _TAKEN.match(refusal.message)) is None:
        return None
    table = refusal.in_schema(taken[1])
    if "." in table:
        way = f"rename it, or have an administrator run: ALTER TABLE {table} OWNER TO {refusal.role};"
    else:
        table += " in the schema public (or the first one of the role's search_path)"
        way = f"rename it, or have an administrator run: CREATE SCHEMA AUTHORIZATION {refusal.role};"
    return (
        f"The list's database has a table {table} that wooxy-pipedrive did not create or may not use "
        f"({refusal.code}); {way} then try again."
    )


def _constraint(refusal: _Refusal) -> str | None:
    """None for one of our own tables: that is a defect."""
    table, column = refusal.told("table_name"), refusal.told("column_name")
    if in_sqlite := _SQLITE_COLUMN.search(refusal.message):
        table, column = in_sqlite.groups()
    if table is None or table.startswith("sync_"):
        return None
    name = ".".join(map(_quoted, filter(None, (refusal.told("schema_name"), table))))
    if column is not None and refusal.code in ("23502", "SQLITE_CONSTRAINT_NOTNULL"):
        return (
            f"The column {column} of {name} is NOT NULL, and not every contact has a value for it "
            f"({refusal.code}); allow NULL there, then try again."
        )
    constraint = refusal.told("constraint_name") or column
    return (
        f"The table {name} has a constraint ({constraint}) that not every contact meets ({refusal.code}); "
        "drop it, then try again."
    )


_SPECIAL: dict[str, Callable[[_Refusal], str | None]] = {
    "42501": _privilege,
    "42P07": _taken,
    "23": _constraint,
    "SQLITE_CONSTRAINT": _constraint,
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__


def _raised_by_dagster(error: BaseException) -> bool:
    """Whether Dagster, not this program, called the driver: Dagster's own storage is a database too."""
    callers = [
        package
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if (package := frame.f_globals.get("__name__", "").partition(".")[0]).startswith("dagster")
        or package == __name__.partition(".")[0]
    ]
    return bool(callers) and callers[-1].startswith("dagster")
