"""What a run is, from the account to the list, in the order of the data.

Dagster, the command line and the tests all call `sync`. Each step returns what it found and passes it to the next one;
how a step works is in its own module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wooxy_pipedrive_etl.store.issues import settle_issues_of

from .catalogue import read_catalogue
from .contacts import apply_contacts, plan_contacts, refusal
from .feed import check_draft, feed_plan_of, match_table_of_run
from .names import read_referenced_names
from .persons import fetch_persons
from .run import SyncRun
from .selection import Product
from .staging import map_contacts


@dataclass(frozen=True)
class Done:
    """A finished product. `report`: what its step returned."""

    product: Product
    report: Any


def sync(run: SyncRun) -> Iterator[Done]:
    """Makes what the run's selection asks for, and yields each product once it is made and committed.

    Raises EXPECTED_ERRORS and DATABASE_ERRORS; Refused if a guard does not allow the plan to be applied.
    """
    selection = run.selection
    walk = mapped = None
    if "person_fields" in selection:
        yield Done("person_fields", read_catalogue(run))
    check_draft(run)
    if "pipedrive_persons" in selection:
        walk = fetch_persons(run)
        yield Done("pipedrive_persons", walk)
    if "variable_matches" in selection:
        yield Done("variable_matches", match_table_of_run(run))
    if selection.maps or "referenced_names" in selection:
        feeds = feed_plan_of(run)
        names = read_referenced_names(run, feeds)
        if "referenced_names" in selection:
            yield Done("referenced_names", names)
        if selection.maps:
            mapped = map_contacts(run, feeds, walk)
            if "mapped_contacts" in selection:
                yield Done("mapped_contacts", mapped)
    if selection.plans:
        assert mapped is not None
        plan = plan_contacts(run, walk, mapped)
        refused = refusal(run, plan)
        if "contact_plan" in selection:
            yield Done("contact_plan", plan)
        if refused is not None:
            raise refused
    if selection.writes:
        yield Done("default_contact_list", apply_contacts(run, walk))
    else:
        _finish_without_list(run)


def _finish_without_list(run: SyncRun) -> None:
    """Closes the report of a run that leaves the list as it is."""
    if run.selection.is_dry_run:
        run.finish("dry_run")
        return
    with run.writing() as db:
        if run.kind == "full":
            # A complete walk decides which malformed records there are, whether the list follows or not.
            settle_issues_of(db, run.record.id, "rejected", "odd_shape")
    run.finish("partial", f"Made {_listed(run.selection.names)}; the list was left as it was.")


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
