"""The field catalogue, names and the account, for answers that the sandbox never gives."""

import pytest

from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl.pipedrive import optional_fields
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host

from .conftest import Connect
from .scripted import listed


def field(code: str, **more: object) -> dict[str, object]:
    return {
        "field_code": code,
        "field_name": code.title(),
        "field_type": "varchar",
        "options": None,
        "is_custom_field": False,
        "is_optional_response_field": False,
        **more,
    }


def test_all_pages_of_the_catalogue(connect: Connect) -> None:
    with host(
        [listed([field("name")], "a"), listed([field("name", field_name="Again"), field("im")])]
    ) as pipedrive:
        fields = connect(pipedrive.url).person_fields().fields
    assert [each.field_code for each in fields] == ["name", "im"]
    assert [each.field_name for each in fields] == ["Name", "Im"]


def test_malformed_fields_of_the_catalogue(connect: Connect) -> None:
    options = [
        {"id": 2, "label": "B"},
        {"id": "x", "label": 5},
        {"id": True, "label": None},
        {"label": "no id"},
        None,
        {"id": None},
    ]
    entries = [
        None,
        "name",
        {},
        {"field_code": 5},
        {"field_code": ""},
        {"field_code": "bare"},
        field("tier", options=options, is_custom_field=1),
        field("set", options=[], is_custom_field=True),
        field("blank", field_name=" ", field_type=None, options="none"),
    ]
    with host([listed(entries)]) as pipedrive:
        fields, odd = connect(pipedrive.url).person_fields()
    assert odd == 5
    assert [each.field_code for each in fields] == ["bare", "tier", "set", "blank"]
    assert [each.field_name for each in fields] == ["bare", "Tier", "Set", "blank"]
    assert [each.field_type for each in fields] == ["", "varchar", "varchar", ""]
    assert [each.is_custom_field for each in fields] == [False, False, True, False]
    assert [each.options for each in fields] == [
        None,
        [{"id": 2, "label": "B"}, {"id": "x", "label": "5"}, {"id": True, "label": ""}],
        [],
        None,
    ]


def test_only_accepted_optional_fields_are_requested(connect: Connect) -> None:
    entries = [
        field("files_count", is_optional_response_field=True),
        field("brand_new_count", is_optional_response_field=True),
        field("notes_count"),
        field("doi_status", is_optional_response_field=True),
    ]
    with host([listed(entries)]) as pipedrive:
        assert optional_fields(connect(pipedrive.url).person_fields().fields) == ["files_count", "doi_status"]


class TestOrganizationNames:
    def organizations(self, request: Request, _: int) -> Reply:
        """Organisations 1 to 2000; those divisible by 7 are deleted."""
        alive = [number for number in range(1, 2001) if number % 7]
        if "ids" in request.query:
            asked = {int(text) for text in request.query["ids"].split(",")}
            return listed([{"id": number, "name": f"Org {number}"} for number in alive if number in asked])
        start = int(request.query.get("cursor", "0"))
        page = alive[start : start + 500]
        cursor = str(start + 500) if start + 500 < len(alive) else None
        return listed([{"id": number, "name": f"Org {number}"} for number in page], cursor)

    def test_a_few_of_many_are_fetched_by_id(self, connect: Connect) -> None:
        with host(self.organizations) as pipedrive:
            client = connect(pipedrive.url)
            names = client.organization_names([1999, 3, 7, 3])
        assert names == {3: "Org 3", 1999: "Org 1999"}
        assert client.usage.tokens_used == 10

    def test_many_are_listed_up_to_the_largest_id(self, connect: Connect) -> None:
        with host(self.organizations) as pipedrive:
            client = connect(pipedrive.url)
            names = client.organization_names(range(1, 901))
        assert names == {number: f"Org {number}" for number in range(1, 901) if number % 7}
        assert client.usage.tokens_used == 20

    def test_asking_for_none_costs_nothing(self, connect: Connect) -> None:
        assert connect("http://127.0.0.1:9").organization_names([]) == {}

    def test_malformed_entries_have_no_name(self, connect: Connect) -> None:
        entries = [
            None,
            5,
            {"id": 1},
            {"id": 2, "name": None},
            {"id": "3", "name": "x"},
            {"id": 4, "name": "D"},
        ]
        with host([listed(entries)]) as pipedrive:
            assert connect(pipedrive.url).organization_names([1, 2, 3, 4]) == {4: "D"}


def test_user_names(connect: Connect) -> None:
    entries = [{"id": 1, "name": "A", "active_flag": False}, {"id": 2, "name": "B"}, None]
    with host(
        [Reply({"success": True, "data": entries}), Reply({"success": True, "data": None})]
    ) as pipedrive:
        client = connect(pipedrive.url)
        assert client.user_names() == {1: "A", 2: "B"}
        assert client.user_names() == {}
        assert client.usage.tokens_used == 40


@pytest.mark.parametrize(
    "data", [{}, {"id": 1}, {"id": 1, "company_id": "777"}, {"id": True, "company_id": 777}]
)
def test_an_account_without_a_company_is_not_pipedrive(connect: Connect, data: dict[str, object]) -> None:
    with (
        host([Reply({"success": True, "data": data})]) as site,
        pytest.raises(e.NotPipedrive, match="API URL"),
    ):
        connect(site.url).account()


def test_who_is_an_admin(connect: Connect) -> None:
    def admin(access: object) -> bool:
        data = {"id": 1, "company_id": 7, "access": access}
        with host([Reply({"success": True, "data": data})]) as pipedrive:
            return connect(pipedrive.url).account().is_admin

    assert admin([{"app": "sales", "admin": False}, {"app": "global", "admin": True}])
    assert not admin([{"app": "sales", "admin": True}, {"app": "global", "admin": False}])
    assert not admin(None)
