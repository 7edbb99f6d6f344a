"""What PostgreSQL's driver raises, in the words of `resolvers.database`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg

from resolvers.database import Conflict, ConnectionLost, DatabaseUnavailable, LockTimeout, UniqueViolation


@contextmanager
def translated(connection: Any) -> Iterator[None]:
    """Says what the driver raises in the words of `resolvers.database`."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise UniqueViolation(str(error.constraint_name)) from error
    except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.InvalidCachedStatementError) as error:
        # The last: a migration has changed a column since the statement was prepared.
        raise Conflict(f"PostgreSQL says: {error}.") from error
    except asyncpg.LockNotAvailableError as error:
        raise LockTimeout(f"PostgreSQL says: {error}.") from error
    except TimeoutError as error:
        abandon(connection)
        raise DatabaseUnavailable("PostgreSQL did not answer in time.") from error
    except (asyncpg.PostgresConnectionError, OSError) as error:
        raise ConnectionLost(f"The connection to PostgreSQL broke: {error or type(error).__name__}.") from error
    except (
        asyncpg.InsufficientResourcesError,
        asyncpg.OperatorInterventionError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.IdleInTransactionSessionTimeoutError,
    ) as error:
        if is_gone(connection) or isinstance(error, asyncpg.AdminShutdownError | asyncpg.CrashShutdownError):
            raise ConnectionLost(f"PostgreSQL says: {error}.") from error
        raise DatabaseUnavailable(f"PostgreSQL says: {error}.") from error
    except asyncpg.InternalClientError as error:
        # A connection that is cut at a bad moment leaves the driver confused; it is not to be used again.
        abandon(connection)
        raise ConnectionLost(f"The connection to PostgreSQL broke: {error}.") from error
    except asyncpg.InterfaceError as error:
        if not is_gone(connection):
            raise
        raise ConnectionLost(f"The connection to PostgreSQL broke: {error}.") from error


@asynccontextmanager
async def translating(connection: Any) -> AsyncIterator[None]:
    with translated(connection):
        yield


def is_gone(connection: Any) -> bool:
    """Whether the connection is closed; the pool has taken back what was cut."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


def abandon(connection: Any) -> None:
    """Ends the connection without a word: the server rolls back what it had begun."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """Says that the server cannot be reached, and why."""
    try:
        yield
    except TimeoutError as error:
        raise DatabaseUnavailable(f"{name} did not give a connection in time.") from error
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        # What it says may quote a part of the address, and so of the password.
        raise DatabaseUnavailable(f"{name} cannot be reached: its address cannot be used.") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise DatabaseUnavailable(f"{name} cannot be reached: {error or type(error).__name__}.") from error
