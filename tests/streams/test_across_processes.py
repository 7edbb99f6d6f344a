"""Two servers on one PostgreSQL: whoever listens at one hears of what is done at the other."""

import asyncio
from pathlib import Path

import pytest

from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.served import two_servers
from tests.reliability.soundness import tell
from tests.streams.listening import ALL, a_socket

pytestmark = [pytest.mark.anyio, on_postgres]

EVENTS = 100
CLIENT = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}


@pytest.mark.parametrize("redis", [True, False], ids=["with Redis", "without Redis"])
async def test_a_listener_at_one_server_hears_what_is_done_at_the_other_in_order(
    tmp_path: Path, empty_database: EmptyDatabase, request: pytest.FixtureRequest, redis: bool
) -> None:
    settings = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    if redis:
        settings["REDIS_URL"] = request.getfixturevalue("redis_url")
    async with two_servers(tmp_path, **settings, LOG_LEVEL="error") as (_, clients):
        key = clients[0].headers["authorization"].removeprefix("Bearer ")
        address = str(clients[1].base_url).removeprefix("http://").rstrip("/")
        now = asyncio.get_running_loop().time
        async with a_socket(address, key) as socket:
            await socket.subscribe("1", ALL)
            await socket.say(type="ping")
            await socket.hear()
            await clients[0].post("/api/v1/clients", json=CLIENT)
            first = (await socket.hear())["payload"]["data"]["events"]
            assert first["event"] == "client.created"
            waits, heard = [], []
            for number in range(EVENTS):
                answer = await clients[number % 2].put("/api/v1/clients/1", json={"city": f"City {number}"})
                assert answer.status_code == 200
                done = now()
                heard.append((await socket.hear())["payload"]["data"]["events"]["sequence"])
                waits.append(now() - done)
        assert heard == list(range(first["sequence"] + 1, first["sequence"] + 1 + EVENTS))
        waits.sort()
        tell(
            f"two processes {'with' if redis else 'without'} Redis, {EVENTS} events told after "
            f"{waits[EVENTS // 2] * 1000:.0f} ms (median), {waits[-1] * 1000:.0f} ms (longest)"
        )
