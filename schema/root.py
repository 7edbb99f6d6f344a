"""The schema: every module's types, queries and commands put together, and held to the rules that all must keep."""

import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import graphql
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)
from graphql.type.introspection import TypeFields
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from executor import PROMISE, TellsType
from models.api_keys import ApiKeyRow
from models.clients import ClientRow
from models.invoices import InvoiceRow
from models.module_calls import ModuleCallRow
from models.products import ProductRow
from models.servers import ServerGroupRow, ServerRow
from models.services import ServiceRow
from models.tickets import DepartmentRow, TicketRow
from models.webhooks import DeliveryRow, WebhookRow
from resolvers import (
    api_keys,
    clients,
    deliveries,
    invoices,
    module_calls,
    products,
    servers,
    services,
    tickets,
    webhooks,
)
from resolvers.tables import Table
from schema import (  # each module declares its fields as it is imported
    api_keys as _api_keys,
)
from schema import (
    clients as _clients,
)
from schema import (
    deliveries as _deliveries,
)
from schema import (
    departments as _departments,
)
from schema import (
    event_log as _event_log,
)
from schema import (
    ids,
)
from schema import (
    invoices as _invoices,
)
from schema import (
    module_calls as _module_calls,
)
from schema import (
    orders as _orders,
)
from schema import (
    payments as _payments,
)
from schema import (
    products as _products,
)
from schema import (
    servers as _servers,
)
from schema import (
    services as _services,
)
from schema import (
    subscriptions as _subscriptions,
)
from schema import (
    tickets as _tickets,
)
from schema import (
    webhooks as _webhooks,
)
from schema.actors import Policy, Scope
from schema.checks import Text
from schema.context import Context
from schema.errors import invalid, not_found
from schema.fields import COMMANDS, QUERIES, SUBSCRIPTIONS, query
from schema.nodes import Node
from schema.promises import counted, promise
from schema.scalars import SCALARS
from schema.snapshots import leaf

MODULES = (
    _api_keys,
    _clients,
    _deliveries,
    _departments,
    _event_log,
    _invoices,
    _module_calls,
    _orders,
    _payments,
    _products,
    _servers,
    _services,
    _subscriptions,
    _tickets,
    _webhooks,
)


class NodeType:
    """How the objects of one type are found by their id, and known by their row."""

    def __init__(self, name: str, row: type[tuple[Any, ...]], table: Table[Any], requires: Scope | Policy) -> None:
        self.name = name
        self.row = row
        self.table = table
        self.policy = Policy.of(requires)


NODES: dict[ids.Kind, NodeType] = {
    ids.Kind.CLIENT: NodeType("Client", ClientRow, clients.table, Scope.CLIENTS_READ),
    ids.Kind.SERVICE: NodeType("Service", ServiceRow, services.table, Scope.SERVICES_READ),
    ids.Kind.INVOICE: NodeType("Invoice", InvoiceRow, invoices.table, Scope.INVOICES_READ),
    ids.Kind.TICKET: NodeType("Ticket", TicketRow, tickets.table, Scope.TICKETS_READ),
    ids.Kind.PRODUCT: NodeType("Product", ProductRow, products.table, Scope.PRODUCTS_READ),
    ids.Kind.SERVER: NodeType("Server", ServerRow, servers.table, Scope.SERVERS_READ),
    ids.Kind.SERVER_GROUP: NodeType("ServerGroup", ServerGroupRow, servers.groups, Scope.SERVERS_READ),
    ids.Kind.DEPARTMENT: NodeType("Department", DepartmentRow, tickets.departments, Scope.DEPARTMENTS_READ),
    ids.Kind.API_KEY: NodeType("ApiKey", ApiKeyRow, api_keys.table, Scope.KEYS_READ),
    ids.Kind.MODULE_CALL: NodeType("ModuleCall", ModuleCallRow, module_calls.table, _module_calls.STAFF),
    ids.Kind.WEBHOOK: NodeType("Webhook", WebhookRow, webhooks.table, Scope.WEBHOOKS_READ),
    ids.Kind.DELIVERY: NodeType("Delivery", DeliveryRow, deliveries.table, Scope.WEBHOOKS_READ),
}


