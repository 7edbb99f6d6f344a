"""Which test claims which line of the API reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

REFERENCE = Path(__file__).with_name("api-reference.txt")
EXCUSED = {("Webhook Payload", '"signature": "sha256=a1b2c3d4..."')}
"""Delivery is not built yet: nothing is signed so far."""

CLAIMED: dict[tuple[str, str], str] = {}

F = TypeVar("F", bound=Callable[..., Any])


def reference(section: str, *lines: str) -> Callable[[F], F]:
    """Says which lines of the reference a test is for: the title of a section, and lines below it."""

    def claim(test: F) -> F:
        for line in (section, *lines):
            CLAIMED[section, line] = test.__name__
        return test

    return claim


def unclaimed() -> list[tuple[str, str]]:
    """The lines that no test claims, with the section that they stand in."""
    titles = {section for section, _ in CLAIMED}
    missing = []
    section = ""
    for line in filter(None, map(str.strip, REFERENCE.read_text().splitlines())):
        section = line if line in titles else section
        if (section, line) not in CLAIMED and (section, line) not in EXCUSED:
            missing.append((section, line))
    return missing


def unfounded() -> list[str]:
    """The lines that are claimed and that the reference does not have."""
    lines = {line.strip() for line in REFERENCE.read_text().splitlines()}
    return [line for _, line in (*CLAIMED, *EXCUSED) if line not in lines]
