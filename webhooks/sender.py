"""The sender: one request to an endpoint, within bounds, and what came of it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from arcbilling import __version__, clock
from schema.addresses import Network
from schema.circuits import Outcome, is_success
from webhooks.guard import Dialled, Guard, Resolver, dialling
from webhooks.signing import signature_header, signed_body

SECONDS_TO_CONNECT = 5.0
SECONDS_IN_ALL = 15.0
MOST_OF_THE_ANSWER = 16 * 1024
LONGEST_ERROR = 255
SKIPPED = ("Accept", "Accept-Encoding")
"""Headers that aiohttp would add: nothing is asked for, least of all that it be packed."""


@dataclass(frozen=True)
class Endpoint:
    """Where to send, and what to sign with: the current secret first."""

    url: str
    secrets: Sequence[str]


@dataclass(frozen=True)
class Message:
    """What to send: the content as it was frozen when it happened, the same on every attempt."""

    id: str
    content: str


class Sender:
    """Sends messages, any number at once, to addresses that may be dialled."""

    def __init__(self, networks: Sequence[Network], *, seconds: float = SECONDS_IN_ALL) -> None:
        self._networks = networks
        self._seconds = seconds
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def send(self, endpoint: Endpoint, message: Message) -> Outcome:
        """Makes the request; never fails, and ends in time."""
        begun, started_at = time.monotonic(), clock.now()
        with dialling() as dialled:
            outcome = await self._tried(endpoint, message, dialled, started_at)
        return Outcome(
            started_at=started_at,
            milliseconds=round((time.monotonic() - begun) * 1000),
            status=outcome.status,
            error=None if outcome.error is None else as_text(outcome.error)[:LONGEST_ERROR],
            address=dialled.address,
            answer=outcome.answer,
            blocked=outcome.blocked,
            silent=outcome.silent,
            retry_after=outcome.retry_after,
        )

    async def _tried(self, endpoint: Endpoint, message: Message, dialled: Dialled, at: datetime) -> Outcome:
        answered = Answered()
        try:
            async with asyncio.timeout(self._seconds):
                await self._request(endpoint, message, at, answered)
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                said = f"No connection came about within {SECONDS_TO_CONNECT:g} seconds."
            else:
                said = f"There was no complete answer within {self._seconds:g} seconds."
            return Outcome(at, 0, answered.status, said, answer=answered.text, silent=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if dialled.address is None and dialled.refusal is not None:
                return Outcome(at, 0, error=dialled.refusal, blocked=True)
            return Outcome(at, 0, answered.status, sentence_of(error), answer=answered.text)
        assert answered.status is not None, "there is an answer"
        error_text = None if is_success(answered.status) else f"The answer was {answered.status}."
        return Outcome(
            at, 0, answered.status, error_text, answer=answered.text, retry_after=wait_of(answered.retry_after, at)
        )

    async def _request(self, endpoint: Endpoint, message: Message, at: datetime, answered: "Answered") -> None:
        body = signed_body(message.content.encode(), endpoint.secrets[0])
        seconds = int(at.timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": f"ArcBilling/{__version__}",
            "webhook-id": message.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signature_header(body, message.id, seconds, endpoint.secrets),
        }
        # `encoded`: it is sent as it is stored; else escapes would be undone, and two dots followed.
        async with self._session(endpoint.url.startswith("https:")).post(
            URL(endpoint.url, encoded=True), data=body, headers=headers, allow_redirects=False
        ) as answer:
            answered.status = answer.status
            answered.retry_after = answer.headers.get("retry-after")
            try:
                while (missing := MOST_OF_THE_ANSWER - len(answered.body)) and (
                    part := await answer.content.read(missing)
                ):
                    answered.body += part
            finally:
                answer.close()  # what is left of it is not waited for

    def _session(self, tls: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(tls)
        if session is None:
            connector = aiohttp.TCPConnector(
                socket_factory=Guard(self._networks, tls=tls),
                resolver=Resolver(),
                use_dns_cache=False,
                limit=0,
                force_close=True,
            )
            session = self._sessions[tls] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=SKIPPED,
                read_bufsize=MOST_OF_THE_ANSWER,
                timeout=aiohttp.ClientTimeout(total=None, connect=SECONDS_TO_CONNECT),
            )
        return session


@dataclass
class Answered:
    """As much of an answer as there is."""

    status: int | None = None
    retry_after: str | None = None
    body: bytes = b""

    @property
    def text(self) -> str | None:
        return None if self.status is None else as_text(self.body.decode("utf-8", "replace"))


def as_text(text: str) -> str:
    """A text that every database stores."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def wait_of(header: str | None, now: datetime) -> timedelta | None:
    """How long `Retry-After` asks to wait: seconds, or a date; None for whatever else it says."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(text)
        return max(date.replace(tzinfo=date.tzinfo or UTC) - now, timedelta(0))
    return None


def sentence_of(error: Exception) -> str:
    """Why there was no answer, without a word of the request."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "The name of its host could not be looked up."
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", None) or type(error.certificate_error).__name__
            return f"Its TLS certificate was not accepted: {reason}."
        case aiohttp.ClientConnectorSSLError():
            return "No TLS connection came about."
        case aiohttp.ClientConnectorError():
            return f"No connection came about: {error.os_error.strerror or type(error.os_error).__name__}."
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "The answer was no HTTP."
        case aiohttp.InvalidURL() | ValueError():
            return "Its URL cannot be sent to."
        case _:
            return "The connection ended before the answer."
