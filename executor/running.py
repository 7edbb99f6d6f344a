"""One run of a compiled operation: what its generated functions need, what they wait for, and what must not be lost."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import graphql
from graphql import DocumentNode, GraphQLResolveInfo, GraphQLSchema, Undefined
from graphql.pyutils import Path, is_awaitable

from executor.leaves import Unexpected

if TYPE_CHECKING:
    from executor.pieces import Gathering, Selected


class Waiting(NamedTuple):
    """A value that is not there yet: once it is, it is completed and put into its place."""

    value: Awaitable[Any]
    complete: Callable[[Any, "Run", "Below", Path | None], Any]
    data: dict[str, Any]
    key: str
    place: Path | None


Gathered = tuple[Any, dict[str, Any], Path | None]
"""An object that a field leads on from: the attribute that says where to, and where what it leads to is to be put."""


class Below(defaultdict[int, list[Any]]):
    """What is waited for: by 0 each `Waiting`, by the number of a `Gathering` each `Gathered` of it."""

    def __init__(self) -> None:
        super().__init__(list)

    def drop(self) -> None:
        """Gives up what was to be waited for."""
        drop(waiting.value for waiting in self[0])


class Raised(NamedTuple):
    """What a root resolver raised, instead of giving something."""

    error: Exception


class Once:
    """An awaitable that may be awaited again once it has ended, as the one before it did."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable
        self._ended: list[Any] = []

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._ended:
            try:
                self._ended.append((yield from self._awaitable.__await__()))
            except Exception as error:
                self._ended.append(Raised(error))
                raise
        (value,) = self._ended
        if isinstance(value, Raised):
            raise value.error
        return value

    def close(self) -> None:
        abandon(self._awaitable)


