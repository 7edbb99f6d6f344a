"""What the demo is made of: people and places, things for sale, and what is said in tickets. All of it is invented."""

from decimal import Decimal
from typing import NamedTuple


class Country(NamedTuple):
    """A country's code, currency, names, places and telephone numbers (`#` is a digit)."""

    code: str
    currency: str
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    phone: str
    company: str


COUNTRIES = (
    Country(
        "US",
        "USD",
        ("Grace", "Marcus", "Emily", "Jordan", "Dana", "Luis"),
        ("Whitaker", "Nguyen", "Okafor", "Delgado", "Brennan", "Carter"),
        ("{n} Maple Avenue", "{n} Harbor Street, Suite 4", "{n} Lakeview Drive"),
        ("Portland", "Austin", "Columbus", "Madison"),
        "+1 503 555 01##",
        "{name} LLC",
    ),
    Country(
        "DE",
        "EUR",
        ("Jürgen", "Annika", "Felix", "Sabine", "Tobias"),
        ("Weiß", "Schröder", "Köhler", "Brandt", "Vogel"),
        ("Lindenstraße {n}", "Am Markt {n}", "Goethestraße {n}"),
        ("Berlin", "Köln", "Leipzig", "Freiburg"),
        "+49 30 23125 ###",
        "{name} GmbH",
    ),
    Country(
        "GB",
        "GBP",
        ("Oliver", "Priya", "Harriet", "Callum", "Zainab"),
        ("Ashworth", "Patel", "Mackenzie", "Hughes", "Fairbairn"),
        ("{n} Station Road", "{n} Mill Lane", "Unit {n}, Riverside Park"),
        ("Leeds", "Bristol", "Glasgow", "Norwich"),
        "+44 20 7946 0###",
        "{name} Ltd",
    ),
    Country(
        "JP",
        "JPY",
        ("Haruto", "Yui", "Kenji", "Sakura", "Daichi"),
        ("Satō", "Tanaka", "Kobayashi", "Mori", "Ishikawa"),
        ("2-{n}-3 Meguro", "1-{n}-8 Kitahama", "4-{n}-1 Sakae"),
        ("Tokyo", "Osaka", "Nagoya", "Fukuoka"),
        "+81 3 5550 ####",
        "{name} K.K.",
    ),
    Country(
        "KW",
        "KWD",
        ("Fatima", "Yousef", "Noura", "Khaled", "Dalal"),
        ("Al-Sabah", "Al-Mutairi", "Al-Rashidi", "Al-Kandari"),
        ("Block 4, Street {n}", "Salem Al-Mubarak Street {n}", "Block 9, Avenue {n}"),
        ("Kuwait City", "Salmiya", "Hawalli"),
        "+965 2200 ####",
        "{name} W.L.L.",
    ),
    Country(
        "FR",
        "EUR",
        ("Élodie", "Mathieu", "Camille", "Hugo", "Anaïs"),
        ("Lefèvre", "Moreau", "Garnier", "Chevalier", "Béranger"),
        ("{n} rue des Lilas", "{n} quai de la Fosse", "{n} avenue Foch"),
        ("Nantes", "Lyon", "Toulouse", "Lille"),
        "+33 1 99 00 ## ##",
        "{name} SARL",
    ),
    Country(
        "NL",
        "EUR",
        ("Sanne", "Bram", "Lotte", "Jeroen"),
        ("de Vries", "Bakker", "van Dijk", "Visser"),
        ("Prinsengracht {n}", "Oudegracht {n}", "Coolsingel {n}"),
        ("Amsterdam", "Utrecht", "Rotterdam"),
        "+31 20 555 0###",
        "{name} B.V.",
    ),
)

COMPANY_NAMES = (
    ("Northwind", "Bluebird", "Copper", "Harbor", "Juniper", "Lantern", "Maple", "Orchard", "Quarry", "Saffron"),
    ("Analytics", "Bakery", "Books", "Cycles", "Design", "Dental", "Kitchens", "Legal", "Outdoors", "Studio"),
)

CYCLES = ("MONTHLY", "QUARTERLY", "ANNUALLY")

