"""The receivers that docs/receivers/ shows: each takes what is signed by us, and nothing else.

Those whose language is not installed are skipped, and the reason says which.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from schema.keys import new_secret
from webhooks.signing import signature_header, signed_body

FOLDER = Path(__file__).parents[1] / "docs" / "receivers"
SECRET = new_secret()
DATA = '{"id":1234,"subject":"Zürich, 東京 🙂"}'
CONTENT = f'{{"data":{DATA},"event":"ticket.opened","timestamp":"2026-01-15T12:00:00Z"}}'.encode()
BODY = signed_body(CONTENT, SECRET)
ENVIRON = {**os.environ, "WEBHOOK_SECRET": SECRET}
RUBY = """
$app = nil
def run(app) = $app = app
load ARGV[0]
require "stringio"
status, = $app.call({"rack.input" => StringIO.new($stdin.binmode.read), "HTTP_WEBHOOK_ID" => "evt_1"})
exit(status == 204 ? 0 : 1)
"""

FORGED = {
    "changed": BODY.replace(b"1234", b"1235"),
    "signed with another secret": signed_body(CONTENT, new_secret()),
    "without its last byte": BODY[:-1],
    "with a member after the signature": BODY[:-1] + b',"more":1}',
    "not signed": CONTENT,
    "only a tail": BODY[-87:],
    "empty": b"",
}


class Ended(Exception):
    """A receiver has ended."""


def installed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed here")
    return found


def port_of(server: "subprocess.Popen[bytes]", port: int) -> int:
    """The port, once the server listens."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if server.poll() is not None:
            raise Ended
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.05)
    raise AssertionError("the receiver does not listen")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def post(port: int, body: bytes, secret: str = SECRET, age: int = 0) -> int:
    sent_at = int(time.time()) - age
    headers = {
        "content-type": "application/json",
        "webhook-id": "evt_01JHN5Z8Q0000000000000000A",
        "webhook-timestamp": str(sent_at),
        "webhook-signature": signature_header(body, "evt_01JHN5Z8Q0000000000000000A", sent_at, [new_secret(), secret]),
    }
    return httpx2.post(f"http://127.0.0.1:{port}/", content=body, headers=headers, timeout=30).status_code


def serving(command: list[str], work: Callable[[int], None], environ: dict[str, str] = ENVIRON) -> None:
    port = free_port()
    filled = [part.replace("PORT", str(port)) for part in command]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(filled, env=environ, stdout=quiet, stderr=quiet, start_new_session=True) as server:
        try:
            work(port_of(server, port))
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(server.pid, signal.SIGKILL)  # some start another process, which is the one that serves


SERVERS = {
    "python": [sys.executable, str(FOLDER / "receiver.py"), "PORT"],
    "node": ["node", str(FOLDER / "receiver.js"), "PORT"],
    "php": ["php", "-S", "127.0.0.1:PORT", str(FOLDER / "receiver.php")],
    "go": ["go", "run", str(FOLDER / "receiver.go"), "PORT"],
}
PROGRAMS = {
    "sh": ["sh", str(FOLDER / "receiver.sh")],
    "ruby": ["ruby", "-e", RUBY, str(FOLDER / "config.ru")],
}


@pytest.mark.parametrize("language", SERVERS)
def test_a_receiver_that_serves_takes_what_is_signed_alone(language: str) -> None:
    installed(SERVERS[language][0])

    def try_all(port: int) -> None:
        assert post(port, BODY) == 204
        assert post(port, BODY) == 204, "the same again"
        for how, forged in FORGED.items():
            assert post(port, forged) == 401, how

    serving(SERVERS[language], try_all)


def test_the_receiver_that_checks_the_headers_too_refuses_what_is_old_and_what_they_do_not_sign() -> None:
    def try_both(port: int) -> None:
        assert post(port, BODY, age=3600) == 401
        assert post(port, BODY, secret=new_secret()) == 401
        assert post(port, BODY, age=200) == 204

    serving(SERVERS["python"], try_both)


@pytest.mark.parametrize("secret", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("language", SERVERS)
def test_a_receiver_that_was_given_no_secret_takes_nothing(language: str, secret: str | None) -> None:
    """Without one everybody could sign: most languages take an unset variable for an empty key."""
    installed(SERVERS[language][0])
    environ = {name: value for name, value in ENVIRON.items() if name != "WEBHOOK_SECRET"}
    environ |= {} if secret is None else {"WEBHOOK_SECRET": secret}

    def try_forged(port: int) -> None:
        assert post(port, signed_body(CONTENT, ""), secret="") >= 400

    with suppress(Ended):
        serving(SERVERS[language], try_forged, environ)


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_receiver_that_reads_its_input_takes_what_is_signed_alone(language: str) -> None:
    installed(PROGRAMS[language][0])
    if language == "sh":
        installed("openssl")

    def run(body: bytes) -> int:
        return subprocess.run(PROGRAMS[language], input=body, env=ENVIRON, capture_output=True, check=False).returncode

    def run_without(**secret: str) -> int:
        environ = {name: value for name, value in ENVIRON.items() if name != "WEBHOOK_SECRET"} | secret
        forged = signed_body(CONTENT, "")
        command = PROGRAMS[language]
        return subprocess.run(command, input=forged, env=environ, capture_output=True, check=False).returncode

    assert run(BODY) == 0
    assert run_without() != 0
    assert run_without(WEBHOOK_SECRET="") != 0
    for how, forged in FORGED.items():
        assert run(forged) == 1, how


def test_each_receiver_is_tried_here_and_told_of_in_the_guide() -> None:
    named = " ".join(part for command in (*SERVERS.values(), *PROGRAMS.values()) for part in command)
    guide = (FOLDER.parent / "webhooks.md").read_text(encoding="utf-8")
    for receiver in FOLDER.iterdir():
        if receiver.is_file():
            assert str(receiver) in named
            assert f"(receivers/{receiver.name})" in guide
