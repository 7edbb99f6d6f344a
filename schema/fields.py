"""How the schema's fields are declared.

`@query`, `@command` and `@subscription` are the only ways to declare a root field: the scope it requires, the checks
of its arguments, the transaction, the audit entry and the events come with them. `identifier` and `money_field` declare
plain fields that are written in another form than they are stored in; every other plain field is the row's column of
its name.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import strawberry
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from resolvers.reading import Columns
from resolvers.tables import Session
from schema.actors import Policy, Scope
from schema.checks import Check, Reference, Shape, clean, shape_of_arguments
from schema.context import Context
from schema.ids import Kind

P = ParamSpec("P")
R = TypeVar("R")
Resolver = Callable[Concatenate[Context, P], Awaitable[R]]


@dataclass(frozen=True)
class Root:
    """A root field as it was declared."""

    name: str
    field: StrawberryField
    requires: Policy | None
    arguments: Shape
    emits: tuple[type, ...] = ()


@dataclass(frozen=True)
class Direct:
    """How a field is resolved without GraphQL's own words: from its row, the context and its cleaned arguments."""

    shape: Shape
    resolve: Callable[..., Any]
    waits: bool = True
    looks_ahead: bool = False
    """Whether it is told as well which columns are read of the rows that it leads to."""


@dataclass(frozen=True)
class Leading:
    """How a relation is resolved for many rows at once: from the values of a column in them, the context, its cleaned
    arguments, and which columns are read of the rows that it leads to."""

    shape: Shape
    resolve: Callable[[list[Any], Context, Any, Columns], Awaitable[Sequence[Any]]]
    by: str | None


QUERIES: dict[str, Root] = {}
COMMANDS: dict[str, Root] = {}
SUBSCRIPTIONS: dict[str, Root] = {}


def query(
    result: Any, *, requires: Scope | Policy | None, looking_ahead: Callable[..., Awaitable[Any]] | None = None
) -> Callable[[Resolver[P, R]], Resolver[P, R]]:
    """Declares a root field that reads. `requires=None` leaves the decision to the resolver (`node`).

    `looking_ahead` does the same as what is decorated, and takes as well which columns are read of its rows.
    """

    def declare(function: Resolver[P, R]) -> Any:
        shape = shape_of_arguments(function)
        untyped: Callable[..., Awaitable[R]] = function

        async def resolve(info: Info, **arguments: Any) -> Any:
            return await untyped(info.context, **clean(shape, arguments))

        def read(_: None, context: Context, cleaned: dict[str, Any]) -> Awaitable[R]:
            return untyped(context, **cleaned)

        def look(_: None, context: Context, cleaned: dict[str, Any], columns: Columns) -> Awaitable[Any]:
            assert looking_ahead is not None
            return looking_ahead(context, columns, **cleaned)

        direct = Direct(shape, read) if looking_ahead is None else Direct(shape, look, looks_ahead=True)
        policy = None if requires is None else Policy.of(requires)
        _register(QUERIES, function, resolve, direct, result, policy, shape, ())
        return function

    return declare


def command(
    result: Any,
    *,
    requires: Scope,
    emits: tuple[type, ...] = (),
    open_to_clients: bool = False,
    prepare: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
) -> Callable[[Resolver[P, R]], Resolver[P, R]]:
    """Declares a root field that writes: one transaction with its audit entry and its events.

    `open_to_clients` lets keys that are bound to a client in. `prepare` does what takes long and needs no transaction,
    such as hashing a password, before that begins.
    """

    def declare(function: Resolver[P, R]) -> Any:
        shape = shape_of_arguments(function)
        untyped: Callable[..., Awaitable[R]] = function
        name = _camel(function.__name__)

        async def resolve(info: Info, **arguments: Any) -> Any:
            return await write(None, info.context, clean(shape, arguments))

        async def write(_: None, context: Context, cleaned: dict[str, Any]) -> R:
            if prepare is not None:
                await prepare(cleaned)
            assert context.unit is not None, "a command runs in a unit of work: enter through schema.execution"
            await context.unit.begin(name)
            context.forget()
            done = await untyped(context, **cleaned)
            context.forget()
            return done

        policy = Policy(requires, open_to_clients)
        _register(COMMANDS, function, resolve, Direct(shape, write), result, policy, shape, emits)
        return function

    return declare


