"""What compiled operations ask of rows: those columns that are told, and relations of all rows at once."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller's document when it first comes, too."""
    monkeypatch.setattr("schema.parts.USES_BEFORE", 0)


def columns(statements: list[str], table: str) -> list[str]:
    """The columns of the one statement that reads a table."""
    (sql,) = (one for one in statements if one.startswith("SELECT ") and f" FROM {table} " in one)
    return sql.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")


async def test_a_list_reads_the_columns_that_are_told(house: House, statements: list[str]) -> None:
    await house.a_client()
    statements.clear()
    assert (await house.rest("GET", "/clients")).status_code == 200
    assert not {"password_hash", "email_key", "search_key"} & set(columns(statements, "clients"))
    statements.clear()
    await house.data("{ clients { nodes { company createdAt } } }")
    assert columns(statements, "clients") == ["company", "created_at", "id"]


async def test_what_a_field_is_computed_of_is_not_known_and_whole_rows_are_read(
    house: House, statements: list[str]
) -> None:
    await house.an_invoice()
    statements.clear()
    (found,) = (await house.data("{ invoices { nodes { number overdue } } }"))["invoices"]["nodes"]
    assert {"version", "client_id"} <= set(columns(statements, "invoices"))
    assert found["overdue"] is False


async def test_a_relation_of_many_rows_is_one_statement_for_what_it_tells(house: House, statements: list[str]) -> None:
    client = (await house.a_client())["id"]
    for _ in range(3):
        await house.an_invoice(client)
    statements.clear()
    nodes = (await house.data("{ invoices { nodes { items { amount } client { city } } } }"))["invoices"]["nodes"]
    assert len(nodes) == 3
    assert columns(statements, "invoices") == ["id", "client_id"]
    assert columns(statements, "invoice_items") == ["amount", "currency", "invoice_id", "id"]
    assert columns(statements, "clients") == ["city", "id"]


async def test_a_row_that_leads_nowhere_leads_to_null(house: House) -> None:
    await house.a_service()
    (found,) = (await house.data("{ services { nodes { id server { name } client { id } } } }"))["services"]["nodes"]
    assert (found["server"], found["client"]["id"]) == (None, "cli_1")


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
async def test_a_list_in_the_order_of_its_moments_goes_on_where_it_was(house: House, sort: str) -> None:
    made = [(await house.a_client())["id"] for _ in range(3)]
    found, cursor = [], ""
    while cursor is not None:
        page = (await house.rest("GET", f"/clients?per_page=1&sort={sort}{cursor and f'&cursor={cursor}'}")).json()
        found += [client["id"] for client in page["data"]]
        cursor = page["meta"]["next_cursor"]
    assert found == (made if sort == "created_at" else made[::-1])


async def test_a_command_shows_the_items_that_it_has_written_without_reading_them(
    house: House, statements: list[str]
) -> None:
    client = (await house.a_client())["id"]
    statements.clear()
    made = await house.an_invoice(
        client, items=[{"description": "a", "amount": "1"}, {"description": "b", "amount": "2"}]
    )
    assert [item["description"] for item in made["items"]] == ["a", "b"]
    assert not [sql for sql in statements if sql.startswith("SELECT") and "FROM invoice_items" in sql]
