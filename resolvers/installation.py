"""Whether a process has the secret that the database was first used with."""

from arcbilling.settings import env_name
from models.installation import Installation, InstallationRow
from resolvers.database import Database
from resolvers.filters import EVERYTHING
from resolvers.tables import Session, Table, written

table = Table(Installation, InstallationRow, unaudited=True)


class WrongSecret(Exception):
    """The process has another secret than the one that sealed what is in the database."""

    def __init__(self) -> None:
        super().__init__(
            "The secret is not the one that this database was first used with. Set "
            f"{env_name('secret_key')} to that one, or put its secret.key into the data folder."
        )


async def check_secret(database: Database, fingerprint: str) -> None:
    """Remembers the fingerprint at the first start; raises WrongSecret when it is another later."""
    known = await known_fingerprint(database)
    if known is None:
        async with written(database) as session:
            sql = f"INSERT INTO {table.name} (id, secret_check) VALUES (1, ?) ON CONFLICT (id) DO NOTHING"
            await session.connection.fetch(sql, (fingerprint,))
        known = await known_fingerprint(database)
    if known != fingerprint:
        raise WrongSecret


async def known_fingerprint(database: Database) -> str | None:
    """The fingerprint of the secret that the database was first used with; None before that."""
    known = await table.first(Session(database, database.reader), EVERYTHING)
    return None if known is None else known.secret_check
