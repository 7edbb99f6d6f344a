"""What a compiled operation does and leaves to graphql-core, by a small schema."""

import asyncio
from collections.abc import Iterator
from typing import Any

import graphql
import pytest
from graphql import GraphQLSchema

from executor import PROMISE, Calls, Compiled, Reads, Unsupported, compile_operation
from executor.compiled import MOST_PROGRAMS
from executor.writing import MOST_FIELDS
from schema.introspection import executable
from tests.executor.comparing import interpreted

pytestmark = pytest.mark.anyio

SDL = """
type Page { title: String!  words: [String!]  next(after: Int = 1): Page  place: String  broken: Int  id: Int }
type Query { pages(first: Int! = 3): [Page!]!  page(title: String): Page  other: Page  word: String }
type Mutation { write(title: String!): Page!  again: Page }
"""


class Page:
    def __init__(self, title: str) -> None:
        self.title = title
        self.words = ["a", "b"]
        self.id = 2**40


class Desk:
    """The context: what resolvers were asked, and in which batches."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.batches: list[int] = []
        self.ended: list[str] = []
        self._waiting: list[asyncio.Future[Page]] = []

    async def load(self) -> Page:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._dispatch)
        self._waiting.append(future := loop.create_future())
        return await future

    def _dispatch(self) -> None:
        self.batches.append(len(self._waiting))
        while self._waiting:
            self._waiting.pop().set_result(Page("next"))

    async def hang(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(name)


@pytest.fixture
def schema() -> GraphQLSchema:
    schema = graphql.build_schema(SDL)

    async def pages(_: None, desk: Desk, arguments: dict[str, Any]) -> list[Page]:
        desk.asked.append("pages")
        return [Page(str(number)) for number in range(arguments["first"])]

    async def page(_: None, desk: Desk, arguments: dict[str, Any]) -> Page:
        desk.asked.append("page")
        if arguments.get("title") == "hang":
            await desk.hang("page")
        return Page(arguments.get("title") or "one")

    async def other(_: None, desk: Desk, __: dict[str, Any]) -> None:
        desk.asked.append("other")
        await desk.hang("other")

    async def write(_: None, desk: Desk, arguments: dict[str, Any]) -> Page:
        desk.asked.append(f"write {arguments['title']}")
        return Page(arguments["title"])

    async def again(_: None, desk: Desk, __: dict[str, Any]) -> Page:
        desk.asked.append("again")
        return Page("again")

    async def following(_: Page, desk: Desk, __: dict[str, Any]) -> Page:
        return await desk.load()

    def broken(_: Page, info: graphql.GraphQLResolveInfo[Desk]) -> int:
        raise ValueError(f"broken at {info.path.as_list()}")

    fields: dict[str, Any] = {name: _type(schema, name).fields for name in ("Page", "Query", "Mutation")}
    for type_, functions in (("Query", (pages, page, other)), ("Mutation", (write, again))):
        for function in functions:
            _call(fields[type_][function.__name__], function)
    _call(fields["Page"]["next"], following)
    for name in ("title", "words", "id"):
        fields["Page"][name].extensions[PROMISE] = Reads(name)
    fields["Page"]["broken"].resolve = broken
    fields["Page"]["place"].resolve = lambda page, info: f"{page.title} at {info.path.as_list()}"
    fields["Query"]["word"].resolve = lambda _, info: "word"
    return schema


def _type(schema: GraphQLSchema, name: str) -> Any:
    return schema.type_map[name]


def _call(field: Any, function: Any) -> None:
    field.extensions[PROMISE] = Calls(function)
    field.resolve = lambda source, info, **arguments: function(source, info.context, arguments)


def made(schema: GraphQLSchema, text: str) -> Compiled:
    document = graphql.parse(text)
    assert not graphql.validate(schema, document)
    return compile_operation(schema, document)


async def both(schema: GraphQLSchema, text: str, **variables: Any) -> tuple[Any, Compiled, Desk]:
    """What both come to, which is the same, and the desk of the compiled one."""
    function, desk = made(schema, text), Desk()
    result = await function.run(None, desk, variables)
    expected = await interpreted(schema, graphql.parse(text), None, Desk(), variables)
    assert result == expected
    return result, function, desk


async def test_response_keys_come_in_the_order_of_the_document(schema: GraphQLSchema) -> None:
    text = (
        "{ b: pages(first: 1) { words n: next { title } title } a: page { title ...F } } fragment F on Page { words }"
    )
    result, function, _ = await both(schema, text)
    assert [list(result.data), list(result.data["b"][0])] == [["b", "a"], ["words", "n", "title"]]
    assert function.replays == 0


async def test_what_waits_below_a_list_is_asked_for_together(schema: GraphQLSchema) -> None:
    _, function, desk = await both(schema, "{ pages(first: 5) { next { next { title } x: next { title } } } }")
    assert (desk.batches, function.replays) == ([5, 10], 0)


async def test_resolvers_that_promise_nothing_are_told_their_place(schema: GraphQLSchema) -> None:
    result, function, _ = await both(schema, "{ x: pages(first: 2) { next { p: place } } word }")
    assert result.data["x"][1]["next"]["p"] == "next at ['x', 1, 'next', 'p']"
    assert function.replays == 0


@pytest.mark.parametrize("field", ["broken", "id"])
async def test_what_goes_wrong_is_told_by_graphql_core_and_nothing_is_done_twice(
    schema: GraphQLSchema, field: str
) -> None:
    text = f'mutation {{ a: write(title: "x") {{ title {field} next {{ {field} }} }} again {{ title }} }}'
    result, function, desk = await both(schema, text)
    assert [error.path for error in result.errors] == [["a", field], ["a", "next", field]]
    assert desk.asked == ["write x", "again"]
    assert function.replays == 1


async def test_a_root_field_that_fails_is_not_called_again(schema: GraphQLSchema) -> None:
    calls = []

    async def refused(*_: Any) -> None:
        calls.append("refused")
        raise ValueError("refused")

    _call(_type(schema, "Mutation").fields["write"], refused)
    result = await made(schema, 'mutation { write(title: "x") { title } }').run(None, Desk(), {})
    assert (result.data, [error.message for error in result.errors or ()], calls) == (None, ["refused"], ["refused"])


async def test_variables_that_are_refused_run_nothing(schema: GraphQLSchema) -> None:
    _, __, desk = await both(schema, "query($n: Int!) { pages(first: $n) { title } }", n="many")
    assert desk.asked == []


async def test_a_caller_who_goes_ends_everything_that_is_under_way(schema: GraphQLSchema) -> None:
    desk = Desk()
    running = asyncio.ensure_future(
        made(schema, '{ page(title: "hang") { title } other { title } }').run(None, desk, {})
    )
    while len(desk.asked) < 2:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(desk.ended) == ["other", "page"]
    assert [task for task in asyncio.all_tasks() if "resolve" in repr(task) or "_fill" in repr(task)] == []


async def test_a_root_field_that_is_slow_is_awaited_by_the_replay(schema: GraphQLSchema) -> None:
    async def slow(_: None, desk: Desk, __: dict[str, Any]) -> Page:
        desk.asked.append("other")
        await asyncio.sleep(0.05)
        return Page("slow")

    _call(_type(schema, "Query").fields["other"], slow)
    result, _, desk = await both(schema, "{ page { title broken } other { title } }")
    assert result.data == {"page": {"title": "one", "broken": None}, "other": {"title": "slow"}}
    assert desk.asked == ["page", "other"]


async def test_what_is_iterable_and_no_list_is_left_to_graphql_core(schema: GraphQLSchema) -> None:
    def words(_: Page, __: Any) -> Iterator[str]:
        return iter("xy")

    field = _type(schema, "Page").fields["words"]
    field.resolve, field.extensions = words, {}
    result, function, _ = await both(schema, "{ page { words } }")
    assert (result.data, function.replays) == ({"page": {"words": ["x", "y"]}}, 1)


CALLERS = """query Oper_zanzibar($var_zanzibar: String = "text_zanzibar", $con_zanzibar: Boolean = true) {
  ali_zanzibar: page(title: $var_zanzibar) { ...Frag_zanzibar }
  page(title: "lit_zanzibar\\"); import os #") { t_zanzibar: title @include(if: true) ... @skip(if: $con2) { words } }
}
fragment Frag_zanzibar on Page { zanzibar: words place next { in_zanzibar: __typename } }"""


async def test_the_source_holds_nothing_that_a_caller_wrote(schema: GraphQLSchema) -> None:
    text = CALLERS.replace("$con2", "$con_zanzibar").replace("Boolean = true", "Boolean! = true")
    result, function, _ = await both(schema, text)
    (source,) = function.sources
    assert result.data["page"] == {"t_zanzibar": 'lit_zanzibar"); import os #'}
    assert "zanzibar" not in source
    assert "import" not in source


async def test_each_answer_to_the_conditions_has_its_program_and_there_are_not_many(schema: GraphQLSchema) -> None:
    names = "abcde"
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: title @include(if: ${name})" for name in names)
    function = made(schema, f"query({declared}) {{ page {{ id: __typename {fields} }} }}")
    for number in range(2 ** len(names)):
        given = {name: bool(number >> place & 1) for place, name in enumerate(names)}
        result = await function.run(None, Desk(), given)
        assert result.data is not None
        assert list(result.data["page"]) == ["id", *(name for name in names if given[name])]
    assert len(function.sources) == MOST_PROGRAMS
    assert function.replays == 2 ** len(names) - MOST_PROGRAMS


async def test_introspection_is_compiled_too(schema: GraphQLSchema) -> None:
    document = graphql.parse('{ __typename page { __typename } __type(name: "Page") { name fields { name } } }')
    function = compile_operation(executable(schema), document)
    result = await function.run(None, Desk(), {})
    assert result == await interpreted(schema, document, None, Desk(), {})
    assert (function.replays, result.errors) == (0, None)


def test_what_is_not_supported_says_so_as_it_is_compiled(schema: GraphQLSchema) -> None:
    many = " ".join(f"a{number}: title" for number in range(MOST_FIELDS))
    with pytest.raises(Unsupported):
        made(schema, f"{{ page {{ {many} }} }}")
    _type(schema, "Page").is_type_of = lambda *_: True
    with pytest.raises(Unsupported):
        made(schema, "{ page { title } }")
    deferring = graphql.build_schema("directive @defer on FIELD type Query { word: String }")
    with pytest.raises(Unsupported):
        made(deferring, "{ word }")