def subscription(
    result: Any, *, requires: Scope
) -> Callable[[Resolver[P, AsyncIterator[R]]], Resolver[P, AsyncIterator[R]]]:
    """Declares a root field that goes on: a stream of rows, each of which is answered by itself."""

    def declare(function: Resolver[P, AsyncIterator[R]]) -> Any:
        shape = shape_of_arguments(function)
        untyped: Callable[..., Awaitable[AsyncIterator[R]]] = function

        async def subscribe(info: Info, **arguments: Any) -> Any:
            context: Context = info.context
            return await untyped(context, **clean(shape, arguments))

        policy = Policy.of(requires)
        told = Direct(shape, lambda row, _context, _cleaned: row, waits=False)
        _register(SUBSCRIPTIONS, function, subscribe, told, result, policy, shape, (), strawberry.subscription)
        return function

    return declare


def relation(
    result: Any, *, requires: Scope | Policy, by: str | None = "id"
) -> Callable[[Callable[..., Awaitable[Sequence[Any]]]], Any]:
    """Declares a field that leads to other objects; it requires the scope of what it leads to.

    What is decorated is asked for many rows at once: with the values of their column `by`, or the rows themselves; the
    context; and which columns are read of the rows that it leads to, None for all. It gives a value or an error for
    each, in their order. A row without a value in that column leads to null.
    """

    def declare(function: Callable[..., Awaitable[Sequence[Any]]]) -> Any:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        parameters = list(signature.parameters.values())
        shape = shape_of_arguments(_view(function, parameters[2:]))

        async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
            leading = root if by is None else getattr(root, by)
            if leading is None:
                return None
            context: Context = info.context
            cleaned = clean(shape, arguments)

            async def together(_: Session, values: list[Any]) -> Sequence[Any]:
                return await lead(values, context, cleaned, None)

            place = tuple(step for step in info.path.as_list() if isinstance(step, str))
            return await context.load(place, leading, together, cached=False)

        def lead(
            values: list[Any], context: Context, cleaned: dict[str, Any], columns: Columns
        ) -> Awaitable[Sequence[Any]]:
            return function(values, context, columns, **cleaned)

        _sign(resolve, function, parameters[3:], hints, with_root=True)
        return strawberry.field(
            resolver=resolve,
            graphql_type=result,
            description=_description(function, Policy.of(requires), ()),
            metadata={"requires": Policy.of(requires), "direct": Leading(shape, lead, by)},
        )

    return declare


def derived(result: Any, *, counted: bool = False) -> Callable[[Callable[[Any], Any]], Any]:
    """Declares a field that is computed from the row alone, without reading anything.

    What is `counted` may be long: an operation may only be told so much of it.
    """

    def declare(function: Callable[[Any], Any]) -> Any:
        return strawberry.field(
            graphql_type=result,
            description=inspect.getdoc(function),
            metadata={"compute": function, "extra": True, "counted": counted},
        )

    return declare


def identifier(kind: Kind, description: str, *, extra: bool = False) -> Any:
    """A typed id. `extra` fields are GraphQL's alone."""
    return strawberry.field(description=description, metadata={"kind": kind, "extra": extra})


def money_field(description: str) -> Any:
    """An amount of the row's currency."""
    return strawberry.field(description=description, metadata={"amount": True})


def plain(description: str, *, of: str | None = None, extra: bool = False, requires: Policy | None = None) -> Any:
    """A column as it is. `extra` fields are GraphQL's alone: REST and events do not show them."""
    return strawberry.field(description=description, metadata={"column": of, "extra": extra, "requires": requires})


