"""The two engines, SQLite and PostgreSQL. All that differs between them is in this package."""

from arcbilling.settings import Settings
from resolvers.database import Location
from resolvers.engines.sqlite import SqliteLocation


def location(settings: Settings) -> Location:
    """Where the database of the settings is."""
    if settings.is_sqlite:
        return SqliteLocation(settings.sqlite_path)
    from resolvers.engines.postgres import PostgresLocation  # noqa: PLC0415 - its driver is an extra

    return PostgresLocation(settings.database_url, settings.database_pool, settings.workers)
