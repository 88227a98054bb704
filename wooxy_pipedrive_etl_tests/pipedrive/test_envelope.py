import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.pipedrive.envelope import Unreadable, read_list, read_object, words_of

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["\ud800", "data", '"', "]", "},{", "\\"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("data"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(elements=st.lists(json_values, max_size=8), before=st.booleans(), ascii_only=st.booleans())
def test_each_element_is_extracted_exactly_as_sent(
    elements: list[Any], before: bool, ascii_only: bool
) -> None:
    texts = [_dumps(element, ascii_only) for element in elements]
    data = b'"data": [' + b" , ".join(texts) + b" ]"
    other = b'"related": {"data": [1, {"data": []}]}, "additional_data": {"next_cursor": "on"}'
    # The lone surrogate makes msgspec refuse the page, so both decoders are tested.
    for more in (b"", b', "odd": "\\ud800"'):
        order = (other, data) if before else (data, other)
        page = read_list(b'{"success": true, ' + b", ".join(order) + more + b"}")
        assert [bytes(element) for element in page.elements] == texts
        assert page.next_cursor == "on"


def _dumps(element: Any, ascii_only: bool) -> bytes:
    try:
        return json.dumps(element, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return json.dumps(element).encode()


@given(st.integers(0, 200))
def test_a_truncated_page_is_not_read(length: int) -> None:
    for extra in (b"x", b"\\ud800"):
        page = b'{"success":true,"data":[{"id":1,"name":"a]}"},{"id":2,"name":"' + extra
        page += b'"},[[]]],"additional_data":{"next_cursor":null}}'
        with pytest.raises(Unreadable):
            read_list(page[: min(length, len(page) - 1)])


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_other_content_is_unreadable(content: bytes) -> None:
    for read in (read_list, read_object):
        with pytest.raises(Unreadable):
            read(content)
    assert len(words_of(content)) <= 500


def test_an_absurd_element_does_not_affect_others() -> None:
    deep = b'{"id":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    page = read_list(b'{"success":true,"data":[{"id":1},' + deep + b',{"id":3,"x":NaN}]}')
    assert [bytes(element)[:8] for element in page.elements] == [b'{"id":1}', b'{"id":2,', b'{"id":3,']


@pytest.mark.parametrize(
    "end", ["", ',"additional_data":null', ',"additional_data":{}', ',"additional_data":[]']
)
def test_every_form_of_missing_cursor_is_understood(end: str) -> None:
    assert read_list(f'{{"success":true,"data":[]{end}}}'.encode()).next_cursor is None


def test_pipedrives_words_are_found_in_every_error_shape() -> None:
    assert words_of(b'{"error":"Person not found","error_info":"Please check"}') == "Person not found"
    assert words_of(b'{"error":"Bad","code":"ERR_X"}') == "Bad (ERR_X)"
    assert words_of(b'{"errors":{"id":["not found"]}}') == '{"id": ["not found"]}'
    assert words_of(b'{"message":"For\\nbid\\u0000den"}') == "For bid den"
    assert words_of(b"<html>") == words_of(b"[]") == words_of(b"") == ""