@query(Node | None, requires=None)
async def node(
    context: Context,
    id: Annotated[
        str, Text(60), strawberry.argument(graphql_type=strawberry.ID, description="A typed id: `inv_1234`.")
    ],
) -> Any:
    """An object by its typed id: of a type that implements `Node`.

    Requires: the read scope of the object's type.
    """
    prefix = id.rpartition("_")[0]
    if prefix not in ids.Kind.__members__.values() or ids.Kind(prefix) not in NODES:
        raise invalid("id", f"must be the typed id of one of: {', '.join(found.name for found in NODES.values())}")
    found = NODES[ids.Kind(prefix)]
    if (error := context.actor.lacks(found.policy)) is not None:
        raise error
    try:
        number = ids.read(ids.Kind(prefix), id)
    except ValueError as error:
        raise invalid("id", str(error)) from None
    row = await found.table.by_id(context.session, number)
    if row is None:
        raise not_found(found.name, id)
    return row


@cache
def build() -> GraphQLSchema:
    """The executable schema."""
    return _finish(strawberry_schema())


@cache
def strawberry_schema() -> strawberry.Schema:
    """The schema as it is declared."""
    return strawberry.Schema(
        query=create_type(
            "Query", [QUERIES[name].field for name in sorted(QUERIES)], description="Everything to read."
        ),
        mutation=create_type(
            "Mutation",
            [COMMANDS[name].field for name in sorted(COMMANDS)],
            description="Everything to do. Each field is one transaction, with its audit entry and its events.",
        ),
        subscription=create_type(
            "Subscription",
            [SUBSCRIPTIONS[name].field for name in sorted(SUBSCRIPTIONS)],
            description=(
                "Events as they happen, each once and in the order of commits. With `after`, the id of the last one "
                "that was received, what was missed comes first."
            ),
        ),
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def sdl() -> str:
    """The public schema as text: `schema.graphql`."""
    return re.sub(r"[ \t]+$", "", strawberry_schema().as_str(), flags=re.MULTILINE) + "\n"


def _finish(declared: strawberry.Schema) -> GraphQLSchema:
    """Makes plain fields plain and carries the policies over to where execution looks for them."""
    schema = declared._schema
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLEnumType) and not type_.name.startswith("__"):
            _tell_allowed(type_)
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            type_.is_type_of = None  # rows are known by where they come from
            for field in type_.fields.values():
                declaration = field.extensions.get("strawberry-definition")
                if not isinstance(declaration, StrawberryField):
                    continue
                if declaration.base_resolver is None:
                    read = leaf(declaration.python_name, declaration.metadata)
                    field.resolve = _counted(read) if declaration.metadata.get("counted") else _plain(read)
                promise(declared, field, declaration)
                if (policy := declaration.metadata.get("requires")) is not None:
                    field.extensions["requires"] = policy
    names = {found.row: found.name for found in NODES.values()}
    about = schema.type_map["__Type"]
    assert isinstance(about, GraphQLObjectType)
    about.fields["isOneOf"].resolve = TypeFields.is_one_of  # Strawberry's knows named types alone
    _tell_apart(schema, "Node", lambda row: names[type(row)])
    _tell_apart(schema, "Event", lambda row: f"{row.object_type}Event")
    errors = graphql.validate_schema(schema)
    assert not errors, errors
    return schema


def _tell_apart(schema: GraphQLSchema, name: str, type_of: Callable[[Any], str]) -> None:
    """Makes known of which type a row is, where a field leads to an interface."""
    interface = schema.type_map[name]
    assert isinstance(interface, GraphQLInterfaceType)
    interface.resolve_type = lambda row, _info, _type: type_of(row)
    interface.extensions[PROMISE] = TellsType(type_of)


def _tell_allowed(enum: GraphQLEnumType) -> None:
    """Makes the refusal of an unknown value name those that are known."""
    allowed = ", ".join(enum.values)

    def telling(coerce: Callable[..., Any]) -> Callable[..., Any]:
        def coerced(given: Any, hide_suggestions: bool = True) -> Any:
            try:
                return coerce(given, hide_suggestions)
            except GraphQLError as error:
                raise GraphQLError(f"{error.message} It must be one of: {allowed}.", error.nodes) from None

        return coerced

    enum.coerce_input_value = telling(enum.coerce_input_value)  # type: ignore[method-assign]
    enum.coerce_input_literal = telling(enum.coerce_input_literal)  # type: ignore[method-assign]


def _plain(read: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda row, _info: read(row)


def _counted(read: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda row, info: counted(info.context, read(row))
