"""The module `mock`: a panel made of files, for rehearsals and tests, that fails as often as it is told to.

An account is a file in the folder of its service, named after the key of the call that made it. So a second account,
made by a call with another key, would be there for all to see. What it is told twice with the same key it does once.

The options of the product say how it behaves: `fail`, `refuse`, `lose` and `hang` are probabilities from 0 to 1 of
failing before anything is done, of failing for good, of failing after it was done, and of never answering; `delay` and
`linger` are seconds to wait before it is done and after.
"""

import asyncio
import fcntl
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provisioning.protocol import Account, Call, Module, ModuleError

PROBABILITIES = ("fail", "refuse", "lose", "hang")
SECONDS = ("delay", "linger")
LONGEST_SECONDS = 60


class Mock(Module):
    async def create(self, call: Call) -> Account | None:
        username = call.account.username or f"mock{call.service_id}"
        await self._behave(call, lambda: self._make(call, username))
        return Account(username, call.account.domain)

    async def suspend(self, call: Call) -> None:
        await self._behave(call, lambda: self._put(call, "suspended"))

    async def unsuspend(self, call: Call) -> None:
        await self._behave(call, lambda: self._put(call, "active"))

    async def terminate(self, call: Call) -> None:
        await self._behave(call, lambda: self._put(call, "terminated", missing_is_fine=True))

    async def _behave(self, call: Call, do: Callable[[], None]) -> None:
        faults = _faults(call.options)
        await asyncio.sleep(faults["delay"])
        if _happens(faults["refuse"]):
            raise ModuleError("The mock refuses.", retry=False)
        if _happens(faults["fail"]):
            raise ModuleError("The mock failed before it did anything.")
        if _happens(faults["hang"]):
            await asyncio.Event().wait()
        await asyncio.to_thread(do)
        await asyncio.sleep(faults["linger"])
        if _happens(faults["lose"]):
            raise ModuleError("The mock lost its answer after it was done.")

    def _make(self, call: Call, username: str) -> None:
        with self._service(call) as folder:
            account = {
                "service": call.service_id,
                "username": username,
                "domain": call.account.domain,
                "server": call.server.hostname if call.server else None,
                "status": "active",
                "keys": [call.key],
            }
            path = folder / f"{call.key}.json"
            if not path.exists():
                _write(path, account)

    def _put(self, call: Call, status: str, *, missing_is_fine: bool = False) -> None:
        with self._service(call) as folder:
            paths = sorted(folder.glob("*.json"))
            if not paths and not missing_is_fine:
                raise ModuleError(f"The mock has no account of service {call.service_id}.", retry=False)
            for path in paths:
                account = json.loads(path.read_text())
                if call.key not in account["keys"]:
                    _write(path, {**account, "status": status, "keys": [*account["keys"], call.key]})

    @contextmanager
    def _service(self, call: Call) -> Iterator[Path]:
        """The folder of a service, locked: the lock is the kernel's, and ends with the process."""
        folder = self.folder / str(call.service_id)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def accounts(folder: Path) -> list[dict[str, Any]]:
    """Every account that was ever made in the folder of a mock, those that were terminated too."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]


def _write(path: Path, account: Mapping[str, Any]) -> None:
    """The whole file or none of it, whenever the process is killed."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(account))
    os.replace(draft, path)


def _faults(options: Mapping[str, str]) -> dict[str, float]:
    faults = dict.fromkeys((*PROBABILITIES, *SECONDS), 0.0)
    for name, value in options.items():
        most = 1 if name in PROBABILITIES else LONGEST_SECONDS if name in SECONDS else None
        if most is None:
            raise ModuleError(f"The mock has no option {name}; it has {', '.join(faults)}.", retry=False)
        try:
            faults[name] = float(value)
        except ValueError:
            faults[name] = -1
        if not 0 <= faults[name] <= most:
            raise ModuleError(f"The option {name} of the mock must be a number from 0 to {most}.", retry=False)
    return faults


def _happens(probability: float) -> bool:
    return random.random() < probability
