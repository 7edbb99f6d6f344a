"""What is done to an installation: how much, for how long, and, drawn from one number, when."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

Engine = Literal["sqlite", "postgres"]
Mood = Literal["ok", "500", "slow", "hang", "redirect", "down"]

MOODS: tuple[Mood, ...] = ("ok", "ok", "ok", "500", "slow", "hang", "redirect", "down")
SECONDS_OF_MOOD = 1.0, 5.0
SECONDS_BETWEEN_KILLS = 0.3, 2.5
SHARE_OF_KILLS_OF_ALL = 0.3


@dataclass(frozen=True)
class Plan:
    """One run. The same seed draws the same kills, moods and callers."""

    engine: Engine
    seed: int
    kills: int = 50
    writers: int = 20
    processes: int = 1
    seconds: float = 0.0
    """How long the callers write at least."""
    events: int = 0
    """How many events there are at least."""
    rate: float = 20.0
    """Requests a second of all callers together."""
    time_scale: float = 60.0
    moody: int = 3
    """Endpoints that fail at times; two more never do."""
    hanging: int = 0
    """Endpoints that never answer."""
    redis: Literal["shared", "own", "none"] = "shared"
    redis_restart: bool = False
    """Whether Redis is killed in the middle, and comes back empty."""
    seconds_to_drain: float = 400.0

    def but(self, **changed: Any) -> "Plan":
        return replace(self, **changed)

    def dice(self, whose: str) -> Random:
        return Random(f"{self.seed} {whose}")

    def deaths(self) -> Iterator[tuple[float, list[int]]]:
        """For each kill how long to wait before it, and which processes it takes."""
        dice = self.dice("kills")
        everyone = list(range(self.processes))
        for _ in range(self.kills):
            wait = dice.uniform(*SECONDS_BETWEEN_KILLS)
            yield wait, everyone if dice.random() < SHARE_OF_KILLS_OF_ALL else [dice.choice(everyone)]

    def moods(self, whose: str) -> Iterator[tuple[Mood, float]]:
        """What an endpoint is like, and for how long; without end."""
        dice = self.dice(whose)
        while True:
            yield dice.choice(MOODS), dice.uniform(*SECONDS_OF_MOOD)
