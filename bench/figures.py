"""What the kernel says of processes: CPU time and memory, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PROC = Path("/proc")


def cpu_of(stat: str) -> float:
    """Seconds of user and system time in a line of /proc/PID/stat, of its children that have ended too."""
    fields = stat.rpartition(")")[2].split()  # the name before may hold blanks and brackets
    return sum(int(ticks) for ticks in fields[11:15]) / TICK


def parent_of(stat: str) -> int:
    return int(stat.rpartition(")")[2].split()[1])


def kilobytes_of(status: str, name: str) -> int:
    """`VmRSS`, or another figure of /proc/PID/status."""
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    return 0


def family(pid: int, proc: Path = PROC) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                parents.setdefault(parent_of((folder / "stat").read_text()), []).append(int(folder.name))
            except OSError:
                continue  # it has ended meanwhile
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def cpu(pids: Iterable[int], proc: Path = PROC) -> float:
    """Seconds that processes have used together; what has ended counts nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += cpu_of((proc / str(pid) / "stat").read_text())
        except OSError:
            continue
    return total


def megabytes(pids: Iterable[int], proc: Path = PROC) -> float:
    """Resident memory of processes together; pages that they share are counted for each."""
    total = 0
    for pid in pids:
        try:
            total += kilobytes_of((proc / str(pid) / "status").read_text(), "VmRSS")
        except OSError:
            continue
    return total / 1024
