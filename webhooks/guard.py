"""The guard: which addresses are dialled. It sees each address right before it is, whatever name had led to it.

A name is looked up once for each attempt, so the address that is held to the rule is the one that is dialled.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from schema.addresses import Address, Network, is_allowed, is_port_allowed, plain, refusal

LOOK_UPS_AT_ONCE = 32
"""Names that are looked up at once, in threads: a name server that is silent holds up no other look-up for long."""


@dataclass
class Dialled:
    """What one attempt has dialled."""

    address: str | None = None
    """The last address that was dialled."""
    refusal: str | None = None
    """Why an address was not."""


class Refused(OSError):
    """An address may not be dialled."""


_dialled: ContextVar[Dialled] = ContextVar("dialled")


@contextmanager
def dialling() -> Iterator[Dialled]:
    """What is dialled within the block, by whichever task."""
    dialled = Dialled()
    token = _dialled.set(dialled)
    try:
        yield dialled
    finally:
        _dialled.reset(token)


class Guard:
    """Makes the sockets for addresses that may be dialled. Without TLS only those in the operator's networks may be."""

    def __init__(self, networks: Sequence[Network], *, tls: bool) -> None:
        self._networks = networks
        self._tls = tls

    def __call__(self, found: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, place = found
        dialled = _dialled.get()
        reason = self.refusal(ipaddress.ip_address(str(place[0]).partition("%")[0]), int(place[1]))
        if reason is not None:
            dialled.refusal = reason
            raise Refused(reason)
        dialled.address = str(place[0])
        return socket.socket(family, kind, protocol)

    def refusal(self, address: Address, port: int) -> str | None:
        """Why the address may not be dialled; None when it may."""
        address = plain(address)
        if is_allowed(address, self._networks):
            return None
        if (reason := refusal(address, self._networks)) is not None:
            return reason
        if not is_port_allowed(port):
            return f"Port {port} is not sent to, and {address} is in none of ARCBILLING_WEBHOOK_ALLOW_NETS."
        if not self._tls:
            return f"{address} is in none of ARCBILLING_WEBHOOK_ALLOW_NETS, so that it is only sent to over https."
        if is_own(address, port):
            return f"{address} is an address of this server, and in none of ARCBILLING_WEBHOOK_ALLOW_NETS."
        return None


def is_own(address: Address, port: int) -> bool:
    """Whether this machine would send to itself. Asks the routing table; nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((str(address), port or 9))
            return ipaddress.ip_address(asking.getsockname()[0].partition("%")[0]) == address
        except OSError:
            return False  # there is no way to it, not even to ourselves


class Resolver(AbstractResolver):
    """Looks names up as the system does, in threads of its own, so that nothing else waits for a name server."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, thread_name_prefix="name look-up")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._look_up, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(place[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, place in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[tuple[Any, ...]]:
        return list(socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
