"""Hints: heard in every process, never waited for, and not needed for anything to be right."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from arcbilling.hints import Hints
from arcbilling.redis_link import RedisLink
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.own_redis import OwnRedis
from tests.reliability.served import Installation
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio


class Process:
    """The hints of one process, and what it has heard."""

    def __init__(self, hints: Hints) -> None:
        self.hints = hints
        self.heard: list[str] = []
        self.hints.on("keys", lambda: self.heard.append("keys"))
        self.hints.on("events", lambda: self.heard.append("events"))

    async def until(self, *heard: str) -> None:
        began = time.monotonic()
        while self.heard != list(heard):
            assert time.monotonic() - began < 10, self.heard
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_process(url: str, namespace: str) -> AsyncIterator[Process]:
    link = RedisLink(url, namespace)
    process = Process(Hints(link.channel("hints")))
    try:
        async with process.hints.listening():
            await process.until("events", "keys")  # whoever begins to listen may have missed some
            process.heard.clear()
            yield process
            await process.hints.finish()
    finally:
        await link.close()


async def test_a_hint_is_heard_once_in_every_process(redis_url: str) -> None:
    namespace = secrets.token_hex(8)
    async with (
        a_process(redis_url, namespace) as one,
        a_process(redis_url, namespace) as other,
        a_process(redis_url, secrets.token_hex(8)) as stranger,
    ):
        began = time.monotonic()
        one.hints.tell("keys")
        assert one.heard == ["keys"], "at once where it is told"
        await other.until("keys")
        heard = time.monotonic() - began
        other.hints.tell("events")
        await one.until("keys", "events")
        await asyncio.sleep(0.1)
        assert (one.heard, other.heard, stranger.heard) == (["keys", "events"], ["keys", "events"], [])
    tell(f"a hint was heard in another process after {heard * 1000:.1f} ms")


async def test_a_hint_is_heard_without_redis_in_its_process() -> None:
    process = Process(Hints())
    async with process.hints.listening():
        process.hints.tell("keys")
        assert process.heard == ["keys"]
    await process.hints.finish()


async def test_many_hints_at_once_are_told_as_one(redis_url: str) -> None:
    namespace = secrets.token_hex(8)
    async with a_process(redis_url, namespace) as one, a_process(redis_url, namespace) as other:
        for _ in range(1000):
            one.hints.tell("events")
        await one.hints.finish()
        await asyncio.sleep(0.1)
        assert other.heard == ["events"]


async def test_hints_are_heard_again_after_redis_was_away_and_what_was_missed_is_made_up_for(
    own_redis: OwnRedis,
) -> None:
    namespace = secrets.token_hex(8)
    async with a_process(own_redis.url, namespace) as one, a_process(own_redis.url, namespace) as other:
        with capture_logs() as logged:
            own_redis.kill()
            await asyncio.sleep(0.1)
            one.hints.tell("keys")
            assert one.heard == ["keys"]
            await one.hints.finish()
            assert other.heard == []
            await asyncio.sleep(2.5)
            own_redis.start()
            await other.until("events", "keys")
            await one.until("keys", "events", "keys")
            one.hints.tell("keys")
            await other.until("events", "keys", "keys")
        assert [line["event"][:13] for line in logged] == ["Redis is away"] * 2 + ["Redis is back"] * 2


async def test_a_listener_finds_out_that_redis_does_not_answer(
    own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcbilling.redis_link.SECONDS_OF_SILENCE", 0.2)
    async with a_process(own_redis.url, "test") as one:
        with capture_logs() as logged:
            await asyncio.sleep(1)
            assert (logged, one.heard) == ([], []), "an answer is enough"
            with own_redis.silent():
                await asyncio.sleep(1)
            assert [line["log_level"] for line in logged] == ["warning"]
            await one.until("events", "keys")


async def test_a_revoked_key_is_refused_in_another_process_at_once(
    tmp_path: Path, empty_database: EmptyDatabase, redis_url: str
) -> None:
    async with (
        open_house(tmp_path, empty_database, redis_url=redis_url) as here,
        open_house(tmp_path, empty_database, redis_url=redis_url) as there,
    ):
        key = await here.new_key()
        client = (await here.a_client())["id"]
        bound = await here.new_key("clients:read", client=client)
        for one in (key, bound):
            assert (await there.rest("GET", f"/clients/{client}", key=one)).status_code == 200
        await here.data('mutation { apiKeyRevoke(id: "key_3") { id } }')
        assert await refused(there, key) < 1
        await here.rest("DELETE", f"/clients/{client}")
        assert await refused(there, bound) < 1


async def refused(house: House, key: str) -> float:
    """The seconds until a key is refused."""
    began = time.monotonic()
    while (await house.rest("GET", "/clients", key=key)).status_code != 401:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_a_command_that_revokes_a_key_tells_the_server(
    tmp_path: Path, empty_database: EmptyDatabase, redis_url: str
) -> None:
    database = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    place = Installation(tmp_path, **database, REDIS_URL=redis_url)
    key = await place.new_key()
    async with place.serving(), httpx2.AsyncClient(base_url=place.url) as http:
        asked = {"headers": {"authorization": f"Bearer {key}"}}
        assert (await http.get("/api/v1/clients", **asked)).status_code == 200
        revoking = asyncio.create_task(place.command("keys", "revoke", "1"))
        while not revoking.done():
            await http.get("/api/v1/clients", **asked)  # so that the server has just read it, as it was
        assert revoking.result()[0] == 0
        assert (await http.get("/api/v1/clients", **asked)).status_code == 401


@on_postgres
async def test_a_command_that_cannot_reach_redis_does_its_work(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    database = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    place = Installation(tmp_path, **database, REDIS_URL=OwnRedis(tmp_path).url)
    await place.new_key()
    code, _, err = await place.command("keys", "revoke", "1")
    assert code == 0
    assert "Redis is away" in err
