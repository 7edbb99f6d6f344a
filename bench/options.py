"""What a run of the benchmark was asked for."""

import sys
from dataclasses import dataclass

from bench.databases import Engine

INVOICES_EACH = 3
"""Invoices for each client."""


@dataclass(frozen=True)
class Options:
    engines: tuple[Engine, ...]
    workloads: tuple[str, ...]
    rounds: int
    seconds: float
    clients: int
    quick: bool
    subscribers: int
    is_whole: bool
    """Whether all of it is measured, in full: then it is what the documentation shows."""

    @property
    def invoices(self) -> int:
        return self.clients * INVOICES_EACH


def tell(line: str) -> None:
    """To people, beside what is printed as the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
