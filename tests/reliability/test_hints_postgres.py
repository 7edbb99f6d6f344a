"""Hints without Redis: PostgreSQL carries them, and whoever cannot hear looks by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from arcbilling.hints import Hints
from resolvers.database import Database
from tests.conftest import open_house
from tests.databases import EmptyDatabase, at, on_postgres, on_sqlite
from tests.reliability.served import Installation, two_servers
from tests.reliability.soundness import tell
from tests.reliability.test_hints import Process, refused

pytestmark = pytest.mark.anyio

END_LISTENERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'arcbilling listener'
"""


@asynccontextmanager
async def a_process(place: Installation) -> AsyncIterator[tuple[Process, Database]]:
    async with at(place.location) as database:
        process = Process(Hints(database.channel))
        async with process.hints.listening():
            await process.until("events", "keys")  # whoever begins to listen may have missed some
            process.heard.clear()
            yield process, database
            await process.hints.finish()


@on_postgres
async def test_a_hint_is_heard_once_in_every_process_of_a_database(place: Installation) -> None:
    async with a_process(place) as (one, _), a_process(place) as (other, _):
        began = time.monotonic()
        one.hints.tell("events")
        assert one.heard == ["events"], "at once where it is told"
        await other.until("events")
        heard = time.monotonic() - began
        other.hints.tell("keys")
        await one.until("events", "keys")
        await asyncio.sleep(0.1)
        assert (one.heard, other.heard) == (["events", "keys"], ["events", "keys"])
    tell(f"a hint was heard in another process by PostgreSQL after {heard * 1000:.1f} ms")


@on_postgres
async def test_listening_heals_and_what_was_missed_is_made_up_for(place: Installation) -> None:
    async with a_process(place) as (one, database), a_process(place) as (other, _):
        assert len(await database.reader.fetch(END_LISTENERS)) == 2
        one.hints.tell("keys")
        await one.until("keys", "events", "keys")
        await other.until("events", "keys")
        other.hints.tell("events")
        await one.until("keys", "events", "keys", "events")


@on_postgres
async def test_a_hint_that_the_database_does_not_take_is_dropped(place: Installation) -> None:
    process = Process(Hints(place.location.database().channel))
    process.hints.tell("keys")
    await process.hints.finish()
    assert process.heard == ["keys"]


@on_sqlite
async def test_sqlite_has_nobody_to_tell(place: Installation) -> None:
    async with at(place.location) as database:
        assert database.channel is None


@on_postgres
async def test_a_revoked_key_is_refused_in_another_process_at_once_without_redis(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with open_house(tmp_path, empty_database) as here, open_house(tmp_path, empty_database) as there:
        key = await here.new_key()
        assert (await there.rest("GET", "/clients", key=key)).status_code == 200
        await here.data('mutation { apiKeyRevoke(id: "key_3") { id } }')
        assert await refused(there, key) < 1


@on_postgres
async def test_two_servers_hear_of_each_others_events_without_redis(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    settings = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    heard: list[str] = []
    ada = {"first_name": "Ada", "last_name": "Lovelace", "password": "12345678"}
    async with two_servers(tmp_path, **settings, LOG_LEVEL="error") as (_, clients):
        listener = await asyncpg.connect(settings["DATABASE_URL"])
        await listener.add_listener("arcbilling", lambda *told: heard.append(told[-1].partition(" ")[2]))
        for number, http in enumerate(clients):
            answer = await http.post("/api/v1/clients", json=ada | {"email": f"ada{number}@shop.test"})
            assert answer.status_code == 201
            began = time.monotonic()
            while len(heard) <= number:
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.01)
        await listener.close()
    assert heard == ["events", "events"]
