"""Whoever is calling, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum

from schema.errors import DomainError, forbidden


class Scope(StrEnum):
    """Permissions of API keys: `noun:read` or `noun:write`; write includes read."""

    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    SERVICES_READ = "services:read"
    SERVICES_WRITE = "services:write"
    INVOICES_READ = "invoices:read"
    INVOICES_WRITE = "invoices:write"
    TICKETS_READ = "tickets:read"
    TICKETS_WRITE = "tickets:write"
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    SERVERS_READ = "servers:read"
    SERVERS_WRITE = "servers:write"
    DEPARTMENTS_READ = "departments:read"
    DEPARTMENTS_WRITE = "departments:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    EVENTS_READ = "events:read"


EVERY_SCOPE = "*"

_OPEN_TO_CLIENTS = frozenset(
    {
        Scope.CLIENTS_READ,
        Scope.SERVICES_READ,
        Scope.INVOICES_READ,
        Scope.TICKETS_READ,
        Scope.PRODUCTS_READ,
        Scope.EVENTS_READ,
    }
)


@dataclass(frozen=True)
class Policy:
    """What a field requires of who reads or calls it: a scope, and whether keys bound to a client are let in at all."""

    scope: Scope
    open_to_clients: bool

    @classmethod
    def reading(cls, scope: Scope) -> "Policy":
        return cls(scope, scope in _OPEN_TO_CLIENTS)

    @classmethod
    def of(cls, requires: "Scope | Policy") -> "Policy":
        """What is declared by its scope alone is read."""
        return requires if isinstance(requires, Policy) else cls.reading(requires)

    def __str__(self) -> str:
        return self.scope.value


class ActorKind(StrEnum):
    KEY = "key"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Who is calling: an API key, perhaps bound to one client, or the system itself (command line, jobs)."""

    kind: ActorKind
    id: int
    scopes: frozenset[str]
    client_id: int | None = None

    @property
    def name(self) -> str:
        """As the records name the actor: `key:7`."""
        return f"{self.kind}:{self.id}"

    def lacks(self, policy: Policy) -> DomainError | None:
        """Why the actor may not, if it may not."""
        if self.client_id is not None and not policy.open_to_clients:
            return forbidden(f"This key is bound to a client and cannot be used for this; it needs {policy.scope}.")
        if not includes(self.scopes, policy.scope):
            return forbidden(f"This key lacks the scope {policy.scope}.")
        return None


SYSTEM = Actor(ActorKind.SYSTEM, 0, frozenset({EVERY_SCOPE}))


def includes(scopes: frozenset[str], wanted: str) -> bool:
    """Whether a set of scopes covers one."""
    if EVERY_SCOPE in scopes or wanted in scopes:
        return True
    return wanted in Scope.__members__.values() and _write(Scope(wanted)) in scopes


def read_scopes(names: list[str]) -> frozenset[str]:
    """Checks scope names; raises ValueError naming the unknown one and the allowed ones."""
    known = {EVERY_SCOPE, *(scope.value for scope in Scope)}
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is no scope; the scopes are: {', '.join([*Scope, EVERY_SCOPE])}")
    return frozenset(names)


def _write(scope: Scope) -> str:
    return scope.value.replace(":read", ":write")
