"""What the UI shows of an asset: tables, counts that plot over time, columns and their lineage.

Personal data appears only in previews, where `WOOXY_PIPEDRIVE_PREVIEW=masked` hides it (see `matching.previews`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import dagster as dg

from wooxy_pipedrive_etl.connections.catalogue import CatalogueReport
from wooxy_pipedrive_etl.mapping.kinds import record_name
from wooxy_pipedrive_etl.mapping.match_rules import TableRow
from wooxy_pipedrive_etl.settings import Settings
from wooxy_pipedrive_etl.store import connections, runs
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.issues import issues_by_reason
from wooxy_pipedrive_etl.sync.contacts import Plan
from wooxy_pipedrive_etl.sync.feed import feed_plan_of
from wooxy_pipedrive_etl.sync.flow import Done
from wooxy_pipedrive_etl.sync.persons import WalkReport
from wooxy_pipedrive_etl.sync.run import SyncRun
from wooxy_pipedrive_etl.sync.selection import Product
from wooxy_pipedrive_etl.sync.staging import MappingReport

Metadata = Mapping[str, Any]

# The list is brought up to date every night, which may take a while.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1, hours=2))

DOTS = {"green": "🟢 green", "amber": "⚠️ amber", "gray": "⚪ gray", "red": "🔴 red"}


# The page of a connection that shows what an asset is about.
_PAGES: dict[Product, str] = {
    "variable_matches": "match",
    "contact_plan": "issues",
    "default_contact_list": "contacts",
}


def of(done: Done, run: SyncRun, keys: Mapping[Product, dg.AssetKey]) -> Metadata:
    """`keys`: product -> asset key of the selected assets."""
    made: dict[Product, Callable[[], Metadata]] = {
        "person_fields": lambda: _of_catalogue(done.report),
        "pipedrive_persons": lambda: _of_walk(done.report, run),
        "referenced_names": lambda: dict(done.report),
        "variable_matches": lambda: _of_matches(done.report),
        "mapped_contacts": lambda: _of_mapping(done.report),
        "contact_plan": lambda: _of_plan(done.report, run),
        "default_contact_list": lambda: _of_list(done.report, run, keys["default_contact_list"]),
    }
    page = _page_of(run.record.name, _PAGES.get(done.product, "runs"))
    link = {} if page is None else {"connection_page": dg.MetadataValue.url(page)}
    return {**made[done.product](), **link}


def _page_of(connection_name: str, page: str) -> str | None:
    """The address of a connection's page, if `serve` can be reached from outside."""
    root = Settings.current().public_root
    return f"{root}/integrations/{quote(connection_name, safe='')}/{page}" if root else None


def _of_catalogue(report: CatalogueReport) -> Metadata:
    return {
        "dagster/row_count": len(report.fields),
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(
                    record_name(field.field_code),
                    field.field_type,
                    description=field.field_name,
                )
                for field in report.fields
            ]
        ),
        "schema_changes": len(report.changes),
        "new_fields": _count(report, "new_field"),
        "gone_fields": _count(report, "gone_field"),
        "retyped_fields": _count(report, "retyped_field"),
        "changes": _table([{"kind": change.kind, "change": change.message} for change in report.changes]),
    }


def _count(report: CatalogueReport, kind: str) -> int:
    return sum(change.kind == kind for change in report.changes)


def _of_walk(report: WalkReport, run: SyncRun) -> Metadata:
    return {
        "dagster/row_count": report.fetched,
        "fetched": report.fetched,
        "changed": report.changed,
        "gone": report.gone,
        "odd": report.odd,
        "resumed": report.resumed,
        "webhook": report.webhook.message if report.webhook is not None else "not looked at",
        "left_out_fields": ", ".join(report.left_out_fields),
        **_of_budget(run),
    }


def _of_matches(table: Sequence[TableRow]) -> Metadata:
    dots = Counter(row.status for row in table)
    return {
        "match_variables": _table(
            [
                {
                    "status": DOTS[row.status],
                    "variable": row.label,
                    "preview": row.preview,
                    "wooxy_column": row.wooxy,
                    "format": row.format,
                    "why": row.reason,
                    "key": row.pipedrive,
                }
                for row in table
            ]
        ),
        **{dot: dots[dot] for dot in DOTS},
        "new": sum(row.new for row in table),
    }


def _of_mapping(report: MappingReport) -> Metadata:
    return {
        "dagster/row_count": report.persons,
        "dropped_values": report.dropped_values,
        "fed": len(report.fed),
    }


def _of_plan(plan: Plan, run: SyncRun) -> Metadata:
    with reading(run.store.engine) as db:
        reasons = issues_by_reason(db, run.record.id, pending=True)
    return {
        **plan.counts,
        "adopted": plan.summary.adopted,
        "taken_over": plan.summary.handed_over,
        "let_go": plan.summary.released,
        "contacts_before": plan.summary.contacts_before,
        "issues_by_reason": _table(
            [{"kind": kind, "reason": reason, "count": count} for (kind, reason), count in reasons.items()]
        ),
        "sample": _table(plan.sample.to_dict("records")),
    }


def _of_list(counts: Mapping[str, int], run: SyncRun, key: dg.AssetKey) -> Metadata:
    with reading(run.store.engine) as db:
        contact_list = run.contact_list(db)
        variables = contact_list.variables(db)
        length = contact_list.count(db)
    feeds = feed_plan_of(run).feeds
    fields = dg.AssetKey([*key.path[:-1], "person_fields"])
    labels = {feed.wooxy: f"{feed.label} in Pipedrive" for feed in feeds}
    return {
        "dagster/row_count": length,
        "dagster/table_name": contact_list.qualified_name,
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn("contact_id", "integer"),
                *(
                    dg.TableColumn(
                        each.name,
                        each.type,
                        description=labels.get(each.name),
                        tags={} if each.built_in else {"custom": ""},
                    )
                    for each in variables
                ),
            ]
        ),
        "dagster/column_lineage": dg.TableColumnLineage(
            {feed.wooxy: [dg.TableColumnDep(asset_key=fields, column_name=feed.field_code)] for feed in feeds}
        ),
        **counts,
        **_of_budget(run),
    }


def _of_budget(run: SyncRun) -> Metadata:
    """What the run has cost so far, from its report. What Pipedrive does not report is left out, since only numbers
    plot."""
    with reading(run.store.engine) as db:
        report = runs.get_run(db, run.record.id, run.run_id)
        record = connections.get_connection(db, run.record.name)
    numbers: dict[str, int | None] = {}
    if report is not None:
        numbers = {
            "requests": report.requests,
            "estimated_tokens": report.estimated_tokens,
            "tokens_used": report.tokens_used,
            "daily_tokens_left": report.tokens_left,
        }
    numbers["daily_token_limit"] = record.budget.daily_limit
    return {name: number for name, number in numbers.items() if number is not None}


def _table(rows: list[dict[Any, Any]]) -> dg.TableMetadataValue | str:
    """A table for the UI, which accepts only texts and numbers; "none" if there are no rows."""
    if not rows:
        return "none"
    return dg.MetadataValue.table(
        [dg.TableRecord({str(k): _cell(v) for k, v in row.items()}) for row in rows]
    )


def _cell(value: Any) -> str | int | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, int) else str(value)
