"""Where webhooks may be sent: what is taken for a URL, and which hosts it may name."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.endpoints import LONGEST_URL, check_destination, endpoint_url
from schema.errors import DomainError

NOWHERE: tuple[Any, ...] = ()
INSIDE = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def refusal(url: str, networks: Any = NOWHERE) -> str:
    """Why a URL is refused; empty when it is not."""
    try:
        written = endpoint_url(url)
        assert written is not None
        check_destination(written, networks)
    except ValueError as error:
        return str(error)
    except DomainError as error:
        assert list(error.fields) == ["url"]
        return error.message
    return ""


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("https://example.com", "https://example.com"),
        ("  https://example.com/hooks?a=b&c=%2F  ", "https://example.com/hooks?a=b&c=%2F"),
        ("HTTPS://Example.COM:8443/Hooks", "https://example.com:8443/Hooks"),
        ("https://example.com./", "https://example.com/"),
        ("https://example.com:/x", "https://example.com/x"),
        ("https://bücher.example/für?q=ü", "https://xn--bcher-kva.example/f%C3%BCr?q=%C3%BC"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://example.com/100%", "https://example.com/100%25"),
        ("https://93.184.215.14/x", "https://93.184.215.14/x"),
        ("https://[2606:2800:021f::1]:8444/x", "https://[2606:2800:21f::1]:8444/x"),
        ("https://1.example.com/", "https://1.example.com/"),
    ],
)
def test_a_url_is_stored_with_its_host_in_ascii_and_the_rest_as_it_was_given(given: str, written: str) -> None:
    assert endpoint_url(given) == written
    assert endpoint_url(written) == written
    assert refusal(given) == ""


@pytest.mark.parametrize(
    "url",
    [
        "example.com",
        "//example.com",
        "https:example.com",
        "https://",
        "https:///path",
        "https://?q",
        "ftp://example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user@example.com/",
        "https://user:hunter2@example.com/",
        "https://@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com\\@inside.test/",
        "https://example.com/\r\nx-header: 1",
        "https://example.com/\x7f",
        "https://exam%70le.com/",
        "https://-example.com/",
        "https://example..com/",
        "https://127.1/",
        "https://127.0.0.0x1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://example.1/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[example.com]/",
        "https://[v1.example]/",
        f"https://example.com/{'x' * LONGEST_URL}",
        f"https://example.com/{'ü' * 400}",
    ],
)
def test_what_is_no_url_to_send_to_is_refused_whatever_networks_are_named(url: str) -> None:
    for networks in (NOWHERE, INSIDE, LOOPBACK):
        assert refusal(url, networks).startswith("must ")


@pytest.mark.parametrize("port", [1, 22, 25, 444, 465, 993, 1023])
def test_a_port_of_another_service_is_refused_unless_the_operator_has_named_the_network(port: int) -> None:
    assert f"must not name port {port}" in refusal(f"https://example.com:{port}/")
    assert f"must not name port {port}" in refusal(f"https://8.8.8.8:{port}/", INSIDE)
    assert refusal(f"https://10.0.0.1:{port}/", INSIDE) == ""
    assert refusal(f"https://example.com:{port}/", INSIDE) == "", "where a name leads is known when it is dialled"


def test_a_password_is_not_repeated() -> None:
    assert "hunter2" not in refusal("https://user:hunter2@example.com/")
    assert "hunter2" not in refusal("ftp://user:hunter2@example.com/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:7f00:1::]",
        "[fec0::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::127.0.0.1]",
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "127\u30020\u30020\u30021",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "shop.localhost",
        "localhost.localdomain",
        "intranet",
        "printer.local",
        "metadata.google.internal",
        "nas.home.arpa",
    ],
)
def test_a_host_that_cannot_be_public_is_refused(host: str) -> None:
    reason = refusal(f"https://{host}/hooks")
    assert reason.startswith("The url field must lead to a public address: ")
    assert "ARCBILLING_WEBHOOK_ALLOW_NETS" in reason
    assert reason.endswith(".")
    assert ".." not in reason


@pytest.mark.parametrize(
    "url", ["http://example.com/", "http://93.184.215.14/", "http://localhost/", "http://10.0.0.1/"]
)
def test_http_is_refused_while_no_network_is_named(url: str) -> None:
    reason = refusal(url)
    assert "must begin with https://" in reason or "must lead to a public address" in reason


def test_http_reaches_the_networks_that_are_named_and_no_other_address() -> None:
    assert refusal("http://10.1.2.3:8080/hooks", INSIDE) == ""
    assert refusal("http://[fd00::1]/hooks", INSIDE) == ""
    assert refusal("http://erp:8080/hooks", INSIDE) == ""  # what it leads to is seen when it is dialled
    assert refusal("http://erp.internal/hooks", INSIDE) == ""
    assert "must begin with https://" in refusal("http://93.184.215.14/", INSIDE)
    assert "127.0.0.1 is not a public address" in refusal("http://127.0.0.1/", INSIDE)
    assert "this server itself" in refusal("https://localhost/", INSIDE)
    assert refusal("http://localhost:9000/", LOOPBACK) == ""
    assert refusal("http://127.0.0.1:9000/", LOOPBACK) == ""
    assert refusal("https://example.com/", LOOPBACK) == ""


@given(st.ip_addresses())
def test_an_address_is_judged_the_same_whichever_way_it_is_written(address: Any) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    reason = refusal(f"https://{host}/")
    if address.version == 4:
        assert bool(refusal(f"https://[::ffff:{address}]/")) == bool(reason)
    if address.is_private or address.is_loopback or address.is_multicast or address.is_link_local:
        assert reason


@given(st.text())
def test_whatever_is_sent_is_a_url_or_refused_with_a_sentence(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        try:
            written = endpoint_url(url)
        except ValueError as error:
            assert str(error).startswith("must ")
            continue
        if written is not None:
            assert written.isascii()
            assert written.isprintable()
            assert endpoint_url(written) == written
