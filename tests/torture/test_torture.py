"""The short form of `./run torture`: a few kills on each engine, and everything held together."""

import asyncpg
import pytest

from arcbilling.settings import without_password
from tests import databases
from tests.reliability.soundness import tell
from tests.torture.plan import Engine, Plan
from tests.torture.run import carry_out

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("engine", "processes"), [("sqlite", 1), ("postgres", 2)])
async def test_nothing_is_lost_when_servers_are_killed_amid_their_work(engine: Engine, processes: int) -> None:
    if engine == "postgres":
        try:
            await databases.reach(databases.POSTGRES_URL)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            databases.absent(f"PostgreSQL at {without_password(databases.POSTGRES_URL)}", error)
    report = await carry_out(Plan(engine, seed=4, kills=2, writers=6, processes=processes, rate=30.0, moody=1))
    tell(str(report))
    assert report.fine, str(report)
