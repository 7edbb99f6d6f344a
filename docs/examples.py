"""The examples of the README and of the guides: found in the pages, run against a server, held to what the pages show.

    python docs/examples.py     runs them on a demo of its own and writes what was answered into the pages

A block of `console` is one command after `$`, and below it what it printed. A block of `graphql` is a request; the
block of `json` after it is the answer. Answers of the API are shown with line breaks.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
GUIDES = (ROOT / "docs" / "rest.md", ROOT / "docs" / "graphql.md")

ADDRESS = "http://127.0.0.1:8000"
"""Where the pages say that the server is."""
SHOWN_HEADERS = (
    "allow",
    "content-type",
    "idempotency-replayed",
    "link",
    "location",
    "retry-after",
    "www-authenticate",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
)
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A request of a page, what the page shows as its answer, and where in the page that stands."""

    request: str
    graphql: bool
    answer: str
    start: int
    end: int


def examples(page: str) -> list[Example]:
    """The examples of a page, in order."""
    found = []
    blocks = list(_FENCE.finditer(page))
    for place, block in enumerate(blocks):
        if block[1] == "console":
            command = re.match(r"\$ ((?:.*\\\n)*.*\n)", block[2])
            assert command, f"a block of console starts with $: {block[2]}"
            start = block.start(2) + command.end()
            found.append(
                Example(command[1].replace("\\\n", " ").strip(), False, block[2][command.end() :], start, block.end(2))
            )
        elif block[1] == "graphql":
            answer = blocks[place + 1]
            assert answer[1] == "json", f"no answer stands below: {block[2]}"
            found.append(Example(block[2], True, answer[2], answer.start(2), answer.end(2)))
    return found


@dataclass
class Served:
    """A server of ours, on a data folder of its own, and the key that the examples use."""

    url: str
    environment: dict[str, str]
    key: str = ""
    log: list[str] = field(default_factory=list)

    def run(self, *words: str) -> str:
        """The standard output of a command of arcbilling."""
        done = subprocess.run(
            [sys.executable, "-m", "arcbilling", *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(self, example: Example) -> str:
        """What the example is answered with, written as the pages write it."""
        if example.graphql:
            body = {"query": example.request}
            reply = httpx2.post(f"{self.url}/graphql", json=body, headers={"authorization": f"Bearer {self.key}"})
            return _pretty(reply.text, 2)
        words = shlex.split(example.request.replace("$KEY", self.key))
        if words[0] == "./run":
            return self.run(*words[1:])
        return self._curl(words)

    def _curl(self, words: list[str]) -> str:
        assert words[0] == "curl", f"only ./run and curl are run here: {words[0]}"
        indent = 2
        if words[-4:] == ["|", "python3", "-m", "json.tool"]:
            words, indent = words[:-4], 4
        method, url, body, headers, shows_head = "", "", None, {}, False
        rest = iter(words[1:])
        for word in rest:
            match word:
                case "-s":
                    pass
                case "-i" | "-si":
                    shows_head = True
                case "-X":
                    method = next(rest)
                case "-H":
                    name, _, value = next(rest).partition(":")
                    headers[name] = value.strip()
                case "--json":
                    body = next(rest)
                    headers["Content-Type"] = headers["Accept"] = "application/json"
                case _ if word.startswith(ADDRESS):
                    url = self.url + word.removeprefix(ADDRESS)
                case _:
                    raise AssertionError(f"an example has {word!r}, which is not run here")
        reply = httpx2.request(method or ("POST" if body else "GET"), url, content=body, headers=headers)
        shown = _pretty(reply.text, indent)
        if not shows_head:
            return shown
        head = [f"HTTP/1.1 {reply.status_code} {reply.reason_phrase}"]
        head += [f"{name}: {reply.headers[name]}" for name in SHOWN_HEADERS if name in reply.headers]
        return "\n".join(head) + "\n\n" + shown


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serves what is in the folder, which may be nothing, from a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ARCBILLING_")}
    mine = {"ARCBILLING_DATA_DIR": str(folder), "ARCBILLING_SHUTDOWN_DELAY": "0"}
    environment = {**inherited, **mine, "PYTHONPATH": str(ROOT)}
    server = Served(f"http://127.0.0.1:{port}", environment)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "arcbilling", "serve", "--port", str(port)],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(server.url, process, folder)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("The server did not start:\n" + (folder / "server.log").read_text())


def _pretty(text: str, indent: int) -> str:
    if not text.strip():
        return ""
    try:
        return json.dumps(json.loads(text), indent=indent, ensure_ascii=False) + "\n"
    except ValueError:
        return text.rstrip("\n") + "\n"


# Comparing


EXACT = frozenset({"code", "status", "currency", "total", "amount", "balance", "name", "has_more", "deleted"})
"""Members whose values a page shows as they are on every day; of the others the form counts."""
_FORMS = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "date"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "time"),
    (re.compile(r"[a-z]{3,4}_\d+"), "typed id"),
)


def form(text: str) -> Any:
    """What two answers to the same request have in common, whatever the day."""
    head, _, body = text.partition("\n\n") if text.startswith("HTTP/") else ("", "", text)
    lines = [line.partition(":")[0] for line in head.splitlines()]
    try:
        return lines, _form(json.loads(body), "")
    except ValueError:
        return lines, [re.sub(r"\d+|arcb_live_\w+…?", "#", line) for line in body.splitlines()]


def _form(value: Any, name: str) -> Any:
    match value:
        case dict():
            return {key: _form(inner, key) for key, inner in value.items()}
        case list():
            return [_form(inner, name) for inner in value]
        case str() if name not in EXACT:
            return next((kind for pattern, kind in _FORMS if pattern.fullmatch(value)), "text")
        case int() if not isinstance(value, bool) and name not in EXACT:
            return "number"
        case _:
            return value


# Recording


def record(path: Path, server: Served) -> None:
    """Runs the examples of a page and writes their answers into it."""
    page = path.read_text(encoding="utf-8")
    pieces, at = [], 0
    for example in examples(page):
        if not is_run(example):
            continue
        answer = re.sub(r"(arcb_live_\w{4})\w+", r"\1…", server.answer(example))  # a key is not for the public
        pieces += [page[at : example.start], answer]
        at = example.end
    path.write_text("".join([*pieces, page[at:]]), encoding="utf-8")


def is_run(example: Example) -> bool:
    """The server of the examples runs already, and the tests do not run themselves."""
    return example.graphql or not example.request.startswith(("./run serve", "./run test", "export "))


def main() -> None:
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as server:
        server.key = server.run("keys", "create", "examples").split()[-1]
        record(README, server)
    for guide in GUIDES:
        with tempfile.TemporaryDirectory() as name, served(Path(name)) as server:
            server.run("demo")
            server.key = server.run("keys", "create", "examples").split()[-1]
            record(guide, server)


if __name__ == "__main__":
    main()