class Run:
    """What one execution knows. The generated functions read `root`, `context` and `arguments`."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        name: str | None,
        root: Any,
        context: Any,
        variables: Mapping[str, Any],
    ) -> None:
        self.schema = schema
        self.document = document
        self.name = name
        self.root = root
        self.context = context
        self.variables = variables
        self.arguments: Mapping[int, Any] = {}
        """What each field is called with that takes arguments."""
        self.gatherings: Sequence[Gathering] = ()
        """Fields that lead on from many objects, by their numbers."""
        self.namespace: Mapping[str, Any] = {}
        """Where the functions are by their names."""
        self.is_alone = True
        """Whether the operation has one root field, which then needs no task."""
        self.roots: dict[str, Any] = {}
        """What each root resolver gave, by its response key: a value, an awaitable, or Raised."""
        self.is_stopped = False
        self._tasks: list[tuple[asyncio.Future[Any], Awaitable[Any] | None]] = []
        self._shields: set[asyncio.Future[Any]] = set()
        """What is waited for of root resolvers that have a task of their own, which goes on when nobody waits."""
        self._executor: graphql.Executor[Any] | None = None

    def obtain(self, key: str, function: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
        """Calls a root resolver, and keeps what it gave: it will not be called again."""
        try:
            value = function(*values, **arguments)
        except Exception as error:
            self.roots[key] = Raised(error)
            raise
        if is_awaitable(value):
            value = Once(value) if self.is_alone else asyncio.ensure_future(value)
        self.roots[key] = value
        if not isinstance(value, asyncio.Future):
            return value
        self._shields.add(shield := asyncio.shield(value))
        return shield

    def info(self, site: "Selected", place: Path) -> GraphQLResolveInfo[Any]:
        """What resolvers are told that promise nothing: the same that graphql-core tells them."""
        if self._executor is None:
            executor = graphql.Executor.build(
                self.schema,
                self.document,
                self.root,
                self.context,
                dict(self.variables),
                self.name,
            )
            assert isinstance(executor, graphql.Executor)
            self._executor = executor
        return self._executor.build_resolve_info(site.field, site.nodes, site.parent, place)

    async def settle(self, below: Below) -> None:
        """Waits for all of them together, and for what comes up below them."""
        while len(below) == 1 and 0 in below and len(below[0]) == 1:
            value, complete, data, key, place = below[0][0]
            value = await value
            if self.is_stopped:
                return
            below = self._completed([(value, data, place)], complete, key)
        fillings: list[tuple[Coroutine[Any, Any, None], Awaitable[Any] | None]] = []
        for number, entries in below.items():
            if number:
                fillings.append((self._fill_all(self.gatherings[number - 1], entries), None))
            else:
                fillings += [(self._fill(waiting), waiting.value) for waiting in entries]
        if len(fillings) == 1:
            await fillings[0][0]
        elif fillings:
            tasks: list[asyncio.Future[Any]] = []
            for filling, value in fillings:
                tasks.append(task := asyncio.ensure_future(filling))
                self._tasks.append((task, value))
            await asyncio.gather(*tasks)

    async def _fill(self, waiting: Waiting) -> None:
        value, complete, data, key, place = waiting
        value = await value
        if not self.is_stopped:
            await self.settle(self._completed([(value, data, place)], complete, key))

    async def _fill_all(self, gathering: "Gathering", entries: list[Gathered]) -> None:
        """Asks for what all of them lead to at once; what has nothing to lead by leads to null."""
        leading = [attribute for attribute, _, _ in entries if attribute is not None]
        found: Iterable[Any] = ()
        if leading:
            found = await gathering.function(leading, self.context, gathering.arguments(self), gathering.columns)
        each = map(settled, found)
        filled = [(None if attribute is None else next(each), data, place) for attribute, data, place in entries]
        if not self.is_stopped:
            await self.settle(self._completed(filled, self.namespace[gathering.complete], gathering.key))

    def _completed(
        self, values: list[tuple[Any, dict[str, Any], Path | None]], complete: Callable[..., Any], key: str
    ) -> Below:
        """Puts values into their places; gives what is waited for below them."""
        below = Below()
        try:
            for value, data, place in values:
                data[key] = complete(value, self, below, place)
        except Exception:
            below.drop()
            raise
        return below

    async def stop(self) -> None:
        """Lets what is under way below the root fields come to its end, so that nothing goes on beside the replay.

        It is not cancelled: it may share what it waits for, and the replay may ask for the same. Root fields go on, for
        the replay waits for them itself.
        """
        self.is_stopped = True
        for task, value in self._tasks:
            if isinstance(value, asyncio.Future) and value in self._shields and not value.done():
                task.cancel()
        if self._tasks:
            await asyncio.gather(*(task for task, _ in self._tasks), return_exceptions=True)

    async def end(self) -> None:
        """Ends everything that is under way."""
        tasks = [task for task, _ in self._tasks]
        tasks += [value for value in self.roots.values() if isinstance(value, asyncio.Future)]
        if tasks:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            drop(value for _, value in self._tasks if value is not None)
        for value in self.roots.values():
            if isinstance(value, Once):
                value.close()


def drop(values: Iterable[Awaitable[Any]]) -> None:
    """Gives up what was to be waited for."""
    for value in values:
        abandon(value)


def abandon(value: Awaitable[Any]) -> None:
    """Lets nobody be told that it was never awaited; it may be shared, so it is not cancelled."""
    if iscoroutine(value):
        value.close()
    elif isinstance(value, asyncio.Future):
        value.add_done_callback(lambda done: done.cancelled() or done.exception())


# What generated functions ask of values that are not promised to be as they should


def settled(value: Any) -> Any:
    """A value that a resolver gave, where it may also be an exception, or Undefined."""
    if isinstance(value, Exception):
        raise value
    return None if value is Undefined else value


def settled_item(value: Any) -> Any:
    """The same of one in a list. Those that are awaitable are left to graphql-core."""
    if is_awaitable(value):
        raise Unexpected("an awaitable in a list")
    return settled(value)


def field_place(place: Path) -> Path:
    """The place of the field that a value stands in, in whatever lists."""
    while isinstance(place.key, int):
        assert place.prev is not None, "a list stands in a field"
        place = place.prev
    return place


def as_list(value: Any) -> Any:
    """A list as it is. Whatever else is iterable is left to graphql-core, and not begun here."""
    if isinstance(value, list | tuple):
        return value
    raise Unexpected("no list")
