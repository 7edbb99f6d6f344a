"""P1's engines and sessions: asyncpg on PostgreSQL; on SQLite aiosqlite, with one connection that writes."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bench.yardsticks.contract import setting


def _sqlite(path: str, begin: str, **pool: Any) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _engines() -> tuple[AsyncEngine, AsyncEngine]:
    """What reads, and what writes."""
    url = setting("DATABASE")
    if "://" in url:
        one = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://"),
            pool_size=10,
            max_overflow=0,
            connect_args={"server_settings": {"timezone": "UTC"}},
        )
        return one, one
    return _sqlite(url, "BEGIN"), _sqlite(url, "BEGIN IMMEDIATE", pool_size=1, max_overflow=0)


reader, writer = _engines()
reading: async_sessionmaker[AsyncSession] = async_sessionmaker(reader, expire_on_commit=False)
writing: async_sessionmaker[AsyncSession] = async_sessionmaker(writer, expire_on_commit=False)
