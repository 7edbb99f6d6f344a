"""One run: an installation is built, written to, ill-treated as the plan says, left to drain, and judged."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from resolvers.database import Database
from tests.databases import at
from tests.reliability.receiver import Receiver
from tests.torture.callers import Callers
from tests.torture.endpoints import Endpoint
from tests.torture.follower import Follower
from tests.torture.journal import Journal
from tests.torture.judge import judge
from tests.torture.plan import Plan
from tests.torture.report import Report
from tests.torture.site import Site, built

PRODUCT = """mutation { productCreate(input: { name: "Web S",
    prices: [{ billingCycle: MONTHLY, currency: "USD", amount: "10.00" }] }) { id } }"""
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
SOME = ("invoice.paid", "ticket.closed", "service.terminated")
UNNUMBERED = "SELECT count(*) FROM events WHERE sequence IS NULL"
UNFINISHED = "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL"
NO_AUTOVACUUM = "SELECT 1 WHERE current_setting('autovacuum') = 'off'"
VACUUM = "VACUUM (ANALYZE) audit_entries, deliveries, delivery_attempts, events, idempotency_records"
SECONDS_BETWEEN_VACUUMS = 10.0
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_CATCH_UP = 10.0
TOLD_EVERY = 10


class Run:
    """What is at hand while a plan is carried out."""

    def __init__(self, plan: Plan, site: Site, database: Database, canary: Receiver) -> None:
        self.plan = plan
        self.site = site
        self.canary = canary
        self.journal = Journal()
        self.endpoints: list[Endpoint] = []
        self.followers: list[Follower] = []
        self.product = 0
        self._database = database

    async def prepare(self) -> None:
        """What there must be before anybody calls, and one event to begin after."""
        http = self.site.clients[0]
        made = (await http.post("/graphql", json={"query": PRODUCT})).json()
        self.product = int(made["data"]["productCreate"]["id"].removeprefix("pro_"))
        client = (await http.post("/api/v1/clients", json=ADA)).json()["data"]
        self.journal.happened("client.created", client["id"])
        async with asyncio.timeout(SECONDS_TO_CATCH_UP):
            while not (found := (await http.get("/api/v1/events")).json()["data"]):
                await asyncio.sleep(0.1)
        self.followers = [Follower(one, found[-1]["id"]) for one in self.site.clients]

    async def add(self, name: str, wants: tuple[str, ...] | None = ("*",)) -> Endpoint:
        """An endpoint whose receiver listens."""
        endpoint = Endpoint(name, Receiver(location=self.canary.url), wants)
        await endpoint.receiver.start()
        body = {"url": endpoint.receiver.url, "description": name} | ({"events": list(wants)} if wants else {})
        answer = await self.site.clients[0].post("/api/v1/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()["data"]
        endpoint.id, endpoint.secret, endpoint.wants = made["id"], made["secret"], tuple(made["events"])
        self.endpoints.append(endpoint)
        return endpoint

    async def write(self, enough: asyncio.Event | None = None) -> None:
        """Lets the callers write, until there are as many events as planned and it is enough."""
        callers = Callers(self.site.clients, self.journal, self.product)
        pause = self.plan.writers / self.plan.rate
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.plan.writers):
                name = f"writer{number}"
                tasks.create_task(callers.write(name, self.plan.dice(name), pause), name=name)
            until = time.monotonic() + self.plan.seconds
            while self.journal.facts.total() < self.plan.events or time.monotonic() < until:
                await asyncio.sleep(0.05)
            if enough is not None:
                await enough.wait()
            callers.stopping = True

    async def drain(self, but: Sequence[Endpoint] = ()) -> float:
        """Waits until everything is delivered that can be; tells how long that took."""
        began = time.monotonic()
        besides = "".join(f" AND webhook_id <> {one.id}" for one in but)
        while time.monotonic() - began < self.plan.seconds_to_drain:
            if not await self.count(UNNUMBERED) and not await self.count(UNFINISHED + besides):
                break
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        return time.monotonic() - began

    async def catch_up(self) -> None:
        """Gives the followers a moment for what is left."""
        last = await self.count("SELECT last_sequence FROM event_head")
        until = time.monotonic() + SECONDS_TO_CATCH_UP
        while time.monotonic() < until and any(one.seen[-1:] != [last] for one in self.followers):
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def tend(self) -> None:
        """Does what autovacuum would, if this PostgreSQL has it turned off; without end."""
        if self.plan.engine == "postgres" and await self._database.reader.fetch(NO_AUTOVACUUM):
            while True:
                await asyncio.sleep(SECONDS_BETWEEN_VACUUMS)
                await self._database.reader.fetch(VACUUM)

    async def count(self, sql: str) -> int:
        ((number,),) = await self._database.reader.fetch(sql)
        return int(number)


@asynccontextmanager
async def begun(plan: Plan) -> AsyncIterator[Run]:
    """A run that is prepared; at its end its receivers are gone, and its database."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(built(plan))
        database = await stack.enter_async_context(at(site.place.location))
        canary = Receiver()
        await canary.start()
        stack.push_async_callback(canary.stop)
        run = Run(plan, site, database, canary)
        tending = asyncio.create_task(run.tend())
        try:
            await run.prepare()
            yield run
        finally:
            tending.cancel()
            await asyncio.wait([tending])
            for endpoint in run.endpoints:
                await endpoint.receiver.stop()


