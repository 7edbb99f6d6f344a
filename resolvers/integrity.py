"""Whether a database answers, and whether its file is whole."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from resolvers.database import Database


class Verdict(NamedTuple):
    """What SQLite says of a file: "ok" or what is damaged, and how many rows refer to rows that do not exist."""

    integrity: str
    dangling: int


async def ping(database: Database) -> None:
    """Raises when the database does not answer."""
    await database.reader.fetch("SELECT 1")


def inspect(path: Path) -> Verdict:
    """Reads the whole file, and changes nothing; raises sqlite3.DatabaseError when it is no database."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        return Verdict(integrity, len(connection.execute("PRAGMA foreign_key_check").fetchall()))
