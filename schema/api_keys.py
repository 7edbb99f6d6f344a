"""API keys: who may call, for what, from where, until when. A key is shown once and stored as its digest."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import strawberry

from arcbilling import clock
from models.api_keys import ApiKeyRow
from models.clients import ClientRow
from resolvers import api_keys, clients
from resolvers.database import Database
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from resolvers.tables import Session
from schema import keys
from schema.actors import Actor, ActorKind, Scope, includes, read_scopes
from schema.checks import Reference, moment
from schema.clients import Client
from schema.connections import lists
from schema.context import Context
from schema.errors import forbidden, invalid, not_found, unauthorized
from schema.fields import command, derived, id_argument, id_member, identifier, member, plain, query, relation, wanted
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node

ApiKeyId = Annotated[int, *id_argument(Kind.API_KEY)]
CACHE_SECONDS = 5
NOTE_USE_EVERY = timedelta(minutes=1)


@strawberry.type(description="An API key, without the key: that is shown when it is made and never again.")
class ApiKey(Node):
    id: strawberry.ID = identifier(Kind.API_KEY, "`key_3`.")
    name: str = plain("What it is for.")
    hint: str = plain("Its prefix and last four characters.")
    client_id: strawberry.ID | None = identifier(Kind.CLIENT, "The client that it is bound to; null for none.")
    expires_at: datetime | None = plain("When it ends; null for never.")
    created_by: str = plain("Who made it.")
    last_used_at: datetime | None = plain("When it was last used, to the minute.")
    last_used_ip: str | None = plain("From where it was last used.")
    revoked_at: datetime | None = plain("When it was revoked.")
    created_at: datetime = plain("When it was made.")
    updated_at: datetime = plain("When it was last changed.")

    @derived(list[str])
    def scopes(row: ApiKeyRow) -> list[str]:
        """What it may be used for: `noun:read`, `noun:write`, or `*`."""
        return row.scopes.split()

    @derived(list[str])
    def networks(row: ApiKeyRow) -> list[str]:
        """Networks (CIDR) that it may be used from; empty for any."""
        return row.networks.split()

    @relation(Client | None, requires=Scope.CLIENTS_READ, by="client_id")
    async def client(ids: list[int], context: Context, columns: Columns) -> Sequence[ClientRow | None]:
        """The client that it is bound to."""
        return await context.each(clients.table, ids, columns)


class NewApiKey(NamedTuple):
    key: str
    api_key: ApiKeyRow


@strawberry.type(description="A key that was just made.")
class CreatedApiKey:
    key: str = plain("The key itself, shown this once.")
    api_key: ApiKey = plain("Its record.")


@strawberry.enum(description="The order of a list of API keys.")
class ApiKeySort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which API keys.")
class ApiKeyFilter:
    client_id: Annotated[int | None, Reference(Kind.CLIENT)] = id_member("Keys bound to this client.", optional=True)
    created_from: Since = member("Made then or later: a time, or a date.", optional=True)
    created_to: Until = member("Made then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A new API key. It can have no more than the key that makes it.")
class ApiKeyCreateInput:
    name: str = member("What it is for.")
    scopes: list[str] | None = member("What it may be used for; default: everything (`*`).", optional=True)
    client_id: Annotated[int | None, Reference(Kind.CLIENT)] = id_member("Binds it to this client.", optional=True)
    expires_at: Annotated[datetime | None, moment] = member("When it ends; default never.", optional=True)
    networks: list[str] | None = member("Networks (CIDR) that it may be used from; default any.", optional=True)


# Rules


def check_grant(actor: Actor, scopes: frozenset[str]) -> None:
    """A key can only make keys that may do no more than itself."""
    beyond = sorted(scope for scope in scopes if not includes(actor.scopes, scope))
    if beyond:
        raise forbidden(f"This key lacks the scope {beyond[0]} and cannot make a key that has it.")


def check_bounds(maker: ApiKeyRow, expires_at: datetime | None, networks: str) -> None:
    """A key that ends, or that is for some networks, can only make keys that end no later and are for no others."""
    if maker.expires_at is not None and (expires_at is None or expires_at > maker.expires_at):
        raise invalid(
            "expires_at", f"must not be later than the end of the key that makes it, {maker.expires_at:%Y-%m-%d}"
        )
    own = [ipaddress.ip_network(network) for network in maker.networks.split()]
    wanted_networks = [ipaddress.ip_network(network) for network in networks.split()]
    within = all(
        any(one.version == mine.version and one.subnet_of(mine) for mine in own)  # type: ignore[arg-type]
        for one in wanted_networks
    )
    if own and not (wanted_networks and within):
        raise invalid("networks", f"must be within those of the key that makes it: {maker.networks}")


def read_networks(texts: list[str]) -> str:
    networks = []
    for place, text in enumerate(texts):
        try:
            networks.append(str(_as_ipv4(ipaddress.ip_network(text))))
        except ValueError:
            raise invalid(f"networks[{place}]", "must be a network such as 192.0.2.0/24") from None
    return " ".join(networks)


def usable(row: ApiKeyRow, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def admits(row: ApiKeyRow, ip: str | None) -> bool:
    """Whether the key may be used from the address."""
    if not row.networks:
        return True
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ipaddress.ip_network(network) for network in row.networks.split())


def actor_of(row: ApiKeyRow) -> Actor:
    return Actor(ActorKind.KEY, row.id, frozenset(row.scopes.split()), row.client_id)


# Authentication


@dataclass
class Keyring:
    """Which key is whose. What was read is believed for five seconds; a revocation in this process counts at once."""

    database: Database
    monotonic: Callable[[], float]
    _known: dict[str, tuple[float, ApiKeyRow]] = field(default_factory=dict)
    _noted: dict[int, datetime] = field(default_factory=dict)
    _changes: int = 0

    async def authenticate(self, key: str | None) -> ApiKeyRow:
        """The key's row; one answer for missing, malformed, unknown, expired and revoked."""
        if key is None:
            raise unauthorized()
        digest = keys.digest(key)
        row = self._believed(digest)
        if row is None and keys.is_well_formed(key):  # else it is none that was ever made
            row = await self._row(digest)
        if row is None or not usable(row, clock.now()):
            raise unauthorized()
        return row

    def claim_note(self, row: ApiKeyRow) -> datetime | None:
        """The moment to note as the key's last use, if the last note is a minute old: whoever gets it is to note it."""
        now = clock.now()
        last = self._noted.get(row.id) or row.last_used_at
        if last is not None and now - last < NOTE_USE_EVERY:
            return None
        self._noted[row.id] = now
        return now

    async def note_use(self, row: ApiKeyRow, at: datetime, ip: str | None) -> None:
        """Keeps when and from where the key was last used."""
        await api_keys.note_use(self.database, row.id, at, ip)

    def forget(self) -> None:
        """Drops what is known, and what is being read: a key was changed."""
        self._changes += 1
        self._known.clear()

    def _believed(self, digest: str) -> ApiKeyRow | None:
        known = self._known.get(digest)
        return known[1] if known is not None and self.monotonic() - known[0] < CACHE_SECONDS else None

    async def _row(self, digest: str) -> ApiKeyRow | None:
        now = self.monotonic()
        changes = self._changes
        row = await api_keys.by_digest(Session(self.database, self.database.reader), digest)
        if row is None:
            self._known.pop(digest, None)
        elif changes == self._changes:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[digest] = now, row
        return row


