"""The lists of Pipedrive's v2 endpoints, for a scripted host."""

from __future__ import annotations

from typing import Any

from wooxy_pipedrive_etl_tests.http_api.scripted import Reply


def listed(elements: list[Any], next_cursor: str | None = None) -> Reply:
    return Reply({"success": True, "data": elements, "additional_data": {"next_cursor": next_cursor}})


def listed_raw(elements: bytes) -> Reply:
    return Reply(b'{"success":true,"data":[' + elements + b'],"additional_data":{"next_cursor":null}}')
