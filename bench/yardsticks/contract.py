"""What the contract asks of every server: cursors, money, event ids, and the rows that a command leaves."""

import base64
import hashlib
import os
import secrets
from datetime import UTC, datetime
from decimal import Decimal

import orjson

PREFIX = "/api/v1"
CACHE_SECONDS = 5.0
"""How long a key that was read is believed."""
DIGITS = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
"""Decimal places of currencies that have not two."""
PERSONAL = frozenset(
    [
        "first_name",
        "last_name",
        "email",
        "email_key",
        "password_hash",
        "company",
        "phone",
        "address",
        "city",
        "country",
        "search_key",
        "description",
    ]
)
"""Columns whose values the audit trail does not keep."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def setting(name: str) -> str:
    return os.environ[f"BENCH_{name}"]


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def cursor_of(row: str, id: int) -> str:
    text = orjson.dumps([f"{row} id", id, id])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read_cursor(row: str, text: str) -> int:
    """The id of a cursor; raises ValueError for what is none."""
    written, _, id = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if written != f"{row} id" or not isinstance(id, int):
        raise ValueError("another list")
    return id


def next_link(path: str, per_page: int, cursor: str) -> str:
    return f'<{PREFIX}{path}?per_page={per_page}&cursor={cursor}>; rel="next"'


def money(minor: int, currency: str) -> str:
    digits = DIGITS.get(currency, 2)
    if not digits:
        return str(minor)
    text = str(abs(minor)).zfill(digits + 1)
    return f"{'-' if minor < 0 else ''}{text[:-digits]}.{text[-digits:]}"


def minor(amount: Decimal, currency: str) -> int:
    """Whole minor units; raises ValueError for more decimal places than the currency has."""
    scaled = amount.scaleb(DIGITS.get(currency, 2))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"has more decimal places than {currency} allows")
    return int(scaled)


def shown(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def search_key(first_name: str, last_name: str, email: str, company: str | None) -> str:
    terms = (f"{first_name} {last_name}", last_name, email, company or "")
    return "".join(f"\n{term.casefold()}" for term in terms if term)


def event_id(at: datetime) -> str:
    """`evt_` and a ULID."""
    number = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "evt_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -5, -5))


def payload(event: str, data: object, at: datetime) -> str:
    """An event as webhooks send it: canonical JSON."""
    body = {"data": data, "event": event, "timestamp": shown(at)}
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()


def added(columns: dict[str, object]) -> str:
    """What the audit trail says of a row that was added."""
    changes = {
        name: None if name in PERSONAL else (None, value) for name, value in columns.items() if value is not None
    }
    return orjson.dumps(changes, option=orjson.OPT_UTC_Z).decode()
