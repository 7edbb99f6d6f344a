"""Pieces of what is written: where a field is selected, the functions that tell values, the body of one of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from graphql import FieldNode, GraphQLField, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType
from graphql.execution.collect_fields import FieldDetailsList

from executor.promises import Columns


class Unsupported(Exception):
    """Not for this executor: graphql-core executes it."""


class Gathering(NamedTuple):
    """A field that leads on from many objects at once, where it is selected."""

    function: Callable[[list[Any], Any, Any, Columns], Any]
    arguments: Callable[[Any], Any]
    """What it is called with in a run."""
    columns: Columns
    """What is read of the objects that it leads to."""
    complete: str
    """The name of the function that tells a value."""
    key: str


class Selected(NamedTuple):
    """A field where it is selected, in one or several places that are merged."""

    parent: GraphQLObjectType
    field: GraphQLField
    key: str
    """Its response key, as the source writes it."""
    details: FieldDetailsList

    @property
    def name(self) -> str:
        return self.details[0].node.name.value

    @property
    def nodes(self) -> list[FieldNode]:
        return [one.node for one in self.details]


class Teller(NamedTuple):
    """A function that tells objects, or leaves."""

    name: str
    is_simple: bool
    """Whether it takes the value alone: nothing below it waits, or needs to know of the run."""
    tracks: bool = False
    """Whether it must know its place in the answer."""

    def told(self, value: str, place: str) -> str:
        """The expression that tells a value."""
        if self.is_simple:
            return f"{self.name}({value})"
        return f"{self.name}({value}, run, below, {place if self.tracks else None})"


class Body:
    """The function of one object while it is written: entries of its dictionary, and what fills in those that wait."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.statements: list[str] = []
        self.is_simple = True
        self.tracks = False

    def entry(self, key: str, told: str) -> None:
        self.entries.append(f"        {key}: {told},")

    def needs(self, teller: Teller) -> None:
        self.is_simple = self.is_simple and teller.is_simple
        self.tracks = self.tracks or teller.tracks

    def lines(self) -> list[str]:
        if not self.statements:
            return ["    return {", *self.entries, "    }"]
        return ["    data = {", *self.entries, "    }", *self.statements, "    return data"]


def now_or_later(key: str, complete: Teller, place: str) -> list[str]:
    """The lines that complete a value which may have to be awaited."""
    return [
        "    if is_awaitable(value):",
        f"        below[0].append(Waiting(value, {complete.name}, data, {key}, {place}))",
        "    else:",
        f"        data[{key}] = {complete.name}(value, run, below, {place})",
    ]


def nullable(type_: GraphQLOutputType) -> tuple[Any, bool]:
    """A type without its mark that it is not null, and whether it had one."""
    return (type_.of_type, True) if isinstance(type_, GraphQLNonNull) else (type_, False)
