"""Persons over HTTP, for answers that the sandbox never gives."""

from __future__ import annotations

import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest

from wooxy_pipedrive_etl.http_api.errors import BrokenAnswer
from wooxy_pipedrive_etl.pipedrive import PersonsPage
from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, wait_for_end_of_threads

from .conftest import Connect
from .scripted import listed, listed_raw


def test_raw_text_is_exactly_what_was_sent(connect: Connect) -> None:
    sent = '{"id": 7,  "n":0.30000000000000004,"big":9007199254740993.10, "e":1E+2, "s":"\\u00e9é\\/😀"}'
    with host([listed_raw(sent.encode())]) as pipedrive:
        (page,) = connect(pipedrive.url).walk_persons()
    assert page.persons["raw"].tolist() == [sent]
    assert page.persons.dtypes.astype(str).to_dict() == {
        "person_id": "int64",
        "version": "int64",
        "raw": "object",
    }


@pytest.mark.parametrize(
    ("times", "version"),
    [
        ('"update_time":"2026-11-02T12:00:05Z","add_time":"2020-01-01T00:00:00Z"', 1793620805_000000),
        ('"update_time":"2026-11-02T12:00:05.123Z"', 1793620805_123000),
        ('"update_time":"2026-11-02T14:00:05+02:00"', 1793620805_000000),
        ('"update_time":"2026-11-02 12:00:05"', 1793620805_000000),
        ('"update_time":null,"add_time":"2026-11-02T12:00:05Z"', 1793620805_000000),
        ('"update_time":"soon","add_time":"2026-11-02T12:00:05Z"', 1793620805_000000),
        ('"update_time":12,"add_time":"0000-00-00T00:00:00Z"', 0),
        ('"add_time":null', 0),
    ],
)
def test_the_version_is_update_time_or_add_time(connect: Connect, times: str, version: int) -> None:
    with host([listed_raw(f'{{"id":1,{times}}}'.encode())]) as pipedrive:
        (page,) = connect(pipedrive.url).walk_persons()
    assert page.persons["version"].tolist() == [version]


def test_malformed_records_are_listed_without_affecting_others(connect: Connect) -> None:
    elements = [
        b'{"id":1,"update_time":[]}',
        b"null",
        b'"secret name"',
        b"[]",
        b'{"name":"secret name"}',
        b'{"id":"5"}',
        b'{"id":true}',
        b'{"id":0}',
        b'{"id":99999999999999999999}',
        b'{"id":2.5}',
        b'{"id":null}',
        b'{"id":20,"name":"\xff"}',
        b'{"id":21,"name":"\\ud800"}',
        b'{"id":22}',
    ]
    # The one surrogate decides which decoder reads the page; both must agree on all other text.
    for sent in (elements, [element for element in elements if b"ud800" not in element]):
        with host([listed_raw(b",".join(sent))]) as pipedrive:
            (page,) = connect(pipedrive.url).walk_persons()
        assert page.persons["person_id"].tolist() == ([1, 21, 22] if len(sent) == 14 else [1, 22])
        assert page.odd["person_id"].isna().tolist() == [True] * 10 + [False]
        assert page.odd["person_id"].dropna().tolist() == [20]
        assert set(page.odd["kind"]) == {"rejected"}
        assert set(page.odd["reason"]) == {"odd_shape"}
        assert "secret" not in page.odd["message"].str.cat()
        assert str(page.odd["person_id"].dtype) == "Int64"


def test_deleted_persons_are_not_returned(connect: Connect) -> None:
    with host(
        [listed([{"id": 1, "is_deleted": True}, {"id": 2, "is_deleted": False}, {"id": 3}])]
    ) as pipedrive:
        (page,) = connect(pipedrive.url).walk_persons()
    assert page.persons["person_id"].tolist() == [2, 3]
    assert page.deleted == (1,)


def test_an_empty_page_is_not_the_end(connect: Connect) -> None:
    replies = [
        listed([{"id": 1}], "a"),
        listed([], "b"),
        listed([{"id": 2}, {"id": 1}], ""),
        listed([{"id": 9}]),
    ]
    with host(replies) as pipedrive:
        found = [page.persons["person_id"].tolist() for page in connect(pipedrive.url).walk_persons()]
    assert found == [[1], [], [2, 1]]
    assert [request.query.get("cursor") for request in pipedrive.requests] == [None, "a", "b"]


def test_every_page_uses_the_same_filters(connect: Connect) -> None:
    with host([listed([], "a"), listed([])]) as pipedrive:
        since = datetime(2026, 11, 2, 14, 0, 5, 999_999, tzinfo=timezone(timedelta(hours=2)))
        list(
            connect(pipedrive.url).walk_persons(
                updated_since=since, sort_by="update_time", include_fields=["files_count", "doi_status"]
            )
        )
    first = {
        "limit": "500",
        "sort_by": "update_time",
        "sort_direction": "asc",
        "updated_since": "2026-11-02T12:00:05Z",
        "include_fields": "files_count,doi_status",
    }
    assert [request.query for request in pipedrive.requests] == [first, {**first, "cursor": "a"}]


def test_a_time_without_a_zone_is_refused(connect: Connect) -> None:
    with pytest.raises(ValueError, match="time zone"):
        connect("http://127.0.0.1:9").walk_persons(updated_since=datetime(2026, 1, 1))


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"]])
def test_a_circular_walk_ends_in_an_error(connect: Connect, cursors: list[str]) -> None:
    with host([listed([], cursor) for cursor in cursors]) as pipedrive:
        with pytest.raises(BrokenAnswer, match="earlier"):
            list(connect(pipedrive.url).walk_persons())
        assert len(pipedrive.requests) == len(cursors)


