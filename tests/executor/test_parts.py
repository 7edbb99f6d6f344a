"""When a caller's document is compiled, and how much of what was compiled is kept."""

import re
from pathlib import Path

import graphql
import pytest

from arcbilling import operations
from rest_compat.plans import compile_plans
from schema import parts
from schema.documents import Documents
from schema.parts import Part, Shelf
from schema.root import build
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_sqlite

pytestmark = pytest.mark.anyio


def part(shelf: Shelf | None, fields: str = "id status") -> Part:
    return Part(graphql.parse(f'{{ client(id: "1") {{ {fields} }} }}'), None, shelf)


def test_a_callers_document_is_compiled_when_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "USES_BEFORE", 1)
    asked = part(Shelf())
    assert [asked.compiled(build()) is not None for _ in range(3)] == [False, True, True]


def test_the_documents_of_rest_are_all_compiled_at_once() -> None:
    for plan in compile_plans(build()):
        assert all(one.compiled(build()) for one in plan.operation.parts), plan.route.document


def test_so_many_fields_are_kept_compiled_and_the_least_lately_used_are_forgotten() -> None:
    shelf = Shelf(most_fields=8)
    kept = [part(shelf) for _ in range(3)]
    first = [one.compiled(build()) for one in kept]
    assert shelf.fields <= 8
    assert kept[2].compiled(build()) is first[2]
    assert kept[0].compiled(build()) is not first[0]


def test_the_example_of_the_documentation_is_what_is_generated() -> None:
    page = (Path(__file__).parents[2] / "docs" / "executor.md").read_text(encoding="utf-8")
    (document,), (source,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("graphql", "text"))
    compiled = Part(graphql.parse(document), "Invoice").compiled(build())
    assert compiled is not None
    assert compiled.sources == [source]


def test_each_document_of_a_cache_is_compiled_within_its_bounds() -> None:
    documents = Documents(build())
    operation, _ = documents.operation(
        "mutation { a: ticketClose(id: 1) { id } b: ticketClose(id: 2) { id } }", None, {}
    )
    assert [one.compiled(build()) is not None for one in operation.parts] == [True, True]
    assert documents.shelf.fields == 4


def test_an_operation_that_is_not_supported_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(parts, "compile_operation", lambda *_, **__: tried.append(1) or _unsupported())
    asked = part(Shelf())
    assert [asked.compiled(build()) for _ in range(3)] == [None, None, None]
    assert len(tried) == 1


def _unsupported() -> None:
    raise parts.Unsupported("no")


@on_sqlite
async def test_the_setting_turns_it_off(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    monkeypatch.setattr(Part, "compiled", lambda *_: used.append(1))
    async with open_house(tmp_path, empty_database, compiled="off") as house:
        assert (await house.data("{ clients { nodes { id } } }")) == {"clients": {"nodes": []}}
    assert used == []


@on_sqlite
async def test_an_operation_that_is_executed_again_counts_its_rows_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one which goes wrong is not refused for rows that it holds once."""
    client = (await house.a_client())["id"]
    for _ in range(4):
        await house.an_invoice(client)
    monkeypatch.setattr(operations, "MAX_ROWS_CHOSEN", 6)
    text = "{ invoices(first: 4) { nodes { items { id } client { invoices(first: 101) { nodes { id } } } } } }"
    errors = (await house.graphql(text))["errors"]
    assert {error["message"] for error in errors} == {"The first field must be from 1 to 100."}
