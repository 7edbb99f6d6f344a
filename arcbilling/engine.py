"""The engine: what a process needs to run operations, whichever door they come through."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from graphql import GraphQLSchema

from arcbilling import clock
from arcbilling.hints import Hints
from arcbilling.limiter import SharedWindow
from arcbilling.sealing import Vault, read_or_create_secret
from arcbilling.settings import Settings
from provisioning import registry
from resolvers import installation, unit_of_work
from resolvers.database import Database
from resolvers.engines import location
from resolvers.feed import Feed
from resolvers.idempotency import IdempotencyRequest
from schema.actors import SYSTEM, Actor
from schema.api_keys import Keyring
from schema.context import Context
from schema.documents import Documents
from schema.events import ClientDeleted
from schema.execution import Answer, Result, error_of, execute
from schema.root import build
from schema.scalars import json

if TYPE_CHECKING:
    from arcbilling.redis_link import RedisLink

SECONDS_TO_FINISH = 10
SECRET_FILE = "secret.key"


class Engine:
    """The database, the schema and the server's secret, together; and Redis, where there is one."""

    def __init__(self, settings: Settings, database: Database, vault: Vault, link: "RedisLink | None" = None) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self.modules = registry.installed(settings.data_dir / "modules")
        self.schema: GraphQLSchema = build()
        self.keyring = Keyring(database, time.monotonic)
        self.link = link
        self.window = None if link is None else SharedWindow(link)
        self.hints = Hints(database.channel if link is None else link.channel("hints"))
        self.hints.on("keys", self.keyring.forget)
        self._keys_changed = partial(self.hints.tell, "keys")
        self._queued = partial(self.hints.tell, "events")
        self.wake: Callable[[], None] = lambda: None
        """Called when a command was committed: there may be events to number."""
        self.feed = Feed(database, erasing=ClientDeleted.name)
        self._documents = Documents(self.schema)

    def context(self, actor: Actor, request_id: str) -> Context:
        return Context(
            actor=actor,
            database=self.database,
            vault=self.vault,
            request_id=request_id,
            currency=self.settings.currency,
            modules=self.modules,
            feed=self.feed,
            webhook_networks=self.settings.webhook_allow_nets,
            keys_changed=self._keys_changed,
            queued=self._queued,
            committed=self.wake,
            compiled=self.settings.compiled,
        )

    async def check(self) -> None:
        """Raises where the database cannot be reached, or the secret is not the one that it was first used with."""
        await installation.check_secret(self.database, _fingerprint(self.vault))

    def fingerprint(self, *parts: bytes) -> str:
        return self.vault.fingerprint(*parts)

    def idempotency(self, actor: Actor, key: str, fingerprint: str) -> IdempotencyRequest:
        return IdempotencyRequest(actor.name, key, fingerprint, self.vault)

    async def run(self, text: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Runs a document as the system itself, and gives its data as callers are told it; raises the DomainError that
        it was refused with."""
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
        data: dict[str, Any] = orjson.loads(json(result.data))
        return data


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Engine]:
    """An engine on the database of the settings, which must have been migrated; it may be away, and come back.

    Whether the secret is its own is not asked here: `Engine.check` and `check` do.
    """
    clock.use_zone(settings.timezone)
    database = location(settings).database()
    vault = _vault(settings)
    link = _linked(settings, vault)
    engine = Engine(settings, database, vault, link)
    await database.connect()
    try:
        yield engine
    finally:
        await unit_of_work.finish_all(SECONDS_TO_FINISH)
        await engine.hints.finish()
        if link is not None:
            await link.close()
        await database.close()


async def check(settings: Settings) -> None:
    """Raises, with a sentence, what would keep a server from starting."""
    async with _at(settings) as database:
        await installation.check_secret(database, _fingerprint(_vault(settings)))


async def has_its_secret(settings: Settings) -> bool:
    """Whether the secret is the one that the database was first used with; makes neither by asking."""
    async with _at(settings) as database:
        known = await installation.known_fingerprint(database)
    path = settings.data_dir / SECRET_FILE
    secret = settings.secret_key or (path.read_text().strip() if path.exists() else None)
    return known is None or (secret is not None and known == _fingerprint(Vault(secret)))


@asynccontextmanager
async def _at(settings: Settings) -> AsyncIterator[Database]:
    database = location(settings).database()
    await database.connect()
    try:
        yield database
    finally:
        await database.close()


def _vault(settings: Settings) -> Vault:
    return Vault(settings.secret_key or read_or_create_secret(settings.data_dir / SECRET_FILE))


def _fingerprint(vault: Vault) -> str:
    return vault.fingerprint(b"installation")


def _linked(settings: Settings, vault: Vault) -> "RedisLink | None":
    """The link to Redis, if there is to be one: its namespace is the installation's, by the server's secret."""
    if not settings.redis_url:
        return None
    from arcbilling.redis_link import RedisLink  # noqa: PLC0415 - an extra, which is there where it is used

    return RedisLink(settings.redis_url, vault.fingerprint(b"redis")[:16])
