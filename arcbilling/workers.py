"""Several processes that serve one port: uvicorn's supervisor, which replaces a worker that dies."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import socket
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from arcbilling.metrics import FOLDER

SECONDS_TO_CLOSE = 15.0
"""What a worker may take for its last units of work and its database, once its requests are done."""


class Workers(Multiprocess):
    """The parent of the workers. It opens no database and answers no request."""

    def __init__(self, config: Config, listeners: list[socket], seconds_to_drain: float) -> None:
        super().__init__(config, listeners)
        self._seconds_to_end = seconds_to_drain + SECONDS_TO_CLOSE
        self._told: set[int | None] = set()
        self._failed = False
        self._first: set[int] = set()
        self._known: set[int] = set()
        for told in (signal.SIGINT, signal.SIGTERM):
            signal.signal(told, self._pass_on)

    def serve(self) -> bool:
        """Runs until a signal ends them all; tells whether they could start."""
        self.run()
        return not self._failed

    def init_processes(self) -> None:
        super().init_processes()
        self._first = self._known = self._pids()

    def keep_subprocess_alive(self) -> None:
        if self.should_exit.is_set():
            return
        super().keep_subprocess_alive()
        if self.should_exit.is_set():  # one could not start
            failed = [place for place, process in enumerate(self.processes) if process.exitcode == STARTUP_FAILURE]
            self._failed = any(self.processes[place].pid in self._first for place in failed)
            if not self._failed:  # others could: the database is away, say, and its place is filled when it is back
                self.should_exit.clear()
                for place in failed:
                    self.processes[place] = Process(self.config, self.sockets)
                    self.processes[place].start()
        known, self._known = self._known, self._pids()
        for pid in known - self._known:  # replaced, here or because a signal had asked for it
            mark_process_dead(pid)  # type: ignore[no-untyped-call]

    def join_all(self) -> None:
        """Waits for the workers; one that hangs is killed."""
        until = time.monotonic() + self._seconds_to_end
        while any(process.process.is_alive() for process in self.processes):
            if time.monotonic() > until:
                for process in self.processes:
                    process.kill()
            time.sleep(0.05)
        super().join_all()

    def terminate_all(self) -> None:
        """Tells those that were not told: a second signal would tell them not to wait for anybody.

        They have descriptors of their own of what they listen on. Without this process's, nobody can connect once the
        last of them has closed its own.
        """
        for listener in self.sockets:
            listener.close()
        for process in self.processes:
            if process.pid not in self._told:
                process.terminate()

    def _pass_on(self, told: int, _: FrameType | None) -> None:
        """SIGTERM and any second signal go to the workers at once; uvicorn looks for them twice a second."""
        self.signal_queue.append(told)
        if told == signal.SIGTERM or self.should_exit.is_set():
            pids = self._pids()
            self._told |= pids
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def _pids(self) -> set[int]:
        return {process.pid for process in self.processes if process.pid is not None}


@contextmanager
def shared_metrics() -> Iterator[None]:
    """A folder where the workers count together, as long as they run."""
    with tempfile.TemporaryDirectory(prefix="arcbilling-metrics-") as folder:
        os.environ[FOLDER] = folder
        yield
