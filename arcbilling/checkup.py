"""What `arcbilling doctor` looks at."""

import os
import sqlite3
import stat
import sys
from typing import NamedTuple

from arcbilling.settings import Settings
from resolvers import integrity, migrations

LEAST_SQLITE = (3, 35)


class Finding(NamedTuple):
    fine: bool
    what: str


def examine(settings: Settings) -> list[Finding]:
    """Looks at the installation without changing it."""
    return [
        Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}"),
        Finding(sqlite3.sqlite_version_info >= LEAST_SQLITE, f"SQLite {sqlite3.sqlite_version} (3.35 or newer)"),
        *_folder(settings),
        *_secret(settings),
        *_database(settings),
    ]


def _folder(settings: Settings) -> list[Finding]:
    folder = settings.data_dir
    if not folder.exists():
        return [Finding(True, f"data folder {folder} will be made at the first start")]
    return [Finding(os.access(folder, os.W_OK), f"data folder {folder} can be written")]


def _secret(settings: Settings) -> list[Finding]:
    path = settings.data_dir / "secret.key"
    if settings.secret_key or not path.exists():
        return [Finding(True, "the secret is set" if settings.secret_key else "the secret will be made when needed")]
    private = not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return [Finding(private, f"{path} is readable by its owner alone")]


def _database(settings: Settings) -> list[Finding]:
    path = settings.sqlite_path
    if not path.exists():
        return [Finding(True, f"database {path} will be made at the first start")]
    try:
        verdict = integrity.inspect(path)
        lacking = migrations.pending(path)
    except sqlite3.DatabaseError as error:
        return [Finding(False, f"{path} cannot be read: {error}")]
    return [
        Finding(verdict.integrity == "ok", f"integrity of {path}: {verdict.integrity}"),
        Finding(not verdict.dangling, f"{verdict.dangling} rows refer to rows that do not exist"),
        Finding(not lacking, f"{len(lacking)} migrations are pending"),
    ]
