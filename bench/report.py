"""Tables of figures, as Markdown that is readable as it is, and the places of the documentation that show them."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"


@dataclass
class Table:
    title: str
    heads: list[str]
    rows: list[list[str]]

    def text(self) -> str:
        return f"{self.title}\n\n{table(self.heads, self.rows)}\n"


@dataclass
class Report:
    """What a part has found: tables to be read, all figures, and drawings by the name of their file."""

    tables: list[Table]
    figures: dict[str, Any]
    plots: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return "\n".join(one.text() for one in self.tables) + f"\n{machine()}\n"

    def publish(self, part: str, page: Path = PAGE) -> list[Path]:
        """Writes the tables between the marks of the part, and the drawings beside the page."""
        page.write_text(between(page.read_text(encoding="utf-8"), part, self.text()), encoding="utf-8")
        written = [page]
        for name, drawing in self.plots.items():
            written.append(page.with_name(name))
            written[-1].write_text(drawing, encoding="utf-8")
        return written


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns are aligned: the first to the left, the others to the right."""
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    lines = [_line(heads, widths)]
    lines.append(
        "|" + "|".join("-" * (w + 2) if not place else "-" * (w + 1) + ":" for place, w in enumerate(widths)) + "|"
    )
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def between(text: str, part: str, content: str) -> str:
    """The text with new content between the marks of a part."""
    start, end = f"<!-- bench:{part} -->\n", f"<!-- /bench:{part} -->"
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"there is no place for {part}: {start.strip()} … {end}")
    return f"{head}{start}\n{content}\n{end}{tail}"


def ratio(ours: float, theirs: float) -> str:
    if not theirs:
        return "-"
    found = ours / theirs
    return f"{found:.1f}" if found >= 9.95 else f"{found:.2f}"


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """On what it was measured."""
    model = next(
        (line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    return f"Measured with Python {platform.python_version()} on {os.cpu_count()} CPUs{f' ({model})' if model else ''}."


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
