"""A Redis of a test's own, to be killed, stopped and started again."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.databases import absent


class OwnRedis:
    """A redis-server on a port of its own, which keeps nothing: it always starts empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            absent("A Redis of the test's own", FileNotFoundError("there is no program redis-server"))
        options = {"--port": str(self._port), "--bind": "127.0.0.1", "--save": "", "--dir": str(self._folder)}
        words = [word for option in options.items() for word in option]
        self._process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        while not self.answers():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() - began < 20, "redis-server does not answer"
            time.sleep(0.02)

    def answers(self) -> bool:
        with Redis.from_url(self.url, socket_timeout=1) as redis:
            try:
                return bool(redis.ping())
            except RedisError:
                return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connected and without an answer, for as long as the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)
