"""Addresses that a webhook may lead to: public ones, and those inside the networks that the operator has named."""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
"""What is not to be dialled though `is_global` may say so: it does for several of them, among them every form of IPv6
that has an IPv4 address inside (compatible, NAT64, 6to4, Teredo)."""


def is_port_allowed(port: int) -> bool:
    """Whether a port is sent to outside the operator's networks: on the others are services that speak something else,
    such as mail servers, which could be made to read a message of ours."""
    return port in (80, 443) or port >= 1024


def plain(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one (`::ffff:10.0.0.1`) as itself."""
    return getattr(address, "ipv4_mapped", None) or address


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the operator has named a network that it is in."""
    address = plain(address)
    return any(address in network for network in networks if network.version == address.version)


def refusal(address: Address, networks: Sequence[Network]) -> str | None:
    """Why an address may not be dialled; None when it may."""
    address = plain(address)
    if is_allowed(address, networks):
        return None
    hidden = any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    if hidden or not address.is_global or address.is_multicast or address.is_reserved:
        return f"{address} is not a public address, and is in none of ARCBILLING_WEBHOOK_ALLOW_NETS."
    return None
