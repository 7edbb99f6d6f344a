"""The protocol of modules: what a module is told, what it answers, how it says that something did not work."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """An account on a server: its name there, and its host name."""

    username: str | None
    domain: str | None = None


@dataclass(frozen=True)
class Server:
    """Where the account is or is to be."""

    hostname: str
    credentials: str | None = field(default=None, repr=False)
    """What staff entered for the module to log in with, in the form that the module asks for."""


@dataclass(frozen=True)
class Call:
    """What a module is asked to do, but for the verb."""

    key: str
    """The idempotency key: the same at every attempt of the same call, and at no other call of any installation."""
    account_key: str
    """The key of the call that makes the account: the same at every call for it, and at none for another account."""
    service_id: int
    """The service that the account is for. Another installation, and one begun anew, has services of the same ids."""
    account: Account
    server: Server | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """The options of the product."""


class ModuleError(Exception):
    """It did not work. Staff read the message: a sentence without secrets.

    With `retry=False` the call fails at once, since trying again cannot help: the name is taken, the login is wrong.
    """

    def __init__(self, message: str, *, retry: bool = True) -> None:
        self.message = str(message)
        super().__init__(self.message)
        self.retry = retry


class Module(ABC):
    """What runs the servers of one kind. There is one of each module in a process, used by many calls at once.

    A call may come again with the same key, because its answer was lost: the module must then do nothing twice, and
    answer as it did. A call that takes too long is cancelled, so nothing here may block the event loop.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is the module's own, beside the data of this host. It is there once the module has made it."""
        self.folder = folder

    @abstractmethod
    async def create(self, call: Call) -> Account | None:
        """Makes the account. Answers with it where the server gave it another name than was asked for."""

    @abstractmethod
    async def suspend(self, call: Call) -> None:
        """Locks the account. One that is locked stays so."""

    @abstractmethod
    async def unsuspend(self, call: Call) -> None:
        """Lifts the lock. One that is not locked stays so."""

    @abstractmethod
    async def terminate(self, call: Call) -> None:
        """Removes the account for good. One that is not there is removed."""
