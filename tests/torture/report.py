"""What a run came to: figures, and what must not be."""

from collections.abc import Sequence
from dataclasses import dataclass, field

SHOWN = 5


@dataclass
class Report:
    """Figures in the order in which they are told, and problems by what they are."""

    title: str
    figures: list[tuple[str, str]] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    """Seconds from each commit to its arrival at an endpoint that was well."""

    def figure(self, name: str, value: object) -> None:
        self.figures.append((name, f"{value:,}" if isinstance(value, int) else str(value)))

    def must_not_be(self, what: str, found: Sequence[object]) -> None:
        """Tells how many there are; any is a problem."""
        self.figure(what, len(found))
        if found:
            self.problems[what] = [str(one) for one in found]

    @property
    def fine(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.figures)
        lines = [self.title, *(f"  {name:<{width}}  {value}" for name, value in self.figures)]
        for what, found in self.problems.items():
            lines.append(f"  PROBLEM: {what}")
            lines += [f"    {one}" for one in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"    … and {len(found) - SHOWN} more")
        lines.append("  " + ("nothing lost" if self.fine else "NOT FINE"))
        return "\n".join(lines)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values: Sequence[float]) -> str:
    """Seconds, as milliseconds, for people."""
    if not values:
        return "nothing was measured"
    told = (f"{name} {percentile(values, share) * 1000:,.0f}" for name, share in (("p50", 0.5), ("p99", 0.99)))
    return f"{' ms, '.join(told)} ms, most {max(values) * 1000:,.0f} ms of {len(values):,}"
