"""The list, printed or written to a file, contact by contact, however long it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.database import reading

from .csv_files import plain_cell, safe_cell, write_csv

# A table is for reading on screen; csv or json contain everything.
TABLE_ROWS = 20
TABLE_COLUMNS = 8
PRINT_WIDTH = 140  # if the output is not a screen


def write_contacts(store: Store, name: str, format: str, file: TextIO) -> None:
    """`format`: table (the first rows), csv or json (for programs), or spreadsheet: CSV from which a spreadsheet runs
    nothing. Raises UnknownConnection."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        contact_list = ContactList.of_domain(db, record.domain)
        contacts = contact_list.read(db)
        if format == "json":
            _write_json(contacts, file)
        elif format in ("csv", "spreadsheet"):
            names = ["contact_id", *(each.name for each in contact_list.variables(db))]
            write_csv(contacts, names, file, plain_cell if format == "csv" else safe_cell)
        else:
            _write_table(contacts, contact_list.count(db), file)


def _write_json(contacts: Iterator[dict[str, Any]], file: TextIO) -> None:
    file.write("[")
    separator = "\n"
    for contact in contacts:
        file.write(separator + json.dumps(contact, ensure_ascii=False))
        separator = ",\n"
    file.write("\n]\n")


def _write_table(contacts: Iterator[dict[str, Any]], count: int, file: TextIO) -> None:
    """The first rows, with the first columns that are not empty."""
    rows = list(islice(contacts, TABLE_ROWS))
    console = Console(file=file, highlight=False, markup=False, width=None if file.isatty() else PRINT_WIDTH)
    if not rows:
        console.print("The list is empty.")
        return
    filled = [name for name in rows[0] if any(row[name] not in (None, False) for row in rows)]
    table = Table(box=None)
    for name in filled[:TABLE_COLUMNS]:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*(str(plain_cell(row[name])) for name in filled[:TABLE_COLUMNS]))
    console.print(table)
    hidden = len(filled) - TABLE_COLUMNS
    more = [f"{count - len(rows)} more contacts"] if count > len(rows) else []
    more += [f"{hidden} more columns"] if hidden > 0 else []
    if more:
        console.print(f"… and {' and '.join(more)}: use --format csv or json.")
