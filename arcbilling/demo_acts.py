"""What can happen in the demo: clients come, buy, pay and ask, each through the schema at its moment."""

import heapq
import random
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

from arcbilling import clock
from arcbilling.demo_data import ANOTHER_CURRENCY, COMPANY_NAMES, COUNTRIES, CURRENCIES, METHODS, Talk
from arcbilling.engine import Engine
from schema import money

Act = Callable[[], Awaitable[None]]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WRITE_OFF_AFTER = 40 * DAY


@dataclass
class Buyer:
    """A client of the story."""

    id: str
    currency: str
    slug: str
    sites: int = 0


@dataclass
class Stage:
    """What happens, in the order of its moments: each act may plan others, and those after yesterday never happen."""

    engine: Engine
    rng: random.Random
    today: date
    done: Counter[str] = field(default_factory=Counter)
    buyers: list[Buyer] = field(default_factory=list)
    departments: dict[str, str] = field(default_factory=dict)
    products: dict[str, str] = field(default_factory=dict)
    emails: set[str] = field(default_factory=set)
    _acts: list[tuple[datetime, int, Act]] = field(default_factory=list)
    _planned: int = 0

    async def play(self) -> None:
        end = clock.start_of(self.today)
        while self._acts:
            moment, _, act = heapq.heappop(self._acts)
            if moment < end:
                with clock.at(moment):
                    await act()

    def at(self, moment: datetime, act: Callable[..., Awaitable[None]], *given: Any, **named: Any) -> None:
        self._planned += 1
        later: Act = partial(act, *given, **named)
        heapq.heappush(self._acts, (moment, self._planned, later))

    def day(self, days_ago: int) -> datetime:
        """A moment of that day, at an hour at which people work."""
        start = clock.start_of(self.today - timedelta(days=days_ago))
        return start + timedelta(seconds=self.rng.randrange(8 * 3600, 20 * 3600), milliseconds=100)

    async def run(self, document: str, **variables: Any) -> Any:
        """Runs a mutation of one field and gives what it answers."""
        return next(iter((await self.engine.run(document, variables)).values()))

    async def register(self, country_code: str) -> Buyer:
        rng = self.rng
        country = next(one for one in COUNTRIES if one.code == country_code)
        first, last = rng.choice(country.first_names), rng.choice(country.last_names)
        name = " ".join(rng.choice(words) for words in COMPANY_NAMES)
        company = country.company.format(name=name) if rng.random() < 0.75 else None
        slug = plain(name if company else f"{first} {last}")
        email = self._email(plain(first), plain(last), slug)
        made = await self.run(
            "mutation($input: ClientCreateInput!) { clientCreate(input: $input) { id } }",
            input={
                "firstName": first,
                "lastName": last,
                "email": email,
                "password": "".join(rng.choices(string.ascii_letters + string.digits, k=20)),
                "company": company,
                "phone": re.sub("#", lambda _: str(rng.randrange(10)), country.phone),
                "address": rng.choice(country.streets).format(n=rng.randint(1, 180)),
                "city": rng.choice(country.cities),
                "country": country.code,
                "currency": country.currency,
            },
        )
        buyer = Buyer(made["id"], country.currency, slug)
        self.buyers.append(buyer)
        return buyer

    def _email(self, first: str, last: str, slug: str) -> str:
        wanted = f"{first}.{last}@{slug}.{self.rng.choice(('test', 'example'))}"
        for number in count(2):
            if wanted not in self.emails:
                break
            wanted = f"{first}.{last}{number}@{slug}.test"
        self.emails.add(wanted)
        return wanted

    async def order(
        self,
        buyer: Buyer,
        product: str,
        cycle: str,
        *,
        pay_after: timedelta | None = None,
        accept: bool = True,
        chase: bool = False,
        suspend: tuple[timedelta, str, str | None] | None = None,
        cancel: timedelta | None = None,
        terminate: timedelta | None = None,
    ) -> None:
        """Sells a service, and plans what becomes of it."""
        now = clock.now()
        buyer.sites += 1
        prefix = "" if buyer.sites == 1 else self.rng.choice(("shop.", "blog.", "app.", "intern.")) + f"s{buyer.sites}."
        service = await self.run(
            """mutation($input: ServiceCreateInput!) {
                serviceCreate(input: $input) { id status invoiceId provisionState } }""",
            input={
                "clientId": buyer.id,
                "productId": self.products[product],
                "billingCycle": cycle,
                "domain": f"{prefix}{buyer.slug}.example",
                "username": f"{buyer.slug.replace('-', '')[:8]}{buyer.sites}",
            },
        )
        id, invoice = service["id"], service["invoiceId"]
        if invoice and pay_after:
            self.at(now + pay_after, self._pay, invoice)
        if product in ("vps", "dedicated") and accept and (pay_after or not chase):
            self.at(now + (pay_after or HOUR) + 20 * HOUR, self._accept, id)
        if suspend:
            after, reason, note = suspend
            self.at(now + after, self._suspend, id, reason, note)
        if cancel:
            self.at(now + cancel, self._do, "serviceCancel", id)
        if terminate:
            self.at(now + terminate, self._do, "serviceTerminate", id)
        if chase:
            self.at(now + 4 * DAY, self._remind, id)
            if pay_after is None:
                self.at(now + WRITE_OFF_AFTER, self._write_off, id, invoice)

    async def _remind(self, service: str) -> None:
        """Stops a service whose invoice was not paid; one that waits for the payment goes on waiting."""
        if (await self._status("service", service)) == "ACTIVE":
            await self._suspend(service, "OVERDUE", "Three reminders without an answer.")

    async def _write_off(self, service: str, invoice: str) -> None:
        pending = (await self._status("service", service)) == "PENDING"
        await self._do("serviceCancel" if pending else "serviceTerminate", service)
        if (await self._status("invoice", invoice)) == "UNPAID":
            await self._do("invoiceCancel", invoice)

    async def _status(self, noun: str, id: str) -> str:
        data = await self.engine.run(f"query($id: ID!) {{ {noun}(id: $id) {{ status }} }}", {"id": id})
        return str(data[noun]["status"])

    async def _do(self, mutation: str, id: str) -> None:
        await self.run(f"mutation($id: ID!) {{ {mutation}(id: $id) {{ id }} }}", id=id)

    async def _accept(self, service: str) -> None:
        if (await self._status("service", service)) == "PENDING":
            await self._do("serviceProvision", service)

    async def _suspend(self, service: str, reason: str, note: str | None) -> None:
        await self.run(
            """mutation($id: ID!, $reason: SuspensionReason, $note: String) {
                serviceSuspend(id: $id, reason: $reason, note: $note) { id } }""",
            id=service,
            reason=reason,
            note=note,
        )

    async def _pay(self, invoice: str, amount: str | None = None) -> None:
        method = self.rng.choice(METHODS)
        self.done["payments"] += 1
        await self.run(
            """mutation($id: ID!, $amount: Money, $method: String, $transactionId: String) {
                invoicePay(id: $id, amount: $amount, method: $method, transactionId: $transactionId) { id } }""",
            id=invoice,
            amount=amount,
            method=method,
            transactionId=self._transaction(method),
        )

    def _transaction(self, method: str) -> str | None:
        capitals = string.ascii_uppercase + string.digits
        match method:
            case "card":
                return "ch_" + "".join(self.rng.choices(string.ascii_letters + string.digits, k=24))
            case "paypal":
                return "".join(self.rng.choices(capitals, k=17))
            case "offline":
                return None
            case _:
                return f"{clock.today():%Y%m%d}-" + "".join(self.rng.choices(capitals, k=10))

    async def bill(self, buyer: Buyer, lines: tuple[tuple[str, str], ...], *, pay: str, term: int = 14) -> None:
        """An invoice that staff write: paid in full or in part, not at all, or cancelled."""
        now = clock.now()
        invoice = await self.run(
            """mutation($input: InvoiceCreateInput!) {
                invoiceCreate(input: $input) { id total status currency } }""",
            input={
                "clientId": buyer.id,
                "dueDate": (clock.today() + timedelta(days=term)).isoformat(),
                "items": [{"description": text, "amount": worth(usd, buyer.currency)} for text, usd in lines],
            },
        )
        id = invoice["id"]
        match pay:
            case "all":
                self.at(now + HOUR * self.rng.randint(3, 24 * term), self._pay, id)
            case "part":
                part = Decimal(money.minor(Decimal(invoice["total"]), buyer.currency) * 2 // 5)
                self.at(now + 3 * DAY, self._pay, id, money.text(int(part), buyer.currency))
            case "cancel":
                self.at(now + DAY, self._do, "invoiceCancel", id)

    async def open_ticket(self, buyer: Buyer, talk: Talk, said: int, status: str) -> None:
        """A ticket with the first `said` messages of the talk, and in the end the status."""
        now = clock.now()
        first, *replies = talk.messages[:said]
        ticket = await self.run(
            "mutation($input: TicketCreateInput!) { ticketCreate(input: $input) { id } }",
            input={
                "clientId": buyer.id,
                "departmentId": self.departments[talk.department],
                "subject": talk.subject,
                "message": first,
                "priority": talk.priority,
            },
        )
        id = ticket["id"]
        self.done["messages"] += 1
        for place, message in enumerate(replies):
            now += timedelta(minutes=self.rng.randint(20, 900))
            author = None if place % 2 == 0 else buyer.id
            self.at(now, self._reply, id, message, author)
        if status == "CLOSED":
            self.at(now + 2 * DAY, self._do, "ticketClose", id)
        elif status == "ON_HOLD":
            self.at(now + HOUR, self._hold, id)

    async def _reply(self, ticket: str, message: str, client: str | None) -> None:
        self.done["messages"] += 1
        await self.run(
            """mutation($id: ID!, $message: String!, $clientId: ID) {
                ticketReply(id: $id, message: $message, clientId: $clientId) { id } }""",
            id=ticket,
            message=message,
            clientId=client,
        )

    async def _hold(self, ticket: str) -> None:
        await self.run(
            "mutation($id: ID!, $input: TicketUpdateInput!) { ticketUpdate(id: $id, input: $input) { id } }",
            id=ticket,
            input={"status": "ON_HOLD"},
        )


def priced(usd: str, currency: str) -> str:
    """A price list's amount in the currency: round where it is large, just below a round one where that is usual."""
    if not Decimal(usd):
        return money.text(0, currency)
    rate, step, less = CURRENCIES.get(currency, ANOTHER_CURRENCY)
    steps = max(1, round(Decimal(usd) * rate / step))
    return money.text(money.minor(steps * step - less, currency), currency)


def worth(usd: str, currency: str) -> str:
    """An amount for work, which may be negative, in the currency to its last digit."""
    rate, _, _ = CURRENCIES.get(currency, ANOTHER_CURRENCY)
    scale = 10 ** money.exponent(currency)
    return money.text(round(Decimal(usd) * rate * scale), currency)


def plain(text: str) -> str:
    """The text as it can stand in an address: ASCII letters, digits and hyphens."""
    ascii_text = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
