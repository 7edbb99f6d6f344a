"""What callers were told, and so what must be true at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Fact = tuple[str, int]
"""An event by its name, and the object that it happened to."""


@dataclass
class Journal:
    """The account of all callers."""

    acknowledged: int = 0
    """Requests that were answered with success."""
    unanswered: int = 0
    """Requests that got no answer, and were made again with the same Idempotency-Key."""
    put_off: int = 0
    """Requests that were told to come back later."""
    replayed: int = 0
    """Answers that had been given before, unheard."""
    facts: Counter[Fact] = field(default_factory=Counter)
    """The events that the catalogue lists for what was acknowledged."""
    last_seen: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    """The object of each path and id as the last answer showed it."""

    def happened(self, event: str, id: int) -> None:
        self.facts[event, id] += 1

    def saw(self, path: str, data: dict[str, Any]) -> None:
        self.last_seen[path, data["id"]] = data
