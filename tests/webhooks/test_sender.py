"""One request: what is sent, what is made of the answer, and that it ends in time whatever the other side does."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from arcbilling import __version__
from schema.circuits import Outcome
from tests.reliability.receiver import Mode, Receiver, receiving
from webhooks.guard import Resolver
from webhooks.sender import MOST_OF_THE_ANSWER, Endpoint, Message, Sender, wait_of
from webhooks.signing import verify_body, verify_header

pytestmark = pytest.mark.anyio

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
MESSAGE = Message("evt_1", '{"data":{"id":1},"event":"client.created","timestamp":"2026-11-23T12:00:00Z"}')
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    one = Sender(LOOPBACK, seconds=0.6)
    yield one
    await one.close()


@asynccontextmanager
async def patient() -> AsyncIterator[Sender]:
    """For answers that must have begun in time, also on a machine that stalls for a moment."""
    one = Sender(LOOPBACK, seconds=1.5)
    yield one
    await one.close()


async def sent(sender: Sender, to: Receiver | str) -> Outcome:
    url = to if isinstance(to, str) else to.url
    return await sender.send(Endpoint(url, [SECRET]), MESSAGE)


async def test_a_request_has_the_headers_of_the_contract_and_no_others(sender: Sender) -> None:
    async with receiving() as receiver:
        outcome = await sent(sender, receiver)
    (one,) = receiver.received
    assert (outcome.status, outcome.error, outcome.address, outcome.answer) == (200, None, "127.0.0.1", "ok")
    assert set(one.headers) == {
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
    assert one.headers["content-type"] == "application/json"
    assert one.headers["user-agent"] == f"ArcBilling/{__version__}"
    assert one.id == MESSAGE.id
    assert verify_body(one.body, SECRET) == MESSAGE.content.encode()
    stamp, signatures = one.headers["webhook-timestamp"], one.headers["webhook-signature"]
    verify_header(one.body, one.id, stamp, signatures, SECRET, int(time.time()))


async def test_a_url_is_sent_to_as_it_was_given(sender: Sender) -> None:
    """Whoever has put a key into the path or the query may compare its bytes."""
    async with receiving() as receiver:
        for target in ("/a/../b%2Fc/%7Ed?key=a%2Fb%3D%2B+%41&e=;/../f", "/?key=%2F", "//twice"):
            assert (await sent(sender, f"http://127.0.0.1:{receiver.port}{target}")).succeeded
            assert receiver.received[-1].path == target
        for bare in ("", "?"):
            assert (await sent(sender, f"http://127.0.0.1:{receiver.port}{bare}")).succeeded
            assert receiver.received[-1].path == "/"


@pytest.mark.parametrize("mode", ["400", "410", "429", "500", "503"])
async def test_an_answer_that_is_no_success_is_a_failure(sender: Sender, mode: Mode) -> None:
    async with receiving(mode) as receiver:
        outcome = await sent(sender, receiver)
    assert (outcome.status, outcome.error) == (int(mode), f"The answer was {mode}.")
    assert not outcome.silent
    assert outcome.retry_after == (timedelta(seconds=120) if mode in ("429", "503") else None)


async def test_a_redirect_is_a_failure_and_never_followed(sender: Sender) -> None:
    async with receiving() as canary, receiving("redirect", location=canary.url) as receiver:
        outcome = await sent(sender, receiver)
    assert (outcome.status, outcome.error) == (302, "The answer was 302.")
    assert canary.connections == 0


@pytest.mark.parametrize("mode", ["hang", "drip", "drip head"])
async def test_whoever_does_not_answer_in_full_is_cut(mode: Mode) -> None:
    async with receiving(mode) as receiver, patient() as sender:
        begun = time.monotonic()
        outcome = await sent(sender, receiver)
        assert time.monotonic() - begun < 3
        await receiver.until(lambda: receiver.open_connections == 0)
    assert outcome.silent
    assert outcome.error == "There was no complete answer within 1.5 seconds."
    assert outcome.status == (200 if mode == "drip" else None)


async def test_of_a_huge_answer_little_is_read(sender: Sender) -> None:
    async with receiving("huge") as receiver:
        outcome = await sent(sender, receiver)
        await receiver.until(lambda: receiver.open_connections == 0)
        assert receiver.bytes_sent < 16 * 1024 * 1024  # what the kernel holds on its way, of 64 MiB
    assert outcome.succeeded
    assert outcome.answer == "x" * MOST_OF_THE_ANSWER


async def test_a_packed_answer_is_not_unpacked(sender: Sender) -> None:
    async with receiving("gzip bomb") as receiver:
        outcome = await sent(sender, receiver)
    assert outcome.succeeded
    assert outcome.answer is not None
    assert len(outcome.answer) <= MOST_OF_THE_ANSWER
    assert "\0" not in outcome.answer


async def test_a_connection_that_is_cut_is_a_failure(sender: Sender) -> None:
    async with receiving("reset") as receiver:
        outcome = await sent(sender, receiver)
    assert (outcome.status, outcome.error) == (None, "The connection ended before the answer.")


async def test_a_port_that_nobody_listens_on_is_a_failure(sender: Sender) -> None:
    async with receiving() as receiver:
        url = receiver.url
    outcome = await sent(sender, url)
    assert outcome.error is not None
    assert outcome.error.startswith("No connection came about: ")
    assert outcome.address == "127.0.0.1"


async def test_a_name_that_leads_nowhere_is_a_failure(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(Resolver, "_look_up", look_up)
    outcome = await sent(sender, "https://receiver.example/hook")
    assert outcome.error == "The name of its host could not be looked up."


async def test_a_name_server_that_is_silent_is_not_waited_for(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Resolver, "_look_up", lambda *_: time.sleep(1.5))
    outcome = await sent(sender, "https://receiver.example/hook")
    assert outcome.silent
    assert outcome.milliseconds < 1400


async def test_tls_that_is_none_is_a_failure(sender: Sender) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        outcome = await sent(sender, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert outcome.error == "No TLS connection came about."


async def test_a_certificate_that_nobody_vouches_for_is_refused(sender: Sender, tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=_own_certificate(tmp_path)) as server:
        outcome = await sent(sender, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert outcome.error is not None
    assert outcome.error.startswith("Its TLS certificate was not accepted: self")
    assert b"".join(asked) == b""


async def test_what_is_no_http_is_a_failure(sender: Sender) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        outcome = await sent(sender, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert outcome.error == "The answer was no HTTP."


async def test_no_cookie_is_kept(sender: Sender) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    heads: list[bytes] = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        for _ in range(2):
            outcome = await sent(sender, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            assert outcome.succeeded
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        (" 5 ", 5),
        ("Mon, 23 Nov 2026 12:02:00 GMT", 120),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("9" * 400, 999_999_999),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Mon, 99 Nov 2026 12:02:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: int | None) -> None:
    assert wait_of(header, NOW) == (None if seconds is None else timedelta(seconds=seconds))


def _own_certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption_algorithm=NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
