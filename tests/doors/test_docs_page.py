"""The REST reference at /docs: complete, strict, and made of this server's own files alone."""

import gzip
import hashlib
import re
from html.parser import HTMLParser

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from arcbilling import reference_page

NOTE = (reference_page.FOLDER / "VENDORED.md").read_text(encoding="utf-8")
VENDORED = dict(re.findall(r"^\| `(\S+)` \| `([0-9a-f]{64})` \|", NOTE, re.MULTILINE))
OFFLINE = [
    "withDefaultFonts: false",
    "telemetry: false",
    "agent: { disabled: true }",
    "hideClientButton: true",
    'showDeveloperTools: "never"',
    "persistAuth: false",
]
ADDRESSES = ["/docs", "/docs/", *(f"/docs/{name}" for name in reference_page.ASSETS)]

client = TestClient(Starlette(routes=reference_page.routes()), follow_redirects=False)


class Links(HTMLParser):
    """The src and href of every tag, and whatever the policy would refuse to run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("src", "href") if (value := values.get(name))]
        if tag == "style" or (tag == "script" and not values.get("src")):
            self.inline.append(f"<{tag}>")
        self.inline += [name for name in values if name == "style" or name.startswith("on")]


def policy(address: str) -> dict[str, str]:
    rules = client.get(address).headers["Content-Security-Policy"].split("; ")
    return {name: sources for name, _, sources in (rule.partition(" ") for rule in rules)}


@pytest.mark.parametrize("address", ["/docs", "/docs/"])
def test_the_page_answers_with_and_without_a_trailing_slash(address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "ArcBilling REST API" in answer.text


def test_the_page_names_no_foreign_origin() -> None:
    for link in Links(client.get("/docs").text).links:
        assert link.startswith("data:image/") or re.match(r"/(?!/)", link), link


def test_the_page_has_neither_inline_scripts_nor_inline_styles() -> None:
    assert Links(client.get("/docs").text).inline == []


def test_every_file_that_the_page_loads_is_served() -> None:
    loaded = {link for link in Links(client.get("/docs").text).links if link.startswith("/docs")}
    assert loaded == {"/docs/start.js", "/docs/standalone.js"}
    for link in loaded:
        answer = client.get(link)
        assert answer.status_code == 200, link
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_the_page_draws_the_document_of_this_server_and_calls_no_other() -> None:
    script = client.get("/docs/start.js").text
    assert 'url: "/api/v1/openapi.json"' in script
    assert "://" not in script
    for option in OFFLINE:
        assert option in script


def test_the_licence_is_served_beside_the_library() -> None:
    answer = client.get("/docs/LICENSE")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("MIT License\n\nCopyright (c) 2023-present Scalar")


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "VENDORED.md",
        "standalone.js.gz",
        "nothing.js",
        "..%2f..%2freference_page.py",
        "%2e%2e/%2e%2e/settings.py",
    ],
)
def test_no_other_file_is_served(name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404


def test_the_page_cannot_be_written_to() -> None:
    assert client.post("/docs").status_code == 405


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_answer_keeps_the_browser_to_this_origin(address: str) -> None:
    rules = policy(address)
    assert rules["default-src"] == "'self'"
    assert rules["script-src"] == "'self'"
    assert rules["connect-src"] == "'self'"
    for closed in ("object-src", "base-uri", "form-action", "frame-ancestors"):
        assert rules[closed] == "'none'"
    assert set(" ".join(rules.values()).split()) == {"'self'", "'none'", "'unsafe-inline'", "data:"}
    assert [name for name, sources in rules.items() if "'unsafe-inline'" in sources] == ["style-src"]
    assert [name for name, sources in rules.items() if "data:" in sources] == ["img-src"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_answer_is_sniffed_or_tells_other_sites_where_the_reader_was(address: str) -> None:
    answer = client.get(address)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_browser_that_has_the_file_is_not_sent_it_again(address: str) -> None:
    first = client.get(address)
    assert first.headers["Cache-Control"] == "no-cache"
    second = client.get(address, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]


def test_the_library_travels_compressed_to_whoever_takes_gzip() -> None:
    packed = client.get("/docs/standalone.js", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert int(packed.headers["Content-Length"]) < 1_100_000
    for refusal in ("identity", "br", "gzip;q=0", "gzip; q=0.0"):
        plain = client.get("/docs/standalone.js", headers={"Accept-Encoding": refusal})
        assert "Content-Encoding" not in plain.headers
        assert plain.content == packed.content
        assert plain.headers["ETag"] != packed.headers["ETag"]


def test_a_head_request_gets_the_headers_alone() -> None:
    answer = client.head("/docs/standalone.js")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_vendored_files_are_the_ones_that_the_note_names() -> None:
    assert set(VENDORED) == {"standalone.js", "standalone.js.gz"}
    for name, expected in VENDORED.items():
        assert hashlib.sha256((reference_page.FOLDER / name).read_bytes()).hexdigest() == expected, name


def test_the_compressed_file_holds_the_library_itself() -> None:
    packed = (reference_page.FOLDER / "standalone.js.gz").read_bytes()
    assert gzip.decompress(packed) == (reference_page.FOLDER / "standalone.js").read_bytes()
