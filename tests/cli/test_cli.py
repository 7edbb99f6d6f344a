"""The command line, as a person or a script meets it: standard output is data, standard error is talk."""

import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from schema import keys
from tests.shell import ROOT, Shell

COMMANDS = (
    ["serve"],
    ["migrate"],
    ["keys"],
    ["keys", "create"],
    ["keys", "list"],
    ["keys", "revoke"],
    ["demo"],
    ["schema"],
    ["schema", "print"],
    ["openapi"],
    ["openapi", "print"],
    ["doctor"],
    ["listen"],
    ["trigger"],
    ["webhooks"],
    ["webhooks", "verify"],
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


# Usage


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(shell: Shell, command: list[str]) -> None:
    done = shell.run(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"arcbilling {' '.join(command)}" in done.stdout
    assert not shell.data.exists()


def test_help_names_every_command(shell: Shell) -> None:
    done = shell.run("--help")
    assert done.returncode == 0
    assert all(command[0] in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("group", [[], ["keys"], ["schema"], ["openapi"], ["webhooks"]], ids=" ".join)
def test_without_a_command_the_exit_is_2(shell: Shell, group: list[str]) -> None:
    assert shell.run(*group).returncode == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ["--nonsense"],
        ["nonsense"],
        ["keys", "nonsense"],
        ["keys", "create"],
        ["keys", "create", "a", "b"],
        ["keys", "create", "a", "--expires", "tomorrow"],
        ["keys", "create", "a", "--expires", "2026-02-30"],
        ["keys", "revoke"],
        ["keys", "list", "extra"],
        ["serve", "--port", "eighty"],
        ["serve", "--port", "65536"],
        ["serve", "--workers", "0"],
        ["demo", "--clients", "0"],
        ["demo", "--seed", "x"],
        ["listen"],
        ["listen", "--forward", "ftp://localhost/"],
        ["listen", "--forward", "http://localhost/", "--secret", "hush"],
        ["trigger"],
        ["trigger", "invoice.paid", "--forward", "http://localhost/", "--secret", "whsec_?"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_touches_nothing(shell: Shell, wrong: list[str]) -> None:
    assert shell.misused(*wrong)
    assert not shell.data.exists()


def test_the_version_is_data(shell: Shell) -> None:
    done = shell.run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.1.0\n", "")


# Keys


def test_a_new_key_is_the_last_line_of_standard_output_and_alone_there(shell: Shell) -> None:
    done = shell.run("keys", "create", "My first key")
    assert done.returncode == 0
    (key,) = done.stdout.splitlines()
    assert keys.is_well_formed(key)
    assert key not in done.stderr
    assert "key_1 'My first key' may: *." in done.stderr


def test_a_key_gets_the_scopes_client_network_and_end_that_are_asked_for(shell: Shell) -> None:
    shell.key(
        "--scope", "invoices:read", "--scope", "clients:write", "--expires", "2999-12-31", "--network", "10.0.0.0/8"
    )
    (line,) = shell.run("keys", "list").stdout.splitlines()
    id, status, name, hint, scopes, client, expires, used = line.split("\t")
    assert (id, status, name, client, used) == ("key_1", "active", "test", "-", "-")
    assert scopes == "clients:write invoices:read"
    assert hint.startswith("arcb_live_")
    assert expires == "2999-12-31T23:59:59Z"


def test_a_day_ends_in_the_billing_timezone_and_the_last_one_with_the_calendar(shell: Shell) -> None:
    shell.environ["ARCBILLING_TIMEZONE"] = "Europe/Berlin"
    shell.key("--expires", "2999-12-31")
    shell.key("--expires", "2999-12-31T12:00:00Z")
    shell.key("--expires", "9999-12-31")
    ends = [line.split("\t")[6] for line in shell.run("keys", "list").stdout.splitlines()]
    assert ends == ["2999-12-31T22:59:59Z", "2999-12-31T12:00:00Z", "9999-12-31T23:59:59Z"]


def test_keys_are_listed_a_line_each_whatever_their_names(shell: Shell) -> None:
    for name in ("tab\there", "line\nbreak", "\x1b[31mred", "Schlüssel 🔑"):
        assert shell.run("keys", "create", name).returncode == 0
    done = shell.run("keys", "list", LC_ALL="C", PYTHONIOENCODING="ascii")
    lines = done.stdout.splitlines()
    assert [line.count("\t") for line in lines] == [7] * 4
    assert [line.split("\t")[2] for line in lines] == ["tab here", "line break", " [31mred", "Schlüssel 🔑"]
    assert done.stderr == ""


def test_no_keys_are_no_lines(shell: Shell) -> None:
    assert shell.run("keys", "list").stdout == ""


def test_more_keys_than_a_page_holds_are_all_listed(shell: Shell) -> None:
    shell.key()
    with closing(sqlite3.connect(shell.database)) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(api_keys)") if row[1] not in ("id", "digest")]
        names = ", ".join(columns)
        for n in range(120):
            database.execute(
                f"INSERT INTO api_keys (digest, {names}) SELECT ?, {names} FROM api_keys WHERE id = 1", [str(n)]
            )
    ids = [line.split("\t")[0] for line in shell.run("keys", "list").stdout.splitlines()]
    assert ids == [f"key_{n}" for n in range(1, 122)]


def test_a_revoked_key_stays_in_the_list(shell: Shell) -> None:
    shell.key()
    for id in ("key_1", "1"):
        done = shell.run("keys", "revoke", id)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "key_1 'test' is revoked.\n")
    assert shell.run("keys", "list").stdout.split("\t")[1] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["revoke", "77"], "API key 77 does not exist."),
        (["revoke", "key_77"], "API key 77 does not exist."),
        (["revoke", "inv_1"], "The id field must be an id such as key_1234, and 'inv_1' is of another type"),
        (["revoke", "first"], "The id field must be an id such as key_1234 or 1234."),
        (
            ["create", "a", "--scope", "coffee:brew"],
            "The scopes field names what cannot be granted: 'coffee:brew' is no scope",
        ),
        (["create", "a", "--client", "77"], "The client id field names no client: 77."),
        (["create", "a", "--client", "ada"], "The client id field must be an id such as cli_1234 or 1234."),
        (["create", "a", "--expires", "2020-01-01"], "The expires at field must be in the future."),
        (["create", "a", "--network", "10.0.0.1/8"], "field must be a network such as 192.0.2.0/24."),
        (["create", "a", "--network", "home"], "field must be a network such as 192.0.2.0/24."),
        (["create", " "], "The name field is required."),
        (["create", "x" * 256], "The name field must be at most 255 characters."),
    ],
)
def test_what_cannot_be_done_is_1_and_a_sentence(shell: Shell, arguments: list[str], said: str) -> None:
    assert said in shell.refused("keys", *arguments)
    with closing(sqlite3.connect(shell.database)) as database:
        assert database.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


