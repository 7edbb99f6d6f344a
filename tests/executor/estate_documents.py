"""Random documents of the real schema, over a house with two of everything."""

from collections import Counter
from random import Random
from typing import Any

import graphql
from graphql import GraphQLObjectType, GraphQLSchema, Undefined

from executor import PROMISE, Calls
from schema import introspection
from schema.actors import SYSTEM
from schema.context import Context
from schema.errors import refused
from schema.limits import LimitError, measure
from schema.root import NODES, build
from tests.conftest import House
from tests.executor.comparing import Tally, compiled, interpreted
from tests.executor.documents import Author

_WORDS = {
    "createdFrom": "2020-01-01",
    "createdTo": "2099-01-01T00:00:00Z",
    "dueFrom": "2020-01-01",
    "dueTo": "2099-01-01",
    "q": "a",
    "after": "evt_x",
}
DONE: Counter[tuple[str, str]] = Counter()
"""What mutations have done: who asked, and for what."""


def _values(random: Random, name: str, type_: Any) -> Any:
    if type_.__class__.__name__ == "GraphQLScalarType" and type_.name == "ID":
        kind = random.choice(("cli", "svc", "inv", "tic", "pro"))
        number = random.choice((1, 1, 1, 1, 1, 1, 2, 2, 2, 77))
        return f"{kind}_{number}" if random.random() < 0.1 else str(number)
    if name == "first":
        return random.choice((1, 2, 3, 3, 5, 5, 5, 100, 100, 101))
    if name in ("last", "after", "before", "offset"):
        return _WORDS.get(name, 1) if random.random() < 0.1 else None
    if name in _WORDS:
        return _WORDS[name]
    return None if random.random() < 0.02 else Undefined


async def through_the_estate(house: House, documents: int, seed: int) -> Tally:
    """By every root query in turn, and by mutations that note that they were done instead of doing anything."""
    random, tally = Random(seed), Tally()
    schema = with_noting_mutations(build())
    author = Author(schema, random, _values, deepest=4)
    assert schema.query_type is not None
    queries = list(schema.query_type.fields)
    for number in range(documents):
        if number % 8 == 7:
            asked = author.document("mutation")
        else:
            other = random.sample(queries, random.randint(0, 1))
            asked = author.document("query", [queries[number % len(queries)], *other])
        document = graphql.parse(asked.text)
        definition = graphql.get_operation_ast(document)
        assert definition is not None
        try:
            measure(schema, document, definition, asked.variables)
        except LimitError:
            continue
        contexts = [house.engine.context(SYSTEM, f"{which} {number}") for which in ("first", "second")]
        expected = await interpreted(schema, document, None, contexts[0], dict(asked.variables))
        function = compiled(schema, document)
        if function is not None:
            result = await function.run(None, contexts[1], asked.variables, contexts[1].recount)
            done = [{what: times for (who, what), times in DONE.items() if who == c.request_id} for c in contexts]
            tally.compare(asked, expected, result, done)
        tally.count(function, expected)
        DONE.clear()
    return tally


def with_noting_mutations(real: GraphQLSchema) -> GraphQLSchema:
    """The schema with other mutations: each notes that it was called, and gives an object that is there."""
    schema = introspection.executable(real)
    mutation = real.mutation_type
    assert mutation is not None
    tables = {node.name: node.table for node in NODES.values()}
    fields = {}
    for name, field in mutation.fields.items():
        type_ = graphql.get_named_type(field.type)
        if type_.name in tables:
            fields[name] = _noting(field, name, tables[type_.name])
    schema = introspection.executable.__wrapped__(real)
    schema.mutation_type = GraphQLObjectType("Mutation", fields)
    schema.type_map = {**real.type_map, "Mutation": schema.mutation_type}
    return schema


def _noting(field: graphql.GraphQLField, name: str, table: Any) -> graphql.GraphQLField:
    async def note(_: None, context: Context, arguments: dict[str, Any]) -> Any:
        DONE[(context.request_id, f"{name} {arguments}")] += 1
        if len(str(arguments)) % 5 == 0:
            raise refused("This one is refused.")
        return await table.by_id(context.session, 1)

    return graphql.GraphQLField(
        field.type,
        field.args,
        resolve=lambda source, info, **arguments: note(None, info.context, arguments),
        extensions={PROMISE: Calls(note)},
    )
