"""What an operation runs with: who calls, the database, the loaders of this operation."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from arcbilling.sealing import Vault
from resolvers.database import Database
from resolvers.tables import Session, WriteSession
from resolvers.unit_of_work import Unit
from schema.actors import Actor

K = TypeVar("K")
V = TypeVar("V")


@dataclass
class Context:
    """Made anew for each operation, so that nothing that one caller may see is kept for another."""

    actor: Actor
    database: Database
    vault: Vault
    request_id: str
    currency: str
    """The currency of clients that are created without one."""
    keys_changed: Callable[[], None] = lambda: None
    """To be called once a change of API keys is committed: whatever is known of them is old."""
    committed: Callable[[], None] = lambda: None
    """To be called after each commit: there may be events to number."""
    unit: Unit | None = None
    _loaders: dict[object, DataLoader[Any, Any]] = field(default_factory=dict)
    _reader: Session | None = None

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

    async def load(self, name: object, key: K, batch: Callable[[Session, list[K]], Awaitable[list[V]]]) -> V:
        """Reads one of many by one statement for all that are asked for together; `name` tells loaders apart."""
        loader = self._loaders.get(name)
        if loader is None:

            async def load_many(keys: list[K]) -> list[V]:
                return await batch(self.session, keys)

            loader = self._loaders[name] = DataLoader(load_fn=load_many)
        value: V = await loader.load(key)
        return value

    def after_commit(self, call: Callable[[], None]) -> None:
        """Calls it once the command that is running is committed."""
        assert self.unit is not None, "only a command commits"
        self.unit.after_commit(call)

    def forget(self) -> None:
        """Drops what loaders have read: a command has changed it."""
        self._loaders.clear()
