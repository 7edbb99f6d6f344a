"""What an operation runs with: who calls, the database, the loaders of this operation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import orjson
from strawberry.dataloader import DataLoader

from arcbilling.sealing import Vault
from arcbilling.settings import Network
from provisioning.registry import Modules
from resolvers.database import Database
from resolvers.feed import Feed
from resolvers.idempotency import IdempotencyRequest
from resolvers.paging import PageRequest
from resolvers.reading import Columns
from resolvers.tables import MAX_ROWS, Session, Table, TooManyRows, WriteSession
from resolvers.unit_of_work import Unit
from schema.actors import Actor
from schema.errors import DomainError, refused

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R", bound=tuple[Any, ...])

MAX_ROWS_CHOSEN = 10_000
"""Fewer where callers choose what is told of each row, which may be dear."""
MAX_TEXT = 8 * 1024 * 1024
"""The most bytes of messages that one operation may hold, as they are answered."""


@dataclass
class Context:
    """Made anew for each operation, so that nothing that one caller may see is kept for another."""

    actor: Actor
    database: Database
    vault: Vault
    request_id: str
    currency: str
    """The currency of clients that are created without one."""
    modules: Modules
    """The modules that products and servers may name."""
    feed: Feed
    """Events as they come, for who listens."""
    webhook_networks: tuple[Network, ...] = ()
    """Private networks that webhooks may be sent to, over http too."""
    keys_changed: Callable[[], None] = lambda: None
    """To be called once a change of API keys is committed: whatever is known of them is old."""
    queued: Callable[[], None] = lambda: None
    """To be called once events were numbered, or deliveries queued, by a command that is committed."""
    committed: Callable[[], None] = lambda: None
    """To be called after each commit: there may be events to number."""
    compiled: bool = True
    """Whether operations are compiled, rather than executed by graphql-core."""
    most_rows: int | None = None
    """How many rows of lists without pages the operation may hold; `MAX_ROWS` if nobody says."""
    unit: Unit | None = None
    _loaders: dict[object, DataLoader[Any, Any]] = field(default_factory=dict)
    _waiting: dict["asyncio.Future[Any]", int] = field(default_factory=dict)
    _written: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    """Rows of lists that the command has just written, by their table and what they are below."""
    _reader: Session | None = None
    _rows: int = 0
    _text: int = 0

    @property
    def session(self) -> Session:
        """Reads within the transaction of a command that has begun, else from the last commit."""
        if self.unit is not None and self.unit.session is not None:
            return self.unit.session
        if self._reader is None:
            self._reader = Session(self.database, self.database.reader, self.actor.client_id)
        return self._reader

    @property
    def writing(self) -> WriteSession:
        """The session of the command that is running."""
        assert self.unit is not None, "only a command writes"
        assert self.unit.session is not None, "a command that writes has begun"
        return self.unit.session

    async def each(self, table: Table[R], ids: list[int], columns: Columns) -> list[R | None]:
        """The rows of the ids, in their order."""
        return await table.each(self.session, ids, columns)

    async def load(
        self,
        name: object,
        key: K,
        batch: Callable[[Session, list[K]], Awaitable[Sequence[V]]],
        *,
        cached: bool = True,
    ) -> V:
        """Reads one of many by one statement for all that are asked for together; `name` tells loaders apart."""
        loader = self._loaders.get(name)
        if loader is None:

            async def load_many(keys: list[K]) -> list[V]:
                return list(await batch(self.session, keys))

            loader = self._loaders[name] = DataLoader(load_fn=load_many, cache=cached)
        elif _is_left(loader):
            loader.batch = None
        future = cast("asyncio.Future[V]", loader.load(key))
        self._waiting[future] = self._waiting.get(future, 0) + 1
        try:
            return await asyncio.shield(future)
        finally:  # others may wait for the same: it is given up when the last of them goes
            self._waiting[future] -= 1
            if not self._waiting[future]:
                del self._waiting[future]
                future.cancel()

    def know(self, table: Table[R], parent_id: int, rows: list[R]) -> None:
        """Saves reading a list that the command has just written, and will not change again."""
        self._written[table.name, parent_id] = rows

    async def below(
        self,
        table: Table[R],
        parent: str,
        ids: list[int],
        columns: Columns,
        *,
        text: str | None = None,
        latest: int | None = None,
    ) -> list[list[R]]:
        """The rows of lists without pages, below each object; refused when the operation holds too much of them.

        No page size bounds such lists, so the operation's cost does not tell how long they are. `text` names a column
        of long texts, which are counted too. `latest` tells how many of them are shown, where the others are not.
        """
        most = self.most_rows or MAX_ROWS
        what = table.name.replace("_", " ")
        if text is not None and len(ids) > 1:
            _, characters = await table.extent(self.session, parent, ids, text, latest)
            _hold(_OF_TEXT, self._text + characters, MAX_TEXT)  # each character takes at least one
        if columns is not None and text is not None:
            columns = (*columns, text)
        if self._written and all((table.name, id) in self._written for id in ids):
            found = [self._written[table.name, id] for id in ids]
        elif latest is not None:
            pages = await table.pages(self.session, parent, ids, PageRequest(latest, backwards=True), columns=columns)
            found = [pages[id].rows for id in ids]
        else:
            try:
                found = await table.grouped(self.session, parent, ids, most - self._rows, columns)
            except TooManyRows:
                raise _too_much(what, most) from None
        self._rows += sum(map(len, found))
        if text is not None:
            self._text += sum(size_of(getattr(row, text) or "") for rows in found for row in rows)
        _hold(what, self._rows, most)  # what was read once may be shown again, and again
        _hold(_OF_TEXT, self._text, MAX_TEXT)
        return found

    def hold(self, text: int) -> None:
        """Counts bytes of texts that are answered; refused when the operation holds too much of them."""
        self._text += text
        _hold(_OF_TEXT, self._text, MAX_TEXT)

    def new_unit(self, asked: IdempotencyRequest | None = None) -> Unit:
        """A unit of work for whoever is calling."""
        unit = Unit(self.database, self.actor, self.request_id, asked)
        unit.after_commit(self.committed)
        return unit

    def within(self, unit: Unit) -> "Context":
        """The context of what is done in a unit of work: it reads what the unit has written."""
        return replace(self, unit=unit, _loaders={}, _written={})

    def after_commit(self, call: Callable[[], None]) -> None:
        """Calls it once the command that is running is committed."""
        assert self.unit is not None, "only a command commits"
        self.unit.after_commit(call)

    def recount(self) -> None:
        """Counts anew: the operation is executed again, from below its root fields."""
        self._rows = self._text = 0

    def forget(self) -> None:
        """Drops what loaders have read: a command has changed it."""
        self._loaders.clear()


def _is_left(loader: DataLoader[Any, Any]) -> bool:
    """Whether everybody has left the loader's batch before it began: it never will, and must take in nobody more."""
    batch = loader.batch
    if batch is None or batch.dispatched or not (batch.tasks and batch.tasks[-1].future.cancelled()):
        return False  # as nearly always
    return all(task.future.cancelled() for task in batch.tasks)


def size_of(value: Any) -> int:
    """The bytes that a value takes in an answer, where one character of a text may take six."""
    return len(orjson.dumps(value))


_OF_TEXT = "bytes of text"


def _hold(what: str, number: int, most: int) -> None:
    if number > most:
        raise _too_much(what, most)


def _too_much(what: str, most: int) -> DomainError:
    return refused(f"This asks for more than {most:,} {what}. Ask for fewer at once.")