# US dollars → (rate, step, what is taken off so that it looks like a price)
CURRENCIES: dict[str, tuple[Decimal, Decimal, Decimal]] = {
    "USD": (Decimal(1), Decimal("0.01"), Decimal(0)),
    "EUR": (Decimal("0.92"), Decimal("0.50"), Decimal("0.01")),
    "GBP": (Decimal("0.79"), Decimal("0.50"), Decimal("0.01")),
    "JPY": (Decimal(150), Decimal(10), Decimal(0)),
    "KWD": (Decimal("0.307"), Decimal("0.125"), Decimal(0)),
}
ANOTHER_CURRENCY = Decimal(1), Decimal(1), Decimal(0)
"""For the currency of the setting, when it is none of these."""


class Offer(NamedTuple):
    """A product: what it costs in US dollars for each cycle, and its set-up fee."""

    key: str
    name: str
    description: str
    type: str
    prices: dict[str, str]
    setup_fee: str = "0"
    auto_setup: str = "ON_ORDER"
    module: str = "none"
    group: str | None = None
    status: str = "ACTIVE"


def _three(monthly: str, quarterly: str, annually: str) -> dict[str, str]:
    return dict(zip(CYCLES, (monthly, quarterly, annually), strict=True))


OFFERS = (
    Offer(
        "starter",
        "Web Hosting Starter",
        "One site, 10 GB of storage, daily backups.",
        "HOSTING",
        _three("5.99", "16.99", "59.90"),
    ),
    Offer(
        "business",
        "Web Hosting Business",
        "Ten sites, 100 GB of storage, staging, priority support.",
        "HOSTING",
        _three("14.99", "42.99", "149.90"),
        group="web",
    ),
    Offer(
        "wordpress",
        "Managed WordPress",
        "Updates, caching and a malware scan every night. Set up when the first invoice is paid.",
        "HOSTING",
        _three("24.00", "69.00", "240.00"),
        setup_fee="15.00",
        auto_setup="ON_PAYMENT",
        group="web",
    ),
    Offer(
        "vps",
        "Cloud VPS 4",
        "Four cores, 8 GB of memory, 160 GB NVMe. Our staff install the system of your choice.",
        "VPS",
        _three("32.00", "93.00", "345.00"),
        setup_fee="10.00",
        module="manual",
        group="vps",
    ),
    Offer(
        "dedicated",
        "Dedicated Server M",
        "Sixteen cores, 64 GB of memory, two mirrored disks. Racked and tested by our staff.",
        "SERVER",
        _three("129.00", "379.00", "1390.00"),
        setup_fee="49.00",
        auto_setup="MANUAL",
    ),
    Offer(
        "reseller",
        "Reseller 50",
        "Fifty accounts under your own brand. On request.",
        "RESELLER",
        _three("49.00", "142.00", "529.00"),
        group="web",
        status="HIDDEN",
    ),
    Offer(
        "classic",
        "Web Hosting Classic",
        "The predecessor of Web Hosting Starter.",
        "HOSTING",
        _three("4.50", "12.90", "45.00"),
    ),
    Offer("domain", "Domain .example", "Registration and DNS for a year.", "DOMAIN", {"ANNUALLY": "12.50"}),
    Offer("backup", "Backup Licence", "Off-site backups of one server.", "LICENCE", _three("7.00", "20.00", "75.00")),
    Offer("migration", "Site Migration", "We move your site to us, once.", "OTHER", {"ONE_TIME": "89.00"}),
    Offer("dns", "Community DNS", "Two name servers, free of charge.", "OTHER", {"FREE": "0"}),
)


class Machine(NamedTuple):
    name: str
    hostname: str
    group: str | None
    module: str
    max_accounts: int | None
    status: str = "ACTIVE"


GROUPS = {"web": ("Shared web hosting", "LEAST_FULL"), "vps": ("Virtualisation hosts", "IN_ORDER")}
MACHINES = (
    Machine("web1", "web1.fra.hosting.example", "web", "none", 400),
    Machine("web2", "web2.fra.hosting.example", "web", "none", 400),
    Machine("web3", "web3.iad.hosting.example", "web", "none", None),
    Machine("vps1", "vps1.fra.hosting.example", "vps", "manual", 3),
    Machine("vps2", "vps2.iad.hosting.example", "vps", "manual", None),
    Machine("web0", "web0.fra.hosting.example", "web", "none", 250, "DISABLED"),
    Machine("backup1", "backup1.ams.hosting.example", None, "none", None),
)