# Databases


def test_migrate_tells_what_it_applied_and_then_that_there_is_nothing_to_do(shell: Shell) -> None:
    first, second = shell.run("migrate"), shell.run("migrate")
    assert first.returncode == second.returncode == 0
    assert first.stdout.splitlines()[0] == "0001_initial"
    assert second.stdout == ""
    assert second.stderr == f"The database {shell.database} is up to date.\n"


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["keys", "list"], ["demo"]], ids=" ".join)
def test_without_auto_migrate_a_database_that_is_not_up_to_date_is_refused(shell: Shell, command: list[str]) -> None:
    sentence = shell.refused(*command, ARCBILLING_AUTO_MIGRATE="off")
    assert "lacks" in sentence
    assert sentence.endswith("run arcbilling migrate.")
    assert not shell.database.exists()


def test_without_auto_migrate_a_database_that_was_migrated_by_hand_is_used(shell: Shell) -> None:
    assert shell.run("migrate", ARCBILLING_AUTO_MIGRATE="off").returncode == 0
    assert shell.run("keys", "list", ARCBILLING_AUTO_MIGRATE="off").returncode == 0


def test_commands_that_start_at_once_on_an_empty_folder_all_work(shell: Shell) -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda n: shell.run("keys", "create", f"key {n}"), range(8)))
    assert [one.returncode for one in done] == [0] * 8, [one.stderr for one in done]
    assert len({one.stdout for one in done}) == 8
    assert len(shell.run("keys", "list").stdout.splitlines()) == 8
    assert sum("Applied migration 0001_initial" in one.stderr for one in done) == 1
    assert shell.run("doctor").returncode == 0


def test_a_file_that_is_no_database_is_said_to_be_none(shell: Shell) -> None:
    shell.data.mkdir()
    shell.database.write_text("This is a text file, and long enough to be read as a page of something else.\n" * 99)
    for command in (["keys", "list"], ["migrate"], ["serve", "--port", "0"]):
        assert shell.refused(*command) == f"The database {shell.database} cannot be used: file is not a database."


def test_a_data_folder_that_is_a_file_is_refused(shell: Shell) -> None:
    shell.data.write_text("")
    assert shell.refused("keys", "list").startswith(f"{shell.data} cannot be used: ")


def test_a_name_that_is_no_setting_is_warned_of_once_and_ignored(shell: Shell) -> None:
    done = shell.run("keys", "create", "a", "--expires", "2999-12-31", ARCBILLING_PROT="1")
    assert done.returncode == 0
    assert done.stderr.count("ARCBILLING_PROT") == 1
    assert "warning: ARCBILLING_PROT is not a setting of ArcBilling and was ignored." in done.stderr


def test_doctor_finds_nothing_wrong_before_and_after_the_first_start_and_changes_nothing(shell: Shell) -> None:
    before = shell.run("doctor")
    assert (before.returncode, before.stderr) == (0, "")
    assert not shell.data.exists()
    shell.key()
    after = shell.run("doctor")
    assert (after.returncode, after.stderr) == (0, "")
    for line in (before.stdout + after.stdout).splitlines():
        assert line.startswith("ok\t"), line


