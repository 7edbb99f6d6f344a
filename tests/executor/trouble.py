"""A schema full of trouble: nulls, errors, values of the wrong type, whatever is awaitable. It is the same each time.

What a field gives is decided by the object, the field and its arguments alone, so that two executions meet the same.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import graphql
from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, Undefined

from executor import PROMISE, Calls, Columns, Gathers, Reads, TellsType

SDL = """
enum Color { RED GREEN BLUE }
scalar Stamp
input Point { x: Int! = 1, y: Float, colors: [Color!], deeper: Point }
interface Named { name: String  self: Named  size(of: Point, at: Int = 2): Int! }
interface Sized { number: Int  any: Any }
union Any = Thing | Box

type Thing implements Named & Sized {
  name: String  self: Named  size(of: Point, at: Int = 2): Int!  number: Int  any: Any
  id: ID!  text: String!  flag: Boolean  share: Float  stamp: Stamp  stamps: [Stamp!]  color: Color!
  colors: [Color]  words: [String!]!  grid: [[Int]!]  box: Box  boxes: [Box!]  slow: Thing  slows(first: Int): [Thing!]!
  late: String  later: Int!
}
type Box implements Named {
  name: String  self: Named  size(of: Point, at: Int = 2): Int!  thing: Thing!  things: [Thing]  nameds: [Named!]
  anys: [Any]  grid: [[Thing!]]  late: Float!  inner: Box
}
type Query {
  thing(n: Int): Thing  sure: Thing!  box(of: Point): Box!  anys: [Any]  nameds(first: Int! = 2): [Named!]!
  word(color: Color): String  slow: Box  slower: Thing!  lists: [[Box!]!]
}
type Mutation { make(n: Int): Thing  sure: Box!  slow(of: Point): Thing  slower: Thing!  word: String! }
"""

PLAIN = ("name", "number", "id", "text", "flag", "share", "stamp", "color", "words", "box", "boxes", "thing", "inner")
"""Fields that are promised to be plain where the object is one that keeps promises."""
LOADED = ("slow", "late")
"""Fields that are promised to wait."""
GATHERED = ("slows", "later")
"""Fields that are promised to be asked for many objects at once."""


class Row:
    """An object: its type, and the seed of all that it holds."""

    def __init__(self, type_: str, seed: str, trouble: float) -> None:
        self.type = type_
        self.seed = seed
        self.trouble = trouble

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return made(self, FIELDS[self.type][name], Random(f"{self.seed}.{name}"), is_plain=True)


def made(row: Row, field: GraphQLField, random: Random, *, is_plain: bool) -> Any:
    """What a field gives; never an exception or an awaitable, where it is plain."""
    if random.random() < row.trouble:
        if random.random() < 0.4:
            return None
        if random.random() < 0.3:
            raise ValueError(f"no luck with {row.seed}")
        if is_plain:
            return random.choice((2**31, [], "text", object(), 1.5, ["RED", None], Ellipsis))
        return random.choice(
            (ValueError("a value"), Undefined, 2**40, [ValueError("an item")], "text", {1: 2}, iter("ab"))
        )
    return value_of(row, field.type, random)


def value_of(row: Row, type_: Any, random: Random) -> Any:
    if isinstance(type_, graphql.GraphQLNonNull):
        return value_of(row, type_.of_type, random)
    if isinstance(type_, graphql.GraphQLList):
        return [
            None if random.random() < row.trouble / 4 else value_of(row, type_.of_type, random)
            for _ in range(random.randint(0, 3))
        ]
    if isinstance(type_, graphql.GraphQLEnumType):
        return random.choice(list(type_.values))
    if graphql.is_leaf_type(type_):
        return {
            "Int": random.choice((0, 7, -1, True, 3.0, "4")),
            "Float": random.choice((0.5, 2, True)),
            "Boolean": random.choice((True, False, 1)),
            "Stamp": random.randint(0, 9) if row.trouble else 4,
            "ID": random.choice(("x", 5)),
        }.get(type_.name, random.choice(("", "ab", 5, True)))
    names = {"Named": ("Thing", "Box"), "Any": ("Thing", "Box")}.get(type_.name, (type_.name,))
    return Row(random.choice(names), f"{row.seed}/{random.randint(0, 999)}", row.trouble)


class Witness:
    """The context: counts the calls of root resolvers, by their response keys."""

    def __init__(self, trouble: float, *, waits: bool) -> None:
        self.calls: Counter[str] = Counter()
        self.waits = waits
        self.trouble = trouble


def _resolver(type_: str, name: str) -> Callable[..., Any]:
    async def wait(times: int, row: Row, field: GraphQLField, random: Random) -> Any:
        for _ in range(times):
            await asyncio.sleep(0)
        return made(row, field, random, is_plain=False)

    def resolve(source: Any, info: GraphQLResolveInfo[Witness], **arguments: Any) -> Any:
        if info.path.prev is None:
            info.context.calls[str(info.path.key)] += 1
            source = Row(type_, f"{type_}.{name}", info.context.trouble)
        elif arguments.get("at") == 3:
            raise ValueError(f"not at {info.path.as_list()} of {info.variable_values.coerced}")
        random = Random(f"{source.seed}.{name}.{sorted(arguments.items())!r}")
        field = FIELDS[type_][name]
        if "slow" in name or "late" in name or random.random() < 0.2:
            times = random.choice((0, 1, 1, 3))
            return wait(times * info.context.waits, source, field, random)
        return made(source, field, random, is_plain=False)

    return resolve


def _loads(name: str) -> Callable[[Row, Witness, dict[str, Any]], Any]:
    async def load(row: Row, witness: Witness, arguments: dict[str, Any]) -> Any:
        random = Random(f"{row.seed}.{name}.{sorted(arguments.items())!r}")
        for _ in range(random.choice((0, 1, 1, 3)) * witness.waits):
            await asyncio.sleep(0)
        return made(row, FIELDS[row.type][name], random, is_plain=False)

    return load


def _together(load: Callable[[Row, Witness, dict[str, Any]], Any]) -> Callable[..., Any]:
    async def load_all(rows: list[Row], witness: Witness, arguments: dict[str, Any], _: Columns) -> list[Any]:
        return await asyncio.gather(*(load(row, witness, arguments) for row in rows), return_exceptions=True)

    return load_all


def build(*, promising: bool) -> GraphQLSchema:
    """The schema: with promises of its fields, or with none."""
    schema = graphql.build_schema(SDL)
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            FIELDS[type_.name] = dict(type_.fields)
            for name, field in type_.fields.items():
                field.resolve = _resolver(type_.name, name)
                if promising and type_.name in ("Thing", "Box"):
                    _promise(name, field)
    for name in ("Named", "Sized", "Any"):
        abstract: Any = schema.type_map[name]
        abstract.resolve_type = lambda row, _info, _type: row.type
        if promising:
            abstract.extensions[PROMISE] = TellsType(lambda row: str(row.type))
    stamp: Any = schema.type_map["Stamp"]
    stamp.coerce_output_value = lambda value: None if value == 3 else value
    return schema


def _promise(name: str, field: GraphQLField) -> None:
    if name in PLAIN:
        field.resolve = lambda row, _info, name=name: getattr(row, name)
        field.extensions[PROMISE] = Reads(name)
    elif name in LOADED:
        load = _loads(name)
        field.resolve = lambda row, info, load=load, **arguments: load(row, info.context, arguments)
        field.extensions[PROMISE] = Calls(load)
    elif name in GATHERED:
        load = _loads(name)
        field.resolve = lambda row, info, load=load, **arguments: load(row, info.context, arguments)
        field.extensions[PROMISE] = Gathers(_together(load), None)


FIELDS: dict[str, dict[str, GraphQLField]] = {}
"""By type and name; the same for both schemas but for their promises."""
