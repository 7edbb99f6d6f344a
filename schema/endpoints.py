"""Where a webhook may be sent: the form of its URL, and which hosts it may name.

What a host name leads to is known when it is dialled alone; so the sender holds the address to the same rule again.
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import idna

from schema import addresses
from schema.addresses import Address, Network
from schema.checks import Text
from schema.errors import invalid

LONGEST_URL = 2048
FORM = "must be a URL such as https://example.com/webhooks"
_text = Text(LONGEST_URL)
_UNFIT = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
"""Blanks, control characters and backslashes: what one program takes for a part of the host, another does not."""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_RESERVED = "%/?:@!$&'()*+,;=[]"
_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_LOCALHOST = ("localhost", "localdomain")
_NEVER_PUBLIC = ("local", "internal", "home.arpa")


def endpoint_url(value: str) -> str | None:
    """A URL by form, as it is stored: its host in lower-case ASCII, everything else as it was given.

    It may hold a password by mistake, so a refusal never repeats it.
    """
    text = _text(value)
    if text is None:
        return None
    if _UNFIT.search(text):
        raise ValueError(f"{FORM}, without blanks, control characters or backslashes")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(FORM) from None
    if parts.scheme not in ("https", "http"):
        raise ValueError(f"{FORM}: no other scheme than https and http is sent to")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password: the signature shows who is sending")
    if not host or port == 0 or ("[" in parts.netloc and ":" not in host):
        raise ValueError(FORM)
    if "#" in text:
        raise ValueError("must not have a fragment (what follows #): it is never sent")
    rest = text.partition("//")[2][len(parts.netloc) :]
    rest = quote(_STRAY_PERCENT.sub("%25", rest), safe=_RESERVED)
    written = f"{parts.scheme}://{_host(host)}{'' if port is None else f':{port}'}{rest}"
    if len(written) > LONGEST_URL:
        raise ValueError(f"must be at most {LONGEST_URL:,} characters, written in ASCII")
    return written


# Rules


def check_destination(url: str, networks: Sequence[Network]) -> None:
    """Refuses a URL that could not be sent to: unless the operator has named networks, only https to public hosts."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = _address(host)
    inside = bool(networks) if address is None else addresses.is_allowed(address, networks)  # of a name it is not known
    if not inside and parts.port is not None and not addresses.is_port_allowed(parts.port):
        raise invalid(
            "url", f"must not name port {parts.port}: of a public host only 80, 443 and 1024 or more are sent to"
        )
    if address is not None:
        if (reason := addresses.refusal(address, networks)) is not None:
            raise invalid("url", f"must lead to a public address: {reason.rstrip('.')}")
        if parts.scheme == "http" and not addresses.is_allowed(address, networks):
            raise invalid("url", _needs_https(f"{host} is in none of those networks"))
    elif parts.scheme == "http" and not networks:
        raise invalid("url", _needs_https("there are none"))
    elif is_under(host, _LOCALHOST):
        if not any(addresses.is_allowed(one, networks) for one in _LOOPBACK):
            raise invalid("url", _not_public(host, "this server itself"))
    elif not networks and ("." not in host or is_under(host, _NEVER_PUBLIC)):
        raise invalid("url", _not_public(host, "a private network"))


def is_under(host: str, domains: Sequence[str]) -> bool:
    """Whether a host name is one of the domains, or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


# Private


def _needs_https(why: str) -> str:
    return f"must begin with https://: http only reaches the networks of ARCBILLING_WEBHOOK_ALLOW_NETS, and {why}"


def _not_public(host: str, what: str) -> str:
    return (
        f"must lead to a public address: {host} names {what}. Whoever runs this server can admit private networks by "
        "ARCBILLING_WEBHOOK_ALLOW_NETS"
    )


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host(host: str) -> str:
    """The host as it is stored; odd forms of IPv4 addresses (`127.1`, `0x7f.1`) are refused, whoever reads them."""
    if ":" in host:
        if "%" in host or (address := _address(host)) is None:
            raise ValueError(f"{FORM}: an IPv6 address is written as [2001:db8::1]")
        return f"[{address}]"
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError(f"{FORM}: the name of its host is not valid") from None
    name = name.lower().removesuffix(".")
    if _address(name) is not None:
        return name
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1][0].isdigit():
        raise ValueError(f"{FORM}: the name of its host is not valid")
    return name
