"""Which addresses a webhook may lead to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.addresses import is_allowed, refusal

NOWHERE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
SOMEWHERE = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.1.1", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", NOWHERE)
def test_what_is_not_public_is_refused(address: str) -> None:
    reason = refusal(ipaddress.ip_address(address), ())
    assert reason is not None
    assert "is not a public address" in reason


@pytest.mark.parametrize("address", SOMEWHERE)
def test_what_is_public_is_not(address: str) -> None:
    assert refusal(ipaddress.ip_address(address), ()) is None


@pytest.mark.parametrize("address", NOWHERE)
def test_the_operators_networks_admit_it(address: str) -> None:
    everything = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    assert refusal(ipaddress.ip_address(address), everything) is None


def test_a_network_admits_what_is_in_it_alone() -> None:
    networks = [ipaddress.ip_network("10.0.0.0/8")]
    assert is_allowed(ipaddress.ip_address("10.255.0.1"), networks)
    assert is_allowed(ipaddress.ip_address("::ffff:10.0.0.1"), networks)
    assert not is_allowed(ipaddress.ip_address("11.0.0.1"), networks)
    assert not is_allowed(ipaddress.ip_address("64:ff9b::a00:1"), networks)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_never_gets_further_than_by_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    assert (refusal(mapped, ()) is None) == (refusal(address, ()) is None)
    for embedded in (number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert refusal(ipaddress.IPv6Address(embedded), ()) is not None
