"""Where nothing is ever sent to: a canary on loopback that nobody may connect to, by whatever name or form."""

import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.circuits import Outcome
from tests.reliability.receiver import Receiver, receiving
from webhooks.guard import Guard, Resolver, is_own
from webhooks.sender import Endpoint, Message, Sender

pytestmark = pytest.mark.anyio

MESSAGE = Message("evt_1", '{"data":{},"event":"webhook.test","timestamp":"2026-11-23T12:00:00Z"}')
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
FORMS = [
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0.0.0.0",
    "localhost",
    "LOCALHOST.",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fec0::1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "169.254.169.254",
    "100.64.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "224.0.0.1",
    "[ff02::1]",
    "255.255.255.255",
]


@pytest.fixture
async def canary() -> AsyncIterator[Receiver]:
    """Listens on every address of this machine, and is told no secret."""
    async with receiving(host="") as receiver:
        yield receiver


async def sent(url: str, *networks: str) -> Outcome:
    sender = Sender([ipaddress.ip_network(network) for network in networks], seconds=5)
    try:
        return await sender.send(Endpoint(url, [SECRET]), MESSAGE)
    finally:
        await sender.close()


def leading_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Has every name lead to these addresses, look-up by look-up; tells the names that were looked up."""
    looked_up: list[str] = []

    def look_up(_: Resolver, host: str, port: int, __: Any) -> list[tuple[Any, ...]]:
        addresses = answers[min(len(looked_up), len(answers) - 1)]
        looked_up.append(host)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(Resolver, "_look_up", look_up)
    return looked_up


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", FORMS)
async def test_no_form_of_an_inner_address_is_connected_to(host: str, scheme: str, canary: Receiver) -> None:
    outcome = await sent(f"{scheme}://{host}:{canary.port}/")
    assert outcome.error is not None
    assert outcome.address is None
    assert canary.connections == 0


async def test_an_address_that_is_refused_opens_the_circuit(canary: Receiver) -> None:
    outcome = await sent(f"https://127.0.0.1:{canary.port}/")
    assert outcome.blocked
    assert outcome.error == "127.0.0.1 is not a public address, and is in none of ARCBILLING_WEBHOOK_ALLOW_NETS."
    assert canary.connections == 0


async def test_a_name_that_leads_inside_is_not_connected_to(canary: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = leading_to(monkeypatch, ["127.0.0.1"])
    outcome = await sent(f"https://receiver.example:{canary.port}/")
    assert outcome.blocked
    assert looked_up == ["receiver.example"]
    assert canary.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere at the second look-up: there is one for each attempt."""
    async with receiving(host="127.0.0.2") as receiver:
        looked_up = leading_to(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
        url = f"http://receiver.example:{receiver.port}/"
        assert (await sent(url, "127.0.0.2/32")).succeeded
        assert len(looked_up) == 1
        second = await sent(f"http://receiver.example:{canary.port}/", "127.0.0.2/32")
    assert second.blocked
    assert len(looked_up) == 2
    assert canary.connections == 0


async def test_of_several_addresses_the_one_that_may_be_is_dialled(
    canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(host="127.0.0.2", port=0) as receiver:
        leading_to(monkeypatch, ["127.0.0.1", "::1", "127.0.0.2"])
        outcome = await sent(f"http://receiver.example:{receiver.port}/", "127.0.0.2/32")
    assert outcome.succeeded
    assert outcome.address == "127.0.0.2"
    assert canary.connections == 0


def test_without_tls_only_the_operators_networks_are_dialled() -> None:
    networks = [ipaddress.ip_network("10.0.0.0/8")]
    public = ipaddress.ip_address("8.8.8.8")
    assert Guard(networks, tls=True).refusal(public, 443) is None
    assert "is only sent to over https" in str(Guard(networks, tls=False).refusal(public, 80))
    assert Guard(networks, tls=False).refusal(ipaddress.ip_address("10.1.1.1"), 80) is None


@pytest.mark.parametrize(("port", "refused"), [(443, False), (8443, False), (1024, False), (25, True), (1023, True)])
def test_ports_of_other_services_are_dialled_inside_the_operators_networks_alone(port: int, refused: bool) -> None:
    public = ipaddress.ip_address("8.8.8.8")
    assert (Guard([], tls=True).refusal(public, port) is not None) == refused
    assert Guard([ipaddress.ip_network("8.8.8.8/32")], tls=True).refusal(public, port) is None


def test_the_addresses_of_this_machine_are_known_to_be_its_own() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"), 80)
    assert not is_own(ipaddress.ip_address("192.0.2.1"), 80)


def test_an_own_address_is_refused_though_it_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.guard.is_own", lambda *_: True)
    public = ipaddress.ip_address("8.8.8.8")
    assert "is an address of this server" in str(Guard([], tls=True).refusal(public, 443))
    assert Guard([ipaddress.ip_network("8.8.8.8/32")], tls=True).refusal(public, 443) is None
