"""Endpoints that are sent events: each with a receiver of its own, in the mood that the plan gives it."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.reliability.receiver import Mode, Received, Receiver
from tests.torture.plan import Mood

SECONDS_OF_SLOW = 0.5
TOLERANCE_SECONDS = 300
MODES: dict[Mood, Mode] = {"ok": "ok", "500": "500", "slow": "slow", "hang": "hang", "redirect": "redirect"}


@dataclass
class Endpoint:
    """An endpoint of the installation, and the receiver behind it."""

    name: str
    receiver: Receiver
    wants: tuple[str, ...] | None = ("*",)
    """Names of events; None for those that an endpoint gets that does not say."""
    id: int = 0
    secret: str = ""

    async def be(self, mood: Mood) -> None:
        if mood != "down":
            self.receiver.mode, self.receiver.seconds = MODES[mood], SECONDS_OF_SLOW
        if mood == "down" and self.receiver.listens:
            await self.receiver.stop()
        elif mood != "down" and not self.receiver.listens:
            await self.receiver.start()

    async def follow(self, moods: Iterator[tuple[Mood, float]]) -> None:
        """Changes its mood until it is cancelled, and is well in the end."""
        try:
            for mood, seconds in moods:
                await self.be(mood)
                await asyncio.sleep(seconds)
        finally:
            await self.be("ok")


def fault_of(one: Received, secret: str) -> str | None:
    """What is wrong with a request that claims to be signed with the secret: as a receiver finds it out."""
    content, tail = one.body[:-87] + b"}", one.body[-87:]
    signature = b"sha256=" + hmac.digest(secret.encode(), content, hashlib.sha256).hex().encode()
    if tail != b',"signature":"' + signature + b'"}':
        return "the signature in the body does not match"
    said = json.loads(one.body)
    if sorted(said) != ["data", "event", "signature", "timestamp"]:
        return f"the body has the members {sorted(said)}"
    if json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() != content:
        return "the body is not canonical"
    seconds = one.headers["webhook-timestamp"]
    if abs(int(seconds) - one.at) > TOLERANCE_SECONDS:
        return f"webhook-timestamp is {seconds}, and it came at {one.at:.0f}"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    whole = hmac.digest(key, f"{one.id}.{seconds}.".encode() + one.body, hashlib.sha256)
    if "v1," + base64.b64encode(whole).decode() not in one.headers["webhook-signature"].split(" "):
        return "webhook-signature does not match"
    return None
