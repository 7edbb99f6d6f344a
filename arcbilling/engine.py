"""The engine: what a process needs to run operations, whichever door they come through."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from graphql import GraphQLSchema

from arcbilling import clock
from arcbilling.sealing import Vault, read_or_create_secret
from arcbilling.settings import Settings
from resolvers import unit_of_work
from resolvers.database import Database, SqliteDatabase
from resolvers.idempotency import IdempotencyRequest
from schema.actors import SYSTEM, Actor
from schema.api_keys import Keyring
from schema.context import Context
from schema.execution import Answer, Documents, Result, error_of, execute
from schema.root import build

SECONDS_TO_FINISH = 10


class Engine:
    """The database, the schema and the server's secret, together."""

    def __init__(self, settings: Settings, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self.schema: GraphQLSchema = build()
        self.keyring = Keyring(database, time.monotonic)
        self.wake: Callable[[], None] = lambda: None
        """Called when a command was committed: there may be events to number."""
        self._documents = Documents(self.schema)

    def context(self, actor: Actor, request_id: str) -> Context:
        return Context(
            actor=actor,
            database=self.database,
            vault=self.vault,
            request_id=request_id,
            currency=self.settings.currency,
            keys_changed=self.keyring.forget,
            committed=self.wake,
        )

    def fingerprint(self, *parts: bytes) -> str:
        return self.vault.fingerprint(*parts)

    def idempotency(self, actor: Actor, key: str, fingerprint: str) -> IdempotencyRequest:
        return IdempotencyRequest(actor.name, key, fingerprint, self.vault)

    async def run(self, text: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Runs a document as the system itself; raises the DomainError that it was refused with."""
        operation, _ = self._documents.operation(text, None, variables)
        results: list[Result] = []

        def render(result: Result) -> Answer:
            results.append(result)
            return Answer(200, b"")

        await execute(self.schema, operation, variables, self.context(SYSTEM, "command-line"), render)
        (result,) = results
        if result.failed:
            raise error_of(result.errors[0], "command-line")
        assert result.data is not None
        return result.data


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Engine]:
    """An engine on the database of the settings, which must have been migrated."""
    clock.use_zone(settings.timezone)
    secret = settings.secret_key or read_or_create_secret(settings.data_dir / "secret.key")
    database = SqliteDatabase(settings.sqlite_path)
    await database.connect()
    try:
        yield Engine(settings, database, Vault(secret))
    finally:
        await unit_of_work.finish_all(SECONDS_TO_FINISH)
        await database.close()
