"""All settings, each once: environment name, default, meaning. Documentation and start-up checks are made of them."""

import dataclasses
import importlib.util
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import limits
from babel.core import get_global

PREFIX = "ARCBILLING_"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the sentence names both."""


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ValueError("the home folder that it starts with is not known") from None


def _flag(value: str) -> bool:
    match value.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
    raise ValueError("use on or off")


def _port(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) > 65535:
        raise ValueError("use a number from 0 to 65535")
    return int(value)


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value[:9]) <= most:
            raise ValueError(f"use a number from {least} to {most}")
        return int(value)

    return read


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", value, re.ASCII):
        raise ValueError("use a number of seconds from 0 to 999, such as 2 or 0.5")
    return float(value)


def _time_limit(value: str) -> float:
    if (seconds := _seconds(value)) < 0.1:
        raise ValueError("use at least 0.1 seconds")
    return seconds


def _factor(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", value, re.ASCII) or not float(value):
        raise ValueError("use a number above 0, such as 1 or 60")
    return float(value)


def _rate(value: str) -> str:
    if value.strip().lower() == "off":
        return "off"
    try:
        (rate,) = limits.parse_many(value)
    except ValueError:  # none can be read, or several
        raise ValueError("use one rate such as 60/minute, or off") from None
    if rate.amount < 1:
        raise ValueError("use 1 or more for each period, or off")
    return value.strip()


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _list(value))
    except ValueError as error:
        raise ValueError(f"use comma-separated networks such as 10.0.0.0/8 ({error})") from None


def _origins(value: str) -> tuple[str, ...]:
    origins = _list(value)
    if wrong := [origin for origin in origins if origin != "*" and not _ORIGIN.fullmatch(origin)]:
        raise ValueError(f"use *, or comma-separated origins such as https://shop.example.com, unlike {wrong[0]}")
    return origins


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")

_TENDERS = frozenset(
    code
    for uses in get_global("territory_currencies").values()
    for code, _, end, is_tender in uses
    if is_tender and end is None
)


def _currency(value: str) -> str:
    if value not in _TENDERS:
        raise ValueError("use an ISO 4217 code such as USD")
    return value


def _zone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("use a name of the IANA time zone database, such as Europe/Berlin") from None


def _choice(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"use one of {', '.join(allowed)}")
        return value.lower()

    return read


def _secret(value: str) -> str:
    if value and len(value) < 32:
        raise ValueError("use at least 32 random characters")
    return value


_SQLITE = "sqlite://"
_POSTGRES = ("postgresql://", "postgres://")


def _database(value: str) -> str:
    if not value:
        return value
    if value.startswith(_POSTGRES):
        if importlib.util.find_spec("asyncpg") is None:
            raise ValueError("the package asyncpg is not installed; it comes with arcbilling[postgres]")
        return _postgres(value)
    if not value.startswith(f"{_SQLITE}/") or not value.removeprefix(_SQLITE).strip("/"):
        raise ValueError(
            "use postgresql://user:password@host/database, or sqlite:/// and an absolute path, or nothing for the "
            "default file"
        )
    if "?" in value:
        raise ValueError("options after a question mark are not read")
    return value


_REDIS_OPTIONS = frozenset(("db", "password", "ssl_ca_certs", "ssl_cert_reqs", "username"))


def _redis(value: str) -> str:
    if not value:
        return value
    try:
        usable = _leads_to_redis(value)
    except ValueError:
        usable = False  # its sentence would show a part of the value, which may be the password
    if not usable:
        raise ValueError(
            "use redis://:password@host:6379/0, rediss:// for TLS, or unix:// and the path of a socket; after a "
            f"question mark only {', '.join(sorted(_REDIS_OPTIONS))} are read"
        )
    if importlib.util.find_spec("redis") is None:
        raise ValueError("the package redis is not installed; it comes with arcbilling[redis]")
    return value


def _leads_to_redis(url: str) -> bool:
    parts = urlsplit(url)
    options = parse_qs(parts.query, keep_blank_values=True)
    path = parts.path.strip("/")
    if parts.scheme == "unix":
        leads, databases = bool(path), options.get("db", [])
    else:
        leads = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
        databases = [path or "0", *options.get("db", [])]
    return leads and all(number.isdecimal() for number in databases) and options.keys() <= _REDIS_OPTIONS


_HOSTS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^][:/@,]*)(:[0-9]{1,5})?(,(\[[0-9A-Fa-f:.]+\]|[^][:/@,]*)(:[0-9]{1,5})?)*")


def _postgres(value: str) -> str:
    """Refuses what would be misread, without a word of it: a password that is not encoded ends up in the host."""
    try:
        parts = urlsplit(value)
        readable = _HOSTS.fullmatch(parts.netloc.rpartition("@")[2]) is not None
    except ValueError:
        readable = False
    if not readable or parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(
            "use postgresql://user:password@host:5432/database, with / ? # [ ] @ : and % in the user and the password "
            "percent-encoded (/ is %2F, @ is %40)"
        )
    return value


def without_password(url: str) -> str:
    """A database's address for people."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "a local socket"
    return f"{host}{parts.path}"


