"""Tortoise's SQLite client for migrations, whose scripts stay within the transaction that they are run in."""

import sqlite3
from typing import Any

from tortoise.backends.sqlite.client import SqliteClient


class Client(SqliteClient):
    async def create_connection(self, with_db: bool) -> None:
        await super().create_connection(with_db)
        connection: Any = self._connection

        async def execute_script(script: str) -> None:
            for statement in statements(script):
                await connection.execute_fetchall(statement)

        connection.executescript = execute_script  # SQLite's own begins by committing what went before it


def statements(script: str) -> list[str]:
    """The statements of a script, one by one."""
    found = [""]
    for piece in script.split(";"):
        found[-1] += piece
        if sqlite3.complete_statement(f"{found[-1]};"):
            found.append("")
        else:
            found[-1] += ";"
    return [statement.strip() for statement in found if statement.strip(" \n;")]


client_class = Client
