"""Rate limits of several processes: exact with one Redis, each for itself while that is away."""

import asyncio
import secrets
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from arcbilling.limiter import Limiter, SharedWindow, Verdict
from arcbilling.redis_link import SECONDS_TO_ANSWER, RedisLink
from tests.conftest import open_house
from tests.databases import EmptyDatabase, on_postgres, on_sqlite
from tests.reliability.own_redis import OwnRedis
from tests.reliability.served import two_servers
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def linked(url: str, namespace: str = "") -> AsyncIterator[RedisLink]:
    link = RedisLink(url, namespace or secrets.token_hex(8))
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def processes(number: int, url: str, rate: str = "60/minute") -> AsyncIterator[list[Limiter]]:
    """Limiters as so many processes of one installation have them."""
    async with AsyncExitStack() as stack:
        namespace = secrets.token_hex(8)
        links = [await stack.enter_async_context(linked(url, namespace)) for _ in range(number)]
        yield [Limiter(rate, SharedWindow(link)) for link in links]


async def take(limits: Limiter, caller: str = "key:1", cost: int = 1) -> Verdict:
    verdict = await limits.take(caller, cost)
    assert verdict is not None
    return verdict


async def passed(number: int, *limiters: Limiter) -> int:
    """How many of so many takes at once are let through, taken in turn from each."""
    verdicts = await asyncio.gather(*(take(limiters[place % len(limiters)]) for place in range(number)))
    return sum(verdict.retry_after is None for verdict in verdicts)


