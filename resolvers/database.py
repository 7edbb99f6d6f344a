"""What a database is to everything else: how it is read and written, and what can go wrong.

The two engines are in `resolvers.engines`; nothing else knows which one it speaks to.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Rows = Sequence[Sequence[Any]]


class DatabaseUnavailable(Exception):
    """The database cannot be used at the moment; the same request may succeed later."""


class ConnectionLost(DatabaseUnavailable):
    """The connection broke. What was not committed did not happen."""


class Conflict(DatabaseUnavailable):
    """The engine ended this transaction in favour of another: a deadlock. The same work can be done again at once."""


class LockTimeout(DatabaseUnavailable):
    """Another transaction held a row for too long."""


class MigrationLocked(DatabaseUnavailable):
    """Another process has been migrating the database for too long."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Another process is migrating {name}, and was not done after a minute. Please try again.")


SECONDS_TO_MIGRATE = 60.0
"""How long a process waits for another that migrates."""


class UniqueViolation(Exception):
    """A row with the same unique value exists; the text names the columns or the constraint."""


class Connection(Protocol):
    """What runs statements: SQL with `?` for each value."""

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows: ...


class Transaction(Connection, Protocol):
    """A write transaction. It ends once, by `commit` or `rollback`."""

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class Channel(Protocol):
    """How processes tell each other something at once. Nothing depends on it: a message may be lost."""

    async def publish(self, message: str) -> None:
        """Tells whoever listens; never fails."""
        ...

    def heard(self) -> AsyncIterator[str | None]:
        """What is told, without end; None when listening begins anew, so that some may be missed."""
        ...


class Database(Protocol):
    """An open database: how to read, how to write, and what becomes of what it stores."""

    reader: Connection
    """Reads from the last commit. Runs each statement by itself."""
    on_statement: Callable[[str], None] | None
    """Called with each statement before it runs: for tests and for counting."""
    inserts_together: bool
    """Whether one statement may insert rows of several tables."""
    shared: bool
    """Whether several processes may serve it at once."""
    channel: Channel | None
    """How the processes that use it tell each other something; None where the engine has no means."""

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Raises when the database does not answer, or cannot be written."""
        ...

    async def begin(self) -> Transaction: ...

    async def lead(self) -> bool:
        """Whether this process leads: at any time one of all that use the database does."""
        ...

    def decoder(self, column_type: Any) -> Callable[[Any], Any] | None:
        """How a stored value becomes a value of the type; None where it is one already."""
        ...

    def teller(self, column_type: Any) -> Callable[[Any], Any] | None:
        """How a stored value becomes what an answer tells; None where it is that already."""
        ...

    @property
    def lock_clause(self) -> str:
        """What ends a SELECT that locks its rows until the transaction ends."""
        ...


class Finding(NamedTuple):
    """One thing that was looked at, and whether it is as it should be."""

    fine: bool
    what: str


class Location(Protocol):
    """Where a database is, before it is opened: what migrations, checks and start-up need of an engine."""

    @property
    def name(self) -> str:
        """For people; without a password."""
        ...

    def database(self) -> Database: ...

    def tortoise(self) -> dict[str, Any]:
        """The connection by which Tortoise migrates it."""
        ...

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Keeps other processes from migrating it at the same time."""
        ...

    async def applied(self) -> set[str]:
        """Names of the migrations that it has."""
        ...

    async def back_up(self) -> Path | None:
        """Copies it before it is migrated, where the engine can; tells where the copy is."""
        ...

    async def dangling(self) -> list[str]:
        """Tables with rows that refer to rows that do not exist."""
        ...

    async def examine(self) -> list[Finding]:
        """What `doctor` looks at; changes nothing."""
        ...
