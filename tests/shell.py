"""A terminal to try the command line in, and a server that was started there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[1]
Done = subprocess.CompletedProcess[str]


class Shell:
    """A terminal with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARCBILLING", "_ARCBILLING"))}
        self.environ = {**kept, "ARCBILLING_DATA_DIR": str(self.data), "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        self.environ["ARCBILLING_SHUTDOWN_DELAY"] = "0"

    @property
    def database(self) -> Path:
        return self.data / "arcbilling.sqlite3"

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "arcbilling", *arguments],
            cwd=self.data.parent,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> Done:
        with self.start(*arguments, **environ) as process:
            try:
                out, err = process.communicate(timeout=300)
            finally:
                process.kill()
        return Done(arguments, process.returncode, out, err)

    def refused(self, *arguments: str, **environ: str) -> str:
        """The one sentence that a command is refused with."""
        done = self.run(*arguments, **environ)
        assert (done.returncode, done.stdout) == (1, ""), done
        told = [line for line in done.stderr.splitlines() if not line.startswith("Applied migration")]
        assert len(told) == 1, done.stderr
        assert told[0].endswith(".")
        return told[0]

    def misused(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert "Traceback" not in done.stderr
        return done.stderr

    def key(self, *arguments: str) -> str:
        done = self.run("keys", "create", "test", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    @contextmanager
    def serving(self, *arguments: str, **environ: str) -> Iterator["Server"]:
        process = self.start("serve", "--port", "0", *arguments, **environ)
        server = Server(process)
        try:
            server.wait()
            yield server
        finally:
            process.kill()
            process.communicate()


class Server:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.told: list[str] = []
        self.url = ""

    def wait(self) -> None:
        """Reads what it says until it has said where it serves, and asks until it answers."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told.append(line.rstrip("\n"))
            if line.strip().startswith("GraphQL "):
                self.url = line.split()[-1].removesuffix("/graphql")
            if "demo" in line:
                break
        assert self.url, self.told
        assert self.get("/readyz").status_code == 200

    def get(self, path: str, key: str = "", **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.get(self.url + path, headers=headers, timeout=30, **more)

    def ended(self, told: signal.Signals) -> tuple[int, float, str]:
        """Its exit code once it was told to end, how long that took, and what else it said."""
        began = time.monotonic()
        self.process.send_signal(told)
        out, err = self.process.communicate(timeout=300)
        assert out == "", "a server has no data for standard output"
        return self.process.returncode, time.monotonic() - began, err