@pytest.mark.parametrize(
    "harm", ["open secret", "another secret", "no secret", "no database", "damaged", "dangling", "old"]
)
def test_doctor_finds_what_is_wrong(shell: Shell, harm: str) -> None:
    shell.key()
    match harm:
        case "open secret":
            (shell.data / "secret.key").chmod(0o644)
        case "another secret":
            (shell.data / "secret.key").write_text("another secret of this installation\n")
        case "no secret":
            (shell.data / "secret.key").unlink()
        case "no database":
            shell.database.write_text("text " * 1000)
        case "damaged":
            whole = shell.database.read_bytes()
            shell.database.write_bytes(whole[: len(whole) // 2])
        case "dangling":
            with closing(sqlite3.connect(shell.database)) as database, database:
                database.execute("UPDATE api_keys SET client_id = 77")
        case "old":
            with closing(sqlite3.connect(shell.database)) as database, database:
                database.execute("DELETE FROM tortoise_migrations WHERE name = '0002_defaults'")
    done = shell.run("doctor")
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem\t")]
    assert len(problems) == 1, done.stdout
    assert "Traceback" not in done.stderr


# Documents


def test_the_schema_that_is_printed_is_the_one_that_is_committed(shell: Shell) -> None:
    done = shell.run("schema", "print")
    assert (done.returncode, done.stderr) == (0, "")
    committed = ROOT / "schema.graphql"
    assert done.stdout.startswith('"""') or done.stdout.startswith("directive")
    assert not committed.exists() or committed.read_text() == done.stdout
    assert not shell.data.exists()


def test_the_openapi_document_that_is_printed_is_the_one_that_is_committed(shell: Shell) -> None:
    done = shell.run("openapi", "print")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("{\n")
    for committed in (*ROOT.glob("openapi.json"), *ROOT.glob("docs/**/openapi.json")):
        assert committed.read_text() == done.stdout
    assert not shell.data.exists()


# Serving


def test_serve_on_a_new_machine_says_where_the_docs_are_and_how_to_make_a_key(shell: Shell) -> None:
    with shell.serving() as server:
        told = "\n".join(server.told)
        assert f"{server.url}/docs" in told
        assert f"{server.url}/graphql" in told
        assert f"ARCBILLING_DATA_DIR={shell.data} arcbilling keys create" in told
        assert server.get("/livez").json() == {"status": "alive"}
        assert server.get("/readyz").json() == {"status": "ready"}
        assert server.get("/docs").status_code == 200
        assert server.get("/api/v1/clients").status_code == 401
        assert [file.name for file in shell.data.iterdir() if file.stat().st_mode & 0o077] == []
        code, seconds, rest = server.ended(signal.SIGTERM)
    assert code == 0
    assert seconds < 10
    assert "Traceback" not in rest


def test_an_interrupt_from_the_keyboard_ends_it_as_well(shell: Shell) -> None:
    with shell.serving() as server:
        code, _, rest = server.ended(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in rest


def test_a_key_made_beside_the_server_works_at_once_and_a_revoked_one_is_dead_within_five_seconds(shell: Shell) -> None:
    with shell.serving(ARCBILLING_RATE_LIMIT_AUTHENTICATED="off", ARCBILLING_RATE_LIMIT_ANONYMOUS="off") as server:
        key = shell.key()
        assert server.get("/api/v1/clients", key).status_code == 200
        assert shell.run("keys", "revoke", "1").returncode == 0
        dead = time.monotonic() + 5
        while (answer := server.get("/api/v1/clients", key)).status_code == 200 and time.monotonic() < dead:
            time.sleep(0.05)
        assert answer.status_code == 401 or server.get("/api/v1/clients", key).status_code == 401


def test_a_second_server_on_the_same_file_is_refused(shell: Shell) -> None:
    with shell.serving() as server:
        sentence = shell.refused("serve", "--port", "0")
        assert str(shell.database) in sentence
        assert "ARCBILLING_DATABASE_URL" in sentence
        assert server.get("/readyz").status_code == 200
    with shell.serving():  # the lock of a server that was killed is free
        pass


def test_several_workers_need_a_database_server(shell: Shell) -> None:
    by_flag, by_setting = shell.refused("serve", "--workers", "2"), shell.refused("serve", ARCBILLING_WORKERS="2")
    assert by_flag == by_setting
    assert "ARCBILLING_DATABASE_URL" in by_flag
    assert not shell.data.exists()


def test_a_port_that_is_taken_is_said_to_be(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Shell(tmp_path / "other").serving() as server:
        port = server.url.rpartition(":")[2]
        for done in (("--port", port), ()):
            sentence = shell.refused("serve", *done, ARCBILLING_PORT=port)
            assert sentence.startswith(f"Cannot listen on 127.0.0.1 port {port}: ")
            assert "--port" in sentence


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 80 + ".com", "256.0.0.1"])
def test_a_host_that_is_not_ours_is_said_to_be_none(shell: Shell, host: str) -> None:
    assert shell.refused("serve", "--port", "0", ARCBILLING_HOST=host).startswith(f"Cannot listen on {host} port 0: ")


def test_a_flag_is_over_the_environment(shell: Shell) -> None:
    with shell.serving("--host", "127.0.0.1", ARCBILLING_HOST="no.such.host.invalid", ARCBILLING_PORT="1") as server:
        assert server.url.startswith("http://127.0.0.1:")
