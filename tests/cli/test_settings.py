"""Settings: each is read once, and a value that cannot be used is said in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from babel.numbers import list_currencies

from arcbilling import logs
from arcbilling.settings import Settings, SettingsError, load, table, unknown_names
from schema.money import is_currency

SECRET = "correct horse battery staple, 37 chars"

BAD = [
    ("DATA_DIR", "~nobody-of-this-name/data"),
    ("DATABASE_URL", "mysql://root:hunter2@db/billing"),
    ("DATABASE_URL", "sqlite://relative.sqlite3"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:////tmp/a.sqlite3?mode=ro"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "http://:hunter2@localhost"),
    ("REDIS_URL", "redis://:hunter2"),
    ("REDIS_URL", "redis://:hunter2@localhost:0"),
    ("REDIS_URL", "redis://:hunter2@localhost/first"),
    ("REDIS_URL", "redis://[hunter2"),
    ("REDIS_URL", "redis://localhost?hunter2@localhost"),
    ("REDIS_URL", "redis://localhost?db=hunter2"),
    ("REDIS_URL", "unix://"),
    ("SECRET_KEY", "too short"),
    ("PORT", "eighty"),
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "80.0"),
    ("WORKERS", "0"),
    ("WORKERS", "two"),
    ("SHUTDOWN_DELAY", "-1"),
    ("SHUTDOWN_DELAY", "1000"),
    ("SHUTDOWN_DELAY", "2s"),
    ("ACCESS_LOG", "some"),
    ("AUTO_MIGRATE", "maybe"),
    ("GRAPHIQL", "2"),
    ("RATE_LIMIT_AUTHENTICATED", "60"),
    ("RATE_LIMIT_AUTHENTICATED", "many/minute"),
    ("RATE_LIMIT_AUTHENTICATED", "0/minute"),
    ("RATE_LIMIT_ANONYMOUS", "10/fortnight"),
    ("RATE_LIMIT_ANONYMOUS", "60/minute;10/second"),
    ("CORS_ORIGINS", "shop.example.com"),
    ("CORS_ORIGINS", "https://shop.example.com/"),
    ("CORS_ORIGINS", "https://shop.example.com, *.example.com"),
    ("WEBHOOK_ALLOW_NETS", "10.0.0.0/33"),
    ("DELIVER", "perhaps"),
    ("EVENTS_KEPT_DAYS", "0"),
    ("ATTEMPTS_KEPT_DAYS", "forever"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("TRUSTED_PROXIES", "proxy.local"),
    ("CURRENCY", "usd"),
    ("CURRENCY", "XXX"),
    ("CURRENCY", "DEM"),
    ("TIMEZONE", "Mars/Olympus"),
    ("TIMEZONE", "../etc/passwd"),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
]
SECRETS = {"DATABASE_URL", "SECRET_KEY", "REDIS_URL"}


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"HOME": "/nowhere", f"ARCBILLING_{name}": value})
    sentence = str(refused.value)
    assert sentence.startswith(f"ARCBILLING_{name} cannot be ")
    assert sentence.endswith(".")
    assert (f"cannot be {value!r}:" in sentence) != (name in SECRETS)
    assert "hunter2" not in sentence


@pytest.mark.parametrize(("name", "value"), [one for one in BAD if one[0] not in ("SECRET_KEY", "PORT")][::3])
def test_a_value_that_cannot_be_used_stops_the_command(name: str, value: str, tmp_path: Path) -> None:
    environ = {**os.environ, "ARCBILLING_DATA_DIR": str(tmp_path / "data"), f"ARCBILLING_{name}": value}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "arcbilling", "keys", "list"],
        cwd=Path(__file__).parents[2],
        env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ARCBILLING_{name} cannot be ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("DATABASE_URL", "sqlite:////srv/a.sqlite3", "sqlite:////srv/a.sqlite3"),
        ("REDIS_URL", "redis://localhost", "redis://localhost"),
        ("REDIS_URL", "rediss://u:p@[::1]:6380/3?ssl_cert_reqs=none", "rediss://u:p@[::1]:6380/3?ssl_cert_reqs=none"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("SECRET_KEY", SECRET, SECRET),
        ("HOST", "::1", "::1"),
        ("PORT", "0", 0),
        ("WORKERS", "4", 4),
        ("SHUTDOWN_DELAY", "0", 0.0),
        ("SHUTDOWN_DELAY", "2.5", 2.5),
        ("ACCESS_LOG", "off", False),
        ("AUTO_MIGRATE", "OFF", False),
        ("AUTO_MIGRATE", "yes", True),
        ("RATE_LIMIT_AUTHENTICATED", "1000/hour", "1000/hour"),
        ("RATE_LIMIT_ANONYMOUS", " Off ", "off"),
        ("CORS_ORIGINS", "*", ("*",)),
        (
            "CORS_ORIGINS",
            "https://a.example.com, http://localhost:3000",
            ("https://a.example.com", "http://localhost:3000"),
        ),
        ("CURRENCY", "KWD", "KWD"),
        ("LOG_LEVEL", "WARNING", "warning"),
        ("LOG_FORMAT", "JSON", "json"),
    ],
)
def test_a_value_of_the_environment_is_used(name: str, value: str, kept: object) -> None:
    assert getattr(load({f"ARCBILLING_{name}": value}), name.lower()) == kept


def test_a_flag_is_over_the_environment_and_that_over_the_default() -> None:
    assert load({}).port == 8000
    assert load({"ARCBILLING_PORT": "8100"}).port == 8100
    assert load({"ARCBILLING_PORT": "8100"}, port="8200").port == 8200
    assert load({"ARCBILLING_PORT": "8100"}, port=None).port == 8100


def test_an_empty_value_is_the_default() -> None:
    empty = {f"ARCBILLING_{name.upper()}": "" for name in Settings.__dataclass_fields__}
    assert load(empty) == load({})


def test_the_defaults_are_those_of_the_documentation() -> None:
    defaults = {name.removeprefix("ARCBILLING_"): default for name, default, _ in table()}
    assert defaults == {
        "DATA_DIR": "",
        "DATABASE_URL": "",
        "DATABASE_POOL": "10",
        "REDIS_URL": "",
        "SECRET_KEY": "",
        "HOST": "127.0.0.1",
        "PORT": "8000",
        "WORKERS": "1",
        "SHUTDOWN_DELAY": "2",
        "AUTO_MIGRATE": "on",
        "RATE_LIMIT_AUTHENTICATED": "60/minute",
        "RATE_LIMIT_ANONYMOUS": "10/minute",
        "CORS_ORIGINS": "*",
        "WEBHOOK_ALLOW_NETS": "",
        "DELIVER": "on",
        "EVENTS_KEPT_DAYS": "90",
        "ATTEMPTS_KEPT_DAYS": "30",
        "TRUSTED_PROXIES": "",
        "CURRENCY": "USD",
        "TIMEZONE": "UTC",
        "GRAPHIQL": "on",
        "COMPILED": "on",
        "PROVISIONING_TIMEOUT": "60",
        "TIME_SCALE": "1",
        "LOG_LEVEL": "info",
        "ACCESS_LOG": "on",
        "LOG_FORMAT": "auto",
    }
    assert all(meaning.endswith(".") for _, _, meaning in table())


def test_a_misspelt_name_is_known_to_be_none() -> None:
    environ = {"ARCBILLING_PROT": "1", "ARCBILLING_PORT": "1", "ARCBILLING_": "1", "OTHER": "1", "arcbilling_x": "1"}
    assert unknown_names(environ) == ["ARCBILLING_", "ARCBILLING_PROT"]


def test_the_database_is_a_file_of_the_data_folder_or_the_one_named() -> None:
    assert load({"ARCBILLING_DATA_DIR": "/srv/a"}).sqlite_path == Path("/srv/a/arcbilling.sqlite3")
    for url in ("sqlite:///srv/b.sqlite3", "sqlite:////srv/b.sqlite3"):
        assert load({"ARCBILLING_DATABASE_URL": url}).sqlite_path == Path("/srv/b.sqlite3")


@pytest.mark.parametrize("code", sorted([*list_currencies(), "usd", "US", "USDT"]))
def test_the_currency_setting_takes_what_clients_may_have(code: str) -> None:
    if is_currency(code):
        assert load({"ARCBILLING_CURRENCY": code}).currency == code
    else:
        with pytest.raises(SettingsError):
            load({"ARCBILLING_CURRENCY": code})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event", "used arcb_live_0123456789abcdefABCDEF here"),
        ("event", "header Authorization: Bearer abc.def"),
        ("error", "cannot reach postgresql://billing:correct@db:5432/billing"),
        ("error", "duplicate key\nDETAIL:  Failing row contains (1, 12345678)."),
        ("variables", {"input": {"password": "12345678"}, "names": ["arcb_live_0123456789abcdefABCDEF"]}),
        ("given", ValueError("arcb_live_0123456789abcdefABCDEF")),
        ("payload", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("password", "12345678"),
        ("Authorization", "Basic YTpi"),
        ("token", "t"),
        ("exception", "Traceback …\nValueError: arcb_live_0123456789abcdefABCDEF"),
    ],
)
def test_secrets_are_taken_out_of_log_lines(name: str, value: object) -> None:
    written = logs.redact(None, "info", {name: value, "status": 200})
    assert "[secret]" in str(written[name])
    for secret in ("0123456789", "abc.def", "MfKQ9r8G", "12345678", "YTpi", "correct"):
        assert secret not in str(written[name])
    assert written["status"] == 200


def test_the_secrets_of_the_settings_are_taken_out_wherever_they_stand() -> None:
    url = "postgresql://u:p%40ss-word@db/x"
    redis = "redis://localhost?db=1&password=by+query%21"
    logs.configure(load({}, secret_key=SECRET, database_url=url, redis_url=redis, log_format="json"))
    try:
        shown = f"{SECRET}, p@ss-word, p%40ss-word, by+query%21, by+query!, by query!"
        written = logs.redact(None, "error", {"event": shown})
        assert written["event"] == ", ".join(["[secret]"] * 6)
    finally:
        logs.configure(load({}, log_format="json"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:Sec/ret1@127.0.0.1:5432/x",
        "postgresql://bob:Sec#ret1@127.0.0.1:5432/x",
        "postgresql://bob:Sec?ret1@127.0.0.1:5432/x",
        "postgresql://bob:Sec[ret1@127.0.0.1:5432/x",
        "postgresql://bob:Secret1@127.0.0.1:port/x",
        "postgresql://bob:Secret1@127.0.0.1:5432/x@y",
    ],
)
def test_a_database_whose_password_is_not_encoded_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"ARCBILLING_DATABASE_URL": url})
    assert "percent-encoded" in str(refused.value)
    assert not any(part in str(refused.value) for part in ("Sec", "ret1", "bob"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://bob:Sec%2Fret1@db.example.com:5432/billing", "db.example.com:5432/billing"),
        ("postgres://bob@[::1]:5432/billing?sslmode=require", "[::1]:5432/billing"),
        ("postgresql://bob:x@db1:5432,db2:5432/billing?target_session_attrs=primary", "db1:5432,db2:5432/billing"),
        ("postgresql:///billing?host=/var/run/postgresql", "a local socket/billing"),
        ("postgresql://db/billing", "db/billing"),
    ],
)
def test_a_database_is_named_by_host_and_path_alone(url: str, shown: str) -> None:
    assert load({"ARCBILLING_DATABASE_URL": url}).database_name == f"PostgreSQL at {shown}"
