"""Strict validation: what Pipedrive rejects with a 400, in Pipedrive's words."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours

from .served import Served

Serve = Callable[..., Served]


def cursor(**marker: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(marker).encode()).rstrip(b"=").decode()


BAD_CALLS = [
    ("/api/v2/persons", {"status": "deleted"}),
    ("/api/v2/persons", {"include_deleted": "true"}),
    ("/api/v2/persons", {"start": "0"}),
    ("/api/v2/persons", {"api_token": "x"}),
    ("/api/v2/persons", {"updated_since": "2026-01-01T00:00:00.000Z"}),
    ("/api/v2/persons", {"updated_since": "2026-01-01 00:00:00"}),
    ("/api/v2/persons", {"updated_since": "2026-01-01T00:00:00+00:00"}),
    ("/api/v2/persons", {"updated_since": "2026-02-30T00:00:00Z"}),
    ("/api/v2/persons", {"updated_until": "2026-01-01"}),
    ("/api/v2/persons", {"sort_by": "name"}),
    ("/api/v2/persons", {"sort_by": "id,update_time"}),
    ("/api/v2/persons", {"sort_direction": "ASC"}),
    ("/api/v2/persons", {"limit": "0"}),
    ("/api/v2/persons", {"limit": "501"}),
    ("/api/v2/persons", {"limit": "ten"}),
    ("/api/v2/persons", {"ids": ""}),
    ("/api/v2/persons", {"ids": "1,,2"}),
    ("/api/v2/persons", {"ids": "1,x"}),
    ("/api/v2/persons", {"ids": ",".join(map(str, range(1, 102)))}),
    ("/api/v2/persons", {"owner_id": "me"}),
    ("/api/v2/persons", {"include_fields": "open_deals_count,nonsense"}),
    ("/api/v2/persons", {"include_fields": "birthday"}),
    ("/api/v2/persons", {"custom_fields": ",".join(f"field{at}" for at in range(16))}),
    ("/api/v2/persons", {"include_option_labels": "1"}),
    ("/api/v2/persons", {"include_labels": "True"}),
    ("/api/v2/persons", {"cursor": "nonsense"}),
    ("/api/v2/persons", {"cursor": ""}),
    ("/api/v2/persons", {"cursor": cursor(field="id", id=1)}),
    ("/api/v2/persons", {"cursor": cursor(field="id", fieldValue="1", sortDirection="asc", id=1)}),
    ("/api/v2/persons", {"cursor": cursor(field="id", fieldValue=1, sortDirection="desc", id=1)}),
    ("/api/v2/persons", {"cursor": cursor(field="update_time", fieldValue="x", sortDirection="asc", id=1)}),
    (
        "/api/v2/persons",
        {"sort_by": "add_time", "cursor": cursor(field="id", fieldValue=1, sortDirection="asc", id=1)},
    ),
    ("/api/v2/persons/1", {"limit": "1"}),
    ("/api/v2/persons/abc", {}),
    ("/api/v2/persons/0", {}),
    ("/api/v2/organizations", {"org_id": "1"}),
    ("/api/v2/organizations", {"limit": "501"}),
    ("/api/v2/organizations", {"include_fields": "last_incoming_mail_time"}),
    ("/api/v2/personFields", {"ids": "1"}),
    ("/api/v2/personFields", {"include_fields": "options"}),
    ("/api/v1/users", {"limit": "1"}),
    ("/api/v1/users/me", {"include_fields": "x"}),
]


def test_invalid_parameters_are_rejected_in_v2_form(serve: Serve) -> None:
    served = serve()
    for path, params in BAD_CALLS:
        response = served.get(path, **params)
        assert response.status_code == 400, (path, params, response.text)
        body = response.json()
        assert body.pop("error"), (path, params)
        assert body == {
            "success": False,
            "code": "ERR_SCHEMA_VALIDATION_FAILED",
            "data": None,
            "additional_data": None,
        }


def test_the_message_names_the_unknown_parameter(serve: Serve) -> None:
    assert serve().get("/api/v2/persons", status="x").json()["error"] == "Parameter 'status' is not allowed"


def test_a_parameter_given_twice_is_rejected(serve: Serve) -> None:
    assert serve().call("GET", "/api/v2/persons?limit=1&limit=2").status_code == 400


def test_limits_can_be_clamped_and_ids_truncated(serve: Serve, account: Account) -> None:
    for at in range(101):
        account.create_person(name=f"P {at}")
    served = serve(account, behaviours=Behaviours(limit_above_500="clamp", too_many_ids="truncate"))
    assert len(served.persons(limit=900)) == 101
    assert len(served.persons(ids=",".join(map(str, range(1, 102))), limit=500)) == 100


def test_the_largest_allowed_values_pass(serve: Serve) -> None:
    served = serve()
    served.persons(
        limit=500,
        ids=",".join(map(str, range(1, 101))),
        custom_fields=",".join(f"field{at}" for at in range(15)),
        updated_since="2024-02-29T23:59:59Z",
    )