async def until_back(limits: Limiter, others: Limiter) -> float:
    """Waits until both count together again; tells the seconds."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        while True:
            caller = f"key:{secrets.token_hex(4)}"
            first, second = await take(limits, caller), await take(others, caller)
            if (first.remaining, second.remaining) == (59, 58):
                return time.monotonic() - began
            await asyncio.sleep(0.05)


async def test_sixty_of_two_hundred_takes_pass_in_whichever_process(redis_url: str) -> None:
    async with processes(4, redis_url) as limiters:
        assert await passed(200, *limiters) == 60
        seen = await limiters[0].peek("key:1")
        assert seen is not None
        assert (seen.limit, seen.remaining, seen.retry_after) == (60, 0, None)
        assert 59 <= ((await take(limiters[1])).retry_after or 0) <= 60
        assert (await take(limiters[2], "key:2")).remaining == 59


async def test_a_cost_is_taken_as_a_whole_or_not_at_all(redis_url: str) -> None:
    async with processes(2, redis_url, "10/minute") as (here, there):
        assert (await take(here, cost=4)).remaining == 6
        refused = await take(there, cost=7)
        assert (refused.remaining, refused.retry_after) == (6, 60)
        assert (await take(there, cost=6)).remaining == 0
        assert (await take(here, "key:2", cost=11)).retry_after == 1


async def test_who_waits_as_long_as_told_gets_through(redis_url: str) -> None:
    async with processes(2, redis_url, "2/second") as (here, there):
        assert await passed(5, here, there) == 2
        wait = (await take(here)).retry_after
        assert wait == 1
        await asyncio.sleep(wait)
        assert await passed(5, here, there) == 2


async def test_two_installations_can_share_one_redis(redis_url: str) -> None:
    async with processes(1, redis_url) as (one,), processes(1, redis_url) as (other,):
        assert await passed(100, one) == 60
        assert await passed(100, other) == 60


async def test_a_caller_that_hangs_up_takes_nothing_from_the_others(redis_url: str) -> None:
    async with processes(1, redis_url) as (limits,):
        gone = [asyncio.create_task(take(limits, "key:2")) for _ in range(20)]
        staying = [asyncio.create_task(take(limits)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        assert all(verdict.retry_after is None for verdict in await asyncio.gather(*staying))


async def test_a_busy_process_does_not_take_its_own_slowness_for_redis_s(redis_url: str) -> None:
    async def busy() -> None:
        for _ in range(20):
            time.sleep(SECONDS_TO_ANSWER * 1.2)  # noqa: ASYNC251 - the loop is to stand still
            await asyncio.sleep(0)

    async with processes(2, redis_url) as limiters:
        await passed(2, *limiters)
        with capture_logs() as logged:
            working = asyncio.create_task(busy())
            assert await passed(200, *limiters) == 58
            working.cancel()
        assert logged == []


async def test_each_process_counts_for_itself_until_redis_is_back(own_redis: OwnRedis) -> None:
    async with processes(2, own_redis.url) as (here, there):
        assert await passed(100, here, there) == 60
        with capture_logs() as logged:
            own_redis.kill()
            assert await passed(100, here) == 60
            assert await passed(100, there) == 60
            own_redis.start()
            healed = await until_back(here, there)
            assert await passed(200, here, there) == 60  # it came back empty, and without the script
        assert [line["log_level"] for line in logged] == ["warning", "warning", "info", "info"]
    tell(f"Redis killed and started again, empty: {healed:.2f} s after it answered, two processes counted together")


async def test_nobody_waits_for_a_redis_that_does_not_answer(own_redis: OwnRedis) -> None:
    waits: list[float] = []

    async def timed(limits: Limiter) -> None:
        began = time.monotonic()
        await take(limits)
        waits.append(time.monotonic() - began)

    async with processes(2, own_redis.url) as (here, there):
        assert await passed(2, here, there) == 2
        with capture_logs() as logged, own_redis.silent():
            await asyncio.gather(*(timed(here) for _ in range(50)))
            first, waits = waits, []
            for _ in range(100):
                await timed(here)
                await asyncio.sleep(0.02)
        assert statistics.median(first) < 2 * SECONDS_TO_ANSWER
        assert statistics.median(waits) < SECONDS_TO_ANSWER / 10
        assert [line["log_level"] for line in logged] == ["warning"]
        healed = await until_back(here, there)
    tell(
        f"Redis silent for 2 s: 50 takes at once waited {max(first) * 1000:.0f} ms at most, the 100 after them "
        f"{max(waits) * 1000:.1f} ms; healed {healed:.2f} s after it spoke again"
    )


async def test_a_redis_that_cannot_be_written_to_is_away(own_redis: OwnRedis) -> None:
    async with processes(2, own_redis.url) as (here, there), linked(own_redis.url) as operator:
        await operator.client.config_set("maxmemory", "1")
        with capture_logs() as logged:
            assert await passed(100, here) == 60
            await asyncio.sleep(1.5)
            assert [line["log_level"] for line in logged] == ["warning"]
            await operator.client.config_set("maxmemory", "0")
            await until_back(here, there)


LET = (
    "~arcbilling:* &arcbilling:* +@connection +@pubsub "
    "+evalsha +script|load +time +lindex +llen +lpop +rpush +pexpire +del"
)
"""What docs/production.md tells operators to grant."""


async def as_user(own_redis: OwnRedis, rights: str) -> str:
    """The URL of a user with these rights alone."""
    async with linked(own_redis.url) as operator:
        await operator.client.execute_command("ACL", "SETUSER", "billing", "on", ">acl", *rights.split())
    return own_redis.url.replace("//", "//billing:acl@")


async def test_a_user_with_the_rights_that_are_documented_has_all_it_needs(own_redis: OwnRedis) -> None:
    production = (Path(__file__).parents[2] / "docs" / "production.md").read_text()
    assert LET in production.replace("\\\n    ", "")
    url = await as_user(own_redis, LET)
    with capture_logs() as logged:
        async with processes(2, url) as limiters, linked(url) as one:
            assert await passed(200, *limiters) == 60
            hearing = aiter(one.heard(one.name("hints")))
            assert await anext(hearing) is None
            await one.publish(one.name("hints"), "hello")
            assert await anext(hearing) == "hello"
    assert logged == []


async def test_a_user_without_channels_counts_exactly_and_says_once_that_it_hears_nothing(own_redis: OwnRedis) -> None:
    url = await as_user(own_redis, LET.replace("&arcbilling:*", "resetchannels"))
    with capture_logs() as logged:
        async with processes(2, url) as limiters, linked(url) as one:
            limits = Limiter("60/minute", SharedWindow(one))
            hearing = asyncio.ensure_future(anext(aiter(one.heard(one.name("hints")))))
            for _ in range(5):
                await one.publish(one.name("hints"), "hello")
                await take(limits)
                await asyncio.sleep(0.1)
            assert await passed(200, *limiters) == 60
            hearing.cancel()
            await asyncio.wait([hearing])
    assert [line["event"][:44] for line in logged] == ["Redis does not let its user publish and subs"]


async def test_a_redis_that_lets_its_user_write_and_not_count_stays_away(own_redis: OwnRedis) -> None:
    url = await as_user(own_redis, f"{LET} +set -rpush")
    with capture_logs() as logged:
        async with processes(1, url) as (limits,):
            for _ in range(5):
                assert (await take(limits)).retry_after is None
                await asyncio.sleep(0.5)
    assert [line["log_level"] for line in logged] == ["warning"]


async def test_a_key_of_another_type_is_replaced(own_redis: OwnRedis) -> None:
    with capture_logs() as logged:
        async with processes(1, own_redis.url) as (limits,), linked(own_redis.url) as operator:
            await take(limits)
            (key,) = await operator.client.keys("*:limit:*")
            await operator.client.set(key, "x")
            assert await passed(100, limits) == 60
    assert logged == []


async def statuses(http: httpx2.AsyncClient, number: int) -> Counter[int]:
    answers = await asyncio.gather(*(http.get("/api/v1/departments/1") for _ in range(number)))
    return Counter(answer.status_code for answer in answers)


@on_postgres
async def test_two_servers_let_exactly_sixty_of_two_hundred_requests_pass(
    tmp_path: Path, empty_database: EmptyDatabase, redis_url: str
) -> None:
    database = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    settings = database | {"REDIS_URL": redis_url, "RATE_LIMIT_AUTHENTICATED": "60/minute"}
    async with two_servers(tmp_path, **settings) as (_, clients):
        found = await asyncio.gather(*(statuses(http, 100) for http in clients))
    assert found[0] + found[1] == {200: 60, 429: 140}
    tell(f"two servers, one Redis, 200 requests at once: passed {found[0][200]} + {found[1][200]}")


@on_sqlite
async def test_a_server_serves_without_the_redis_that_it_was_told_of(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    nobody = OwnRedis(tmp_path).url
    with capture_logs() as logged:
        async with open_house(
            tmp_path, empty_database, redis_url=nobody, rate_limit_authenticated="60/minute"
        ) as house:
            answers = [(await house.rest("GET", "/clients")).status_code for _ in range(61)]
    assert answers == [200] * 60 + [429]
    (line,) = [line for line in logged if line["log_level"] == "warning"]
    assert line["event"].startswith("Redis is away: ")
    assert line["error"].startswith("Error 111 connecting to 127.0.0.1:")


@on_postgres
async def test_start_up_says_what_several_processes_lack_without_redis(
    tmp_path: Path, empty_database: EmptyDatabase, redis_url: str
) -> None:
    with capture_logs() as logged:
        async with open_house(tmp_path, empty_database):
            pass
    assert [line["event"] for line in logged if line["log_level"] == "warning"] == [
        "ARCBILLING_REDIS_URL is not set: if several processes serve this database, each counts rate limits for itself"
    ]
    with capture_logs() as logged:
        async with open_house(tmp_path, empty_database, redis_url=redis_url):
            pass
    assert [line for line in logged if line["log_level"] == "warning"] == []


@on_sqlite
async def test_start_up_on_sqlite_has_nothing_to_say_of_redis(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    with capture_logs() as logged:
        async with open_house(tmp_path, empty_database):
            pass
    assert [line for line in logged if line["log_level"] == "warning"] == []
