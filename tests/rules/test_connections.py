"""Cursors: exact for their list and their order, and never more than refused for anything else."""

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.invoices import InvoiceRow
from resolvers.invoices import table
from resolvers.paging import Cursor, Sort
from schema.connections import cursor_of, page_request, read_cursor, sort_of
from schema.errors import Code, DomainError
from schema.invoices import InvoiceSort
from tests.rows import an_invoice

SORTS = [Sort(column, descending) for column in ("id", "created_at", "due_date") for descending in (False, True)]
sorts = st.sampled_from(SORTS)
invoices = st.builds(
    lambda number, due, seconds: an_invoice(
        id=number, due_date=due, created_at=datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=seconds)
    ),
    st.integers(1, 2**63 - 1),
    st.dates(),
    st.integers(0, 10**15),
)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def written(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def read_or_refused(text: str, sort: Sort) -> Cursor | None:
    try:
        cursor = read_cursor("after", text, sort, InvoiceRow)
    except DomainError as error:
        assert error.code is Code.VALIDATION_ERROR
        assert error.fields == {"after": "The after field must be a cursor that this list gave with the same sort."}
        return None
    assert isinstance(cursor.value, int | date)
    assert 0 <= cursor.id < 2**63
    return cursor


@given(invoices, sorts)
def test_a_cursor_leads_back_to_its_row(row: Any, sort: Sort) -> None:
    assert read_cursor("after", cursor_of(row, sort, type(row)), sort, type(row)) == Cursor(
        getattr(row, sort.column), row.id
    )


@given(invoices, sorts, sorts)
def test_a_cursor_of_another_order_is_refused(row: Any, sort: Sort, other: Sort) -> None:
    if sort != other:
        assert read_or_refused(cursor_of(row, sort, type(row)), other) is None


@given(invoices, sorts)
def test_a_cursor_can_stand_in_an_address_as_it_is(row: Any, sort: Sort) -> None:
    assert cursor_of(row, sort, type(row)).replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=80), sorts)
@example("", Sort())
@example("=", Sort())
@example("A", Sort())
@example("\ud800", Sort())
@example("bm9uZQ", Sort())
def test_garbage_is_refused_and_never_crashes(text: str, sort: Sort) -> None:
    read_or_refused(text, sort)


@given(json, sorts)
@example(["id", 1], Sort())
@example(["id", 2**63, 1], Sort())
@example(["id", 1, -1], Sort())
@example(["created_at", "0001-01-01T00:00:00+23:59", 1], Sort("created_at"))
@example(["created_at", "9999-12-31T23:59:59-23:59", 1], Sort("created_at"))
@example(["created_at", 7, 1], Sort("created_at"))
@example(["due_date", None, 1], Sort("due_date"))
def test_any_json_in_the_form_of_a_cursor_is_read_or_refused(value: object, sort: Sort) -> None:
    read_or_refused(written(value), sort)


@given(json, json, sorts)
def test_a_cursor_whose_values_were_changed_is_read_or_refused(value: object, id: object, sort: Sort) -> None:
    name = sort.column
    read_or_refused(written([f"{name} desc" if sort.descending else name, value, id]), sort)


@pytest.mark.parametrize("sort", InvoiceSort)
def test_every_sort_names_a_column_and_a_direction(sort: InvoiceSort) -> None:
    read = sort_of(sort)
    assert read.column == sort.name.removesuffix("_DESC").lower()
    assert read.descending == sort.name.endswith("_DESC")


def test_without_arguments_a_page_is_the_first_25_by_id() -> None:
    request = page_request(table, None, 25, None)
    assert (request.limit, request.sort, request.backwards, request.offset) == (25, Sort(), False, 0)


@pytest.mark.parametrize("more", [{"after": "x"}, {"before": "x"}, {"last": 5}])
def test_an_offset_goes_with_no_cursor(more: dict[str, Any]) -> None:
    arguments = {"first": 25, "after": None, "offset": 5, **more}
    with pytest.raises(DomainError, match="cannot be combined with a cursor or last"):
        page_request(table, None, **arguments)
