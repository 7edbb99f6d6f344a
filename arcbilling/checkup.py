"""What `arcbilling doctor` looks at."""

import os
import stat
import sys

from arcbilling.engine import SECRET_FILE, has_its_secret
from arcbilling.settings import Settings
from resolvers import migrations
from resolvers.database import Finding
from resolvers.engines import location


async def examine(settings: Settings) -> list[Finding]:
    """Looks at the installation without changing it."""
    return [
        Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}"),
        *_folder(settings),
        *_secret(settings),
        *await _database(settings),
    ]


def _folder(settings: Settings) -> list[Finding]:
    folder = settings.data_dir
    if not folder.exists():
        return [Finding(True, f"data folder {folder} will be made at the first start")]
    return [Finding(os.access(folder, os.W_OK), f"data folder {folder} can be written")]


def _secret(settings: Settings) -> list[Finding]:
    path = settings.data_dir / SECRET_FILE
    if settings.secret_key or not path.exists():
        return [Finding(True, "the secret is set" if settings.secret_key else "the secret will be made when needed")]
    private = not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return [Finding(private, f"{path} is readable by its owner alone")]


async def _database(settings: Settings) -> list[Finding]:
    place = location(settings)
    findings = await place.examine()
    if not all(finding.fine for finding in findings) or (settings.is_sqlite and not settings.sqlite_path.exists()):
        return findings
    lacking = await migrations.pending(place)
    findings.append(Finding(not lacking, f"{len(lacking)} migrations are pending"))
    if not lacking:
        fits = await has_its_secret(settings)
        findings.append(
            Finding(fits, f"the secret is {'' if fits else 'not '}the one that the database was first used with")
        )
    return findings
