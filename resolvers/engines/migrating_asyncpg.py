"""Tortoise's PostgreSQL client for migrations, connected by a URL that the driver reads itself, with all it may say."""

from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient

_OF_THE_URL = ("host", "port", "user", "password", "database")


class Client(AsyncpgDBClient):
    async def create_pool(self, **given: Any) -> Any:
        url = given.pop("url")
        return await asyncpg.create_pool(url, **{name: given[name] for name in given.keys() - set(_OF_THE_URL)})


client_class = Client
