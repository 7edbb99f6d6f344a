"""Queries of API keys."""

from datetime import datetime

from models.api_keys import ApiKey, ApiKeyRow
from resolvers.database import Database
from resolvers.filters import equal
from resolvers.tables import Session, Table, WriteSession, written

table = Table(ApiKey, ApiKeyRow, personal=("digest", "last_used_ip"))

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def by_digest(session: Session, digest: str) -> ApiKeyRow | None:
    return await table.first(session, equal("digest", digest))


async def revoke_of_client(session: WriteSession, client_id: int, at: datetime) -> None:
    """Revokes the keys that are bound to a client, and forgets from where they were used."""
    for key in await table.all_locked(session, equal("client_id", client_id)):
        await table.save(session, key, key._replace(revoked_at=key.revoked_at or at, last_used_ip=None))


async def note_use(database: Database, key_id: int, at: datetime, ip: str | None) -> None:
    """Writes when and from where the key was last used, in a transaction of its own and without a new version."""
    async with written(database) as session:
        sql = "UPDATE api_keys SET last_used_at = ?, last_used_ip = ? WHERE id = ?"
        await session.connection.fetch(sql, (at, ip, key_id))