def id_argument(kind: Kind, description: str = "The id: typed, or the bare integer.") -> tuple[Any, Check]:
    """For `Annotated[int, *id_argument(kind)]`: an ID argument that is checked and read to its integer."""
    return strawberry.argument(graphql_type=strawberry.ID, description=description), Reference(kind)


def id_member(description: str, *, optional: bool = False) -> Any:
    """An input member that is an id; its kind stands in its annotation."""
    if optional:
        return strawberry.field(graphql_type=strawberry.ID | None, description=description, default=strawberry.UNSET)
    return strawberry.field(graphql_type=strawberry.ID, description=description)


def member(description: str, *, optional: bool = False) -> Any:
    """An input member."""
    if optional:
        return strawberry.field(description=description, default=strawberry.UNSET)
    return strawberry.field(description=description)


def given(value: Any) -> bool:
    """Whether a caller sent the optional member."""
    return value is not strawberry.UNSET


def wanted(value: Any) -> Any:
    """What a filter asks for; None where it leaves free. Zero is asked for: no object has that id."""
    return value if given(value) else None


def members_given(value: Any, *names: str) -> dict[str, Any]:
    """The members of an input that the caller sent, among those named."""
    return {name: getattr(value, name) for name in names if given(getattr(value, name))}


def _register(
    registry: dict[str, Root],
    function: Callable[..., Any],
    resolve: Any,
    direct: Direct,
    result: Any,
    requires: Policy | None,
    shape: Shape,
    emits: tuple[type, ...],
    field: Callable[..., Any] = strawberry.field,
) -> None:
    hints = get_type_hints(function, include_extras=True)
    _sign(resolve, function, list(inspect.signature(function).parameters.values())[1:], hints)
    name = _camel(function.__name__)
    declared = field(
        resolver=resolve,
        graphql_type=result,
        name=name,
        description=_description(function, requires, emits),
        metadata={"requires": requires, "direct": direct},
    )
    assert name not in registry, f"{name} is declared twice"
    registry[name] = Root(name, declared, requires, shape, emits)


def _sign(
    resolve: Any,
    function: Callable[..., Any],
    parameters: list[inspect.Parameter],
    hints: Mapping[str, Any],
    *,
    with_root: bool = False,
) -> None:
    """Gives the wrapper the signature that Strawberry is to see: Strawberry's `info` instead of our context."""
    first = [inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD)] if with_root else []
    first.append(inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info))
    rest = [
        p.replace(
            annotation=_described(p.name, hints[p.name]),
            kind=inspect.Parameter.KEYWORD_ONLY,
            default=strawberry.UNSET if p.default is None else p.default,  # no default, rather than a default of null
        )
        for p in parameters
    ]
    resolve.__signature__ = inspect.Signature([*first, *rest])
    resolve.__annotations__ = {p.name: p.annotation for p in [*first, *rest] if p.annotation is not p.empty}
    resolve.__name__ = function.__name__
    resolve.__module__ = function.__module__


_MEANINGS = {
    "input": "The members, checked together: an error names each one that is wrong.",
    "filter": "Only those that fit all of this; default all.",
    "sort": "The order; default the oldest first.",
}
"""What arguments of these names mean wherever they stand."""


def _described(name: str, hint: Any) -> Any:
    return Annotated[hint, strawberry.argument(description=_MEANINGS[name])] if name in _MEANINGS else hint


def _view(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """The function as one with these parameters alone."""

    @wraps(function)
    def view() -> None: ...

    view.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return view


def _description(function: Callable[..., Any], requires: Policy | None, emits: tuple[type, ...]) -> str:
    parts = [inspect.getdoc(function) or ""]
    assert parts[0], f"{function.__qualname__} has no docstring: it is the public documentation"
    if requires is not None:
        parts.append(f"Requires: `{requires}`.")
    if emits:
        parts.append(f"Emits: {', '.join(f'`{event.name}`' for event in emits)}.")  # type: ignore[attr-defined]
    return "\n\n".join(parts)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
