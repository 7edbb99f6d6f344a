"""A PostgreSQL of a test's own, to be stopped and started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.databases import absent


class OwnPostgres:
    """A server on a port of its own, whose data outlive its stops."""

    def __init__(self) -> None:
        self._bin = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="own-postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to be run by root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self._run("initdb", "--auth", "trust", "--username", "test", "--encoding", "UTF8", "--no-sync", "-D", ".")

    @property
    def url(self) -> str:
        return f"postgresql://test@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self._port)}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._folder, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            **self._as,
        )
        began = time.monotonic()
        asking = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while subprocess.run(asking, check=False).returncode:
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() - began < 30, "the server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """At once: every connection is cut, nothing is finished."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self._folder,
            **self._as,
        )
        assert done.returncode == 0, done.stderr


PROGRAMS = ("initdb", "postgres", "pg_isready")


def _programs() -> Path:
    """Where the server's programs are: Debian does not put them on the path."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    whole = [folder for folder in folders if all((folder / program).exists() for program in PROGRAMS)]
    if not whole:
        absent("A PostgreSQL of the test's own", FileNotFoundError(f"there are no programs {', '.join(PROGRAMS)}"))
    return whole[0]
