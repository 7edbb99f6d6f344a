"""The demo: fourteen months of a small hosting company, told through the schema with a clock that is moved."""

import random
from typing import Any

from arcbilling import clock
from arcbilling.demo_acts import DAY, HOUR, Buyer, Stage, priced
from arcbilling.demo_data import (
    COUNTRIES,
    CURRENCIES,
    DEPARTMENTS,
    GROUPS,
    MACHINES,
    NOTHING_OWED,
    OFFERS,
    TALKS,
    WORK,
    Offer,
)
from arcbilling.engine import Engine
from schema.errors import refused

LISTS = {
    "departments": "departments",
    "server groups": "serverGroups",
    "servers": "servers",
    "products": "products",
    "clients": "clients",
    "services": "services",
    "invoices": "invoices",
    "tickets": "tickets",
}
FIRST_DAY = 425
"""How many days ago the first client came."""
FIRST_SALE = 356
LONGEST = {"MONTHLY": 26, "QUARTERLY": 86, "ANNUALLY": 350}
"""How many days ago a service was sold at most, so that the period which was paid for is not over."""


async def fill(engine: Engine, clients: int, seed: int) -> dict[str, int]:
    """Fills an empty database and tells how much of what there is now; refuses a database that holds anything."""
    await _check_empty(engine)
    story = Story(engine, random.Random(seed), clock.today())
    with clock.at(story.day(FIRST_DAY + 5)):
        await story.open_shop()
    story.plan(clients)
    await story.play()
    return await _counts(engine) | {"payments": story.done["payments"], "messages": story.done["messages"]}


async def _counts(engine: Engine) -> dict[str, int]:
    asked = " ".join(f"{field}(first: 1) {{ totalCount }}" for field in LISTS.values())
    data = await engine.run(f"{{ {asked} }}", {})
    return {noun: data[field]["totalCount"] for noun, field in LISTS.items()}


async def _check_empty(engine: Engine) -> None:
    found = await _counts(engine)
    found["departments"] -= 1  # the one that a new database holds
    found["events"] = (await engine.run("{ events(first: 1) { totalCount } }", {}))["events"]["totalCount"]
    if held := [f"{noun} ({number})" for noun, number in found.items() if number > 0]:
        raise refused(f"The demo fills an empty database only, and this one holds: {', '.join(held)}.")