def user_data_dir() -> Path:
    """Where this user's programs keep their data; raises ValueError for a user without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        raise ValueError("there is no home folder: set it to a folder that can be written") from None
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "arcbilling"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home)) / "arcbilling"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "arcbilling"


def _setting(default: str, read: Callable[[str], T], meaning: str, *, secret: bool = False) -> T:
    field: Any = dataclasses.field(metadata={"default": default, "read": read, "meaning": meaning, "secret": secret})
    return field  # type: ignore[no-any-return]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator can set. A flag of the command line wins over the environment, and that over the default."""

    data_dir: Path = _setting(
        "",
        _path,
        "Folder of the SQLite file and of the generated secret. Default: `./data` under `./run`, `/data` in the image, "
        "the user's data folder for the installed command.",
    )
    database_url: str = _setting(
        "",
        _database,
        "Database. Empty: the SQLite file `arcbilling.sqlite3` in the data folder. Or "
        "`postgresql://user:password@host:5432/database`, or `sqlite:///` and the absolute path of a file.",
        secret=True,
    )
    database_pool: int = _setting(
        "10", _number(3, 1000), "On PostgreSQL: the most connections that each process opens, 3 or more."
    )
    redis_url: str = _setting(
        "",
        _redis,
        "Redis, for several processes: with it they count rate limits together, and learn at once of revoked keys and "
        "of events. `redis://:password@host:6379/0`, `rediss://` for TLS, or `unix://` and the path of a socket.",
        secret=True,
    )
    secret_key: str = _setting(
        "",
        _secret,
        "The server's secret, 32 characters or more: it seals what must be read again. Empty: made once and kept in "
        "`secret.key` in the data folder.",
        secret=True,
    )
    host: str = _setting("127.0.0.1", _text, "Address to listen on.")
    port: int = _setting("8000", _port, "Port to listen on.")
    workers: int = _setting("1", _number(1, 1000), "Processes that serve; more than one needs PostgreSQL.")
    shutdown_delay: float = _setting(
        "2",
        _seconds,
        "Seconds between SIGTERM, from which on `/readyz` answers 503, and the end of new requests: time for a load "
        "balancer to notice.",
    )
    auto_migrate: bool = _setting("on", _flag, "Create and migrate the database at the start of every command.")
    rate_limit_authenticated: str = _setting("60/minute", _rate, "Budget of each API key, or `off`.")
    rate_limit_anonymous: str = _setting("10/minute", _rate, "Budget of each address without a valid key, or `off`.")
    cors_origins: tuple[str, ...] = _setting(
        "*", _origins, "Origins of browsers that may call the API, comma-separated; `*` is every one."
    )
    webhook_allow_nets: tuple[Network, ...] = _setting(
        "",
        _networks,
        "Private networks that webhooks may reach, over http and on any port too, comma-separated CIDRs. Empty: only "
        "https to public addresses.",
    )
    deliver: bool = _setting(
        "on", _flag, "Send webhooks from the processes that serve. Off: `arcbilling worker` does, in others."
    )
    events_kept_days: int = _setting(
        "90", _number(1, 36500), "Days that events and the deliveries that are done with are kept."
    )
    attempts_kept_days: int = _setting(
        "30", _number(1, 36500), "Days that attempts at deliveries are kept, with what was answered."
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        "", _networks, "Networks of the proxies whose `X-Forwarded-For` is believed, comma-separated CIDRs."
    )
    currency: str = _setting("USD", _currency, "Currency of clients that are created without one (ISO 4217).")
    timezone: ZoneInfo = _setting("UTC", _zone, "Billing timezone: decides which date today is (IANA name).")
    provisioning_timeout: float = _setting(
        "60", _time_limit, "Seconds that a module has for a call; then the call is tried again."
    )
    time_scale: float = _setting(
        "1", _factor, "Schedules of retries run so many times faster, for rehearsals; 1 is their own pace."
    )
    graphiql: bool = _setting("on", _flag, "Serve the GraphQL explorer at `/graphiql`. Not used by this version.")
    compiled: bool = _setting(
        "on",
        _flag,
        "Compile GraphQL operations to Python functions, which makes lists several times faster; `off` leaves all to "
        "graphql-core, with the same answers.",
    )
    log_level: str = _setting("info", _choice("debug", "info", "warning", "error"), "Least severe log line written.")
    access_log: bool = _setting("on", _flag, "Write a log line for each request.")
    log_format: str = _setting(
        "auto", _choice("auto", "json", "console"), "`json`, `console`, or `auto`: console on a terminal, else JSON."
    )

    @property
    def is_sqlite(self) -> bool:
        return not self.database_url.startswith(_POSTGRES)

    @property
    def database_name(self) -> str:
        """The database as messages name it."""
        return str(self.sqlite_path) if self.is_sqlite else f"PostgreSQL at {without_password(self.database_url)}"

    @property
    def sqlite_path(self) -> Path:
        assert self.is_sqlite, "the database is no file"
        if not self.database_url:
            return self.data_dir / "arcbilling.sqlite3"
        return Path("/" + self.database_url.removeprefix(_SQLITE).lstrip("/"))


def env_name(field_name: str) -> str:
    return PREFIX + field_name.upper()


def load(environ: Mapping[str, str], **flags: str | None) -> Settings:
    """Reads the settings; raises SettingsError with a sentence for the first value that cannot be used."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        name = env_name(field.name)
        given = flags.get(field.name)
        raw = given if given is not None else environ.get(name) or field.metadata["default"]
        try:
            if field.name == "data_dir" and not raw:
                raw = str(user_data_dir())
            values[field.name] = field.metadata["read"](raw)
        except ValueError as error:
            shown = "its value" if field.metadata["secret"] else repr(raw)
            raise SettingsError(f"{name} cannot be {shown}: {error}.") from None
    return Settings(**values)


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Names in the environment that look like settings and are none: a misspelt setting must not go unseen."""
    known = {env_name(field.name) for field in dataclasses.fields(Settings)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def table() -> list[tuple[str, str, str]]:
    """Rows of the documentation: environment name, default, meaning."""
    return [(env_name(f.name), f.metadata["default"], f.metadata["meaning"]) for f in dataclasses.fields(Settings)]
