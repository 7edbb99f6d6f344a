"""Which modules there are: those that come with ArcBilling, and those of installed packages."""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import structlog

from provisioning.mock import Mock
from provisioning.protocol import Module

log = structlog.get_logger("arcbilling.modules")

GROUP = "arcbilling.modules"
"""The group of entry points by which a package offers modules."""
NONE = "none"
"""Nothing needs to be done."""
MANUAL = "manual"
"""Staff do it by hand."""
BUILT_IN: Mapping[str, type[Module]] = {"mock": Mock}

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class Modules:
    """The modules of a process, by their names."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = dict(modules)

    @property
    def names(self) -> tuple[str, ...]:
        """What a product or server may name."""
        return (NONE, MANUAL, *sorted(self._modules))

    def get(self, name: str) -> Module | None:
        return self._modules.get(name)


def is_automatic(name: str) -> bool:
    """Whether a module of the name is called, rather than nothing or staff."""
    return name not in (NONE, MANUAL)


def installed(folder: Path) -> Modules:
    """Every module that can be loaded, each with a folder of its own below the one given.

    One that cannot be is logged and left out: it must not keep the billing from running.
    """
    modules = {name: make(folder / name) for name, make in BUILT_IN.items()}
    for name, entry in _offered(entry_points(group=GROUP)).items():
        try:
            found = entry.load()
            if not issubclass(found, Module):
                raise TypeError(f"{entry.value} is no Module")
            modules[name] = found(folder / name)
        except (Exception, SystemExit) as error:
            log.error("a module cannot be loaded and is left out", module=name, at=entry.value, exc_info=error)
    return Modules(modules)


def _offered(entries: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
    """The entry points by name, without those whose name cannot be used."""
    offered: dict[str, EntryPoint] = {}
    for entry in entries:
        if not _NAME.fullmatch(entry.name):
            why = "its name is not made of a-z, 0-9, - and _, beginning with a letter, at most 40 characters"
        elif entry.name in (NONE, MANUAL, *BUILT_IN) or entry.name in offered:
            why = "another module has its name"
        else:
            offered[entry.name] = entry
            continue
        log.error("a module is left out", module=entry.name, at=entry.value, why=why)
    return offered