@asynccontextmanager
async def followed(run: Run) -> AsyncIterator[None]:
    """Follows the stream of each server as long as the block."""
    tasks = [asyncio.create_task(follower.follow()) for follower in run.followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def carry_out(plan: Plan) -> Report:
    """Writes amid kills, moods and whatever else the plan has; judges what became of it."""
    report = Report(_title(plan))
    began = time.monotonic()
    async with begun(plan) as run:
        steady = [await run.add("steady"), await run.add("steady, of the reference's events", None)]
        moody = [await run.add(f"moody {number}", SOME if number % 2 else ("*",)) for number in range(plan.moody)]
        hanging = [await run.add(f"hanging {number}") for number in range(plan.hanging)]
        for endpoint in hanging:
            await endpoint.be("hang")
        async with followed(run):
            moods = [asyncio.create_task(one.follow(plan.moods(one.name))) for one in moody]
            trouble = asyncio.create_task(_trouble(run))
            done = asyncio.Event()
            trouble.add_done_callback(lambda _: done.set())
            try:
                await run.write(done)
            except ExceptionGroup as refused:
                report.must_not_be("requests refused", refused.exceptions)
            await trouble
            for mood in moods:
                mood.cancel()
            await asyncio.gather(*moods, return_exceptions=True)
            report.figure("seconds of writing", f"{time.monotonic() - began:.0f}")
            report.figure("seconds to drain", f"{await run.drain(hanging):.1f}")
            await run.catch_up()
        await judge(run, report, [*steady, *moody], steady)
    return report


async def _trouble(run: Run) -> None:
    """Kills servers, and Redis, as the plan says."""
    if run.plan.redis_restart:
        assert run.site.redis is not None, "one's own is killed"
        third = run.plan.seconds / 3
        await asyncio.sleep(third)
        run.site.redis.kill()
        await asyncio.sleep(third)
        await asyncio.to_thread(run.site.redis.start)
    for number, (wait, victims) in enumerate(run.plan.deaths(), 1):
        await asyncio.sleep(wait)
        await run.site.kill(victims)
        await run.site.start(victims)
        if number % TOLD_EVERY == 0:
            sys.stderr.write(f"{number} kills amid {run.journal.acknowledged:,} acknowledged requests …\n")


def _title(plan: Plan) -> str:
    redis = {"shared": "Redis", "own": "Redis of its own", "none": "no Redis"}[plan.redis]
    where = "SQLite" if plan.engine == "sqlite" else f"PostgreSQL, {redis}"
    return f"{where}, processes {plan.processes}, kills {plan.kills}, writers {plan.writers}, seed {plan.seed}"