class Story(Stage):
    """The plot: what there is to sell, and what will happen when."""

    # What there is to sell, and who is there to help

    async def open_shop(self) -> None:
        (first,) = (await self.engine.run("{ departments(first: 1) { nodes { id } } }", {}))["departments"]["nodes"]
        self.departments["Support"] = first["id"]
        for name in DEPARTMENTS:
            self.departments[name] = await self._made("department", {"name": name})
        groups: dict[str | None, str] = {}
        for key, (name, fill_) in GROUPS.items():
            groups[key] = await self._made("serverGroup", {"name": name, "fill": fill_})
        for machine in MACHINES:
            given: dict[str, Any] = {
                "name": machine.name,
                "hostname": machine.hostname,
                "module": machine.module,
                "status": machine.status,
                "maxAccounts": machine.max_accounts,
                "serverGroupId": groups.get(machine.group),
            }
            await self._made("server", given)
        for offer in OFFERS:
            given = {
                "name": offer.name,
                "description": offer.description,
                "type": offer.type,
                "status": offer.status,
                "autoSetup": offer.auto_setup,
                "module": offer.module,
                "serverGroupId": groups.get(offer.group),
                "prices": self._prices(offer),
            }
            self.products[offer.key] = await self._made("product", given)

    async def _made(self, noun: str, given: dict[str, Any]) -> str:
        input_type = f"{noun[0].upper()}{noun[1:]}CreateInput"
        made = await self.run(
            f"mutation($input: {input_type}!) {{ {noun}Create(input: $input) {{ id }} }}", input=given
        )
        return str(made["id"])

    def _prices(self, offer: Offer) -> list[dict[str, str]]:
        return [
            {
                "billingCycle": cycle,
                "currency": currency,
                "amount": priced(amount, currency),
                "setupFee": priced(offer.setup_fee, currency),
            }
            for currency in dict.fromkeys((*CURRENCIES, self.engine.settings.currency))
            for cycle, amount in offer.prices.items()
        ]

    # What will happen

    def plan(self, clients: int) -> None:
        self.at(self.day(FIRST_DAY), self._first_client)
        for _ in range(clients - 1):
            days = self.rng.randint(3, FIRST_DAY - 10)
            self.at(self.day(days), self._newcomer, days)
        self._plan_services()
        self._plan_invoices()
        self._plan_tickets()

    async def _first_client(self) -> None:
        """Whatever of this company has the id 1 is this client's, paid for and in order."""
        buyer = await self.register("US")
        self.at(self.day(FIRST_DAY - 1), self.bill, buyer, WORK[0], pay="all")
        self.at(self.day(FIRST_DAY - 3), self.open_ticket, buyer, TALKS[0], len(TALKS[0].messages), "CLOSED")
        self.at(self.day(FIRST_SALE), self.order, buyer, "starter", "ANNUALLY", pay_after=HOUR)

    async def _newcomer(self, days: int) -> None:
        """A client like most: some services, now and then extra work or a question."""
        rng = self.rng
        buyer = await self.register(rng.choice(COUNTRIES).code)
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            product = rng.choice(("starter", "starter", "business", "business", "wordpress", "vps", "backup"))
            cycle = rng.choice(("MONTHLY", "QUARTERLY", "ANNUALLY", "ANNUALLY"))
            sold = rng.randint(1, min(days - 1, LONGEST[cycle]))
            self.at(self.day(sold), self._ordinary_order, buyer, product, cycle)
        for _ in range(rng.choice((0, 1, 1, 2))):
            pay = rng.choice(("all", "all", "all", "all", "part", "none", "cancel"))
            self.at(self.day(rng.randint(1, days - 1)), self.bill, buyer, rng.choice(WORK), pay=pay)
        for _ in range(rng.choice((0, 1, 1, 2))):
            talk = rng.choice(TALKS)
            said = rng.randint(2, len(talk.messages))
            self.at(self.day(rng.randint(1, days - 1)), self.open_ticket, buyer, talk, said, "CLOSED")

    async def _ordinary_order(self, buyer: Buyer, product: str, cycle: str) -> None:
        fate = self.rng.random()
        if fate < 0.8:
            await self.order(buyer, product, cycle, pay_after=HOUR * self.rng.randint(1, 70))
        elif fate < 0.9:
            await self.order(buyer, product, cycle, pay_after=9 * DAY, chase=True)
        else:
            await self.order(buyer, product, cycle, chase=True)

    def _plan_services(self) -> None:
        """A service in each status and for each reason, whatever chance brings."""
        sold = self._somebody_orders
        sold(40, "business", "ANNUALLY", pay_after=HOUR, suspend=(28 * DAY, "ABUSE", "Phishing page, told by a bank."))
        sold(50, "starter", "ANNUALLY", pay_after=HOUR, suspend=(41 * DAY, "MANUAL", "Asked for a pause by phone."))
        sold(10, "starter", "MONTHLY", suspend=(4 * DAY, "OVERDUE", None))
        sold(2, "wordpress", "MONTHLY")
        sold(2, "vps", "QUARTERLY", pay_after=2 * HOUR, accept=False)
        sold(3, "dedicated", "ANNUALLY", pay_after=5 * HOUR, accept=False)
        sold(90, "dedicated", "ANNUALLY", pay_after=5 * HOUR)
        sold(70, "vps", "QUARTERLY", pay_after=5 * HOUR)
        sold(30, "wordpress", "MONTHLY", cancel=14 * DAY)
        sold(200, "business", "QUARTERLY", pay_after=HOUR, terminate=84 * DAY)
        sold(300, "classic", "ANNUALLY", pay_after=HOUR)
        sold(60, "reseller", "ANNUALLY", pay_after=HOUR)
        sold(100, "domain", "ANNUALLY", pay_after=HOUR)
        sold(80, "migration", "ONE_TIME", pay_after=3 * DAY)
        sold(75, "dns", "FREE")
        self.at(self.day(280), self._retire)

    def _plan_invoices(self) -> None:
        for days, lines, pay, term in (
            (20, WORK[2], "part", 14),
            (8, WORK[0], "part", 30),
            (5, WORK[5], "none", 14),
            (45, WORK[3], "none", 14),
            (35, WORK[1], "cancel", 14),
            (33, NOTHING_OWED, "none", 14),
        ):
            self.at(self.day(days), self._to_somebody, self.bill, lines, pay=pay, term=term)

    def _plan_tickets(self) -> None:
        for days, talk, said, status, priority in (
            (1, TALKS[0], 1, "OPEN", "HIGH"),
            (2, TALKS[3], 1, "OPEN", "LOW"),
            (4, TALKS[4], 2, "ANSWERED", "HIGH"),
            (6, TALKS[6], 2, "ANSWERED", "MEDIUM"),
            (7, TALKS[2], 3, "CUSTOMER_REPLY", "MEDIUM"),
            (9, TALKS[3], 3, "CUSTOMER_REPLY", "LOW"),
            (12, TALKS[5], 2, "ON_HOLD", "MEDIUM"),
            (60, TALKS[1], 3, "CLOSED", "LOW"),
        ):
            opened = talk._replace(priority=priority)
            self.at(self.day(days), self._to_somebody, self.open_ticket, opened, said, status)

    def _somebody_orders(self, days: int, product: str, cycle: str, **fate: Any) -> None:
        self.at(self.day(days), self._to_somebody, self.order, product, cycle, **fate)

    async def _to_somebody(self, act: Any, *given: Any, **named: Any) -> None:
        """It happens to one of those who are clients by then."""
        await act(self.rng.choice(self.buyers), *given, **named)

    async def _retire(self) -> None:
        await self.run(
            "mutation($id: ID!, $input: ProductUpdateInput!) { productUpdate(id: $id, input: $input) { id } }",
            id=self.products["classic"],
            input={"status": "RETIRED"},
        )