class TestReadingAhead:
    def test_the_next_page_is_fetched_in_the_background(self, connect: Connect) -> None:
        asked_for_second = threading.Event()

        def answer(_: Request, number: int) -> Reply:
            if number == 1:
                asked_for_second.set()
            return listed([{"id": number + 1}], f"page {number}" if number < 9 else None)

        with host(answer) as pipedrive:
            walk = connect(pipedrive.url).walk_persons()
            next(walk)
            assert asked_for_second.wait(PATIENCE_SECONDS)
            # One page ahead and no more, however slow the consumer.
            assert len(pipedrive.requests) == 2
            assert len(list(walk)) == 9
        wait_for_end_of_threads("pipedrive-walk")

    def test_an_error_comes_after_the_pages_before_it(self, connect: Connect) -> None:
        with host([listed([{"id": 1}], "a"), Reply({"error": "gone wrong"}, 400)]) as pipedrive:
            walk = connect(pipedrive.url).walk_persons()
            assert next(walk).persons["person_id"].tolist() == [1]
            with pytest.raises(e.BadRequest, match="gone wrong"):
                next(walk)
        wait_for_end_of_threads("pipedrive-walk")

    @pytest.mark.parametrize("way", ["close", "error", "drop"])
    def test_a_consumer_that_stops_early_leaves_nothing_behind(self, connect: Connect, way: str) -> None:
        with host(lambda _, number: listed([{"id": 1}], str(number))) as pipedrive:
            walk = cast("Generator[PersonsPage]", connect(pipedrive.url).walk_persons())
            next(walk)
            if way == "close":
                walk.close()
            elif way == "error":
                with pytest.raises(RuntimeError, match="consumer"):
                    walk.throw(RuntimeError("the consumer failed"))
            else:
                del walk
            wait_for_end_of_threads("pipedrive-walk")
            assert len(pipedrive.requests) <= 2

    def test_an_unstarted_walk_requests_nothing(self, connect: Connect) -> None:
        with host([listed([])]) as pipedrive:
            connect(pipedrive.url).walk_persons()
        assert pipedrive.requests == []


class TestFieldsThatThePlanLacks:
    def refusal(self, *names: str, status: int = 400) -> Reply:
        return Reply({"success": False, "error": f"include_fields: {', '.join(names)} not allowed"}, status)

    @pytest.mark.parametrize("status", [400, 403])
    def test_a_field_that_pipedrive_rejects_is_left_out(self, connect: Connect, status: int) -> None:
        fields = ["related_open_deals_count", "open_deals_count", "marketing_status"]
        replies = [
            self.refusal("marketing_status", status=status),
            self.refusal("related_open_deals_count"),
            listed([]),
        ]
        with host(replies) as pipedrive:
            (page,) = connect(pipedrive.url).walk_persons(include_fields=fields)
        assert page.left_out_fields == ("marketing_status", "related_open_deals_count")
        assert pipedrive.requests[-1].query["include_fields"] == "open_deals_count"

    def test_later_pages_leave_it_out_too(self, connect: Connect) -> None:
        with host([self.refusal("doi_status"), listed([], "a"), listed([])]) as pipedrive:
            pages = list(connect(pipedrive.url).walk_persons(include_fields=["doi_status"]))
        assert [page.left_out_fields for page in pages] == [("doi_status",)] * 2
        assert "include_fields" not in pipedrive.requests[-1].query

    def test_any_other_refusal_fails(self, connect: Connect) -> None:
        with (
            host([self.refusal("custom")]) as pipedrive,
            pytest.raises(e.BadRequest, match="custom not allowed"),
        ):
            list(connect(pipedrive.url).walk_persons(include_fields=["doi_status"]))
        assert len(pipedrive.requests) == 1


class TestByIds:
    def test_chunks_of_a_hundred(self, connect: Connect) -> None:
        def answer(request: Request, _: int) -> Reply:
            return listed([{"id": int(text)} for text in request.query["ids"].split(",")])

        with host(answer) as pipedrive:
            client = connect(pipedrive.url)
            pages = list(client.persons_by_ids([*range(1, 251), 1, 2]))
        assert [len(page.persons) for page in pages] == [100, 100, 50]
        assert client.usage.tokens_used == 30

    def test_no_ids_make_no_requests(self, connect: Connect) -> None:
        assert list(connect("http://127.0.0.1:9").persons_by_ids([])) == []

    def test_persons_not_asked_for_are_ignored(self, connect: Connect) -> None:
        with host([listed([{"id": 1}, {"id": 2}, {"id": 3}])]) as pipedrive:
            (page,) = connect(pipedrive.url).persons_by_ids([2, 4])
        assert page.persons["person_id"].tolist() == [2]
        assert page.persons.index.tolist() == [0]

    def test_a_field_the_plan_lacks_is_requested_once(self, connect: Connect) -> None:
        refusal = Reply({"error": "marketing_status needs the Campaigns app"}, 400)
        with host([refusal, listed([])]) as pipedrive:
            pages = list(
                connect(pipedrive.url).persons_by_ids(range(1, 201), include_fields=["marketing_status"])
            )
        assert len(pipedrive.requests) == 3
        assert [page.left_out_fields for page in pages] == [("marketing_status",)] * 2


def test_updated_since_in_utc_is_sent_unchanged(connect: Connect) -> None:
    with host([listed([])]) as pipedrive:
        list(connect(pipedrive.url).walk_persons(updated_since=datetime(2026, 1, 2, tzinfo=UTC)))
    assert pipedrive.requests[0].query["updated_since"] == "2026-01-02T00:00:00Z"
