"""The end of a process: announced before it comes, so that whoever spreads the load can turn elsewhere."""

import asyncio


class Drain:
    """How far the end of this process is."""

    def __init__(self) -> None:
        self.announced = False
        """The process is not ready any more and closes each connection after its answer, but serves what comes."""
        self.stopping = asyncio.Event()
        """What stays open ends now: a stream that waits for it says its last word and closes."""