# Queries


@query(ApiKey | None, requires=Scope.KEYS_READ)
async def api_key(context: Context, id: ApiKeyId) -> ApiKeyRow:
    """One API key."""
    return await api_keys.by_id(context.session, id) or _missing(id)


@lists(ApiKey, api_keys.table, requires=Scope.KEYS_READ, sort=ApiKeySort)
def api_keys_(filter: ApiKeyFilter) -> Where:
    """The API keys, revoked ones too."""
    return matching(client_id=wanted(filter.client_id))


# Commands


@command(CreatedApiKey, requires=Scope.KEYS_WRITE)
async def api_key_create(context: Context, input: ApiKeyCreateInput) -> NewApiKey:
    """Makes an API key. The key is in this answer and nowhere else."""
    try:
        scopes = read_scopes(["*"] if not input.scopes else input.scopes)
    except ValueError as error:
        raise invalid("scopes", f"names what cannot be granted: {error}") from None
    check_grant(context.actor, scopes)
    now = clock.now()
    if input.expires_at and input.expires_at <= now:
        raise invalid("expires_at", "must be in the future")
    if input.client_id and await clients.locked(context.writing, input.client_id) is None:
        raise invalid("client_id", f"names no client: {input.client_id}")
    networks = read_networks(input.networks or [])
    if context.actor.kind is ActorKind.KEY:
        maker = await api_keys.by_id(context.session, context.actor.id)
        assert maker is not None, "it is calling"
        check_bounds(maker, input.expires_at or None, networks)
    key = keys.new_key()
    row = ApiKeyRow(
        id=0,
        name=input.name,
        digest=keys.digest(key),
        hint=keys.hint(key),
        scopes=" ".join(sorted(scopes)),
        client_id=input.client_id or None,
        networks=networks,
        expires_at=input.expires_at or None,
        created_by=context.actor.name,
        last_used_at=None,
        last_used_ip=None,
        revoked_at=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return NewApiKey(key, await api_keys.add(context.writing, row))


@command(ApiKey, requires=Scope.KEYS_WRITE)
async def api_key_revoke(context: Context, id: ApiKeyId) -> ApiKeyRow:
    """Revokes an API key for good."""
    row = await api_keys.locked(context.writing, id) or _missing(id)
    if row.revoked_at is not None:
        return row
    check_grant(context.actor, frozenset(row.scopes.split()))
    context.after_commit(context.keys_changed)
    return await api_keys.save(context.writing, row, row._replace(revoked_at=clock.now()))


# Private


def _as_ipv4(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A network of IPv4 addresses that is written in IPv6's form, in its own: callers are compared in that."""
    mapped = network.network_address.ipv4_mapped if network.version == 6 and network.prefixlen >= 96 else None
    return network if mapped is None else ipaddress.ip_network((mapped, network.prefixlen - 96))


def _missing(id: int) -> Any:
    raise not_found("API key", id)