DEPARTMENTS = ("Sales", "Billing", "Abuse")
"""Beside the one that a new database holds."""

# Lines of invoices that staff write, in US dollars.
WORK: tuple[tuple[tuple[str, str], ...], ...] = (
    (("Migration of an existing shop, 3 hours", "180.00"), ("Loyalty discount", "-30.00")),
    (("DNS clean-up and SPF, DKIM and DMARC records", "75.00"),),
    (("Performance review of the web shop", "240.00"), ("Written report", "60.00")),
    (("Emergency restore from backup, Sunday rate", "150.00"), ("Goodwill: half of the weekend rate", "-37.50")),
    (("TLS certificate with organisation validation, 1 year", "99.00"), ("Installation", "25.00")),
    (("Additional storage, 100 GB, until the end of the year", "48.00"),),
    (("Training for two editors", "120.00"), ("Travel", "35.00"), ("Voucher SPRING", "-20.00")),
)
NOTHING_OWED = (("Replacement of a defective disk", "85.00"), ("Covered by the service agreement", "-85.00"))

METHODS = ("card", "card", "card", "paypal", "bank_transfer", "direct_debit", "offline")


class Talk(NamedTuple):
    """A ticket: where it goes, how urgent it is, and what client and staff write in turn."""

    department: str
    priority: str
    subject: str
    messages: tuple[str, ...]


TALKS = (
    Talk(
        "Support",
        "HIGH",
        "Site answers 502 since this morning",
        (
            'Hello,\n\nour shop shows "502 Bad Gateway" since about 8 o\'clock. Nothing was changed on our side.',
            "Good morning,\n\nthe PHP workers of your account had run out of memory after a plugin update. We have "
            "restarted them and raised the limit. Could you check the shop?",
            "It works again, thank you for the quick help!",
            "Glad to hear it. We keep an eye on the memory for the next days.",
        ),
    ),
    Talk(
        "Billing",
        "LOW",
        "Invoice with our new address",
        (
            "Hi, we have moved. Can the next invoices be made out to the new address, please?",
            "Hello, of course. I have changed the address in your account; it counts from the next invoice on.",
            "Perfect, thanks.",
        ),
    ),
    Talk(
        "Support",
        "MEDIUM",
        "Mails to one provider are rejected",
        (
            'Mails to customers at one large provider come back with "550 SPF check failed".',
            "Your SPF record does not name our mail server yet. Please add include:_spf.hosting.example to it; the "
            "exact record is in the panel under DNS.",
            "I have added it, but the messages still bounce.",
            "The old record is cached for another two hours. I have tested from our side: it is correct now.",
        ),
    ),
    Talk(
        "Sales",
        "LOW",
        "Upgrade from Starter to Business",
        (
            "We need a staging site. Is it possible to change to the Business plan in the middle of the year?",
            "Yes, at any time: you pay the difference for the days that are left. Shall I prepare it for Monday?",
            "Monday is fine.",
        ),
    ),
    Talk(
        "Abuse",
        "HIGH",
        "Spam is sent from our contact form",
        (
            "Somebody uses our contact form to send spam. We have taken the form off line. What else must we do?",
            "Thank you for acting at once. Please update the form plugin and add a captcha before you put it back. We "
            "have emptied the mail queue.",
        ),
    ),
    Talk(
        "Support",
        "MEDIUM",
        "Restore of yesterday's database",
        (
            "By mistake a colleague deleted all orders of last week. Can you restore the database of last night?",
            "The backup of 02:00 is restored as shop_restore, beside the live database, so that nothing is lost. Tell "
            "us when you have compared them.",
            "Compared and merged. You may delete the copy.",
        ),
    ),
    Talk(
        "Billing",
        "MEDIUM",
        "Payment made twice?",
        (
            "Our bank shows two debits of the same amount this month. Please check.",
            "The second one is the set-up fee of the new service, which happens to be the same amount. The two "
            "invoices are in your account.",
        ),
    ),
)
