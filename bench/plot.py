"""A bar chart as SVG, drawn without a library."""

from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, LEFT, TOP, ROW, GAP = 760, 130, 60, 13, 12
COLOURS = ("#9aa5b1", "#2f6fde", "#7a4fd0")
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


class Group(NamedTuple):
    """Bars that belong together: name → part of P0."""

    title: str
    bars: dict[str, float]


def bars(groups: list[Group]) -> str:
    """Horizontal bars of what is reached of P0; the line at 1 is P0 itself."""
    longest = max([1.1, *(value for group in groups for value in group.bars.values())])
    scale = (WIDTH - LEFT - 60) / longest
    parts: list[str] = []
    y = TOP
    for group in groups:
        middle = y + len(group.bars) * ROW / 2 + 4
        parts.append(_text(LEFT - 8, middle, group.title, "end"))
        for place, value in enumerate(group.bars.values()):
            parts.append(
                f'<rect x="{LEFT}" y="{y:g}" width="{value * scale:.1f}" height="{ROW - 2}" fill="{COLOURS[place]}"/>'
            )
            parts.append(_text(LEFT + value * scale + 4, y + ROW - 3, f"{value:.2f}", "start"))
            y += ROW
        y += GAP
    line = LEFT + scale
    parts.append(f'<path d="M{line:.1f} {TOP - 8}V{y - GAP + 4}" stroke="#d33" stroke-dasharray="4 3"/>')
    parts.append(_text(line, TOP - 12, "P0", "middle"))
    names = list(groups[0].bars) if groups else []
    for place, name in enumerate(names):
        x = LEFT + place * 120
        parts.append(f'<rect x="{x}" y="26" width="11" height="11" fill="{COLOURS[place]}"/>')
        parts.append(_text(x + 16, 36, name, "start"))
    title = _text(LEFT, 16, "Requests for each CPU-second of the server, as a part of P0 (longer is better)", "start")
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    inside = "\n".join([f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>', title, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT} fill="#222">\n{inside}\n</svg>\n'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
